"""What ends is freed at once: the collector of cycles looks at long-lived objects only after very
many of them, and a socket is 30 kilobytes."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from typing import Any

import pytest
from litestar import WebSocket
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.asyncio.client import ClientConnection, connect
from websockets.server import ServerProtocol

from services.api.signaling.socket import Socket
from services.conference.errors import ConferenceError

OF_A_CONNECTION = (
    Socket,
    WebSocket,
    WebSocketsSansIOProtocol,
    ServerProtocol,
    HttpToolsProtocol,
)


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def left(*kinds: type) -> list[str]:
    return [type(one).__qualname__ for one in gc.get_objects() if isinstance(one, kinds)]


async def leave(client: ClientConnection) -> None:
    await client.close()


async def vanish(client: ClientConnection) -> None:
    client.transport.abort()


async def be_thrown_out(client: ClientConnection) -> None:
    await client.send("x" * (1024 * 1024 + 1))
    await client.wait_closed()


@pytest.mark.parametrize("end", [leave, vanish, be_thrown_out])
async def test_an_ended_socket_is_freed(api: Any, end: Any) -> None:
    client = await connect(f"ws://127.0.0.1:{api.port}/openvidu", proxy=None)
    await client.send('{"jsonrpc":"2.0","method":"ping","id":0}')
    assert json.loads(await client.recv())["result"]["value"] == "pong"
    assert set(left(*OF_A_CONNECTION)) >= {"Socket", "WebSocket", "ServerProtocol"}
    await end(client)

    async def freed() -> bool:
        return not left(*OF_A_CONNECTION)

    await api.eventually(freed)


async def test_a_refused_request_is_freed(api: Any) -> None:
    for path in ("/sessions/nobody", "/sessions/nobody/connection/con_a", "/recordings/none"):
        assert (await api.delete(path)).status in {400, 404}

    async def freed() -> bool:
        return not left(ConferenceError)

    await api.eventually(freed)
