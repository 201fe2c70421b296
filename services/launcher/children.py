"""The processes that a launcher keeps alive."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from services.eventlog.log import LogError
from services.eventlog.server import NatsServer, die_with_parent
from services.process import RESTART

from .output import Lines

_CHUNK = 64 * 1024
_LAST_LINE = 300  # characters of it in an error
_DRAIN = 0.5  # seconds to read what a process left in the pipe


class StartFailed(Exception):
    """A process did not come up; `str()` says why."""


class End(NamedTuple):
    """Of a process: how, in words, and did it end for a restart?"""

    how: str
    restart: bool = False


class Child(Protocol):
    name: str

    async def start(self) -> None:
        """Raises `StartFailed`."""
        ...

    async def ended(self) -> End:
        """Waits for the end of the process."""
        ...

    async def stop(self, grace: float) -> None:
        """SIGTERM, and SIGKILL after `grace` seconds. Nothing of it is left then."""
        ...


class Pipe:
    """What processes write, for us to read. Not one of asyncio's own for processes: with those the
    end of a process is not seen while somebody whom it started still has the pipe."""

    def __init__(
        self, reader: asyncio.StreamReader, transport: asyncio.BaseTransport, writer: int
    ) -> None:
        self._reader = reader
        self._transport = transport
        self.writer = writer  # file descriptor for the process

    @classmethod
    async def open(cls) -> Pipe:
        read, writer = os.pipe()
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read, "rb", buffering=0)
        )
        return cls(reader, transport, writer)

    async def copy(self, lines: Lines) -> None:
        """Until nobody has the other end any more."""
        while chunk := await self._reader.read(_CHUNK):
            lines.feed(chunk)

    def close_writer(self) -> None:
        os.close(self.writer)

    def close(self) -> None:
        self._transport.close()


class Service:
    """A command whose output goes to the common log, in a session (process group) of its own.

    It gets SIGTERM when the launcher dies, however it dies (on Linux). `environ` is asked at every
    start.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environ: Callable[[], Mapping[str, str]],
        lines: Lines,
    ) -> None:
        self.name = name
        self._command = command
        self._environ = environ
        self._lines = lines
        self.process: asyncio.subprocess.Process | None = None
        self._output: Pipe | None = None

    async def start(self) -> None:
        self._output = output = await Pipe.open()
        try:
            self.process = await asyncio.create_subprocess_exec(
                *self._command,
                env=dict(self._environ()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output.writer,
                stderr=output.writer,
                start_new_session=True,  # Ctrl-C is for the launcher
                preexec_fn=die_with_parent(),
            )
        except OSError as error:
            output.close()
            raise StartFailed(f"{self.name} cannot be started: {error}") from error
        finally:
            output.close_writer()

    async def ended(self) -> End:
        process, output = self.process, self._output
        if process is None or output is None:
            return End("not running")
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(output.copy(self._lines))
            code = await process.wait()
            self._signal(signal.SIGKILL)  # what it started ends with it
            await asyncio.wait([reading], timeout=_DRAIN)
            reading.cancel()
        output.close()
        self._lines.finish()
        return End(_how(code, self._lines.last), code == RESTART)

    async def stop(self, grace: float) -> None:
        process, output = self.process, self._output
        if output is None:
            return
        if process is not None and process.returncode is None:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await output.copy(self._lines)  # what it says last, and lest it blocks
                    await process.wait()
            self._signal(signal.SIGKILL)
            await process.wait()
        output.close()
        self._lines.finish()

    def _signal(self, number: signal.Signals) -> None:
        """To the whole group: a service may have started processes, too."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)


class Broker:
    """The nats-server in the data folder. It may have been started before."""

    name = "nats"

    def __init__(self, server: NatsServer) -> None:
        self._server = server

    async def start(self) -> None:
        if self._server.process is not None and self._server.process.returncode is None:
            return
        try:
            await self._server.start()
        except (LogError, OSError) as error:
            raise StartFailed(str(error)) from error

    async def ended(self) -> End:
        if self._server.process is None:
            return End("not running")
        return End(_how(await self._server.process.wait(), ""))

    async def stop(self, grace: float) -> None:
        process = self._server.process
        try:
            async with asyncio.timeout(grace):
                await self._server.stop()
        except TimeoutError:
            if process is not None and process.returncode is None:
                process.kill()
                await process.wait()


def _how(code: int, last_line: str) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
    last_line = last_line if len(last_line) <= _LAST_LINE else last_line[: _LAST_LINE - 1] + "…"
    return f"exit code {code}" + (f", last line: {last_line}" if code and last_line else "")
