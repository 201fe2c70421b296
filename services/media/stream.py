"""A published stream: its transport, its subscribers, and the feedback to its publisher."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from secrets import randbelow
from time import monotonic
from typing import Any

import structlog

from . import rtcp, rtp
from .feedback import TransportFeedback
from .layers import cap
from .leg import Leg, State
from .negotiation import DEFAULTS, Incoming
from .path import Source
from .port import Port
from .sdp import Msid, SdpInvalid
from .subscription import ATTENTION, Subscription
from .tap import Taps
from .track import Layer, Track

OUTAGE = 40  # packets missing at once
LEAST_REPORT = 0.2  # seconds between two sender reports of a source that are passed on
log = structlog.get_logger(__name__)


class Publication:
    """`limit` and `floor` of what the publisher may send are in kbit/s, 0 = none."""

    def __init__(
        self,
        port: Port,
        *,
        session_id: str,
        connection_id: str,
        stream_id: str,
        limit: int,
        floor: int,
        loopback: bool,
        active: Mapping[str, bool],
        lost: Callable[[Publication, str], None],
    ) -> None:
        """`active` says which kinds are not muted; `lost` is called when the publisher's transport
        has ended by itself."""
        self.session_id = session_id
        self.connection_id = connection_id
        self.stream_id = stream_id
        self.limit = limit
        self.floor = floor
        self.loopback = loopback
        self.created_at = monotonic()
        self.confirmed = False  # by the log
        self.leg: Leg | None = None
        self.tracks: dict[str, Track] = {}
        self.subscriptions: dict[str, Subscription] = {}  # by connection id
        self.returned: Subscription | None = None  # own media sent back
        self.taps = Taps()
        self.plis = 0
        self.cap = 0  # bit/s told to the publisher
        self._is_less_allowed = False
        self._attended = 0.0
        self._active = active
        self._lost = lost
        self._feedback: TransportFeedback | None = None
        self._port = port

    # Negotiation

    def declare(self, kinds: list[str], accepted: Mapping[str, Incoming]) -> None:
        """Make the tracks: one for each declared kind, whether its m-line was there or not."""
        for kind in kinds:
            found = accepted.get(kind)
            chosen = found.format if found else DEFAULTS[kind]
            mid = (found.mid if found else "") or kind
            while any(mid == other.mid for other in self.tracks.values()):
                mid += "0"
            self.tracks[kind] = Track(
                kind,
                mid,
                chosen,
                (found.ssrc if found else 0) or random_ssrc(),
                (found.rtx_ssrc if found else 0)
                or (0 if chosen.rtx_payload_type is None else random_ssrc()),
                found.announced if found else {},
                (found.cname if found else "") or self.stream_id,
                (found.msid if found else None) or Msid(self.stream_id, kind),
                self._active.get(kind, True),
            )

    def attach(self, leg: Leg, accepted: Mapping[str, Incoming]) -> None:
        """Take the media from this leg from now on. Raises `SdpInvalid` on an SSRC used twice."""
        ssrcs = [s for a in accepted.values() for s in (a.ssrc, a.rtx_ssrc) if s]
        if len(set(ssrcs)) < len(ssrcs):
            raise SdpInvalid("an SSRC is used twice")
        self.leg = leg
        self.returned = None  # it was on the transport before
        self._feedback = None
        leg.users.append(self)
        now = monotonic()
        for kind, track in self.tracks.items():
            found = accepted.get(kind)
            if found is not None:
                self._feed(track, leg, found, now)
        self.retap(now)

    def _feed(self, track: Track, leg: Leg, found: Incoming, now: float) -> None:
        numbers = {uri: number for number, uri in found.extensions.items()}
        track.feed(found.layers, found.format, numbers, found.mid)
        if found.transport_cc:
            self._port.watch_arrivals(leg.endpoint, found.transport_cc)
            self._feedback = self._feedback or TransportFeedback()
        first = track.layers[0]
        if found.ssrc and not found.layers:
            track.add(self._port, leg.endpoint, self, first, found.ssrc)
            if found.rtx_ssrc:
                track.add_repair(self._port, leg.endpoint, self, first, found.rtx_ssrc)
        if not found.ssrc or (found.format.rtx_payload_type is not None and not found.rtx_ssrc):
            self._port.learn(leg.endpoint)
        for subscription in self._consumers:
            self._connect(subscription, track, now)

    def unknown(self, packet: bytes, now: float) -> None:
        """A packet of an SSRC that no SDP named: of a layer, or of its repair."""
        if self.leg is None:
            return
        for track in self.tracks.values():
            if track.learn(self._port, self.leg.endpoint, self, packet) is not None:
                for subscription in self._consumers:
                    self._connect(subscription, track, now)
                self.retap(now)
                self._ask_key_frames(now)
                return

    @property
    def _consumers(self) -> Iterator[Subscription]:
        for subscription in (*self.subscriptions.values(), self.returned):
            if subscription is not None and subscription.leg.state is State.READY:
                yield subscription

    def connect(self, subscription: Subscription, now: float) -> None:
        """The subscription's transport is ready: forward over its edges, from a key frame on."""
        for track in self.tracks.values():
            self._connect(subscription, track, now)
        self.want_key_frame(now)

    def _connect(self, subscription: Subscription, track: Track, now: float) -> None:
        edge = subscription.edges.get(track.kind)
        if edge is None:
            return
        track.steer(self._port, edge, subscription.estimate, subscription.limit, now)
        if not track.is_active:
            self._port.pause(edge)

    def activate(self, kind: str, is_active: bool, now: float) -> None:
        """Mute and unmute: subscribers get no packets of a muted track, taps do."""
        track = self.tracks.get(kind)
        if track is None or track.is_active is is_active:
            return
        track.activate(is_active, now)
        for subscription in (*self.subscriptions.values(), self.returned):
            if subscription is not None:
                self.pause(subscription, kind)
        if is_active and kind == "video":
            self.want_key_frame(now)

    def pause(self, subscription: Subscription, kind: str) -> None:
        """Pause or resume an edge, whichever is right now."""
        edge, track = subscription.edges.get(kind), self.tracks[kind]
        if edge is None:
            return
        silent = not track.is_active or (kind == "video" and subscription.is_starved)
        if silent and not edge.paused:
            self._port.pause(edge)
        elif edge.paused and not silent:
            self._port.resume(edge, at_key_frame=kind == "video")

    # User of its leg

    def ready(self, now: float) -> None:
        log.debug("publisher connected", stream=self.stream_id)
        self._report([], now)  # its encoder starts with the bit rate it hears first
        if self._consumed:
            self.want_key_frame(now)

    def closed(self, reason: str) -> None:
        log.info("publisher lost", stream=self.stream_id, reason=reason)
        self.leg = None
        self._lost(self, reason)

    def feedback(self, compound: bytes, now: float) -> None:
        for packet in rtcp.packets(compound):
            report = rtcp.sender_report(packet)
            if report is not None:
                self._sender_report(report, now)

    def _sender_report(self, report: rtcp.SenderReport, now: float) -> None:
        """Told to every subscriber in the numbers it knows, so that its lips stay in time."""
        track, layer = self._origin(report.ssrc)
        if track is None or layer is None or layer.source is None:
            return
        source = layer.source
        if now - source.sender_report_at < LEAST_REPORT:
            return
        source.sender_report, source.sender_report_at = report, now
        if source.highest < 0:
            return  # no offset known yet
        layer.report = report
        for subscription in self._consumers:
            edge = subscription.edges.get(track.kind)
            is_known = edge is not None and edge.source is source and not edge.is_starting
            if edge is not None and is_known and edge.packets:
                subscription.report(edge, report, track.cname, now)
        for address in source.taps:
            self._port.send_datagram(rtcp.write_sender_report(report, track.cname), address)

    def _origin(self, ssrc: int) -> tuple[Track | None, Layer | None]:
        for track in self.tracks.values():
            for layer in track.layers:
                if layer.source is not None and layer.source.ssrc == ssrc:
                    return track, layer
        return None, None

    # From the packet path

    def gap(self, source: Source, first: int, count: int, now: float) -> None:
        track, layer = self._origin(source.ssrc)
        if track is None or layer is None or "nack" not in track.format.feedback:
            return
        self._nack(track, layer, layer.missing.add(range(first, first + count), now))
        if count >= OUTAGE:
            self.want_key_frame(now, source)  # sooner there than all that is missing

    def filled(self, source: Source, sequence: int) -> None:
        _, layer = self._origin(source.ssrc)
        if layer is not None:
            layer.missing.found(sequence)

    def repair(self, repairing: Source, packet: bytes) -> None:
        """An RTX packet: forward what was missing; the rest is the publisher's probing."""
        source = repairing.repairs
        track, layer = self._origin(source.ssrc) if source is not None else (None, None)
        if source is None or track is None or layer is None or source.highest < 0:
            return
        original = rtp.unpack_rtx(packet, source.payload_type, source.ssrc)
        if original is None:
            return
        sequence = int.from_bytes(original[2:4], "big")
        sequence = source.highest - (source.highest - sequence & 0xFFFF)
        if layer.missing.repaired(sequence, monotonic()):
            track.repaired += 1
            layer.repaired += 1
            self._port.inject(source, original)

    def missing(self, source: Source) -> int:
        _, layer = self._origin(source.ssrc)
        return source.lost - (layer.repaired if layer is not None else 0)

    # Feedback to the publisher

    def want_key_frame(self, now: float, source: Source | None = None) -> None:
        """Of this source, or else of all that somebody gets or waits for."""
        video = self.tracks.get("video")
        if video is None:
            return
        for layer in video.layers:
            if source is None:
                wanted = not video.is_layered or layer.source is None or self._is_taken(layer)
            else:
                wanted = layer.source is source
            layer.key_frames.wanted = layer.key_frames.wanted or wanted
        self._ask_key_frames(now)

    def _is_taken(self, layer: Layer) -> bool:
        source = layer.source
        if source is None:
            return False
        edges = (s.edges.get("video") for s in self._consumers)
        return bool(source.edges or source.taps) or any(e and e.waiting is source for e in edges)

    def _ask_key_frames(self, now: float) -> None:
        video = self.tracks.get("video")
        if video is None or self.leg is None or self.leg.state is not State.READY:
            return
        for layer in video.layers:
            source = layer.source
            if source is not None and layer.key_frames.due(now):
                self.plis += 1
                self.leg.send_rtcp(rtcp.write_report() + rtcp.write_pli(source.ssrc))

    def _nack(self, track: Track, layer: Layer, sequences: list[int]) -> None:
        if sequences and self.leg is not None and layer.source is not None:
            track.nacks += len(sequences)
            numbers = [sequence & 0xFFFF for sequence in sequences]
            nack = rtcp.write_nack(layer.source.ssrc, numbers)
            self.leg.send_rtcp(rtcp.write_report() + nack)

    def tick(self, now: float) -> bool:
        """Often: requests that are due, what each subscriber is to get. Soon again if True."""
        hurries = False
        video = self.tracks.get("video")
        for track in self.tracks.values():
            for layer in track.layers:
                if track.is_active:
                    layer.measure(now)
                if not layer.missing:
                    continue
                hurries = True
                again, given_up = layer.missing.due(now)
                self._nack(track, layer, again)
                if given_up:
                    track.given_up += given_up
                    self.want_key_frame(now, layer.source)
        if video is not None:
            is_time = now - self._attended >= ATTENTION  # for all at once: one alone costs twice
            if is_time:
                self._attended = now
            for subscription in self._consumers:
                if "video" in subscription.edges and (is_time or subscription.is_urgent):
                    self._attend(subscription, video, now)
                    hurries |= subscription.is_urgent
            self._lower_cap()
            if video.is_layered and self.taps.addresses:
                video.retap(self._port, self.taps.addresses, now)
            self._ask_key_frames(now)
            if self.leg is not None and self.leg.state is State.READY:
                hurries |= any(one.source and one.key_frames.wanted for one in video.layers)
        if self._feedback is not None and self.leg is not None and self._feedback.is_due(now):
            self._tell_arrivals(self._feedback, self.leg, now)
        return hurries

    def _attend(self, subscription: Subscription, video: Track, now: float) -> None:
        edge = subscription.edges["video"]
        if 0 < subscription.allowed < self.cap:
            self._is_less_allowed = True
        states = video.states(now)
        source = edge.waiting or edge.source
        current = next((n for n, one in enumerate(video.layers) if one.source is source), -1)
        ceiling = max(self.limit, self.floor) * 1000 if self.limit else 0
        if not video.is_active:
            current = len(states)
        if subscription.attend(states, current, ceiling, now):
            self.pause(subscription, "video")
            if not subscription.is_starved:
                self.want_key_frame(now, source)
        # An edge that waits has the wish for its key frame repeated; one that rests wants nothing
        is_due = video.is_layered or edge.source is None or edge.waiting is not None
        if is_due and not edge.paused:
            video.steer(self._port, edge, subscription.estimate, subscription.limit, now)

    def _tell_arrivals(self, feedback: TransportFeedback, leg: Leg, now: float) -> None:
        source = next((t.source for t in self.tracks.values() if t.source is not None), None)
        if source is not None and leg.state is State.READY:
            arrivals = self._port.arrivals(leg.endpoint)
            for compound in feedback.write(source.ssrc, arrivals, now):
                leg.send_rtcp(compound)

    def report(self, now: float) -> None:
        """Each second: reception reports, and how much the publisher may send."""
        if self.leg is None:
            return
        layers = (layer for track in self.tracks.values() for layer in track.layers)
        sources = [one.source for one in layers if one.source and one.source.packets]
        if sources:
            self._report(sources, now)

    def _report(self, sources: list[Source], now: float) -> None:
        compound = rtcp.write_report([source.report(now) for source in sources])
        video = self.tracks.get("video")
        if video is not None and "goog-remb" in video.format.feedback:
            compound += self._write_cap(self._allowed_now(video))
        if self.leg is not None:
            self.leg.send_rtcp(compound)

    def _allowed_now(self, video: Track) -> int:
        allowed = [one.allowed for one in self._consumers if "video" in one.edges]
        if self.taps.addresses:
            allowed.append(0)  # a recording is never the worse for its viewers
        return cap(self.limit * 1000, self.floor * 1000, max(1, len(video.layers)), allowed)

    def _lower_cap(self) -> None:
        """At once where it got less: what is sent until then is lost on the way to everybody."""
        video = self.tracks.get("video")
        if not self._is_less_allowed or video is None or self.leg is None:
            return
        self._is_less_allowed = False
        allowed = self._allowed_now(video)
        if self.cap and allowed < self.cap and "goog-remb" in video.format.feedback:
            self.leg.send_rtcp(rtcp.write_report() + self._write_cap(allowed))

    def _write_cap(self, bits: int) -> bytes:
        self.cap = bits
        layers = (layer for track in self.tracks.values() for layer in track.layers)
        return rtcp.write_remb(bits, [one.source.ssrc for one in layers if one.source])

    # Taps and end

    def retap(self, now: float) -> None:
        for track in self.tracks.values():
            track.retap(self._port, self.taps.addresses, now)

    @property
    def _consumed(self) -> bool:
        return bool(self.subscriptions or self.returned or self.taps.addresses)

    def statistics(self) -> dict[str, Any]:
        numbers: dict[str, Any] = {"plis": self.plis}
        for kind, track in self.tracks.items():
            totals = track.totals
            if totals.packets:
                numbers |= {
                    f"{kind}_packets": totals.packets,
                    f"{kind}_bytes": totals.bytes,
                    f"{kind}_lost": totals.lost,
                    f"{kind}_nacks": track.nacks,
                    f"{kind}_repaired": track.repaired,
                    f"{kind}_given_up": track.given_up,
                }
        return numbers


def random_ssrc() -> int:
    return 1 + randbelow(0xFFFFFFFE)
