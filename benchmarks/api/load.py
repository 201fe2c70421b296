"""The load: a process of its own that asks and checks, as cheaply as Python can.

Every HTTP contender gets the same client: keep-alive connections, each with one request on its
way, made from templates of bytes. Status and a piece of every answer are checked.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from multiprocessing.connection import Connection
from typing import NamedTuple

import uvloop

from .appends import Appends, append

HOST = "127.0.0.1"
KEPT = 64 * 1024  # bytes of an answer that are looked at
FIRST = 1_000_000_000  # turns are numbered from here, so that `%d` is always as long
PATIENCE = 30.0  # seconds for the last answers

Gate = Callable[[], None]  # "ready" to the parent, and back when it has looked at the clocks


class Step(NamedTuple):
    """A request and what its answer must be. `%d` in the request becomes the turn's number."""

    request: bytes
    status: bytes
    piece: bytes = b""  # of the answer


class Requests(NamedTuple):
    """`clients` connections take turns of all steps for `seconds`, at most `turns` of them.

    Their numbers go up over all clients; with `modulo` they are 0 to `modulo` - 1, again and again.
    """

    port: int
    clients: int
    steps: tuple[Step, ...]
    seconds: float = 60.0
    turns: int | None = None
    modulo: int = 1 << 62


class Result(NamedTuple):
    requests: int
    seconds: float
    latencies: list[float]  # seconds, sorted
    cpu: float  # seconds, of this process
    errors: int
    example: str  # of an error

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    def percentile(self, share: float) -> float:
        """Milliseconds."""
        last = len(self.latencies) - 1
        return self.latencies[min(last, int(share * len(self.latencies)))] * 1000


class _Run:
    """What all clients of one job share."""

    def __init__(self, job: Requests) -> None:
        self.steps = job.steps
        self.latencies: list[float] = []
        self.errors = 0
        self.example = ""
        self.done = asyncio.Event()
        self.end = float("inf")
        self._numbers = count(FIRST)
        self._stop = float("inf") if job.turns is None else FIRST + job.turns
        self._modulo = job.modulo
        self._busy = job.clients

    def turn(self) -> int | None:
        """Its number; `None`: no more."""
        if time.perf_counter() >= self.end:
            return None
        number = next(self._numbers)
        return number % self._modulo if number < self._stop else None

    def leave(self) -> None:
        self._busy -= 1
        if not self._busy:
            self.done.set()

    def wrong(self, example: str) -> None:
        self.errors += 1
        self.example = self.example or example


class _Client(asyncio.Protocol):
    def __init__(self, run: _Run) -> None:
        self._run = run
        self._steps: Iterator[Step] = iter(())
        self._number: int | None = None
        self._transport: asyncio.Transport
        self._left = False
        self._data = b""
        self._missing: int | None = None  # bytes of the body; `None`: the head is not complete
        self._chunked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def begin(self) -> None:
        self._data, self._missing, self._chunked = b"", None, False
        step = next(self._steps, None)
        if step is None:
            self._number = self._run.turn()
            if self._number is None:
                self._leave()
                return
            self._steps = iter(self._run.steps)
            step = next(self._steps)
        self._step = step
        request = step.request
        if b"%" in request:
            request = request % self._number
        self._sent = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if len(self._data) < KEPT:
            self._data += data
        if self._missing is not None:
            self._missing -= len(data)
        else:
            end = self._data.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._data[:end].lower()
            self._chunked = b"transfer-encoding: chunked" in head
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or b"0")
            self._missing = length - (len(self._data) - end - 4)
        if self._chunked:  # Janus does that, with short bodies
            if not self._data.endswith(b"\r\n0\r\n\r\n"):
                return
            self._missing = 0
        if self._missing > 0:
            return
        self._run.latencies.append(time.perf_counter() - self._sent)
        step, answer = self._step, self._data
        if answer[9:12] != step.status or step.piece not in answer or self._missing:
            self._run.wrong(f"{step.request[:120]!r}: {answer[:1000]!r}")
        self.begin()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._left:
            self._run.wrong(f"connection lost: {exc}")
            self._leave()

    def _leave(self) -> None:
        self._left = True
        self._run.leave()
        self._transport.close()


async def ask(job: Requests, gate: Gate) -> Result:
    run = _Run(job)
    loop = asyncio.get_running_loop()
    clients = [
        (await loop.create_connection(lambda: _Client(run), HOST, job.port))[1]
        for _ in range(job.clients)
    ]
    gate()
    cpu, began = time.process_time(), time.perf_counter()
    run.end = began + job.seconds
    for client in clients:
        client.begin()
    async with asyncio.timeout(job.seconds + PATIENCE):
        await run.done.wait()
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    latencies = sorted(run.latencies) or [0.0]
    return Result(len(run.latencies), seconds, latencies, cpu, run.errors, run.example)


async def _appends(job: Appends, gate: Gate) -> Result:
    done = await append(job, gate)
    latencies = sorted(done.latencies) or [0.0]
    return Result(len(done.latencies), done.seconds, latencies, done.cpu, 0, "")


def _work(parent: Connection) -> None:
    def gate() -> None:
        parent.send("ready")
        parent.recv()

    while job := parent.recv():
        result = uvloop.run(ask(job, gate) if isinstance(job, Requests) else _appends(job, gate))
        parent.send(result)


class Load:
    """Gives jobs to the process, one after the other."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def run(
        self, job: Requests | Appends, begin: Callable[[], None] = lambda: None
    ) -> Result:
        """`begin` is called when all is connected and nothing was asked yet."""
        self._connection.send(job)
        await self._take()
        begin()
        self._connection.send("go")
        return await self._take()

    async def _take(self) -> Result:
        found = await asyncio.to_thread(self._connection.recv)  # EOFError: it died, and said why
        return found  # type: ignore[no-any-return]


@contextmanager
def load() -> Iterator[Load]:
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_work, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    try:
        yield Load(ours)
    finally:
        process.terminate()
        process.join()
