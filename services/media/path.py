"""What the packet path knows: endpoints, sources, edges. State only; `Port` moves the packets.

A source is one RTP stream of a publisher, an edge carries it to one subscriber, an endpoint is the
packet path's half of a leg. Control code changes them through the calls of `Port` only, so that a
pump in C can keep the same tables behind the same calls.
"""

from __future__ import annotations

from collections import deque
from struct import Struct
from typing import Any, Protocol

from .dtls import Keys
from .rtcp import Block, SenderReport
from .stun import Address

VIDEO_HISTORY = 512  # packets kept for repeats; powers of two
AUDIO_HISTORY = 64
SENDER_REPORTS = 8  # remembered, for the subscribers' round-trip times

_rewritten = Struct("!HII")


class EndpointOwner(Protocol):
    """A leg, as the packet path calls it."""

    def dtls_received(self, datagram: bytes) -> None: ...

    def rtcp_received(self, compound: bytes, now: float) -> None:
        """Decrypted."""
        ...


class SourceOwner(Protocol):
    """A publication, as the packet path calls it. `now` is monotonic seconds."""

    def began(self, source: Source, packet: bytes, now: float) -> None:
        """Before the first packet is forwarded: the time to set rewriting."""
        ...

    def gap(self, source: Source, first: int, count: int, now: float) -> None:
        """Extended sequence numbers `first` … `first + count - 1` were skipped."""
        ...

    def filled(self, source: Source, sequence: int) -> None:
        """A skipped packet came late, by itself."""
        ...

    def repair(self, repairing: Source, packet: bytes) -> None:
        """A decrypted packet of an RTX source."""
        ...


class Endpoint:
    """`leg` is the control object behind it. Media flows while `keys` and `address` are set."""

    __slots__ = ("address", "edges", "keys", "leg", "receive", "send", "sources", "unlearned")

    def __init__(self, leg: EndpointOwner) -> None:
        self.leg = leg
        self.address: Address | None = None
        self.keys: Keys | None = None
        self.receive: Any = None  # libsrtp contexts of `keys`
        self.send: Any = None
        self.sources: dict[int, Source] = {}  # by SSRC; what is not in here is not decrypted
        self.unlearned: dict[int, Source] = {}  # by payload type, where the SDP named no SSRC
        self.edges: list[Edge] = []


class Source:
    """`highest` is the extended sequence number (cycles << 16 | sequence), -1 before the first.

    `repairs` is set on an RTX source: the source it repairs. `jitter` is in clock units.
    """

    __slots__ = (
        "base",
        "bytes",
        "clock_rate",
        "edges",
        "highest",
        "jitter",
        "last_arrival",
        "last_timestamp",
        "mask",
        "owner",
        "packets",
        "payload_type",
        "repairs",
        "reported_expected",
        "reported_packets",
        "rid",
        "ring",
        "sender_report",
        "sender_report_at",
        "sender_reports",
        "ssrc",
        "taps",
    )

    def __init__(
        self,
        owner: SourceOwner,
        *,
        ssrc: int,
        payload_type: int,
        clock_rate: int,
        history: int,
        repairs: Source | None = None,
        rid: tuple[int, bytes] | None = None,
    ) -> None:
        self.owner = owner
        self.ssrc = ssrc
        self.payload_type = payload_type
        self.clock_rate = clock_rate
        self.repairs = repairs
        self.rid = rid  # extension id and name of the only layer that is learned
        self.ring: list[bytes | None] = [None] * history
        self.mask = history - 1
        self.edges: tuple[Edge, ...] = ()
        self.taps: tuple[Address, ...] = ()
        self.base = -1
        self.highest = -1
        self.packets = 0
        self.bytes = 0
        self.jitter = 0.0
        self.last_arrival = 0.0  # monotonic seconds
        self.last_timestamp = 0
        self.sender_report: SenderReport | None = None
        self.sender_report_at = 0.0
        self.sender_reports: deque[tuple[int, float]] = deque(maxlen=SENDER_REPORTS)
        self.reported_expected = 0
        self.reported_packets = 0

    @property
    def lost(self) -> int:
        """Of the network, before repair (RFC 3550 6.4.1)."""
        return self.highest - self.base + 1 - self.packets if self.packets else 0

    def report(self, now: float) -> Block:
        """The next reception report; the lost fraction is that since the last one."""
        expected = self.highest - self.base + 1
        interval = expected - self.reported_expected
        lost = interval - (self.packets - self.reported_packets)
        self.reported_expected, self.reported_packets = expected, self.packets
        fraction = min(255, (lost << 8) // interval) if interval > 0 and lost > 0 else 0
        last, delay = 0, 0
        if self.sender_report is not None:
            last = self.sender_report.middle
            delay = min(int((now - self.sender_report_at) * 65536), 0xFFFFFFFF)
        total = max(-0x800000, min(self.lost, 0x7FFFFF))
        return Block(self.ssrc, fraction, total, self.highest, int(self.jitter), last, delay)


class Edge:
    """One source on its way to one endpoint.

    With `rewrite` off the packet goes as it came. On, payload type and SSRC are replaced and the
    offsets added, so that a publisher's new transport goes on where the old one ended.
    """

    __slots__ = (
        "bytes",
        "dropped",
        "endpoint",
        "packets",
        "payload_type",
        "rewrite",
        "sequence_offset",
        "source",
        "ssrc",
        "timestamp_offset",
    )

    def __init__(self, endpoint: Endpoint, ssrc: int, payload_type: int) -> None:
        self.endpoint = endpoint
        self.source: Source | None = None
        self.ssrc = ssrc
        self.payload_type = payload_type
        self.rewrite = False
        self.sequence_offset = 0
        self.timestamp_offset = 0
        self.packets = 0
        self.bytes = 0
        self.dropped = 0

    def rewritten(self, packet: bytes) -> bytes:
        """The packet as this edge sends it."""
        if not self.rewrite:
            return packet
        sequence = int.from_bytes(packet[2:4], "big") + self.sequence_offset & 0xFFFF
        timestamp = int.from_bytes(packet[4:8], "big") + self.timestamp_offset & 0xFFFFFFFF
        head = bytes((packet[0], packet[1] & 0x80 | self.payload_type))
        return head + _rewritten.pack(sequence, timestamp, self.ssrc) + packet[12:]
