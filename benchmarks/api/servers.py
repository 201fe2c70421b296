"""The servers under load, each a process of its own, on loopback and free ports."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from services.eventlog.jetstream import JetStreamLog, connect
from services.eventlog.server import NatsServer, die_with_parent

TOKEN = "bench"
SECRET = "A_SECRET_OF_THE_BENCHMARK"
AUTH = b"Basic " + b64encode(f"OPENVIDUAPP:{SECRET}".encode())
START_SECONDS = 30.0
STOP_SECONDS = 20.0


class Server(NamedTuple):
    """`log`: pid of its nats-server, 0 without one. `url` is that of the log."""

    name: str
    port: int
    pid: int
    log: int = 0
    url: str = ""


@asynccontextmanager
async def nats(name: str, folder: Path) -> AsyncIterator[Server]:
    """Our settings, our stream."""
    server = NatsServer(folder, token=TOKEN)
    await server.start()
    try:
        client = await connect(server.url, token=TOKEN, name="bench")
        await (await JetStreamLog.open(client)).close()
        await client.close()
        assert server.process is not None
        yield Server(name, server.port, 0, server.process.pid, server.url)
    finally:
        await server.stop()


@asynccontextmanager
async def tertulia(
    folder: Path, command: tuple[str, ...] = ("services.api",)
) -> AsyncIterator[Server]:
    """The api process and its nats-server, as `tertulia serve` starts them."""
    async with nats("log", folder / "nats") as log:
        port = free_port()
        environment = os.environ | {
            "DOTENV_PATH": "",
            "OPENVIDU_SECRET": SECRET,
            "PYTHONUNBUFFERED": "1",
            "SERVER_PORT": str(port),
            "TERTULIA_DATA_DIR": str(folder),
            "TERTULIA_NATS_TOKEN": TOKEN,
            "TERTULIA_NATS_URL": log.url,
        }
        arguments = (sys.executable, "-m", *command)
        async with running(arguments, folder / "api.out", environment) as process:
            await listening(process, port, folder / "api.out")
            yield Server("tertulia", port, process.pid, log.log, log.url)


@asynccontextmanager
async def litestar(name: str, kind: str, folder: Path, sizes: list[int]) -> AsyncIterator[Server]:
    """See `benchmarks.api.peers`."""
    arguments = ("-m", "benchmarks.api.peers", kind, str(folder), *map(str, sizes))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        preexec_fn=die_with_parent(),
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            line = await process.stdout.readline()
        if not line:
            raise SystemExit(f"the peer {name!r} did not start")
        yield Server(name, int(line), process.pid)
    finally:
        await _end(process)


@asynccontextmanager
async def running(
    arguments: tuple[str, ...], output: Path, environment: dict[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    with output.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *arguments,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            preexec_fn=die_with_parent(),
        )
    try:
        yield process
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def listening(process: asyncio.subprocess.Process, port: int, output: Path) -> None:
    """Returns once something accepts connections at `port`."""
    async with asyncio.timeout(START_SECONDS):
        while process.returncode is None:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.05)
    raise SystemExit(tail(output))


def tail(output: Path) -> str:
    return output.read_text(errors="replace")[-3000:]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
