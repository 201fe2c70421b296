"""What the api counts on the path of every request."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

BUCKETS = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0)  # seconds

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"  # a method that we never answer with success

_BOUNDS = (*map(str, BUCKETS), "+Inf")


class Traffic:
    """Plain numbers, of one thread: the library's metrics take a lock for each."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.sockets = 0
        self.sockets_opened = 0
        self._answers: dict[tuple[str, str, int], int] = {}
        self._times: dict[tuple[str, str], list[int]] = {}  # by bucket, the last for all beyond
        self._seconds: dict[tuple[str, str], float] = {}

    def count(self, operation: str, method: str, status: int, seconds: float) -> None:
        """An answer. `operation` must be one of few."""
        if method not in METHODS:
            method = OTHER
        answer, key = (operation, method, status), (operation, method)
        self._answers[answer] = self._answers.get(answer, 0) + 1
        times = self._times.get(key)
        if times is None:
            times = self._times[key] = [0] * len(_BOUNDS)
        times[bisect_left(BUCKETS, seconds)] += 1
        self._seconds[key] = self._seconds.get(key, 0.0) + seconds

    def collect(self) -> Iterator[Metric]:
        answers = CounterMetricFamily(
            "tertulia_http_requests",
            "HTTP requests answered.",
            labels=["operation", "method", "status"],
        )
        for (operation, method, status), number in self._answers.items():
            answers.add_metric([operation, method, str(status)], number)
        yield answers
        times = HistogramMetricFamily(
            "tertulia_http_request_duration_seconds",
            "Time from a request's head to the end of its answer.",
            labels=["operation", "method"],
        )
        for key, buckets in self._times.items():
            counts = zip(_BOUNDS, accumulate(buckets), strict=True)
            times.add_metric(key, list(counts), self._seconds[key])
        yield times
        yield GaugeMetricFamily(
            "tertulia_http_requests_in_flight",
            "HTTP requests not answered yet, this one included.",
            self.in_flight,
        )
        yield GaugeMetricFamily(
            "tertulia_websocket_connections", "WebSocket clients.", self.sockets
        )
        yield CounterMetricFamily(
            "tertulia_websocket_connections_opened",
            "WebSocket connections opened.",
            self.sockets_opened,
        )
