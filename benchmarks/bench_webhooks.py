"""How fast webhooks leave, against bare aiohttp in the same run. Run by hand:

    python -m benchmarks.bench_webhooks [--events 10000] [--rounds 3]

The receiver is a process of its own that answers 200 and nothing else. The sender works as in the
service: deliveries come from its SQLite file, and what was sent is recorded there, synced to disk.
`enqueue` is the other half, from the log's commits to that file. Prints the median of all rounds;
the ratio of rates is the aim (at least 0.7 in order), CPU is of this process alone.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from pathlib import Path

import aiohttp
import uvloop

from services.conference.commands import InitializeSession
from services.conference.decide import decide
from services.conference.events import SignalSent
from services.conference.evolve import evolve_all
from services.conference.model import SessionProperties
from services.conference.state import EMPTY
from services.eventlog.commit import Actor, ActorKind, Commit, Recorded
from services.eventlog.follower import Step
from services.webhooks.endpoint import Endpoint, Failure
from services.webhooks.outbox import Delivery, Outbox
from services.webhooks.records import end_of, outgoing
from services.webhooks.sender import Sender, utc_ms
from services.webhooks.store import Store

WANTED = frozenset({"sessionCreated", "signalSent"})
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
BATCH = 500  # commits that a follower gives at once while it catches up
SESSIONS = 16


class Sink(asyncio.Protocol):
    """Counts requests that have a Content-Length and no pipelining, as fast as Python can."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.data = b""

    def data_received(self, data: bytes) -> None:
        self.data += data
        head, separator, body = self.data.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) >= length:
            self.data = b""
            self.transport.write(ANSWER)  # type: ignore[attr-defined]


def serve(parent: Connection) -> None:
    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0)
        parent.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(run())


def steps(count: int, sessions: int) -> list[Step]:
    """Commits of one signal each, taking turns between sessions."""
    states = {}
    made = []
    for number in range(count):
        session_id = f"session-{number % sessions}"
        before = states.get(session_id, EMPTY)
        at = 1_700_000_000_000 + number
        command = InitializeSession(session_id, SessionProperties())
        if before is EMPTY:
            events = decide(before, command, at)
        else:
            events = (SignalSent(to=("con_AbCdEfGhIj",), at=at, type="chat", data="x" * 100),)
        after = states[session_id] = evolve_all(before, events)
        commit = Commit(
            id=str(number), session_id=session_id, version=1, time=at,
            actor=Actor(ActorKind.REST), command=command, events=events,
        )  # fmt: skip
        made.append(Step(Recorded(number + 1, commit, f"{number:064x}"), before, after))
    return made


class Meter:
    def __init__(self) -> None:
        self._rows: dict[str, list[tuple[float, float]]] = defaultdict(list)

    async def measure(self, name: str, count: int, work: Callable[[], Awaitable[None]]) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        await work()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        self._rows[name].append((count / wall, cpu / count * 1e6))

    def report(self) -> None:
        print(f"{'':36}{'per second':>12}{'CPU us':>9}")
        for name, rows in self._rows.items():
            rate, cpu = (statistics.median(column) for column in zip(*rows, strict=True))
            print(f"{name:36}{rate:12,.0f}{cpu:9.0f}")

    def ratio(self, ours: str, theirs: str) -> None:
        pairs = list(zip(self._rows[ours], self._rows[theirs], strict=True))
        rate = statistics.median(mine[0] / other[0] for mine, other in pairs)
        cpu = statistics.median(mine[1] / other[1] for mine, other in pairs)
        print(f"{ours} / {theirs}: rate {rate:.2f}, CPU {cpu:.2f}")


async def bare(url: str, bodies: list[bytes], connections: int) -> None:
    connector = aiohttp.TCPConnector(limit=connections)
    headers = {"Content-Type": "application/json"}
    queue = iter(bodies)
    async with aiohttp.ClientSession(connector=connector) as client:

        async def work() -> None:
            for body in queue:
                async with client.post(url, data=body, headers=headers) as response:
                    assert response.status == 200
                    await response.read()

        async with asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(work())


async def fill(outbox: Outbox, commits: list[Step]) -> None:
    for first in range(0, len(commits), BATCH):
        batch = commits[first : first + BATCH]
        await outbox.enqueue(outgoing(batch, WANTED), end_of(batch), utc_ms())


class Counted(Endpoint):
    """Tells when so many deliveries were made."""

    def __init__(self, url: str, expected: int) -> None:
        super().__init__(url)
        self._left = expected
        self.done = asyncio.Event()

    async def post(self, delivery: Delivery, now: float) -> Failure | None:
        failure = await super().post(delivery, now)
        self._left -= 1
        if not self._left:
            self.done.set()
        return failure


async def drain(outbox: Outbox, url: str, expected: int) -> None:
    async with Counted(url, expected) as endpoint:
        task = asyncio.create_task(Sender(outbox, endpoint).run())
        await endpoint.done.wait()
        task.cancel()  # it records the last ones before it ends
        await asyncio.wait([task])
    assert await outbox.totals() == (0, 0)


async def compare(meter: Meter, url: str, how: str, events: int, sessions: int) -> None:
    commits = steps(events, sessions)
    bodies = [event.body for event in outgoing(commits, WANTED)]
    connections = min(sessions, SESSIONS)
    await meter.measure(f"bare aiohttp, {how}", events, lambda: bare(url, bodies, connections))
    with tempfile.TemporaryDirectory() as folder:
        store = await Store.open(Path(folder) / "webhooks.db")
        outbox = Outbox(store, "bench")
        await outbox.open("", utc_ms())
        await meter.measure(f"enqueue, {how}", events, lambda: fill(outbox, commits))
        await meter.measure(f"webhooks, {how}", events, lambda: drain(outbox, url, events))
        await store.close()


async def measure(url: str, events: int, rounds: int) -> None:
    meter = Meter()
    for _ in range(rounds):
        await compare(meter, url, "in order", events, 1)
        await compare(meter, url, "16 sessions", events, SESSIONS)
        await compare(meter, url, "many sessions", events, events // 5)
    meter.report()
    for how in ("in order", "16 sessions", "many sessions"):
        meter.ratio(f"webhooks, {how}", f"bare aiohttp, {how}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    sink = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    sink.start()
    try:
        url = f"http://127.0.0.1:{ours.recv()}/hook"
        uvloop.run(measure(url, options.events, options.rounds))
    finally:
        sink.terminate()


if __name__ == "__main__":
    main()
