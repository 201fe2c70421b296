"""What the media nodes say of every track, as metrics.

Ten series for every track are many: beyond a limit only each node's sums are told. A track that was
not heard of for three periods has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from services.conference.calls import STATISTICS_SECONDS, Statistics, TrackStatistics

LABELS = ("session", "connection", "stream", "direction", "kind", "node")
FORGET_SECONDS = 3 * STATISTICS_SECONDS
MAX_TRACKS = 100_000  # remembered; what is heard of beyond is left out

Labels = tuple[str, ...]


class Figure(NamedTuple):
    """One family of metrics. A `value` of `None` is unknown and left out."""

    family: type[CounterMetricFamily] | type[GaugeMetricFamily]
    name: str
    doc: str
    value: Callable[[TrackStatistics], float | None]


_COUNTER, _GAUGE = CounterMetricFamily, GaugeMetricFamily
FIGURES = (
    Figure(_COUNTER, "packets", "RTP packets.", lambda track: track.packets),
    Figure(_COUNTER, "bytes", "Bytes of RTP packets.", lambda track: track.bytes),
    Figure(_COUNTER, "packets_lost", "Lost before repair.", lambda track: max(track.lost, 0)),
    Figure(
        _COUNTER,
        "packets_repaired",
        "Lost packets that came by retransmission, or were sent again.",
        lambda track: track.repaired,
    ),
    Figure(_COUNTER, "nacks", "Packets asked for again.", lambda track: track.nacks),
    Figure(
        _COUNTER,
        "key_frame_requests",
        "Key frames asked of the publisher, or by the subscriber.",
        lambda track: track.key_frame_requests,
    ),
    Figure(_GAUGE, "bits_per_second", "Bit rate.", lambda track: track.bitrate),
    Figure(
        _GAUGE,
        "loss_ratio",
        "Share of packets lost in the last period, before repair.",
        lambda track: track.fraction_lost,
    ),
    Figure(_GAUGE, "jitter_seconds", "Jitter of arrivals.", lambda track: track.jitter / 1000),
    Figure(
        _GAUGE,
        "round_trip_seconds",
        "Round trip time.",
        lambda track: None if track.round_trip is None else track.round_trip / 1000,
    ),
)


class Tracks:
    """`limit`: the most tracks that are told one by one."""

    def __init__(self, limit: int, *, clock: Callable[[], float] = monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._heard: dict[Labels, tuple[float, TrackStatistics]] = {}
        self._looked = clock()  # for what has ended

    def hear(self, statistics: Statistics) -> None:
        now = self._clock()
        if now - self._looked > FORGET_SECONDS:  # also if nobody ever reads the metrics
            self._forget(now)
        for track in statistics.tracks:
            labels = (
                track.session_id,
                track.connection_id,
                track.stream_id,
                track.direction.value,
                track.kind,
                statistics.node_id,
            )
            if labels in self._heard or len(self._heard) < MAX_TRACKS:
                self._heard[labels] = (now, track)

    def collect(self) -> Iterator[Metric]:
        self._forget(self._clock())
        yield from self._sums()
        if len(self._heard) <= self._limit:
            for figure in FIGURES:
                name = f"tertulia_stream_{figure.name}"
                family = figure.family(name, figure.doc, labels=LABELS)
                for labels, (_, track) in self._heard.items():
                    if (value := figure.value(track)) is not None:
                        family.add_metric(labels, value)
                yield family

    def _sums(self) -> Iterator[Metric]:
        """Of tracks that come and go no counter can be summed."""
        sums: dict[Labels, tuple[int, int]] = {}
        for labels, (_, track) in self._heard.items():
            tracks, rate = sums.get(labels[-3:], (0, 0))
            sums[labels[-3:]] = (tracks + 1, rate + track.bitrate)
        number = GaugeMetricFamily(
            "tertulia_media_node_tracks", "Tracks of the node's streams.", labels=LABELS[-3:]
        )
        rates = GaugeMetricFamily(
            "tertulia_media_node_bits_per_second", "Bit rate of them all.", labels=LABELS[-3:]
        )
        for where, (tracks, rate) in sums.items():
            number.add_metric(where, tracks)
            rates.add_metric(where, rate)
        yield number
        yield rates

    def _forget(self, now: float) -> None:
        self._looked = now
        limit = now - FORGET_SECONDS
        self._heard = {labels: seen for labels, seen in self._heard.items() if seen[0] >= limit}
