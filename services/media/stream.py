"""A published stream: its tracks, where their packets come from, and the feedback to its publisher.

A track is what subscribers were promised; its source is what feeds it now. When the publisher
reconnects the source changes and the edges go on, rewritten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from secrets import randbelow
from time import monotonic
from typing import Any

import structlog

from . import rtcp, rtp
from .leg import Leg, State
from .negotiation import DEFAULTS, FEEDBACK, RID, Format, Incoming
from .path import AUDIO_HISTORY, VIDEO_HISTORY, Source
from .port import Port
from .repair import KeyFrameRequests, Missing
from .sdp import Msid, SdpInvalid
from .stun import Address
from .subscription import Subscription
from .tap import Taps

UNLIMITED = 2_500_000  # bit/s told to a publisher without a limit
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Track:
    kind: str
    mid: str
    format: Format
    ssrc: int
    rtx_ssrc: int
    extensions: dict[int, str]
    cname: str
    msid: Msid
    source: Source | None = None
    previous: Source | None = None  # of the transport before; the last one that carried packets
    missing: Missing = field(default_factory=Missing)
    repaired: int = 0
    given_up: int = 0
    nacks: int = 0

    @property
    def offered(self) -> Format:
        """To a subscriber: all feedback we act on, whatever the publisher's side has."""
        return self.format if self.kind == "audio" else replace(self.format, feedback=FEEDBACK)


class Publication:
    """`limit` is in kbit/s, 0 = none."""

    def __init__(
        self,
        port: Port,
        *,
        session_id: str,
        connection_id: str,
        stream_id: str,
        limit: int,
        loopback: bool,
    ) -> None:
        self.session_id = session_id
        self.connection_id = connection_id
        self.stream_id = stream_id
        self.limit = limit
        self.loopback = loopback
        self.created_at = monotonic()
        self.confirmed = False  # by the log
        self.leg: Leg | None = None
        self.tracks: dict[str, Track] = {}
        self.subscriptions: dict[str, Subscription] = {}  # by connection id
        self.returned: Subscription | None = None  # own media sent back
        self.taps = Taps()
        self.plis = 0
        self._key_frames = KeyFrameRequests()
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
            )

    def attach(self, leg: Leg, accepted: Mapping[str, Incoming]) -> None:
        """Take the media from this leg from now on. Raises `SdpInvalid` on an SSRC used twice."""
        ssrcs = [s for a in accepted.values() for s in (a.ssrc, a.rtx_ssrc) if s]
        if len(set(ssrcs)) < len(ssrcs):
            raise SdpInvalid("an SSRC is used twice")
        self.leg = leg
        self.returned = None  # it was on the transport before
        leg.users.append(self)
        for kind, track in self.tracks.items():
            found = accepted.get(kind)
            if found is not None:
                self._feed(track, leg, found)
        self.retap()

    def _feed(self, track: Track, leg: Leg, found: Incoming) -> None:
        chosen = found.format
        history = VIDEO_HISTORY if track.kind == "video" else AUDIO_HISTORY
        numbers = {uri: number for number, uri in found.extensions.items()}
        rid = (numbers[RID], found.layers[-1].encode()) if found.layers else None
        source = Source(
            self,
            ssrc=found.ssrc,
            payload_type=chosen.payload_type,
            clock_rate=chosen.clock_rate,
            history=history,
            rid=rid,
        )
        self._port.add_source(leg.endpoint, source)
        if chosen.rtx_payload_type is not None:
            repair = Source(
                self,
                ssrc=found.rtx_ssrc,
                payload_type=chosen.rtx_payload_type,
                clock_rate=chosen.clock_rate,
                history=1,
                repairs=source,
            )
            self._port.add_source(leg.endpoint, repair)
        before = track.source
        if before is not None and before.packets:
            track.previous = before
        track.source, track.missing = source, Missing()
        for subscription in (*self.subscriptions.values(), self.returned):
            if subscription is not None and subscription.leg.state is State.READY:
                self._connect(subscription, track)

    def connect(self, subscription: Subscription, now: float) -> None:
        """The subscription's transport is ready: forward over its edges, from a key frame on."""
        for track in self.tracks.values():
            self._connect(subscription, track)
        self.want_key_frame(now)

    def _connect(self, subscription: Subscription, track: Track) -> None:
        edge, source = subscription.edges.get(track.kind), track.source
        if edge is None or source is None:
            return
        promised = (edge.ssrc, edge.payload_type)
        if not edge.packets and promised != (source.ssrc, source.payload_type):
            self._port.rewrite(edge, 0, 0)
        self._port.connect(edge, source)

    # User of its leg

    def ready(self, now: float) -> None:
        log.debug("publisher connected", stream=self.stream_id)
        self._report([], now)  # its encoder starts with the bit rate it hears first
        if self._consumed:
            self.want_key_frame(now)

    def closed(self, reason: str) -> None:
        log.info("publisher lost", stream=self.stream_id, reason=reason)
        self.leg = None

    def feedback(self, compound: bytes, now: float) -> None:
        for packet in rtcp.packets(compound):
            report = rtcp.sender_report(packet)
            if report is not None:
                self._sender_report(report, now)

    def _sender_report(self, report: rtcp.SenderReport, now: float) -> None:
        for track in self.tracks.values():
            source = track.source
            if source is None or source.ssrc != report.ssrc:
                continue
            source.sender_report, source.sender_report_at = report, now
            if source.highest < 0:
                return  # no offset known yet
            source.sender_reports.append((report.middle, now))
            for edge in source.edges:
                shift = edge.timestamp_offset if edge.rewrite else 0
                changed = report._replace(
                    ssrc=edge.ssrc, timestamp=report.timestamp + shift & 0xFFFFFFFF
                )
                compound = rtcp.write_sender_report(changed, track.cname)
                self._port.send_rtcp(edge.endpoint, compound)
            for address in source.taps:
                self._port.send_datagram(rtcp.write_sender_report(report, track.cname), address)

    # From the packet path

    def began(self, source: Source, packet: bytes, now: float) -> None:
        """First packet of a source: edges that carried another one go on where that ended."""
        track = self._track(source)
        before = track.previous if track is not None else None
        if before is None:
            return
        first = int.from_bytes(packet[2:4], "big")
        timestamp = int.from_bytes(packet[4:8], "big")
        elapsed = int(max(0.0, now - before.last_arrival) * source.clock_rate)
        for edge in source.edges:
            if not edge.packets:
                continue
            self._port.rewrite(
                edge,
                before.highest + edge.sequence_offset + 1 - first,
                before.last_timestamp + edge.timestamp_offset + elapsed - timestamp,
            )

    def gap(self, source: Source, first: int, count: int, now: float) -> None:
        track = self._track(source)
        if track is None or "nack" not in track.format.feedback:
            return
        asked = track.missing.add(range(first, first + count), now)
        self._nack(track, source, asked)

    def filled(self, source: Source, sequence: int) -> None:
        track = self._track(source)
        if track is not None:
            track.missing.found(sequence)

    def repair(self, repairing: Source, packet: bytes) -> None:
        """An RTX packet: forward what was missing; the rest is the publisher's probing."""
        source = repairing.repairs
        track = self._track(source) if source is not None else None
        if source is None or track is None or source.highest < 0:
            return
        original = rtp.unpack_rtx(packet, source.payload_type, source.ssrc)
        if original is None:
            return
        sequence = int.from_bytes(original[2:4], "big")
        if track.missing.found(source.highest - (source.highest - sequence & 0xFFFF)):
            track.repaired += 1
            self._port.inject(source, original)

    def _track(self, source: Source) -> Track | None:
        return next((t for t in self.tracks.values() if t.source is source), None)

    # Feedback to the publisher

    def want_key_frame(self, now: float) -> None:
        if "video" in self.tracks:
            self._key_frames.wanted = True
            self._ask_key_frame(now)

    def _ask_key_frame(self, now: float) -> None:
        source = self.tracks["video"].source if "video" in self.tracks else None
        if self.leg is None or self.leg.endpoint.send is None or not source or not source.ssrc:
            return
        if self._key_frames.due(now):
            self.plis += 1
            self.leg.send_rtcp(rtcp.write_report() + rtcp.write_pli(source.ssrc))

    def _nack(self, track: Track, source: Source, sequences: list[int]) -> None:
        if sequences and self.leg is not None:
            track.nacks += len(sequences)
            numbers = [sequence & 0xFFFF for sequence in sequences]
            self.leg.send_rtcp(rtcp.write_report() + rtcp.write_nack(source.ssrc, numbers))

    def tick(self, now: float) -> None:
        """Often: requests that are due."""
        if self._key_frames.wanted:
            self._ask_key_frame(now)
        for track in self.tracks.values():
            if track.missing and track.source is not None:
                again, given_up = track.missing.due(now)
                self._nack(track, track.source, again)
                if given_up:
                    track.given_up += given_up
                    self.want_key_frame(now)

    def report(self, now: float) -> None:
        """Each second: reception reports, and how much the publisher may send."""
        if self.leg is None:
            return
        sources = [t.source for t in self.tracks.values() if t.source and t.source.packets]
        if sources:
            self._report(sources, now)

    def _report(self, sources: list[Source], now: float) -> None:
        compound = rtcp.write_report([source.report(now) for source in sources])
        video = self.tracks.get("video")
        if video is not None and "goog-remb" in video.format.feedback:
            limit = self.limit * 1000 if self.limit else UNLIMITED
            known = [t.source.ssrc for t in self.tracks.values() if t.source and t.source.ssrc]
            compound += rtcp.write_remb(limit, known)
        if self.leg is not None:
            self.leg.send_rtcp(compound)

    # Taps and end

    def retap(self) -> None:
        addresses: tuple[Address, ...] = self.taps.addresses
        for track in self.tracks.values():
            if track.source is not None:
                self._port.tap(track.source, addresses)

    @property
    def _consumed(self) -> bool:
        return bool(self.subscriptions or self.returned or self.taps.addresses)

    def statistics(self) -> dict[str, Any]:
        numbers: dict[str, Any] = {"plis": self.plis}
        for kind, track in self.tracks.items():
            source = track.source
            if source is not None:
                numbers |= {
                    f"{kind}_packets": source.packets,
                    f"{kind}_bytes": source.bytes,
                    f"{kind}_lost": source.lost,
                    f"{kind}_nacks": track.nacks,
                    f"{kind}_repaired": track.repaired,
                    f"{kind}_given_up": track.given_up,
                }
        return numbers


def random_ssrc() -> int:
    return 1 + randbelow(0xFFFFFFFE)
