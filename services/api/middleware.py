"""What surrounds every request and every WebSocket: its id, its client's address, its measures and
its line in the log. Plain ASGI, around the whole application, so that errors have it too."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from random import Random
from time import perf_counter
from typing import Any

import structlog
from structlog.contextvars import bind_contextvars, clear_contextvars

from services.logs import VALUE_WIDTH

from .proxies import Proxies
from .rest.tracing import trace_id, traceparent
from .traffic import Traffic

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]

UNKNOWN = "unknown"  # the operation of a path that is none of ours

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_STARTS = frozenset({"http.response.start", "websocket.accept"})

_random = Random()  # noqa: S311  # no secret, and no system call

log = structlog.get_logger(__name__)


class Surrounded:
    """`app` with all that; `traffic` and `proxies` only if they are wanted.

    What it binds to the context (`contextvars`) stays there, so that the server's own lines about
    a request have its id as well. Servers may hand a context on to the connection's next request,
    so each begins with a clear one.
    """

    def __init__(
        self,
        app: App,
        *,
        access_log: bool = False,
        traffic: Traffic | None = None,
        proxies: Proxies | None = None,
    ) -> None:
        self._app = app
        self._access_log = access_log
        self._traffic = traffic
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._proxies is not None:
            self._proxies.unveil(scope)
        request_id = _request_id(scope["headers"])
        clear_contextvars()
        bind_contextvars(request_id=request_id)
        if parent := traceparent(scope["headers"]):
            bind_contextvars(trace_id=trace_id(parent))
        header = (b"x-request-id", request_id.encode())

        async def named(message: Message) -> None:
            if message["type"] in _STARTS:
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        if self._traffic is None and not self._access_log:
            await self._app(scope, receive, named)
        elif scope["type"] == "websocket":
            await self._socket(scope, receive, named)
        else:
            await self._request(scope, receive, named)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, size = 500, 0
        path = scope["path"]  # the router writes another one

        async def measured(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                size += len(message.get("body", b""))
            await send(message)

        traffic = self._traffic
        started = perf_counter()
        if traffic is not None:
            traffic.in_flight += 1
        try:
            await self._app(scope, receive, measured)
        finally:
            seconds = perf_counter() - started
            operation, method = operation_of(scope), scope["method"]
            if traffic is not None:
                traffic.in_flight -= 1
                traffic.count(operation, method, status, seconds)
            if self._access_log:
                log.info(
                    "request",
                    method=method,
                    path=path[:VALUE_WIDTH],
                    status=status,
                    duration_ms=round(seconds * 1000, 3),
                    bytes=size,
                    client=scope["client"] and scope["client"][0],
                    operation=operation,
                )

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        traffic = self._traffic
        started = perf_counter()
        if traffic is not None:
            traffic.sockets += 1
            traffic.sockets_opened += 1
        try:
            await self._app(scope, receive, send)
        finally:
            if traffic is not None:
                traffic.sockets -= 1
            if self._access_log:
                log.info(
                    "websocket",
                    path=path[:VALUE_WIDTH],
                    duration_ms=round((perf_counter() - started) * 1000, 3),
                    client=scope["client"] and scope["client"][0],
                    operation=operation_of(scope),
                )


def _request_id(headers: list[tuple[bytes, bytes]]) -> str:
    """The one given, if it is fit to be repeated, or a new one."""
    for name, value in headers:
        if name == b"x-request-id":
            if _REQUEST_ID.fullmatch(value):
                return value.decode("ascii")
            break
    return f"{_random.getrandbits(128):032x}"


def operation_of(scope: Scope) -> str:
    """The operation id of the route that a request was for; of a route that has none, or several,
    the name of its handler."""
    handler = scope.get("route_handler")
    if handler is None:
        return UNKNOWN
    operation = getattr(handler, "operation_id", None)
    return operation if isinstance(operation, str) else str(handler.handler_name)
