"""Repair of the way from the publisher: which packets are missing, which key frames are wanted."""

from __future__ import annotations

from collections.abc import Iterable

RETRY = 0.1  # seconds between two requests for a packet
TRIES = 5
MAX_MISSING = 512
KEY_FRAME_WINDOW = 0.3  # seconds, at most one request in each


class Missing:
    """Sequence numbers (extended) that a source skipped, and when to ask for them."""

    __slots__ = ("_due",)

    def __init__(self) -> None:
        self._due: dict[int, tuple[int, float]] = {}  # sequence -> times asked, next time

    def __bool__(self) -> bool:
        return bool(self._due)

    def add(self, sequences: Iterable[int], now: float) -> list[int]:
        """Note a gap; returns what to ask for at once."""
        room = MAX_MISSING - len(self._due)
        asked = list(sequences)[: max(0, room)]
        for sequence in asked:
            self._due[sequence] = (1, now + RETRY)
        return asked

    def found(self, sequence: int) -> bool:
        """The packet came; was it missing?"""
        return self._due.pop(sequence, None) is not None

    def due(self, now: float) -> tuple[list[int], int]:
        """What to ask for again, in order, and how many were given up."""
        again: list[int] = []
        given_up = 0
        for sequence, (tries, at) in tuple(self._due.items()):
            if at > now:
                continue
            if tries >= TRIES:
                del self._due[sequence]
                given_up += 1
            else:
                self._due[sequence] = (tries + 1, now + RETRY)
                again.append(sequence)
        return sorted(again), given_up


class KeyFrameRequests:
    """Merges requests: one goes out each window, and one that came inside it is not forgotten."""

    __slots__ = ("_last", "wanted")

    def __init__(self) -> None:
        self.wanted = False
        self._last = float("-inf")

    def due(self, now: float) -> bool:
        """Is a request to be sent now? The caller sends it."""
        if not self.wanted or now - self._last < KEY_FRAME_WINDOW:
            return False
        self.wanted, self._last = False, now
        return True
