"""One client's subscription to one stream: its edges and the feedback it sends.

NACKs are answered from the history, requests for key frames go to the publication, which merges
them. Reports end here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from secrets import randbelow
from typing import Any, Protocol

from . import rtcp, rtp
from .leg import Leg
from .negotiation import Format
from .path import Edge
from .port import Port

REPEATS = 1000  # packets a second
MISSES = 200  # NACKs a second for packets we do not have; beyond, a key frame is asked for


class Stream(Protocol):
    """What a subscription wants of its publication."""

    stream_id: str

    def connect(self, subscription: Subscription, now: float) -> None: ...

    def want_key_frame(self, now: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Promise:
    """How one track reaches this client: what its SDP says."""

    format: Format
    ssrc: int
    rtx_ssrc: int


class Subscription:
    def __init__(
        self,
        port: Port,
        stream: Stream,
        leg: Leg,
        *,
        connection_id: str,
        promises: Mapping[str, Promise],
        gone: Callable[[Subscription], None],
    ) -> None:
        """`gone` is called when the transport has ended by itself."""
        self.connection_id = connection_id
        self.stream = stream
        self.leg = leg
        self.mids: dict[str, str] = {}  # of an offer that waits for its answer: mid -> kind
        self.edges = {
            kind: Edge(leg.endpoint, promise.ssrc, promise.format.payload_type)
            for kind, promise in promises.items()
        }
        self.nacked = 0
        self.repeats = 0
        self.misses = 0
        self.key_frames = 0
        self.round_trip: float | None = None  # seconds
        self.fraction_lost = 0.0
        self.estimate = 0  # bit/s of the last REMB
        self._promises = promises
        self._gone = gone
        self._port = port
        self._rtx_sequences = {kind: randbelow(0x8000) for kind in promises}
        self._second = 0.0
        self._repeats_left = REPEATS
        self._misses_left = MISSES
        leg.users.append(self)

    def keep(self, kinds: set[str]) -> None:
        """The client takes these kinds only."""
        self.edges = {kind: edge for kind, edge in self.edges.items() if kind in kinds}

    def ready(self, now: float) -> None:
        self.stream.connect(self, now)

    def closed(self, reason: str) -> None:
        self._gone(self)

    def feedback(self, compound: bytes, now: float) -> None:
        if now - self._second >= 1:
            self._second, self._repeats_left, self._misses_left = now, REPEATS, MISSES
        for packet in rtcp.packets(compound):
            if packet.type == rtcp.RTPFB:
                self._nack(packet, now)
            elif packet.type == rtcp.PSFB:
                self._payload_feedback(packet, now)
            else:
                self._reports(packet, now)

    def _payload_feedback(self, packet: rtcp.Packet, now: float) -> None:
        self.estimate = rtcp.remb(packet) or self.estimate
        wanted = rtcp.key_frames_wanted(packet)
        if any(edge.ssrc in wanted for edge in self.edges.values()):
            self.key_frames += 1
            self.stream.want_key_frame(now)

    def _reports(self, packet: rtcp.Packet, now: float) -> None:
        for block in rtcp.blocks(packet):
            for edge in self.edges.values():
                if edge.ssrc != block.ssrc or edge.source is None:
                    continue
                self.fraction_lost = block.fraction / 256
                for middle, at in edge.source.sender_reports:
                    if middle == block.last_report:
                        self.round_trip = max(0.0, now - at - block.delay / 65536)

    def _nack(self, packet: rtcp.Packet, now: float) -> None:
        asked = rtcp.nacked(packet)
        if asked is None:
            return
        ssrc, sequences = asked
        kind = next((k for k, edge in self.edges.items() if edge.ssrc == ssrc), None)
        if kind is None:
            return
        for sequence in sequences:
            self.nacked += 1
            if not self._repeat(kind, sequence):
                self.misses += 1
                self._misses_left -= 1
            if self._misses_left <= 0:
                self.stream.want_key_frame(now)
                return
            if self._repeats_left <= 0:
                return

    def _repeat(self, kind: str, sequence: int) -> bool:
        edge, promise = self.edges[kind], self._promises[kind]
        if edge.source is None:
            return False
        packet = self._port.fetch(edge.source, sequence - edge.sequence_offset & 0xFFFF)
        if packet is None:
            return False
        self.repeats += 1
        self._repeats_left -= 1
        payload_type = promise.format.rtx_payload_type
        if payload_type is None:
            self._port.repeat(edge, packet)
            return True
        number = self._rtx_sequences[kind]
        self._rtx_sequences[kind] = number + 1 & 0xFFFF
        again = rtp.pack_rtx(edge.rewritten(packet), payload_type, number, promise.rtx_ssrc)
        if again is not None:
            self._port.send_rtp(edge.endpoint, again)
        return True

    def statistics(self) -> dict[str, Any]:
        return {
            "packets": sum(edge.packets for edge in self.edges.values()),
            "bytes": sum(edge.bytes for edge in self.edges.values()),
            "dropped": sum(edge.dropped for edge in self.edges.values()),
            "nacked": self.nacked,
            "repeats": self.repeats,
            "misses": self.misses,
            "key_frames": self.key_frames,
            "fraction_lost": round(self.fraction_lost, 3),
            "round_trip": self.round_trip,
            "estimate": self.estimate,
        }
