"""What a REST request costs, beside bare parts of the same kind in the same run. Run by hand:

    python -m benchmarks.bench_api [--quick] [--only TEXT] [--clients N ...] [--profile]

Under load is the api process as `tertulia serve` starts it, with its nats-server synced to disk on
each write. Its peers:

- Litestar behind the same HTTP server, answering JSON of the same size: doing nothing, and
  inserting one row by SQLAlchemy and aiosqlite. `synchronous=FULL` is durable as our commit is;
  what was inserted with `NORMAL` a power cut can take back.
- Bare JetStream appends by nats-py, of the size of our commits, with the same settings.
- Janus, if it is installed, making and destroying rooms: see `benchmarks/api/janus.py`.

One client, a process of its own, asks them all and checks every answer; a wrong one fails the run.
Windows take turns between the contenders, servers are new and warmed up in each round. Figures are
medians of rounds; `server us` and `log us` are CPU of the server (all threads) and of the
nats-server for each request, for bare appends that of the appending process; `our rate` and
`our CPU` are ours over the peer's. On a busy machine only CPU means something. Set TMPDIR to a
disk, not to memory.

`--profile` compares nothing, but says where the api process spends its CPU: `sampler.py` there.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from benchmarks.api import profile
from benchmarks.api.appends import Appends
from benchmarks.api.contenders import (
    APPENDS,
    CYCLE,
    FULL,
    JANUS,
    JANUS_KEPT,
    NORMAL,
    NOTHING,
    READS,
    WRITES,
    Entry,
    contenders,
)
from benchmarks.api.load import Load, Requests, Result, load
from benchmarks.api.servers import Server
from benchmarks.api.table import Key, Sample, Table
from benchmarks.cpu import cpu_seconds

CLIENTS = (1, 16, 64)
WARM_SECONDS = 0.25  # of everything, before the first window of a round


class Bench:
    def __init__(self, load: Load) -> None:
        self._load = load
        self._window = 0
        self.table = Table()
        self.errors = 0

    async def prepare(self, jobs: list[Requests]) -> None:
        for job in jobs:
            result = await self._load.run(job)
            if result.errors or result.requests != job.turns:
                raise SystemExit(f"{result.requests} of {job.turns} preparations: {result.example}")

    async def measure(self, entry: Entry, clients: int, seconds: float) -> None:
        before = (0.0, 0.0)

        def begin() -> None:
            nonlocal before
            before = clocks(entry.server)

        job, result = await self.run(entry, clients, seconds, begin)
        after = clocks(entry.server)
        each = 1e6 / max(result.requests, 1)
        server, log = ((now - then) * each for now, then in zip(after, before, strict=True))
        client = result.cpu * each
        if isinstance(job, Appends):
            server, client = client, 0.0
        self.table.add(
            Key(entry.workload, clients, entry.server.name),
            Sample(
                result.rate, result.percentile(0.5), result.percentile(0.99), server, log, client
            ),
        )

    async def run(
        self,
        entry: Entry,
        clients: int,
        seconds: float,
        begin: Callable[[], None] = lambda: None,
    ) -> tuple[Requests | Appends, Result]:
        self._window += 1
        window = f"w{self._window}-"
        await self.prepare(entry.before(window))
        job = entry.job(window)._replace(clients=clients, seconds=seconds)
        result = await self._load.run(job, begin)
        self._check(result, f"{entry.workload}, {entry.server.name}, {clients} clients")
        return job, result

    def _check(self, result: Result, where: str) -> None:
        self.errors += result.errors
        if result.errors:
            print(f"{where}: {result.errors} of {result.requests} answers wrong: {result.example}")
        if not result.requests:
            raise SystemExit(f"{where}: no answer")


def clocks(server: Server) -> tuple[float, float]:
    """CPU seconds of the server and of its nats-server."""
    return (
        cpu_seconds(server.pid) if server.pid else 0.0,
        cpu_seconds(server.log) if server.log else 0.0,
    )


def judge(table: Table) -> None:
    print("\nAims: ratios of rates at each number of clients (and of CPU, ours over the peer's)")
    table.judge("writes at least 3 x the insert at equal durability", 3, WRITES, FULL)
    table.judge("  beside the insert that a power cut can take back", 3, WRITES, NORMAL)
    table.judge("writes at least 0.5 of bare appends", 0.5, WRITES, APPENDS)
    table.judge("reads at least 0.5 of a handler that does nothing", 0.5, READS, NOTHING)
    cycle = (CYCLE,)
    aim = "operations per CPU second more than Janus, where rooms are kept"
    table.judge(aim, 1, cycle, JANUS_KEPT, table.thrift)
    table.judge("  beside rooms in memory", 1, cycle, JANUS, table.thrift)


async def compare(bench: Bench, options: argparse.Namespace) -> None:
    rounds, seconds = (1, 0.6) if options.quick else (3, 1.0)
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as directory:
            folder = Path(directory)
            print(f"round {number + 1}: a write and its fsync take {fsync_us(folder):.0f} us")
            async with contenders(folder, bench.prepare) as everything:
                entries = [entry for entry in everything if options.only in entry.workload]
                for entry in entries:
                    await bench.run(entry, 16, WARM_SECONDS)
                for clients in options.clients:
                    for entry in entries:
                        await bench.measure(entry, clients, seconds)
    bench.table.report()
    judge(bench.table)


def fsync_us(folder: Path) -> float:
    """The disk: median of 50 writes of 700 bytes, each synced."""
    took = []
    with (folder / "probe").open("wb", buffering=0) as file:
        for _ in range(50):
            began = time.perf_counter()
            file.write(b"x" * 700)
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return sorted(took)[25] * 1e6


async def drive(options: argparse.Namespace) -> int:
    with load() as client:
        bench = Bench(client)
        if options.profile:
            await profile.report(bench.prepare, bench.run, options.only, options.clients)
        else:
            await compare(bench, options)
    if bench.errors:
        print(f"\n{bench.errors} WRONG ANSWERS: these figures mean nothing")
    return min(bench.errors, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one round, about a minute")
    parser.add_argument("--only", default="", help="workloads with this in their name")
    parser.add_argument("--clients", type=int, nargs="+", default=CLIENTS, metavar="N")
    parser.add_argument("--profile", action="store_true", help="where the CPU of the api goes")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    raise SystemExit(asyncio.run(drive(options)))


if __name__ == "__main__":
    main()
