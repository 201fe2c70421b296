"""Windows that were measured, and what they say side by side."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

OURS = "tertulia"


class Sample(NamedTuple):
    """One window. Times in ms, CPU in microseconds for each request."""

    rate: float
    p50: float
    p99: float
    server: float
    log: float
    client: float

    @property
    def cpu(self) -> float:
        return self.server + self.log


class Key(NamedTuple):
    workload: str
    clients: int
    contender: str


HEAD = (
    f"{'':26}{'clients':>8}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'server us':>11}{'log us':>8}"
    f"{'client us':>11}{'our rate':>10}{'our CPU':>9}"
)


class Table:
    def __init__(self) -> None:
        self._samples: dict[Key, list[Sample]] = defaultdict(list)

    def add(self, key: Key, sample: Sample) -> None:
        self._samples[key].append(sample)

    def report(self) -> None:
        """A row is the median of its windows; ratios are medians of those within one round."""
        print(HEAD)
        last = ""
        by_workload = sorted(self._samples, key=lambda key: self._order(key.workload))
        for key in by_workload:
            if key.workload != last:
                print(f"\n{key.workload}")
                last = key.workload
            print(self._row(key))

    def _order(self, workload: str) -> int:
        return list(dict.fromkeys(key.workload for key in self._samples)).index(workload)

    def _row(self, key: Key) -> str:
        rate, p50, p99, server, log, client = map(
            statistics.median, zip(*self._samples[key], strict=True)
        )
        row = (
            f"  {key.contender:24}{key.clients:8}{rate:9,.0f}{p50:9.2f}{p99:9.2f}{server:11.0f}"
            f"{_or_dash(log):>8}{_or_dash(client):>11}"
        )
        if key.contender == OURS:
            return row
        return f"{row}{self.rate(key):9.2f}x{self.cpu(key):8.2f}x"

    def rate(self, key: Key) -> float:
        """Ours over that of a peer."""
        return self._ratio(key, lambda sample: sample.rate)

    def cpu(self, key: Key) -> float:
        """Ours over that of a peer, the log's included."""
        return self._ratio(key, lambda sample: sample.cpu)

    def _ratio(self, key: Key, value: Callable[[Sample], float]) -> float:
        ours = self._samples[key._replace(contender=OURS)]
        pairs = zip(ours, self._samples[key], strict=True)
        return statistics.median(value(mine) / value(theirs) for mine, theirs in pairs)

    def thrift(self, key: Key) -> float:
        """Our requests per CPU second over those of a peer."""
        return 1 / self.cpu(key)

    def judge(
        self,
        aim: str,
        least: float,
        workloads: tuple[str, ...],
        contender: str,
        measure: Callable[[Key], float] | None = None,
    ) -> None:
        """One line for each workload: the ratio at every number of clients, of rates by default."""
        measured = {
            workload: [key for key in self._samples if key[::2] == (workload, contender)]
            for workload in workloads
        }
        if any(measured.values()):
            print(aim)
        for workload, keys in measured.items():
            if not keys:
                continue
            ratios = {key.clients: (measure or self.rate)(key) for key in keys}
            shown = ", ".join(f"{ratio:.2f} at {clients}" for clients, ratio in ratios.items())
            costs = "" if measure else f" (CPU {', '.join(f'{self.cpu(key):.2f}' for key in keys)})"
            reached = "yes" if min(ratios.values()) >= least else "NO"
            print(f"  {workload:24}{reached:5}{shown}{costs}")


def _or_dash(value: float) -> str:
    return f"{value:.0f}" if value else "-"
