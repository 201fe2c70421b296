"""Receivers that are down, hostile or slow, over real sockets."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from structlog.testing import capture_logs

from services.webhooks.endpoint import Endpoint, Failure
from services.webhooks.outbox import Delivery
from services.webhooks.schedule import Schedule
from tests.integration.webhooks.helpers import (
    Conference,
    Post,
    Receiver,
    Service,
    by_session,
    eventually,
    settings,
)

DELIVERY = Delivery(
    id=1, sequence=7, position=0, previous="", event_id="evt_7_0_x", session_id="S",
    event="signalSent", body=b'{"event":"signalSent"}', attempts=0, first_attempt_at=None,
)  # fmt: skip

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def test_a_receiver_that_is_down_for_a_while_misses_nothing(
    receiver: Receiver, conference: Conference, service: Service
) -> None:
    async with service.running(settings(url=receiver.url)):
        await conference.whole("up")
        await receiver.until(Conference.EVENTS)
        await receiver.down()
        await conference.whole("down")
        await conference.whole("down2")
        await service.until_end()
        assert (await service.totals()).waiting == 2 * Conference.EVENTS
        await receiver.up()
        await conference.short("again")
        events = await receiver.until(3 * Conference.EVENTS + 2)
    assert receiver.repeated == []
    for session in ("up", "down", "down2"):
        names = [event["event"] for event in by_session(events)[session]]
        assert names[0] == "sessionCreated"
        assert names == [event["event"] for event in by_session(events)["up"]]


async def test_a_receiver_that_fails_now_and_then_gets_each_session_in_order(
    receiver: Receiver, conference: Conference, service: Service
) -> None:
    answers = 0

    async def flaky(post: Post, request: web.Request) -> web.StreamResponse:
        nonlocal answers
        answers += 1
        if answers % 3:
            return web.Response()
        receiver.posts.remove(post)  # it was not taken
        return web.Response(status=(500, 503, 429, 404)[answers % 4])

    receiver.answer = flaky
    async with service.running(settings(url=receiver.url)):
        await asyncio.gather(*(conference.whole(f"S{number}") for number in range(4)))
        events = await receiver.until(4 * Conference.EVENTS)
    assert receiver.repeated == []
    sessions = list(by_session(events).values())
    for session in sessions:
        assert [e["event"] for e in session] == [e["event"] for e in sessions[0]]


async def test_one_session_that_fails_for_ever_does_not_hold_the_others(
    receiver: Receiver, conference: Conference, service: Service
) -> None:
    async def answer(post: Post, request: web.Request) -> web.StreamResponse:
        return web.Response(status=500 if post.event["sessionId"] == "bad" else 200)

    receiver.answer = answer
    async with service.running(settings(url=receiver.url)):
        await conference.whole("bad")
        await conference.whole("good")
        await eventually(
            lambda: (
                len(by_session(receiver.events)["good"]) == Conference.EVENTS
                and len(receiver.repeated) > 3
            )
        )
    assert {post.event["event"] for post in receiver.repeated} == {"sessionCreated"}
    assert len(by_session(receiver.events)["bad"]) == 1
    assert len({post.id for post in receiver.repeated}) == 1  # the same id in each repetition


@pytest.mark.parametrize("status", [200, 201, 202, 204, 206, 299])
async def test_any_2xx_is_success_and_not_repeated(
    receiver: Receiver, conference: Conference, service: Service, status: int
) -> None:
    async def answer(post: Post, request: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    receiver.answer = answer
    async with service.running(settings(url=receiver.url)):
        await conference.short("S")
        await receiver.until(2)
        await eventually_delivered(service)
    assert receiver.repeated == []


async def test_a_redirect_is_a_failure_and_not_followed(
    receiver: Receiver, conference: Conference, service: Service
) -> None:
    async def answer(post: Post, request: web.Request) -> web.StreamResponse:
        status = (301, 302, 307, 308)[len(receiver.posts) % 4]
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    receiver.answer = answer
    async with service.running(settings(url=receiver.url)):
        await conference.begin("S")
        await eventually(lambda: len(receiver.posts) >= 5)
        receiver.answer = None
        await eventually_delivered(service)
    assert {post.path for post in receiver.posts} == {"/hook"}


async def test_retry_after_is_honoured_over_the_schedule(
    receiver: Receiver, conference: Conference, service: Service
) -> None:
    async def answer(post: Post, request: web.Request) -> web.StreamResponse:
        return web.Response(status=429, headers={"Retry-After": "2"})

    receiver.answer = answer
    loop = asyncio.get_running_loop()
    async with service.running(settings(url=receiver.url)):
        await conference.begin("S")
        await eventually(lambda: len(receiver.posts) == 1)
        first = loop.time()
        receiver.answer = None
        await eventually(lambda: len(receiver.posts) == 2)
        assert loop.time() - first > 1.5


@asynccontextmanager
async def raw_server(handler: Handler) -> AsyncIterator[str]:
    """A server that does as it likes; its URL."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await handler(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    finally:
        server.close()
        await server.wait_closed()


async def attempt(url: str, **limits: float) -> Failure | None:
    async with asyncio.timeout(15), Endpoint(url, **limits) as endpoint:  # type: ignore[arg-type]
        return await endpoint.post(DELIVERY, 1.0)


def answering(data: bytes) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return handler


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\x00\x01\x02\xff" * 100,
        b"hello\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nBad Header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
    ],
    ids=lambda data: repr(data[:24]),
)
async def test_garbage_is_no_answer(garbage: bytes) -> None:
    async with raw_server(answering(garbage)) as url:
        failure = await attempt(url)
    assert failure is not None
    assert failure.unreachable
    assert len(failure.error) < 100


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
        b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 \xff\xfe\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=lambda data: repr(data[9:40]),
)
async def test_after_a_2xx_status_the_rest_of_the_answer_does_not_matter(answer: bytes) -> None:
    async with raw_server(answering(answer)) as url:
        assert await attempt(url) is None


async def test_an_endless_answer_is_cut_off() -> None:
    written = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
        while True:
            writer.write(bytes(65536))
            written += 65536
            await writer.drain()

    async with raw_server(handler) as url:
        assert await attempt(url) is None
    assert written < 50 * 1024 * 1024


async def test_a_receiver_that_never_answers_is_given_up() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_server(handler) as url:
        failure = await attempt(url, response_timeout=0.2)
    assert failure == Failure("no answer in time", unreachable=True)


async def test_a_receiver_that_answers_a_byte_now_and_then_is_given_up() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in b"HTTP/1.1 200 OK and so on, for a long time" * 100:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.05)

    async with raw_server(handler) as url:
        failure = await attempt(url, response_timeout=0.2, total_timeout=0.5)
    assert failure == Failure("no answer in time", unreachable=True)


async def test_a_host_that_does_not_exist_is_told_as_such() -> None:
    failure = await attempt("http://nowhere.invalid/hook")
    assert failure == Failure("host name not found", unreachable=True)


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_self_signed(tmp_path))
    server = await asyncio.start_server(
        lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context
    )
    try:
        port = server.sockets[0].getsockname()[1]
        failure = await attempt(f"https://127.0.0.1:{port}/hook")
    finally:
        server.close()
        await server.wait_closed()
    assert failure == Failure("certificate not trusted", unreachable=True)


async def test_proxies_of_the_environment_are_ignored(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert await attempt(receiver.url) is None


async def test_cookies_of_the_receiver_are_not_sent_back(receiver: Receiver) -> None:
    async def answer(post: Post, request: web.Request) -> web.StreamResponse:
        return web.Response(headers={"Set-Cookie": "a=b"})

    receiver.answer = answer
    async with Endpoint(receiver.url.replace("127.0.0.1", "localhost")) as endpoint:
        await endpoint.post(DELIVERY, 1.0)
        await endpoint.post(DELIVERY, 2.0)
    assert [post.headers.get("Cookie") for post in receiver.posts] == [None, None]


async def test_one_connection_serves_many_deliveries(receiver: Receiver) -> None:
    peers = set()

    async def answer(post: Post, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return web.Response(text="x" * 1000)

    receiver.answer = answer
    async with Endpoint(receiver.url) as endpoint:
        for _ in range(20):
            assert await endpoint.post(DELIVERY, 1.0) is None
    assert len(peers) == 1


async def test_no_secret_of_the_endpoint_is_logged(
    receiver: Receiver, conference: Conference, service: Service
) -> None:
    async def answer(post: Post, request: web.Request) -> web.StreamResponse:
        if len(receiver.posts) % 2:
            return web.Response(
                status=401, reason="no hunter2", text="hunter2", headers={"X": "hunter2"}
            )
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    receiver.answer = answer
    url = receiver.url.replace("//", "//ana:hunter2@").replace("/hook", "/hunter2?key=hunter2")
    with capture_logs() as lines:
        async with service.running(
            settings(url=url, headers=[("X-Key", "hunter2")]), schedule=Schedule(delays=(0.01,))
        ):
            await conference.short("S")
            await eventually(lambda: len(receiver.posts) >= 6)
        await receiver.down()
        async with service.running(
            settings(url=url, headers=[("X-Key", "hunter2")]), schedule=Schedule(delays=(0.01,))
        ):
            await eventually(lambda: any("reached" in line["event"] for line in lines))
    assert any(line.get("error") == "status 401" for line in lines)
    assert "hunter2" not in repr(lines)


async def eventually_delivered(service: Service) -> None:
    async with asyncio.timeout(20):
        while True:
            if not (await service.totals()).waiting:
                return
            await asyncio.sleep(0.01)


def _self_signed(folder: Path) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(tz=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return os.fspath(path)
