"""One WebSocket: what arrives goes to the gateway, what leaves waits in a bounded queue."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect
from litestar.handlers import WebsocketRouteHandler, websocket

from . import rpc
from .frames import Frame, FrameQueue

if TYPE_CHECKING:
    from .peers import Peer

OUTBOX_FRAMES = 1000
OUTBOX_SIZE = 4 * 1024 * 1024
SEND_SECONDS = 10.0
CLOSE_SECONDS = 2.0
BURST = 1000  # frames a client may send at once …
FRAMES_PER_SECOND = 200  # … and for long; a flood is read no faster

NO_PING = "Close for not receive ping from client"  # the contract's wording

log = structlog.get_logger(__name__)


class Hub(Protocol):
    """What a socket needs of its gateway; all of it at once, without waiting."""

    @property
    def open(self) -> bool: ...

    @property
    def ping_interval(self) -> float: ...

    def receive(self, socket: Socket, text: str) -> None: ...

    def detach(self, socket: Socket) -> None: ...


class Socket:
    """`address` is the client's IP address, if known; `remote` the one its packets come from,
    whatever a header says."""

    def __init__(self, hub: Hub, address: str | None, remote: str | None) -> None:
        self.address = address
        self.remote = remote
        self.peer: Peer | None = None
        self.closed = asyncio.Event()
        self.close_code = 1000
        self.close_reason = ""
        self._hub = hub
        self._outbox = FrameQueue(OUTBOX_FRAMES, OUTBOX_SIZE)
        self._ready = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._ping_interval = hub.ping_interval
        self._pinged = self._loop.time()
        self._allowance = float(BURST)
        self._filled = self._pinged

    def send(self, text: str) -> None:
        """A response: lost with the socket."""
        self.push(Frame(text, kept=False))

    def push(self, frame: Frame) -> bool:
        """False if the socket is closed, or now is because the client cannot keep up."""
        if self.closed.is_set():
            return False
        if not self._outbox.push(frame):
            self.close(1013, "The client does not keep up")
            return False
        self._ready.set()
        return True

    def load(self, frames: list[Frame]) -> None:
        """What waited for this socket; it does not count against its limits."""
        self._outbox.load(frames)
        self._ready.set()

    def unsent(self) -> list[Frame]:
        """The notifications that never reached the network."""
        return [frame for frame in self._outbox.drain() if frame.kept]

    def close(self, code: int, reason: str) -> None:
        """At once: what is still queued goes back to the peer."""
        if self.closed.is_set():
            return
        self.close_code, self.close_reason = code, reason
        self.closed.set()
        if self._writer is not None and self._writer is not asyncio.current_task():
            self._writer.cancel()  # now, so that what the peer takes back is not sent as well
        self._hub.detach(self)

    def ping(self, interval: float | None) -> None:
        """`interval` in seconds, as the client's first ping tells it."""
        self._pinged = self._loop.time()
        if interval is not None:
            self._ping_interval = interval

    async def serve(self, websocket: WebSocket[Any, Any, Any]) -> None:
        """Until either side closes. Never raises but for cancellation."""
        try:
            async with asyncio.TaskGroup() as tasks:
                reader = tasks.create_task(self._read(websocket))
                self._writer = tasks.create_task(self._write(websocket.send_text))
                await self.closed.wait()
                reader.cancel()
            with suppress(Exception):  # it may be gone already, whatever the server calls that
                async with asyncio.timeout(CLOSE_SECONDS):
                    await websocket.close(self.close_code, self.close_reason)
        finally:
            self.close(1001, "The server goes away")
            self._writer = None  # its cancellation remembers where it was: here

    async def _read(self, websocket: WebSocket[Any, Any, Any]) -> None:
        try:
            while True:
                async with asyncio.timeout_at(self._pinged + 3 * self._ping_interval):
                    event = await websocket.receive()
                if event["type"] != "websocket.receive":
                    return
                self._take(event.get("text"))
                await self._throttle()
        except TimeoutError:
            self.close(1000, NO_PING)
        except WebSocketDisconnect:
            pass
        except Exception:
            log.exception("socket_reader_failed")
        finally:
            self.close(1000, "")

    def _take(self, text: str | None) -> None:
        if text is None:
            self.send(rpc.error(None, rpc.INVALID_REQUEST, "Frames are TEXT"))
        elif 4 * len(text) > rpc.MAX_FRAME and len(text.encode()) > rpc.MAX_FRAME:
            self.close(1009, "The frame is too large")
        else:
            self._hub.receive(self, text)

    async def _throttle(self) -> None:
        now = self._loop.time()
        earned = (now - self._filled) * FRAMES_PER_SECOND
        self._allowance = min(self._allowance + earned, float(BURST)) - 1
        self._filled = now
        if self._allowance < 0:
            await asyncio.sleep(-self._allowance / FRAMES_PER_SECOND)

    async def _write(self, send: Callable[[str], Awaitable[None]]) -> None:
        try:
            while True:
                await self._ready.wait()
                self._ready.clear()
                while frame := self._outbox.first():
                    async with asyncio.timeout(SEND_SECONDS):
                        await send(frame.text)
                    # Only now: a frame whose turn never came goes to the next socket.
                    self._outbox.pop()
        except Exception:  # every server has its own error for a client that is gone
            log.debug("socket_lost")
        finally:
            self.close(1011, "The client does not read")


def websocket_handler(hub: Hub) -> WebsocketRouteHandler:
    """The route `/openvidu` (`signaling.md` 1.1): any origin, no sub-protocol."""

    @websocket("/openvidu", name="signaling")
    async def signaling(socket: WebSocket[Any, Any, Any]) -> None:
        try:
            await socket.accept()
            if not hub.open:
                await socket.close(1013, "Try again later")
                return
            remote = socket.client.host if socket.client else None
            await Socket(hub, client_address(socket), remote).serve(socket)
        finally:
            del socket.receive, socket.send  # they hold it: it would wait for a collection

    return signaling


def client_address(socket: WebSocket[Any, Any, Any]) -> str | None:
    """Of header `x-real-ip` if that holds an address, else of the socket."""
    for candidate in (socket.headers.get("x-real-ip"), socket.client and socket.client.host):
        with suppress(ValueError):
            if candidate:
                return str(ipaddress.ip_address(candidate.strip()))
    return None
