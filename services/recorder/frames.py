"""Whole video frames out of RTP packets in order; what loss broke is left out up to a key frame."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from .rtp import Packet

MAX_FRAME = 4 * 1024 * 1024  # bytes


class Malformed(Exception):
    """The payload breaks its format."""


class Unsupported(Exception):
    """The payload is legal but cannot be recorded; `str(error)` says why."""


class Fragment(NamedTuple):
    """One payload without its descriptor. `picture_id` counts frames modulo `picture_mask` + 1."""

    data: bytes
    starts_frame: bool
    picture_id: int | None
    picture_mask: int


class PayloadFormat(Protocol):
    def open(self, payload: bytes) -> Fragment:
        """Raises `Malformed` or `Unsupported`."""
        ...

    def key_frame_size(self, data: bytes) -> tuple[int, int] | None:
        """Width and height in pixels if the frame is a key frame. Raises `Malformed`."""
        ...


class Frame(NamedTuple):
    """`size` is (width, height) of a key frame, else `None`. `arrival` is its first packet's."""

    timestamp: int
    arrival: float
    size: tuple[int, int] | None
    data: bytes


class FrameAssembler:
    """`waiting` is true while only a key frame can help: at first, and after a loss."""

    def __init__(self, payload_format: PayloadFormat) -> None:
        self.waiting = True
        self._format = payload_format
        self._expected: int | None = None  # sequence number
        self._parts: list[bytes] = []
        self._bytes = 0
        self._timestamp = 0
        self._arrival = 0.0
        self._gap = False
        self._picture_id: int | None = None  # of the frame being built
        self._last_picture_id: int | None = None  # of the last frame given out

    def restart(self) -> None:
        """Another source: nothing that comes continues what was."""
        self._expected = None
        self._last_picture_id = None
        self._drop()

    def push(self, packet: Packet) -> Frame | None:
        """The frame this packet completes. Raises `Unsupported`."""
        if packet.sequence != self._expected and self._expected is not None:
            self._gap = True
            if self._parts:
                self._drop()
        self._expected = (packet.sequence + 1) & 0xFFFF
        if not packet.payload:  # padding
            return None
        try:
            fragment = self._format.open(packet.payload)
            if not self._parts:
                if not fragment.starts_frame:
                    raise Malformed
                self._begin(packet, fragment)
            elif packet.timestamp != self._timestamp:
                raise Malformed
            self._parts.append(fragment.data)
            self._bytes += len(fragment.data)
            if self._bytes > MAX_FRAME:
                raise Malformed
            return self._finish() if packet.marker else None
        except Malformed:
            self._drop()
            return None

    def _begin(self, packet: Packet, fragment: Fragment) -> None:
        if self._gap:
            self._gap = False
            if not self._follows(fragment):
                self.waiting = True
        self._timestamp = packet.timestamp
        self._arrival = packet.arrival
        self._picture_id = fragment.picture_id

    def _follows(self, fragment: Fragment) -> bool:
        """Only padding was lost if the frames are numbered without a gap."""
        if fragment.picture_id is None or self._last_picture_id is None:
            return False
        return fragment.picture_id == (self._last_picture_id + 1) & fragment.picture_mask

    def _finish(self) -> Frame | None:
        data = b"".join(self._parts)
        self._parts = []
        self._bytes = 0
        size = self._format.key_frame_size(data)
        if self.waiting and size is None:
            return None
        self.waiting = False
        self._last_picture_id = self._picture_id
        return Frame(self._timestamp, self._arrival, size, data)

    def _drop(self) -> None:
        self._parts = []
        self._bytes = 0
        self.waiting = True
