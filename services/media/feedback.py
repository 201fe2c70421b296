"""Feedback to a publisher about one leg: when its packets arrived, transport-wide."""

from __future__ import annotations

from collections.abc import Sequence

from . import rtcp

FEEDBACK = 0.1  # seconds between two feedbacks
_EMPTY = rtcp.write_report()


class TransportFeedback:
    """Numbers the feedback packets and says when one is due."""

    __slots__ = ("_count", "_highest", "_sent_at")

    def __init__(self) -> None:
        self._count = 0
        self._highest: int | None = None  # told of, counted on across wraps
        self._sent_at = float("-inf")

    def is_due(self, now: float) -> bool:
        return now - self._sent_at >= FEEDBACK - 0.01

    def write(
        self, media_ssrc: int, arrivals: Sequence[tuple[int, float]], now: float
    ) -> list[bytes]:
        """Compounds to send, for (16-bit number, monotonic seconds) in order of arrival."""
        self._sent_at = now
        if not arrivals:
            return []
        written = rtcp.write_transport_feedback(media_ssrc, arrivals, self._count, self._highest)
        for number, _ in arrivals:
            highest = number if self._highest is None else self._highest
            step = (number - highest + 0x8000 & 0xFFFF) - 0x8000
            self._highest = highest + max(0, step)
        self._count = self._count + len(written) & 0xFF
        return [_EMPTY + one for one in written]
