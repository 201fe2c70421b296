"""Bounded queues of frames that wait for a client."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple


class Frame(NamedTuple):
    """`kept`: a notification, to be sent by the next socket if this one fails. Responses are
    not: the client forgets its requests with the socket."""

    text: str
    kept: bool


class FrameQueue:
    """First in, first out, limited in frames and in characters; one frame of any size has room."""

    def __init__(self, max_frames: int, max_size: int) -> None:
        self._max_frames = max_frames
        self._max_size = max_size
        self._frames: deque[Frame] = deque()
        self._size = 0

    def __len__(self) -> int:
        return len(self._frames)

    def push(self, frame: Frame) -> bool:
        """False, and nothing is queued, if there is no room."""
        size = self._size + len(frame.text)
        if len(self._frames) >= self._max_frames or (self._frames and size > self._max_size):
            return False
        self._frames.append(frame)
        self._size = size
        return True

    def load(self, frames: Iterable[Frame]) -> None:
        """Queue what waited elsewhere, and widen the limits by as much."""
        for frame in frames:
            self._max_frames += 1
            self._max_size += len(frame.text)
            self.push(frame)

    def first(self) -> Frame | None:
        return self._frames[0] if self._frames else None

    def pop(self) -> Frame:
        frame = self._frames.popleft()
        self._size -= len(frame.text)
        return frame

    def drain(self) -> list[Frame]:
        frames = list(self._frames)
        self._frames.clear()
        self._size = 0
        return frames
