"""The media node: calls in, replies out, and the life of everything it carries.

Synchronous on purpose: a call is handled in one step of the loop, so no two calls interleave.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address
from time import monotonic, process_time
from typing import Any, assert_never

import structlog

from services.conference.calls import (
    AcceptAnswer,
    Answer,
    Call,
    Discard,
    Done,
    Failure,
    FailureCode,
    Offer,
    PrepareOffer,
    Publish,
    Reply,
    Republish,
    Subscribe,
    Tap,
    Tapped,
    Untap,
)
from services.conference.calls import Track as TrackInfo
from services.conference.model import Direction

from . import negotiation, sdp
from .forwarding import open_port
from .layers import cap
from .leg import Leg, State
from .legs import Legs, Overloaded
from .losses import Losses
from .negotiation import CodecMissing, Format, Incoming, Section
from .stream import Publication, random_ssrc
from .subscription import Promise, Subscription
from .tap import TapRefused
from .track import send_time_number

UNANSWERED = 30.0  # seconds an offer waits for its answer
UNCONFIRMED = 30.0  # seconds a publication waits for the log to tell of it
TICK = 0.1  # seconds
HURRY = 0.05  # seconds, while something is asked for
log = structlog.get_logger(__name__)


class Refused(Exception):
    def __init__(self, code: FailureCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class Node:
    def __init__(self, host: str, ports: range, public_ip: str = "", *, pump: str = "auto") -> None:
        """Takes a UDP port of `host`; clients are told `public_ip`, if any: IP addresses, with
        commas between. `pump` as in `open_port`.

        Raises `OSError`, `ValueError` or `PumpMissing`.
        """
        told = [ip_address(part.strip()) for part in (public_ip or host).split(",")]
        if any(one.is_unspecified for one in told):
            raise ValueError(f"clients cannot be told {host}: TERTULIA_MEDIA_PUBLIC_IP is needed")
        self.port = open_port(host, ports, pump)
        self.legs = Legs(self.port, tuple(dict.fromkeys(map(str, told))))
        self.publications: dict[str, Publication] = {}  # by stream id
        self.losses = Losses()
        self._cpu_before = process_time()

    @property
    def serving(self) -> bool:
        return self.legs.serving

    async def run(self) -> None:
        """Serve until cancelled, then close every leg with a goodbye."""
        try:
            async with asyncio.TaskGroup() as group:
                self.legs.serve(group)
                try:
                    await self._timers()
                finally:
                    for publication in tuple(self.publications.values()):
                        self.end_publication(publication, "node stopped")
                    self.legs.close()
        finally:
            self.close()

    def close(self) -> None:
        """Give the port back; for a node that never ran."""
        self.port.close()

    async def _timers(self) -> None:
        pause, reported = TICK, 0.0
        while True:
            await asyncio.sleep(pause)
            now = monotonic()
            hurries = [publication.tick(now) for publication in self.publications.values()]
            pause = HURRY if any(hurries) else TICK
            if now - reported >= 1:
                reported = now
                self.each_second(now)

    def each_second(self, now: float) -> None:
        for publication in tuple(self.publications.values()):
            publication.report(now)
            if publication.taps.expire(now):
                publication.retap(now)
            if not publication.confirmed and now - publication.created_at > UNCONFIRMED:
                self.end_publication(publication, "never confirmed")
                continue
            for subscription in tuple(publication.subscriptions.values()):
                waiting = subscription.leg.state is State.OFFERED
                if waiting and now - subscription.leg.created_at > UNANSWERED:
                    self.end_subscription(publication, subscription, "offer not answered")
        self.legs.end_silent(now)

    # Calls

    def handle(self, call: Call) -> Reply:
        try:
            return self._handle(call)
        except Refused as refused:
            return Failure(refused.code, str(refused))
        except sdp.SdpInvalid as error:
            return Failure(FailureCode.SDP_INVALID, str(error))
        except Overloaded as error:
            return Failure(FailureCode.OVERLOADED, str(error))
        except CodecMissing as error:
            return Failure(FailureCode.CODEC_MISSING, str(error))

    def _handle(self, call: Call) -> Reply:
        match call:
            case Publish():
                return self._publish(call)
            case Republish():
                return self._republish(call)
            case PrepareOffer():
                return self._prepare_offer(call)
            case AcceptAnswer():
                return self._accept_answer(call)
            case Subscribe():
                return self._subscribe(call)
            case Discard():
                return self._discard(call)
            case Tap():
                return self._tap(call)
            case Untap():
                return self._untap(call)
            case _:
                assert_never(call)

    def _publish(self, call: Publish) -> Answer:
        old = self.publications.get(call.stream_id)
        if old is not None and old.connection_id != call.connection_id:
            raise Refused(FailureCode.ENDPOINT_CLOSED, "the stream belongs to another connection")
        offer = sdp.parse(call.sdp_offer)
        kinds = [kind for kind, on in (("audio", call.has_audio), ("video", call.has_video)) if on]
        choose = negotiation.chooser(call.codec, call.allow_transcoding)
        accepted = negotiation.incoming(offer, kinds, choose)
        publication = Publication(
            self.port,
            session_id=call.session_id,
            connection_id=call.connection_id,
            stream_id=call.stream_id,
            limit=call.max_send_kbps,
            floor=call.min_send_kbps,
            loopback=call.loopback,
            active={"audio": call.audio_active, "video": call.video_active},
            lost=self._publisher_lost,
        )
        publication.declare(kinds, accepted)
        answer = self._take_media(publication, offer, accepted)
        if old is not None:
            self.end_publication(old, "published again")
        self.losses.forget(call.connection_id, call.stream_id)
        self.publications[call.stream_id] = publication
        return answer

    def _republish(self, call: Republish) -> Answer:
        publication = self._publication(call.stream_id)
        if publication.connection_id != call.connection_id:
            raise Refused(FailureCode.STREAM_NOT_FOUND, "the stream belongs to another connection")
        offer = sdp.parse(call.sdp_offer)
        tracks = publication.tracks
        choose = negotiation.matching({kind: track.format for kind, track in tracks.items()})
        promised = {kind: (track.mid, track.extensions) for kind, track in tracks.items()}
        accepted = negotiation.incoming(offer, list(tracks), choose, promised)
        self.losses.forget(call.connection_id, call.stream_id)
        before = publication.leg
        answer = self._take_media(publication, offer, accepted)
        if before is not None:
            self.legs.drop(before)
        return answer

    def _take_media(
        self, publication: Publication, offer: sdp.Description, accepted: Mapping[str, Incoming]
    ) -> Answer:
        leg = self.legs.make()
        try:
            publication.attach(leg, accepted)
        except sdp.SdpInvalid:
            self.legs.drop(leg)
            raise
        returned: dict[str, Section] = {}
        if publication.loopback:
            returned = self._send_back(publication, leg, accepted)
        video = publication.tracks.get("video")
        layers = len(video.layers) if video is not None else 1
        limit, floor = publication.limit * 1000, publication.floor * 1000
        most = cap(limit, floor, layers, ()) // 1000 if limit else 0
        sections = negotiation.publisher_answer(offer, accepted, returned, most)
        self.legs.start(leg, offer.fingerprints)
        return Answer(negotiation.write(sections, leg.ice, "passive"))

    def _send_back(
        self, publication: Publication, leg: Leg, accepted: Mapping[str, Incoming]
    ) -> dict[str, Section]:
        """Own media on the own connection (`signaling.md` 5.3), under SSRCs of its own: the
        publisher's are taken on that connection."""
        promises: dict[str, Promise] = {}
        sections: dict[str, Section] = {}
        for kind, found in accepted.items():
            rtx_ssrc = 0 if found.format.rtx_payload_type is None else random_ssrc()
            track = publication.tracks[kind]
            promise = promises[kind] = Promise(found.format, random_ssrc(), rtx_ssrc)
            sections[kind] = Section(
                kind,
                found.mid,
                "sendrecv",
                found.format,
                ssrc=promise.ssrc,
                rtx_ssrc=rtx_ssrc,
                cname=track.cname,
                msid=track.msid,
            )
        publication.returned = Subscription(
            self.port,
            publication,
            leg,
            connection_id=publication.connection_id,
            promises=promises,
            gone=lambda *_: None,
        )
        return sections

    def _prepare_offer(self, call: PrepareOffer) -> Offer:
        publication = self._publication(call.stream_id)
        leg = self.legs.make()
        promises = {
            kind: Promise(
                track.format, track.ssrc, track.rtx_ssrc, send_time_number(track.extensions)
            )
            for kind, track in publication.tracks.items()
        }
        subscription = self._subscribed(publication, call, leg, promises)
        sections = []
        for kind, track in publication.tracks.items():
            subscription.mids[track.mid] = kind
            sections.append(
                Section(
                    kind,
                    track.mid,
                    "sendonly",
                    track.offered,
                    track.extensions,
                    track.ssrc,
                    track.rtx_ssrc,
                    track.cname,
                    track.msid,
                )
            )
        return Offer(negotiation.write(sections, leg.ice, "actpass"))

    def _accept_answer(self, call: AcceptAnswer) -> Done:
        publication = self._publication(call.stream_id)
        subscription = publication.subscriptions.get(call.connection_id)
        if subscription is None or subscription.leg.state is not State.OFFERED:
            raise Refused(FailureCode.SUBSCRIPTION_NOT_FOUND, "no offer waits for an answer")
        answer = sdp.parse(call.sdp_answer)
        if answer.setup == "passive":
            raise sdp.SdpInvalid("the server is the DTLS server always")
        taken: dict[str, Format] = {}
        for line in answer.lines:
            kind = subscription.mids.get(line.mid)
            if kind == line.kind and line.receives:
                wanted = subscription.promises[kind].format
                if str(wanted.payload_type) not in line.formats:
                    raise CodecMissing(f"the answer does not take the {kind} of the offer")
                if str(wanted.rtx_payload_type) not in line.formats:
                    wanted = replace(wanted, rtx_payload_type=None)
                taken[kind] = wanted
        subscription.keep(taken)
        self.legs.start(subscription.leg, answer.fingerprints)
        return Done()

    def _subscribe(self, call: Subscribe) -> Answer:
        publication = self._publication(call.stream_id)
        offer = sdp.parse(call.sdp_offer)
        if offer.setup == "passive":
            raise sdp.SdpInvalid("the server is the DTLS server always")
        tracks = publication.tracks
        choose = negotiation.matching({kind: track.format for kind, track in tracks.items()})
        promises: dict[str, Promise] = {}
        sections = []
        for line in offer.lines:
            track = tracks.get(line.kind)
            if track is None or line.kind in promises or not line.receives:
                sections.append(negotiation.idle(line))
                continue
            chosen = choose(line)
            rtx_ssrc = 0
            if chosen.rtx_payload_type is not None:
                rtx_ssrc = track.rtx_ssrc or random_ssrc()
            extensions = negotiation.shared_extensions(
                line.extensions, line.mid, track.extensions, track.mid
            )
            promises[line.kind] = Promise(
                chosen, track.ssrc, rtx_ssrc, send_time_number(extensions)
            )
            sections.append(
                Section(
                    line.kind,
                    line.mid,
                    "sendonly",
                    chosen,
                    extensions,
                    track.ssrc,
                    rtx_ssrc,
                    track.cname,
                    track.msid,
                )
            )
        leg = self.legs.make()
        self._subscribed(publication, call, leg, promises)
        self.legs.start(leg, offer.fingerprints)
        return Answer(negotiation.write(sections, leg.ice, "passive"))

    def _subscribed(
        self,
        publication: Publication,
        call: PrepareOffer | Subscribe,
        leg: Leg,
        promises: Mapping[str, Promise],
    ) -> Subscription:
        connection_id = call.connection_id
        self.losses.forget(connection_id, call.stream_id)
        old = publication.subscriptions.get(connection_id)
        if old is not None:
            self.end_subscription(publication, old, "subscribed again")

        def gone(subscription: Subscription, reason: str) -> None:
            self.losses.note(
                publication.session_id,
                connection_id,
                publication.stream_id,
                Direction.INBOUND,
                reason,
            )
            self.end_subscription(publication, subscription, "transport ended")

        subscription = Subscription(
            self.port,
            publication,
            leg,
            connection_id=connection_id,
            promises=promises,
            gone=gone,
            limit=call.max_recv_kbps,
            floor=call.min_recv_kbps,
        )
        publication.subscriptions[connection_id] = subscription
        return subscription

    def _publisher_lost(self, publication: Publication, reason: str) -> None:
        self.losses.note(
            publication.session_id,
            publication.connection_id,
            publication.stream_id,
            Direction.OUTBOUND,
            reason,
        )

    def _discard(self, call: Discard) -> Done:
        self.end(call.connection_id, call.stream_id, "discarded")
        return Done()

    def _tap(self, call: Tap) -> Tapped:
        publication = self._publication(call.stream_id)
        now = monotonic()
        try:
            is_new = publication.taps.renew(call.tap_id, call.host, call.port, now)
        except TapRefused as error:
            raise Refused(FailureCode.ENDPOINT_CLOSED, str(error)) from None
        publication.retap(now)
        if is_new or call.key_frame:
            publication.want_key_frame(now)
        return Tapped(**{kind: _track_info(publication, kind) for kind in ("audio", "video")})

    def _untap(self, call: Untap) -> Done:
        publication = self.publications.get(call.stream_id)
        if publication is not None and publication.taps.end(call.tap_id):
            publication.retap(monotonic())
        return Done()

    def _publication(self, stream_id: str) -> Publication:
        publication = self.publications.get(stream_id)
        if publication is None:
            raise Refused(FailureCode.STREAM_NOT_FOUND, f"no stream {stream_id}")
        return publication

    # Ends

    def end(self, connection_id: str, stream_id: str, reason: str) -> None:
        """End the connection's publication of the stream, or else its subscription to it."""
        self.losses.forget(connection_id, stream_id)
        publication = self.publications.get(stream_id)
        if publication is None:
            return
        if publication.connection_id == connection_id:
            self.end_publication(publication, reason)
        elif subscription := publication.subscriptions.get(connection_id):
            self.end_subscription(publication, subscription, reason)

    def end_connection(self, connection_id: str, reason: str) -> None:
        """End all media of a connection."""
        self.losses.forget_connection(connection_id)
        for publication in tuple(self.publications.values()):
            self.end(connection_id, publication.stream_id, reason)

    def end_publication(self, publication: Publication, reason: str) -> None:
        if self.publications.get(publication.stream_id) is publication:
            del self.publications[publication.stream_id]
            self.losses.forget_stream(publication.stream_id)
        for subscription in tuple(publication.subscriptions.values()):
            self.end_subscription(publication, subscription, reason)
        if publication.leg is not None:
            self.legs.drop(publication.leg)
        log.info(
            "stream ended",
            session=publication.session_id,
            stream=publication.stream_id,
            reason=reason,
            **publication.statistics(),
            **self.cost(),
        )

    def end_subscription(
        self, publication: Publication, subscription: Subscription, reason: str
    ) -> None:
        if publication.subscriptions.get(subscription.connection_id) is subscription:
            del publication.subscriptions[subscription.connection_id]
        self.legs.drop(subscription.leg)
        log.info(
            "subscription ended",
            connection=subscription.connection_id,
            stream=publication.stream_id,
            reason=reason,
            **subscription.statistics(),
        )

    def cost(self) -> dict[str, Any]:
        """CPU of the process for each packet it forwarded, since its start."""
        forwarded = self.port.forwarded
        spent = process_time() - self._cpu_before
        return {
            "forwarded": forwarded,
            "cpu_us_per_packet": round(spent * 1e6 / forwarded, 2) if forwarded else None,
        }


def _track_info(publication: Publication, kind: str) -> TrackInfo | None:
    track = publication.tracks.get(kind)
    source = track.tap_source if track is not None else None
    if track is None or source is None or not source.packets:
        return None
    chosen = track.format
    return TrackInfo(
        chosen.name, source.payload_type, chosen.clock_rate, source.ssrc, chosen.channels
    )
