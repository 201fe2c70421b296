"""What a REST request costs, beside bare parts of the same kind in the same run. Run by hand:

    python -m benchmarks.bench_api [--quick]

Under load is the api process as `tertulia serve` starts it, with its nats-server synced to disk on
each write. Its peers:

- Litestar behind the same HTTP server, answering JSON of the same size: doing nothing, and
  inserting one row by SQLAlchemy and aiosqlite. `synchronous=FULL` is durable as our commit is.
- Bare JetStream appends by nats-py, of the size of our commits, with the same settings.

One client, a process of its own, asks them all and checks every answer; a wrong one fails the run.
Windows take turns between the contenders, servers are new in each round. Figures are medians of
rounds; `server us` and `log us` are CPU of the server (all threads) and of the nats-server for each
request, for bare appends that of the appending process. Set TMPDIR to a disk, not to memory.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp
import structlog

from benchmarks.api import rest, servers
from benchmarks.api.appends import Appends
from benchmarks.api.load import Load, Requests, Result, Step, load
from benchmarks.api.servers import Server
from benchmarks.api.table import Key, Sample, Table
from benchmarks.cpu import cpu_seconds
from services.eventlog.commit import encode
from services.eventlog.jetstream import JetStreamLog, connect

CLIENTS = (1, 16, 64)
WARM_SECONDS = 0.25  # of everything, before the first window of a round
SPREAD = 256  # sessions that take the connections of one window
NOTHING, NORMAL, FULL = "litestar, no-op", "insert, NORMAL", "insert, FULL"

NEW_SESSION, NEW_CONNECTION = "POST session", "POST connection"
GET_SESSION, GET_ALL, GET_ALL_PENDING = "GET session", "GET all", "GET all, with pending"
WRITES = (NEW_SESSION, NEW_CONNECTION)
READS = (GET_SESSION, GET_ALL, GET_ALL_PENDING)


class Entry(NamedTuple):
    """A contender of a workload. `job` and `before` get what makes the names of a window unique."""

    workload: str
    server: Server
    job: Callable[[str], Requests | Appends]
    before: Callable[[str], list[Requests]] = lambda window: []


class Bench:
    def __init__(self, load: Load, table: Table, seconds: float) -> None:
        self._load = load
        self._table = table
        self._seconds = seconds
        self._window = 0
        self.errors = 0

    async def prepare(self, jobs: list[Requests]) -> None:
        for job in jobs:
            self._check(await self._load.run(job), "preparation")

    async def warm(self, entry: Entry) -> None:
        await self._run(entry, 16, WARM_SECONDS, lambda: None)

    async def measure(self, entry: Entry, clients: int) -> None:
        before = (0.0, 0.0)

        def begin() -> None:
            nonlocal before
            before = clocks(entry.server)

        job, result = await self._run(entry, clients, self._seconds, begin)
        after = clocks(entry.server)
        each = 1e6 / max(result.requests, 1)
        server, log = ((now - then) * each for now, then in zip(after, before, strict=True))
        client = result.cpu * each
        if isinstance(job, Appends):
            server, client = client, 0.0
        self._table.add(
            Key(entry.workload, clients, entry.server.name),
            Sample(
                result.rate, result.percentile(0.5), result.percentile(0.99), server, log, client
            ),
        )

    async def _run(
        self, entry: Entry, clients: int, seconds: float, begin: Callable[[], None]
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
        if result.errors or not result.requests:
            print(f"{where}: {result.errors} of {result.requests} answers wrong: {result.example}")


def clocks(server: Server) -> tuple[float, float]:
    """CPU seconds of the server and of its nats-server."""
    return (
        cpu_seconds(server.pid) if server.pid else 0.0,
        cpu_seconds(server.log) if server.log else 0.0,
    )


class Sizes(NamedTuple):
    """Bytes of our answers, and of the commits behind writes."""

    answers: dict[str, int]
    commits: dict[str, int]


async def sizes(writes: Server, reads: Server) -> Sizes:
    answers = {}
    async with aiohttp.ClientSession(headers={"Authorization": servers.AUTH.decode()}) as http:

        async def size(server: Server, method: str, path: str, body: object = None) -> int:
            url = f"http://127.0.0.1:{server.port}{rest.API}{path}"
            async with http.request(method, url, json=body) as answer:
                assert answer.status == 200, await answer.text()
                return len(await answer.read())

        named = rest.SESSION | {"customSessionId": "sizes"}
        answers[NEW_SESSION] = await size(writes, "POST", "", named)
        answers[NEW_CONNECTION] = await size(writes, "POST", "/sizes/connection", rest.CONNECTION)
        answers[GET_SESSION] = await size(reads, "GET", "/read-000000001")
        answers[GET_ALL] = await size(reads, "GET", "")
        answers[GET_ALL_PENDING] = await size(reads, "GET", "?pendingConnections=true")
    client = await connect(writes.url, token=servers.TOKEN, name="bench")
    try:
        log = await JetStreamLog.open(client)
        commits = [len(encode(found.commit)) async for found in log.read("sizes")]
    finally:
        await client.close()
    return Sizes(answers, dict(zip(WRITES, commits, strict=True)))


@asynccontextmanager
async def contenders(bench: Bench, folder: Path) -> AsyncIterator[list[Entry]]:
    """All servers of one round, and what they are asked."""
    async with AsyncExitStack() as stack:
        writes, reads = [
            await stack.enter_async_context(servers.tertulia(folder / name))
            for name in ("writes", "reads")
        ]
        read = "read-%09d"
        one, everything = rest.get_session(read), rest.get_all()
        pending = rest.get_all("?pendingConnections=true")
        await bench.prepare(
            [
                *rest.seed(reads.port, read, rest.SESSIONS, rest.CONNECTIONS),
                Requests(reads.port, 16, (one,), turns=rest.SESSIONS),  # each once: they are cached
            ]
        )
        size = await sizes(writes, reads)
        wanted = list(size.answers.values())
        nothing, normal, full = [
            await stack.enter_async_context(servers.litestar(name, kind, folder, wanted))
            for name, kind in ((NOTHING, "nothing"), (NORMAL, "NORMAL"), (FULL, "FULL"))
        ]
        log = await stack.enter_async_context(servers.nats(folder / "nats"))

        def asked(server: Server, *steps: Step, modulo: int = 1 << 62) -> Callable[[str], Requests]:
            return lambda window: Requests(server.port, 1, steps, modulo=modulo)

        def bare(workload: str, server: Server) -> Entry:
            method = "POST" if workload in WRITES else "GET"
            body = {NEW_SESSION: rest.SESSION, NEW_CONNECTION: rest.CONNECTION}.get(workload)
            request = rest.http(method, f"/{size.answers[workload]}", body)
            return Entry(workload, server, asked(server, Step(request, b"200", b'{"id":"xxx')))

        def peers(workload: str) -> list[Entry]:
            commit = size.commits[workload]
            appends = Appends(log.url, servers.TOKEN, 1, commit, 1)
            return [
                *(bare(workload, server) for server in (nothing, normal, full)),
                Entry(workload, log, lambda window: appends),
            ]

        def connections(window: str) -> Requests:
            step = rest.new_connection(f"{window}%09d")
            return Requests(writes.port, 1, (step,), modulo=SPREAD)

        def spread(window: str) -> list[Requests]:
            return rest.seed(writes.port, f"{window}%09d", SPREAD)

        yield [
            Entry(NEW_SESSION, writes, asked(writes, rest.new_session())),
            *peers(NEW_SESSION),
            Entry(NEW_CONNECTION, writes, connections, spread),
            *peers(NEW_CONNECTION),
            Entry(GET_SESSION, reads, asked(reads, one, modulo=rest.SESSIONS)),
            bare(GET_SESSION, nothing),
            Entry(GET_ALL, reads, asked(reads, everything)),
            bare(GET_ALL, nothing),
            Entry(GET_ALL_PENDING, reads, asked(reads, pending)),
            bare(GET_ALL_PENDING, nothing),
        ]


def judge(table: Table) -> None:
    print("\nAims, each a ratio of rates within a round, at 1, 16 and 64 clients:")
    table.judge("writes at least 3 x the insert at equal durability", 3, WRITES, FULL, table.rate)
    table.judge(
        "  (and beside the insert that a power cut can take back)", 3, WRITES, NORMAL, table.rate
    )
    table.judge("writes at least 0.5 of bare appends", 0.5, WRITES, "bare appends", table.rate)
    table.judge(
        "reads at least 0.5 of a handler that does nothing", 0.5, READS, NOTHING, table.rate
    )


async def drive(rounds: int, seconds: float) -> int:
    table = Table()
    with load() as client:
        bench = Bench(client, table, seconds)
        for number in range(rounds):
            with tempfile.TemporaryDirectory() as directory:
                folder = Path(directory)
                print(f"round {number + 1}: a write and fsync take {fsync_us(folder):.0f} us")
                async with contenders(bench, folder) as entries:
                    for entry in entries:
                        await bench.warm(entry)
                    for clients in CLIENTS:
                        for entry in entries:
                            await bench.measure(entry, clients)
    table.report()
    judge(table)
    if bench.errors:
        print(f"\n{bench.errors} WRONG ANSWERS: these figures mean nothing")
    return min(bench.errors, 1)


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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one round, about a minute")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    rounds, seconds = (1, 0.8) if options.quick else (3, 1.4)
    raise SystemExit(asyncio.run(drive(rounds, seconds)))


if __name__ == "__main__":
    main()
