"""From RTP timestamps to milliseconds of a file.

A track is laid down by the arrival of its first packet and runs on by its own timestamps, so that
jitter and loss leave no trace. Sender reports tell how far apart two tracks of one publisher
really are; the video then moves to the audio, which must not be stretched.
"""

from __future__ import annotations

TOLERANCE = 2000.0  # ms between timestamps and arrival; more is a clock that started anew
MAX_SKEW = 1000.0  # ms a sender report may move a track; more is no honest report

_HALF = 0x80000000


class TrackTimeline:
    """Times are milliseconds from the first media of the file."""

    def __init__(self, clock_rate: int) -> None:
        self._per_tick = 1000.0 / clock_rate
        self._base = 0.0  # file time of tick 0
        self._last: int | None = None
        self._ticks = 0  # of the last timestamp, since tick 0
        self._origin: float | None = None  # sender's wall clock at tick 0, ms

    def place(self, timestamp: int, arrival: float) -> float:
        """The file time of a timestamp that arrived at file time `arrival`."""
        if self._last is not None:
            self._ticks += self._distance(timestamp)
            self._last = timestamp
            time = self._base + self._ticks * self._per_tick
            if abs(time - arrival) <= TOLERANCE:
                return time
        self._last = timestamp
        self._ticks = 0
        self._base = arrival
        self._origin = None
        return arrival

    def restart(self) -> None:
        """Another source follows: its timestamps have nothing to do with the last ones."""
        self._last = None
        self._origin = None

    def report(self, ntp: float, timestamp: int) -> None:
        """A sender report of this track: `ntp` seconds at `timestamp`."""
        if self._last is not None:
            ticks = self._ticks + self._distance(timestamp)
            self._origin = ntp * 1000.0 - ticks * self._per_tick

    def follow(self, other: TrackTimeline) -> None:
        """Move to where the sender reports of both put this track beside the other."""
        if self._origin is None or other._origin is None:
            return
        base = other._base + self._origin - other._origin
        if abs(base - self._base) <= MAX_SKEW:
            self._base = base

    def _distance(self, timestamp: int) -> int:
        """Ticks from the last timestamp, across the wrap-around of 32 bits."""
        assert self._last is not None  # noqa: S101 - callers look
        return ((timestamp - self._last + _HALF) & 0xFFFFFFFF) - _HALF
