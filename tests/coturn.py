"""A real TURN server for tests."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from subprocess import DEVNULL

SECRET = "the_secret_of_the_turn_server"
BINDING = bytes.fromhex("000100002112a442") + bytes(12)
SECONDS = 10.0

Address = tuple[str, int]


@asynccontextmanager
async def turn_server(
    folder: Path, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[Address]:
    """A server that knows `SECRET` and nobody by name; without `port` at a free one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((host, port))
        address: Address = probe.getsockname()
    options = {
        "listening-ip": address[0],
        "listening-port": address[1],
        "relay-ip": address[0],
        "static-auth-secret": SECRET,
        "realm": "turn.example",
        "pidfile": folder / "pid",
        "userdb": folder / "users",
        "log-file": folder / "log",
    }
    switches = ("-n", "--use-auth-secret", "--allow-loopback-peers", "--no-cli")
    process = await asyncio.create_subprocess_exec(
        "turnserver",
        *switches,
        *("--no-tcp", "--no-tls", "--no-dtls"),
        *(f"--{name}={value}" for name, value in options.items()),
        stdout=DEVNULL,
        stderr=DEVNULL,
    )
    try:
        await _answering(address, process)
        yield address
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _answering(address: Address, process: asyncio.subprocess.Process) -> None:
    """Until the server answers a STUN request."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.setblocking(False)
        probe.connect(address)
        async with asyncio.timeout(SECONDS):
            while True:
                assert process.returncode is None, "turnserver ended"
                with suppress(OSError, TimeoutError):
                    await loop.sock_sendall(probe, BINDING)
                    async with asyncio.timeout(0.1):
                        await loop.sock_recv(probe, 1500)
                        return
                await asyncio.sleep(0.05)
