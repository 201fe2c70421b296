"""The HTTP server, embedded: it lives as long as a context."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn

from .http import BoundedHttp
from .sockets import Sockets
from .tls import Files

MAX_FRAME = 1024 * 1024  # bytes of one WebSocket message
BACKLOG = 1024
START_SECONDS = 10.0
DRAIN_SECONDS = 1  # for answers on their way when the server stops
STOP_SECONDS = 2.0
UNREAD_SECONDS = 30.0  # for a client to make room for more of what it asked for


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # signals are the process's own business


@asynccontextmanager
async def serve(app: Any, *, host: str, port: int, tls: Files | None = None) -> AsyncIterator[int]:
    """Serve inside the context; gives the port, of which 0 is any free one.

    Leaving it closes the door, gives answers on their way a second, and ends what is left. Raises
    `OSError` if the address cannot be had.
    """
    listening = _listen(host, port)
    config = uvicorn.Config(
        app,
        http=BoundedHttp,
        ws=Sockets,
        ws_max_size=MAX_FRAME,
        ws_per_message_deflate=False,  # memory and time that a client could have us spend
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # it would trust whatever comes from this machine
        server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        ssl_certfile=tls.certificate if tls else None,
        ssl_keyfile=tls.key if tls else None,
    )
    server = _Server(config)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(server.serve(sockets=[listening]))
        try:
            async with asyncio.timeout(START_SECONDS):
                await server.listening.wait()
            yield int(listening.getsockname()[1])
        finally:
            server.should_exit = True
            await asyncio.wait({serving}, timeout=STOP_SECONDS)
            serving.cancel()
            listening.close()


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
    )[0]
    # With the protocol named, asyncio turns Nagle's algorithm off: 40 ms of every answer.
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections have it from here. It ends one whose other end takes nothing, or is gone,
        # which transports would wait for without end: also when all has been written.
        unread = int(UNREAD_SECONDS * 1000)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, unread)
        listening.bind(address)
        listening.listen(BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening
