"""The real process: what it writes of requests, and that no secret is in it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from msgspec.structs import replace
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.frames import Close, Frame, Opcode

from services.eventlog.jetstream import JetStreamLog
from services.eventlog.server import NatsServer
from services.settings import Settings

SECRET = "A_SECRET_OF_THE_TESTS"
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
AUTH = aiohttp.encode_basic_auth("OPENVIDUAPP", SECRET)
WRONG = aiohttp.encode_basic_auth("OPENVIDUAPP", "hush_hush")


@asynccontextmanager
async def process(
    nats: NatsServer, token: str, folder: Path, **settings: str
) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """Its address; the lines it wrote are there after the end of the context."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "DOTENV_PATH": "",
        "OPENVIDU_SECRET": SECRET,
        "HTTPS_PORT": str(port),
        "TERTULIA_DATA_DIR": str(folder / "process"),
        "TERTULIA_NATS_URL": nats.url,
        "TERTULIA_NATS_TOKEN": token,
        "TERTULIA_LOG_FORMAT": "json",
        **settings,
    }
    output = folder / "stderr"
    with output.open("wb") as stderr:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.api", env=environment, stderr=stderr
        )
    lines: list[dict[str, Any]] = []
    url = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(60), aiohttp.ClientSession() as http:
            while True:
                assert child.returncode is None, output.read_text()
                try:
                    async with http.get(f"{url}/livez"):
                        break
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.05)
            yield url, lines
            child.send_signal(signal.SIGTERM)
            assert await child.wait() == 0
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    lines += [json.loads(line) for line in output.read_text().splitlines()]


async def test_one_line_a_request_with_its_id_and_its_trace_and_no_secret(
    nats: NatsServer, nats_token: str, tmp_path: Path
) -> None:
    settings = {"TERTULIA_ACCESS_LOG": "true", "TERTULIA_LOGIN_FAILURES": "1"}
    async with (
        process(nats, nats_token, tmp_path, **settings) as (url, lines),
        aiohttp.ClientSession(url) as http,
    ):
        mine = {"X-Request-Id": "mine-1", "traceparent": PARENT, "Authorization": AUTH}
        path = "/openvidu/api/sessions?pendingConnections=true&secret=hush_hush&token=tok_hush"
        async with http.get(path, headers=mine) as answer:
            assert answer.status == 200
            assert answer.headers["X-Request-Id"] == "mine-1"
            size = len(await answer.read())
        for path in (f"/openvidu/api/{SECRET}", "/openvidu/api/tok_hushhush", "/%0aforged%1b[31m"):
            async with http.get(path, headers={"Authorization": AUTH}) as answer:
                assert answer.status == 404
        async with http.ws_connect("/openvidu?token=tok_hushhush", headers=mine) as ws:
            assert ws._response.headers["X-Request-Id"] == "mine-1"
        guess = {"X-Request-Id": "guess", "Authorization": WRONG}
        async with http.get("/openvidu/api/config", headers=guess) as answer:
            assert answer.status == 401
    requests = [line for line in lines if line["event"] == "request" and line["path"] != "/livez"]
    first = requests[0]
    assert first.pop("duration_ms") > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", first.pop("timestamp"))
    assert first == {
        "level": "info",
        "service": "api",
        "event": "request",
        "method": "GET",
        "path": "/openvidu/api/sessions",
        "status": 200,
        "bytes": size,
        "client": "127.0.0.1",
        "operation": "listSessions",
        "request_id": "mine-1",
        "trace_id": TRACE,
    }
    assert [line["status"] for line in requests] == [200, 404, 404, 404, 401]
    assert len({line["request_id"] for line in requests}) == 5
    assert [line.get("trace_id") for line in requests[1:]] == [None] * 4
    assert requests[1]["path"] == "/openvidu/api/***"
    assert requests[2]["path"] == "/openvidu/api/tok_***"
    (websocket,) = [line for line in lines if line["event"] == "websocket"]
    assert (websocket["path"], websocket["request_id"]) == ("/openvidu", "mine-1")
    (locked,) = [line for line in lines if line["event"] == "address locked out"]
    assert (locked["request_id"], locked["address"]) == ("guess", "127.0.0.1")
    text = (tmp_path / "stderr").read_text()
    for hidden in (SECRET, nats_token, AUTH, WRONG, AUTH.split()[1], WRONG.split()[1], "hush"):
        assert hidden not in text, hidden


async def test_every_answer_has_a_request_id(api: Any) -> None:
    cors = {"Origin": "https://app.example", "Access-Control-Request-Method": "GET"}
    for method, path, more in (
        ("GET", "/sessions", {}),
        ("GET", "/sessions", {"auth": None}),
        ("GET", "/nowhere", {}),
        ("GET", "/livez/nowhere", {}),
        ("DELETE", "/sessions/nobody", {}),
        ("PUT", "/livez", {}),
        ("POST", "/sessions", {"data": b"{"}),
        ("POST", "/sessions", {"data": BytesIO(b" " * 2_000_000)}),
        ("OPTIONS", "/sessions", {"headers": cors}),
        ("GET", "/docs/", {}),
    ):
        answer = await api.call(method, path, **more)
        assert len(answer.headers.getall("X-Request-Id")) == 1, (method, path, answer.status)
    cross = await api.get("/sessions", headers={"Origin": "https://app.example"})
    assert "X-Request-Id" in cross.headers["Access-Control-Expose-Headers"]


async def test_a_client_behind_a_proxy_is_told_apart(start: Any, settings: Settings) -> None:
    access = replace(settings.access, trusted_proxies=(ip_network("127.0.0.1"),))
    forwarded = {"X-Forwarded-For": "192.0.2.1"}
    with capture_logs() as lines:
        async with (
            start(replace(settings, access_log=True, access=access)) as api,
            aiohttp.ClientSession(api.url) as http,
        ):
            await api.get("/livez", headers=forwarded)
            async with http.ws_connect("/openvidu", headers=forwarded):
                pass
    clients = [line["client"] for line in lines if line["event"] in {"request", "websocket"}]
    assert clients == ["192.0.2.1", "192.0.2.1"]


async def test_an_error_of_ours_is_found_by_the_id_in_its_answer(
    api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise LookupError

    monkeypatch.setattr("services.api.views.Views.sessions", broken)
    with capture_logs(processors=[merge_contextvars]) as lines:
        answer = await api.get("/sessions", headers={"traceparent": PARENT})
    assert answer.status == 500
    (line,) = [line for line in lines if line["event"] == "request failed"]
    assert (line["request_id"], line["trace_id"]) == (answer.headers["X-Request-Id"], TRACE)


async def test_only_a_valid_trace_goes_into_the_commit(api: Any, event_log: JetStreamLog) -> None:
    for name, header in {
        "good": PARENT,
        "version": "ff" + PARENT[2:],
        "zeros": f"00-{'0' * 32}-b7ad6b7169203331-01",
        "later": f"01{PARENT[2:]}-more",
    }.items():
        body = {"customSessionId": name}
        answer = await api.post("/sessions", body, headers={"traceparent": header})
        assert answer.status == 200
    found = {
        recorded.commit.session_id: recorded.commit.traceparent
        async for recorded in event_log.read_all()
    }
    assert found == {"good": PARENT, "version": None, "zeros": None, "later": "01" + PARENT[2:]}


async def test_text_that_is_none_ends_the_socket_with_one_line(
    nats: NatsServer, nats_token: str, tmp_path: Path
) -> None:
    broken = b'{"jsonrpc":"2.0","method":"ping","id":1,"fill":"\xff"}'
    pieces = [broken], [b'"\xe2', b"\x82", b'"']
    async with process(nats, nats_token, tmp_path) as (url, lines):
        for frames in pieces:
            async with connect(f"ws{url[4:]}/openvidu", proxy=None) as client:
                await client.send(iter(frames) if len(frames) > 1 else frames[0], text=True)
                await client.wait_closed()
                assert client.close_code == 1007
        async with connect(f"ws{url[4:]}/openvidu", proxy=None) as client:
            frames = Frame(Opcode.TEXT, broken), Frame(Opcode.CLOSE, Close(1000, "").serialize())
            client.transport.write(b"".join(frame.serialize(mask=True) for frame in frames))
            await client.wait_closed()
        async with connect(f"ws{url[4:]}/openvidu", proxy=None) as client:  # a character in two
            text = [b'{"jsonrpc":"2.0","id":1,"method":"ping","fill":"\xe2', b'\x82\xac"}']
            await client.send(iter(text), text=True)
            assert json.loads(await client.recv())["result"]["value"] == "pong"
    told = [line for line in lines if "UTF-8" in line["event"]]
    assert [(line["level"], line["client"]) for line in told] == [("info", "127.0.0.1")] * 2
    assert not [line for line in lines if "exception" in line or line["level"] == "error"]
