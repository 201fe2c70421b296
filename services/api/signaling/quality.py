"""Network quality of each connection, from the media nodes' statistics (`signaling.md` 4.13).

**Formula.** A track is judged by the R factor of ITU-T G.107, in its usual short form:

    latency = round trip / 2 + 2 * jitter + 10                                         (ms)
    R       = 93.2 - latency / 40          up to a latency of 160 ms
              93.2 - (latency - 120) / 10  above
    R       = R - 2.5 for each per cent of packets lost

The connection's publishing side is the mean of its own tracks, its receiving side that of its
subscriptions, over all reports of the interval; the worse one counts. The bounds are those that
G.107 gives for R:

    5 from 80 · 4 from 70 · 3 from 60 · 2 from 50 · 1 below · 0: no media

No media means that nothing comes of what the connection publishes, or nothing at all goes either
way. A silent track among others does not count: it may be muted, or a screen that does not change.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from msgspec import Struct, field

from services.conference.calls import STATISTICS_SECONDS, Statistics, TrackStatistics
from services.conference.model import Direction

from .peers import Key
from .watchers import UNSEEN

BEST = 93.2
BOUNDS = ((80.0, 5), (70.0, 4), (60.0, 3), (50.0, 2))
FORGET_SECONDS = 3 * STATISTICS_SECONDS
MAX_CONNECTIONS = 50_000


class Change(NamedTuple):
    key: Key
    old: int
    new: int


class Side(Struct):
    """What was heard of one side of a connection in an interval."""

    tracks: int = 0
    flowing: int = 0
    total: float = 0.0

    def hear(self, track: TrackStatistics) -> None:
        self.tracks += 1
        if track.bitrate > 0:
            self.flowing += 1
            self.total += score(track)


class Rated(Struct):
    since: float  # when it was heard first
    heard: float
    level: int = 0
    published: Side = field(default_factory=Side)
    received: Side = field(default_factory=Side)


class NetworkQuality:
    """Times in seconds, of any one clock."""

    def __init__(self) -> None:
        self._rated: dict[Key, Rated] = {}

    def hear(self, statistics: Statistics, now: float) -> None:
        for track in statistics.tracks:
            if track.connection_id in UNSEEN:
                continue
            key = Key(track.session_id, track.connection_id)
            rated = self._rated.get(key)
            if rated is None:
                if len(self._rated) >= MAX_CONNECTIONS:
                    continue
                rated = self._rated[key] = Rated(now, now)
            rated.heard = now
            publishes = track.direction is Direction.OUTBOUND
            (rated.published if publishes else rated.received).hear(track)

    def changes(self, now: float) -> Iterator[Change]:
        """What changed in the interval that ends now. A connection begins at level 0, and what was
        not heard for a while is forgotten."""
        for key, rated in list(self._rated.items()):
            if now - rated.heard > FORGET_SECONDS:
                del self._rated[key]
            elif now - rated.since >= STATISTICS_SECONDS:  # the first report knows no bitrate
                old, new = rated.level, level(rated.published, rated.received)
                rated.published, rated.received = Side(), Side()
                if new is not None and new != old:
                    rated.level = new
                    yield Change(key, old, new)


def score(track: TrackStatistics) -> float:
    """R of a track."""
    latency = (track.round_trip or 0.0) / 2 + 2 * track.jitter + 10
    delay = latency / 40 if latency < 160 else (latency - 120) / 10
    return BEST - delay - 250 * track.fraction_lost


def level(published: Side, received: Side) -> int | None:
    """`None`: nothing was heard."""
    if not published.tracks and not received.tracks:
        return None
    flowing = [side.total / side.flowing for side in (published, received) if side.flowing]
    if not flowing or (published.tracks and not published.flowing):
        return 0
    return next((grade for bound, grade in BOUNDS if min(flowing) >= bound), 1)
