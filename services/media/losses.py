"""Transports that ended by themselves, to be told once, unless the reason turns up in the log."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from typing import NamedTuple

from services.conference.model import Direction

PATIENCE = 2.0  # seconds: a client that closes its transport mostly says why by signaling
MAX_LOSSES = 1024
CLOSED = "closed by the peer"


class Loss(NamedTuple):
    session_id: str
    connection_id: str
    stream_id: str
    direction: Direction
    reason: str


class Losses:
    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], tuple[Loss, float]] = {}

    def note(
        self, session_id: str, connection_id: str, stream_id: str, direction: Direction, reason: str
    ) -> None:
        """Beyond `MAX_LOSSES` the oldest are forgotten."""
        due = monotonic() + (PATIENCE if reason == CLOSED else 0.0)
        loss = Loss(session_id, connection_id, stream_id, direction, reason)
        self._waiting[connection_id, stream_id] = (loss, due)
        if len(self._waiting) > MAX_LOSSES:
            del self._waiting[next(iter(self._waiting))]

    def forget(self, connection_id: str, stream_id: str) -> None:
        """It ended on purpose, or there is a new transport."""
        self._waiting.pop((connection_id, stream_id), None)

    def forget_connection(self, connection_id: str) -> None:
        for key in [key for key in self._waiting if key[0] == connection_id]:
            del self._waiting[key]

    def forget_stream(self, stream_id: str) -> None:
        for key in [key for key in self._waiting if key[1] == stream_id]:
            del self._waiting[key]

    def due(self, now: float) -> Iterator[Loss]:
        """What is to be told now; it is told once."""
        for key, (loss, at) in tuple(self._waiting.items()):
            if at <= now:
                del self._waiting[key]
                yield loss
