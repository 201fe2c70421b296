"""Clients that send endless heads, nothing, or a body that never ends; others are served on."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest


async def answer_to(api: Any, *pieces: bytes) -> bytes:
    """What comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    try:
        async with asyncio.timeout(20):
            try:
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                return await reader.read(-1)
            except ConnectionError:
                return b"cut"
    finally:
        writer.close()


@pytest.mark.parametrize(
    "piece", [b"X-More: 1\r\n" * 1000, b"a" * 10_000], ids=["many headers", "a long one"]
)
async def test_an_endless_head_is_cut_off(api: Any, piece: bytes) -> None:
    found = await answer_to(api, b"GET /livez HTTP/1.1\r\nX-Endless: ", *([piece] * 1000))
    assert found == b"cut" or found.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))
    assert (await api.get("/sessions")).status == 200


async def test_a_head_that_does_not_come_is_not_waited_for(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.http.HEAD_SECONDS", 0.3)
    async with start() as api:
        for pieces in ([], [b"GET /livez HT"], [b"GET /livez HTTP/1.1\r\nHost: a\r\n"]):
            assert (await answer_to(api, *pieces)).startswith(b"HTTP/1.1 408 ")
        whole = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
        found = await answer_to(api, whole, b"GET /livez")
        assert found.startswith(b"HTTP/1.1 200 ")
        assert b"HTTP/1.1 408 " in found, "the next request of a connection neither"


async def test_a_body_that_does_not_come_is_not_waited_for(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.rest.parsing.BODY_SECONDS", 0.3)

    async def trickle() -> Any:
        for _ in range(1000):
            yield b" "
            await asyncio.sleep(0.05)

    async with start() as api:
        for path in ("/sessions", "/recordings/start"):
            answer = await api.call("POST", path, data=trickle())
            assert answer.status == 408
        assert (await api.get("/sessions")).json["numberOfElements"] == 0


async def test_what_is_not_http_is_turned_away(api: Any) -> None:
    for noise in (b"\x16\x03\x01\x02\x00\x01\x00", b"\x00" * 100, b"hello\r\n\r\n", b"\r\n" * 50):
        found = await answer_to(api, noise, b"GET / HTTP/9.9\r\n\r\n")
        assert found == b"cut" or found.startswith(b"HTTP/1.1 400 ")
    assert (await api.get("/sessions")).status == 200


async def test_requests_in_one_pipe_are_answered_in_order(api: Any) -> None:
    one = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
    last = b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    found = await answer_to(api, one * 5 + last)
    assert found.count(b"HTTP/1.1 200 ") == 6


MUCH = b"GET /docs/openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 200


@contextmanager
def deaf_client(api: Any) -> Iterator[socket.socket]:
    """Asks for more than the system takes for it, has hardly room for it, and reads nothing."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(20)
        client.connect(("127.0.0.1", api.port))
        client.sendall(MUCH)
        client.setblocking(False)
        yield client


def is_served(api: Any, client: socket.socket) -> bool:
    """Does this process hold its end of the connection?"""
    held = set()
    for file in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            held.add(file.readlink().name)
    ends = [f"0100007F:{port:04X}" for port in (api.port, client.getsockname()[1])]
    lines = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    return any(line[1:3] == ends and f"socket:[{line[9]}]" in held for line in lines)


async def test_who_does_not_read_is_given_up(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.api.server.UNREAD_SECONDS", 1.0)
    async with start() as api:
        with deaf_client(api) as client:

            async def served() -> bool:
                return is_served(api, client)

            async def given_up() -> bool:
                return not is_served(api, client)

            await api.eventually(served)
            await api.eventually(given_up)
        assert (await api.get("/sessions")).status == 200


async def test_who_reads_slowly_is_waited_for(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.api.server.UNREAD_SECONDS", 4.0)
    loop = asyncio.get_running_loop()
    async with start() as api:
        with deaf_client(api) as client:
            began = loop.time()
            while loop.time() - began < 6:
                assert await loop.sock_recv(client, 8192)
                await asyncio.sleep(0.3)
            assert is_served(api, client)
