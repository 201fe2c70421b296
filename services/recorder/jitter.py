"""Puts the packets of one RTP source back in order.

A missing packet is waited for, because the media node asks the publisher for it again; a recording
is in no hurry. What never comes shows as a gap in the sequence numbers of what is released.
"""

from __future__ import annotations

from msgspec import Struct

from .rtp import Packet

WAIT = 0.6  # seconds: the media node asks five times, 100 ms apart
CAPACITY = 2048  # packets held: one second at 20 Mbit/s

_MAX_AHEAD = 3000  # a larger step is a source that started anew (RFC 3550, A.1)
_MAX_BEHIND = 1000
_HALF = 0x8000
_NOTHING: tuple[Packet, ...] = ()


class JitterCounters(Struct):
    late: int = 0  # duplicates too
    lost: int = 0
    restarts: int = 0


class JitterBuffer:
    def __init__(self, *, wait: float = WAIT, capacity: int = CAPACITY) -> None:
        self.counters = JitterCounters()
        self._wait = wait
        self._capacity = capacity
        self._next: int | None = None  # the sequence number to release next
        self._held: dict[int, Packet] = {}
        self._stray: int | None = None  # a number far off; a second one beside it restarts

    def push(self, packet: Packet) -> tuple[Packet, ...] | list[Packet]:
        """What can be released now, in order."""
        sequence = packet.sequence
        if self._next is None:
            self._next = sequence
        if sequence == self._next and not self._held:  # nearly always
            self._next = (sequence + 1) & 0xFFFF
            self._stray = None
            return (packet,)
        ahead = ((sequence - self._next + _HALF) & 0xFFFF) - _HALF
        if not -_MAX_BEHIND <= ahead <= _MAX_AHEAD:
            return self._far_off(packet)
        self._stray = None
        if ahead < 0 or sequence in self._held:
            self.counters.late += 1
            return _NOTHING
        self._held[sequence] = packet
        if ahead == 0:
            return self._run()
        if len(self._held) > self._capacity:
            self._skip()
            return self._run()
        return _NOTHING

    def expire(self, now: float) -> tuple[Packet, ...] | list[Packet]:
        """What waited long enough for the packets before it. `now` as in `Packet.arrival`."""
        if not self._held:
            return _NOTHING
        released: list[Packet] = []
        while self._held:
            if min(packet.arrival for packet in self._held.values()) > now - self._wait:
                break
            self._skip()
            released += self._run()
        return released

    def flush(self) -> list[Packet]:
        """Everything, at the end of the source."""
        released: list[Packet] = []
        while self._held:
            self._skip()
            released += self._run()
        self._next = None
        return released

    def _run(self) -> list[Packet]:
        """Release up to the next hole."""
        released = []
        number = self._next
        assert number is not None  # noqa: S101 - set by the first push
        while (packet := self._held.pop(number, None)) is not None:
            released.append(packet)
            number = (number + 1) & 0xFFFF
        self._next = number
        return released

    def _skip(self) -> None:
        """Give up what is missing before the first packet held."""
        expected = self._next
        assert expected is not None  # noqa: S101 - packets are held
        first = min(self._held, key=lambda number: (number - expected) & 0xFFFF)
        self.counters.lost += (first - expected) & 0xFFFF
        self._next = first

    def _far_off(self, packet: Packet) -> tuple[Packet, ...] | list[Packet]:
        """One packet far off is noise; two in a row are a source that started anew."""
        if self._stray is None or packet.sequence != (self._stray + 1) & 0xFFFF:
            self._stray = packet.sequence
            self.counters.late += 1
            return _NOTHING
        released = self.flush()
        self.counters.restarts += 1
        self._stray = None
        self._next = (packet.sequence + 1) & 0xFFFF
        released.append(packet)
        return released
