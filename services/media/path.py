"""What the packet path knows: endpoints, sources, edges. State only; `Port` moves the packets.

A source is one RTP stream of a publisher, an edge carries it to one subscriber, an endpoint is the
packet path's half of a leg. They are made and changed by the calls of the port only, so that the
pump in C can keep the same tables behind the same calls.
"""

from __future__ import annotations

from collections import deque
from struct import Struct
from time import monotonic
from typing import Any, NamedTuple, NotRequired, Protocol, TypedDict, Unpack

from .dtls import Keys
from .inspection import Numbers, picture_number, renumber, vp8_numbers
from .rtcp import Block, SenderReport
from .rtp import stamp_abs_send_time
from .stun import Address

ARRIVALS = 2048  # transport-wide sequence numbers kept until they are taken
MAX_UNKNOWN = 64  # SSRCs an endpoint may show us that nobody negotiated
MAX_SENDERS = 64  # of RTCP that are no sources: libsrtp keeps each, in a list that it searches
SILENCE = 127  # -dBov
KEY_FRAME_CODECS = ("VP8", "H264")  # those whose key frames are seen
NEVER = 1 << 62

_rewritten = Struct("!HII")


class EndpointOwner(Protocol):
    """A leg, as the packet path calls it. `now` is monotonic seconds."""

    def dtls_received(self, datagram: bytes) -> None: ...

    def rtcp_received(self, compound: bytes, now: float) -> None:
        """Decrypted."""
        ...

    def unknown_received(self, packet: bytes, now: float) -> None:
        """An authentic RTP packet of an SSRC that has no source: the time to add one."""
        ...


class SourceOwner(Protocol):
    """A publication, as the packet path calls it. `now` is monotonic seconds."""

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

    __slots__ = (
        "address",
        "arrival_extension",
        "arrivals",
        "edges",
        "keys",
        "learning",
        "leg",
        "name",
        "receive",
        "send",
        "senders",
        "sources",
        "unknown",
    )

    def __init__(self, leg: EndpointOwner) -> None:
        self.leg = leg
        self.address: Address | None = None
        self.name: Address | None = None  # the same as the socket takes it
        self.keys: Keys | None = None
        self.receive: Any = None  # libsrtp contexts of `keys`
        self.send: Any = None
        self.sources: dict[int, Source] = {}  # by SSRC
        self.learning = False  # else nothing but `sources` is decrypted
        self.unknown: set[int] = set()  # SSRCs that were handed to the leg
        self.senders: set[int] = set()  # SSRCs of authentic RTCP, but for `sources`
        self.edges: list[Edge] = []
        self.arrival_extension = 0
        self.arrivals: deque[tuple[int, float]] = deque(maxlen=ARRIVALS)


class SourceOptions(TypedDict):
    """Of a new source. `history` is a power of two; an extension's number is 0 if it is not
    negotiated."""

    ssrc: int
    payload_type: int
    clock_rate: int
    history: int
    codec: NotRequired[str]
    repairs: NotRequired[Source | None]
    level_extension: NotRequired[int]
    abs_send_time_extension: NotRequired[int]


class Source:
    """`highest` is the extended sequence number (cycles << 16 | sequence), -1 before the first.

    `repairs` is set on an RTX source: the source it repairs. `jitter` is in clock units, `level` in
    -dBov. `waiters` are edges that change to this source at its next key frame.
    """

    __slots__ = (
        "abs_send_time_extension",
        "base",
        "bytes",
        "clock_rate",
        "codec",
        "edges",
        "highest",
        "jitter",
        "key_frame_at",
        "key_frame_timestamp",
        "key_frames",
        "last_arrival",
        "last_timestamp",
        "level",
        "level_extension",
        "mask",
        "owner",
        "packets",
        "payload_type",
        "repairs",
        "reported_expected",
        "reported_packets",
        "ring",
        "sender_report",
        "sender_report_at",
        "ssrc",
        "taps",
        "waiters",
    )

    def __init__(self, owner: SourceOwner, **options: Unpack[SourceOptions]) -> None:
        self._describe(owner, options)
        history = options["history"]
        self.ring: list[bytes | None] = [None] * history
        self.mask = history - 1
        self.edges: tuple[Edge, ...] = ()
        self.waiters: tuple[Edge, ...] = ()
        self.base = -1
        self.highest = -1
        self.packets = 0
        self.bytes = 0
        self.jitter = 0.0
        self.last_arrival = 0.0  # monotonic seconds
        self.last_timestamp = 0
        self.level = SILENCE
        self.key_frames = 0
        self.key_frame_at = 0.0  # monotonic seconds
        self.key_frame_timestamp = 0

    def _describe(self, owner: SourceOwner, options: SourceOptions) -> None:
        """What does not change, and what control writes: all but the path's own counters."""
        self.owner = owner
        self.ssrc = options["ssrc"]
        self.payload_type = options["payload_type"]
        self.clock_rate = options["clock_rate"]
        self.codec = options.get("codec", "")
        self.repairs = options.get("repairs")
        self.level_extension = options.get("level_extension", 0)
        self.abs_send_time_extension = options.get("abs_send_time_extension", 0)
        self.taps: tuple[Address, ...] = ()
        self.sender_report: SenderReport | None = None
        self.sender_report_at = 0.0
        self.reported_expected = 0
        self.reported_packets = 0

    @property
    def lost(self) -> int:
        """Of the network, before repair (RFC 3550 6.4.1)."""
        return self.highest - self.base + 1 - self.packets if self.packets else 0

    def kept(self, sequence: int) -> bytes | None:
        """A packet of the history, by its 16-bit sequence number."""
        packet = self.ring[sequence & self.mask]
        if packet is None or (packet[2] << 8 | packet[3]) != sequence:
            return None
        return packet

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


class Sent(NamedTuple):
    """The newest packet an edge sent, in its own numbers; `at` is monotonic seconds."""

    sequence: int
    timestamp: int
    at: float
    picture: int | None
    level: int | None


class Edge:
    """One source on its way to one endpoint.

    With `rewrite` off the packet goes as it came. On, payload type and SSRC are replaced and the
    offsets added. `since` is the source's extended sequence number at which this numbering began:
    what is older is not sent and must not be repeated. It is `NEVER` while nothing is sent.
    """

    __slots__ = (
        "bytes",
        "dropped",
        "endpoint",
        "is_moved",
        "is_starting",
        "last",
        "level_offset",
        "needs_key_frame",
        "packets",
        "paused",
        "payload_type",
        "picture_offset",
        "rewrite",
        "sequence_offset",
        "since",
        "source",
        "ssrc",
        "timestamp_offset",
        "waiting",
        "wanted_offset",
    )

    def __init__(self, endpoint: Endpoint, ssrc: int, payload_type: int) -> None:
        self.endpoint = endpoint
        self.source: Source | None = None
        self.waiting: Source | None = None  # its next key frame is
        self.ssrc = ssrc
        self.payload_type = payload_type
        self.paused = False
        self.is_starting = False  # the next packet begins a numbering
        self.needs_key_frame = False  # and must begin a key frame
        self.is_moved = False  # and is of another source than the last
        self.since = NEVER
        self.last: Sent | None = None
        self.wanted_offset: int | None = None  # of timestamps, on the next source
        self.rewrite = False
        self.sequence_offset = 0
        self.timestamp_offset = 0
        self.picture_offset = 0
        self.level_offset = 0
        self.packets = 0
        self.bytes = 0
        self.dropped = 0

    def rewritten(self, packet: bytes) -> bytes:
        """The packet as this edge sends it, stamped with the present time."""
        source = self.source
        if source is not None and source.abs_send_time_extension:
            packet = stamp_abs_send_time(packet, source.abs_send_time_extension, monotonic())
        if not self.rewrite:
            return packet
        sequence = int.from_bytes(packet[2:4], "big") + self.sequence_offset & 0xFFFF
        timestamp = int.from_bytes(packet[4:8], "big") + self.timestamp_offset & 0xFFFFFFFF
        head = bytes((packet[0], packet[1] & 0x80 | self.payload_type))
        packet = head + _rewritten.pack(sequence, timestamp, self.ssrc) + packet[12:]
        if self.picture_offset or self.level_offset:
            numbers = vp8_numbers(packet)
            if numbers is not None:
                changed = bytearray(packet)
                renumber(changed, numbers, self.picture_offset, self.level_offset)
                packet = bytes(changed)
        return packet

    def may_join(self, source: Source, packet: bytes, extended: int, begins: bool) -> bool:
        """Does a numbering begin with this packet?"""
        if self.paused or not self.is_starting:
            return False
        if not begins and (self.needs_key_frame or extended != source.highest):
            return False
        # With padding nobody would know from where pictures count
        return source.codec != "VP8" or self.last is None or vp8_numbers(packet) is not None

    def join(self, source: Source, packet: bytes, extended: int, now: float) -> None:
        """Begin the edge's numbers at this packet of its source, or go on with them."""
        last = self.last
        is_moved, self.is_moved = self.is_moved, False
        self.is_starting = self.needs_key_frame = False
        if self.waiting is source:
            self.waiting = None
        if last is None:
            self.since = -NEVER
            self.rewrite = (self.ssrc, self.payload_type) != (source.ssrc, source.payload_type)
            return
        self.since = extended
        self.rewrite = True
        sequence = int.from_bytes(packet[2:4], "big")
        timestamp = int.from_bytes(packet[4:8], "big")
        self.sequence_offset = last.sequence + 1 - sequence & 0xFFFF
        # One picture must not have the time of another
        if is_moved and self.wanted_offset is not None:
            # What was sent last may be of this capture, or reports may differ
            step = timestamp + self.wanted_offset - last.timestamp
            missing = max(0, 1 - ((step + 0x80000000 & 0xFFFFFFFF) - 0x80000000))
            self.timestamp_offset = self.wanted_offset + missing & 0xFFFFFFFF
        elif is_moved:
            elapsed = max(1, int((now - last.at) * source.clock_rate))
            self.timestamp_offset = last.timestamp + elapsed - timestamp & 0xFFFFFFFF
        if is_moved:
            self.picture_offset = self.level_offset = 0
        numbers = vp8_numbers(packet) if source.codec == "VP8" else None
        if numbers is not None and numbers.picture and last.picture is not None:
            self.picture_offset = last.picture + 1 - picture_number(packet, numbers) & 0x7FFF
        if numbers is not None and numbers.level and last.level is not None:
            self.level_offset = last.level + 1 - packet[numbers.level] & 0xFF

    def _newest_picture(self, source: Source) -> tuple[bytes, Numbers] | None:
        """The newest packet with numbers that was sent, if it is kept: others were lost, or are
        padding."""
        oldest = max(self.since, source.highest - source.mask)
        for sequence in range(source.highest, oldest - 1, -1):
            packet = source.kept(sequence & 0xFFFF)
            numbers = vp8_numbers(packet) if packet is not None else None
            if packet is not None and numbers is not None:
                return packet, numbers
        return None

    def halt(self) -> None:
        """Send nothing from now on; the numbers can go on from here: all of the source was sent."""
        source = self.source
        if source is None or self.is_starting:
            return
        picture = level = None
        found = self._newest_picture(source) if source.codec == "VP8" else None
        if found is not None:
            newest, numbers = found
            if numbers.picture:
                picture = picture_number(newest, numbers) + self.picture_offset
            if numbers.level:
                level = newest[numbers.level] + self.level_offset
        self.last = Sent(
            source.highest + self.sequence_offset,
            source.last_timestamp + self.timestamp_offset,
            source.last_arrival,
            picture,
            level,
        )
        self.since = NEVER
        self.is_starting = True
