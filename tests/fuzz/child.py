"""A server in a process of its own, so that its loop and memory are measured and nobody else's.

It is asked by JSON lines on its standard input and answers by lines on its standard output. What
it logs as an error, and what its loop could not hand to anybody, are problems it reports.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

from tests.fuzz.measure import Heartbeat, open_files, resident

ANSWER_SECONDS = 30.0

Asked = Callable[[Any], Any]


class Died(AssertionError):
    """The server's process has ended."""


class Child:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.hello: Any = None

    async def ask(self, what: str, value: Any = None) -> Any:
        """Raises `Died`, or `TimeoutError` if the server is not to be spoken to."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps([what, value]).encode() + b"\n")
            await self.process.stdin.drain()
        except ConnectionError:
            raise Died(f"exit code {await self.process.wait()}") from None
        return await self.read()

    async def read(self) -> Any:
        assert self.process.stdout is not None
        async with asyncio.timeout(ANSWER_SECONDS):
            line = await self.process.stdout.readline()
        if not line:
            raise Died(f"exit code {await self.process.wait()}")
        return json.loads(line)


@asynccontextmanager
async def child(module: str, environ: Mapping[str, str] | None = None) -> AsyncIterator[Child]:
    """`python -m module`, ended at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        limit=16 * 1024 * 1024, env=environ,
    )  # fmt: skip
    try:
        started = Child(process)
        started.hello = await started.read()
        yield started
    finally:
        if process.returncode is None and process.stdin is not None:
            process.stdin.close()
            try:
                async with asyncio.timeout(15):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


# In the child


class _Errors(logging.Handler):
    """Errors of libraries."""

    def __init__(self, problems: Problems) -> None:
        super().__init__(logging.ERROR)
        self._problems = problems

    def emit(self, record: logging.LogRecord) -> None:
        self._problems.add(self.format(record))


class Problems:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def add(self, text: str) -> None:
        if len(self.seen) < 50:
            self.seen.append(text)

    def listen(self, loop: asyncio.AbstractEventLoop) -> None:
        def processor(_: WrappedLogger, method: str, event: EventDict) -> EventDict:
            if method in ("error", "critical", "exception"):
                self.add(repr(dict(event)) if "exception" not in event else event["exception"])
            raise structlog.DropEvent

        structlog.configure(
            processors=[structlog.processors.format_exc_info, processor],
            cache_logger_on_first_use=False,
        )
        logging.basicConfig(handlers=[_Errors(self)], force=True)
        loop.set_exception_handler(lambda _, problem: self.add(repr(problem)))


async def answer(hello: Any, asked: Mapping[str, Asked]) -> None:
    """Say hello, then answer until the standard input ends. `report` is always there."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=16 * 1024 * 1024)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    _say(hello)
    while line := await reader.readline():
        what, value = json.loads(line)
        result = asked[what](value)
        _say(await result if isinstance(result, Awaitable) else result)


def _say(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def reporter(heartbeat: Heartbeat, problems: Problems) -> Asked:
    def report(_: Any) -> Any:
        found = {"stall": heartbeat.cpu, "wall": heartbeat.wall, "problems": problems.seen}
        found |= {"tasks": len(asyncio.all_tasks()), "files": open_files(), "rss": resident()}
        heartbeat.reset()  # collecting garbage for `resident` is our own stall
        problems.seen = []
        return found

    return report
