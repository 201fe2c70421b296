"""Repair: which packets are missing on the way from the publisher, which key frames are wanted,
which packets a subscriber got again just now, and how many more of them it may get."""

from __future__ import annotations

from collections.abc import Iterable

RETRY = 0.1  # seconds between two requests for a packet, until the round trip is known
LEAST_RETRY, MOST_RETRY = 0.04, 0.4
TRIES = 5
MAX_MISSING = 512
KEY_FRAME_WINDOW = 0.3  # seconds, at most one request in each
LEAST_REPEAT = 0.01  # seconds between two repeats of a packet to a subscriber
REMEMBERED = 512  # packets, as many as the history has
REPEAT_SHARE = 0.5  # of the rate: what repeats may take while nothing speaks against any rate
LOW_REPEAT_SHARE = 0.3  # of an estimate
REPEAT_BURST, LEAST_REPEAT_BURST = 60_000, 5_000  # bytes at once: without an estimate, with one


class Missing:
    """Sequence numbers (extended) that a source skipped, and when to ask for them.

    `round_trip` in seconds is that of requests answered at once, `None` before the first."""

    __slots__ = ("_due", "round_trip")

    def __init__(self) -> None:
        # sequence -> times asked, last time, next time
        self._due: dict[int, tuple[int, float, float]] = {}
        self.round_trip: float | None = None

    def __bool__(self) -> bool:
        return bool(self._due)

    def add(self, sequences: Iterable[int], now: float) -> list[int]:
        """Note a gap; returns what to ask for at once."""
        room = MAX_MISSING - len(self._due)
        asked = list(sequences)[: max(0, room)]
        for sequence in asked:
            self._due[sequence] = (1, now, now + self._retry)
        return asked

    @property
    def _retry(self) -> float:
        if self.round_trip is None:
            return RETRY
        return min(max(1.5 * self.round_trip + 0.01, LEAST_RETRY), MOST_RETRY)

    def found(self, sequence: int) -> bool:
        """The packet came by itself; was it missing?"""
        return self._due.pop(sequence, None) is not None

    def repaired(self, sequence: int, now: float) -> bool:
        """The packet came as a repeat; was it missing?"""
        asked = self._due.pop(sequence, None)
        if asked is None:
            return False
        tries, at, _ = asked
        if tries == 1:  # else nobody knows which request was answered
            before = self.round_trip
            taken = now - at
            self.round_trip = taken if before is None else before + (taken - before) / 8
        return True

    def due(self, now: float) -> tuple[list[int], int]:
        """What to ask for again, in order, and how many were given up."""
        again: list[int] = []
        given_up = 0
        for sequence, (tries, _, at) in tuple(self._due.items()):
            if at > now:
                continue
            if tries >= TRIES:
                del self._due[sequence]
                given_up += 1
            else:
                self._due[sequence] = (tries + 1, now, now + self._retry)
                again.append(sequence)
        return sorted(again), given_up


class KeyFrameRequests:
    """Merges requests: one goes out each window, and one that came inside it is not forgotten."""

    __slots__ = ("last", "wanted")

    def __init__(self) -> None:
        self.wanted = False
        self.last = float("-inf")

    def due(self, now: float) -> bool:
        """Is a request to be sent now? The caller sends it."""
        if not self.wanted or now - self.last < KEY_FRAME_WINDOW:
            return False
        self.wanted, self.last = False, now
        return True


class Repeats:
    """When each packet was last repeated to a subscriber, by its 16-bit number."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: dict[int, float] = {}  # the latest at the end

    def __contains__(self, sequence: int) -> bool:
        return sequence in self._last

    def may(self, sequence: int, round_trip: float | None, now: float) -> bool:
        """Not twice within a round trip: the first repeat may be on its way. Notes a yes."""
        at = self._last.pop(sequence, float("-inf"))
        is_new = now - at >= max(round_trip or 0.0, LEAST_REPEAT)
        self._last[sequence] = now if is_new else at
        if len(self._last) > REMEMBERED:
            del self._last[next(iter(self._last))]
        return is_new


class Allowance:
    """Bytes of repeats that a subscriber may get. On a way that is full they would take the place
    of new packets, be lost as well and be asked for again."""

    __slots__ = ("_at", "_left")

    def __init__(self) -> None:
        self._left = float(REPEAT_BURST)
        self._at = 0.0

    def take(self, size: int, rate: float, estimate: int, now: float) -> bool:
        """Takes the bytes if there are any left; `rate` and `estimate` in bit/s, 0 = none."""
        if estimate:
            refill, most = LOW_REPEAT_SHARE * estimate, max(estimate / 32, LEAST_REPEAT_BURST)
        else:
            refill, most = max(REPEAT_SHARE * rate, 8 * REPEAT_BURST), REPEAT_BURST
        self._left = min(self._left + refill * (now - self._at) / 8, most)
        self._at = now
        if self._left <= 0:
            return False
        self._left -= size
        return True
