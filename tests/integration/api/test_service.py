"""The api as a process: broker trouble, stops, TLS."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from msgspec.structs import replace
from nats.aio.client import Client
from websockets.asyncio.client import connect

from services.api.feed import Feed
from services.api.service import service
from services.api.signaling.cluster import Gateways
from services.api.tls import certificate_files
from services.eventlog.server import NatsServer
from services.settings import Settings


async def test_without_the_broker_commands_are_503_and_answers_go_on(
    api: Any, nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.new_session(customSessionId="salon")
    before = await api.get("/sessions/salon")
    await nats.stop()
    refused = await api.post("/sessions", {"customSessionId": "other"})
    assert refused.status == 503
    assert refused.json["message"]
    assert (await api.get("/sessions/salon")).body == before.body
    await nats.start()

    async def again() -> bool:
        return bool((await api.post("/sessions", {"customSessionId": "third"})).status == 200)

    await api.eventually(again)
    assert (await api.get("/sessions/third")).status == 200


async def test_a_stop_leaves_sessions_as_they_are_and_takes_little_time(
    start: Any, room: Any
) -> None:
    async with aiohttp.ClientSession() as http:
        async with start() as api:
            await api.new_session(customSessionId="salon")
            ana = await room.person(api, "salon")
            before = await api.get("/sessions/salon")
            sockets = [await http.ws_connect(f"{api.url}/openvidu") for _ in range(5)]
            begun = time.monotonic()
        assert time.monotonic() - begun < 10, "no socket holds it up"
        for socket in sockets:
            message = await asyncio.wait_for(socket.receive(), 10)
            assert message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED}
    async with start() as api:
        assert (await api.get("/sessions/salon")).body == before.body
        assert (await api.get(f"/sessions/salon/connection/{ana}")).json["status"] == "active"


async def test_the_process_serves_until_a_signal_and_ends_well(
    nats: NatsServer, nats_token: str, settings: Any, tmp_path: Path
) -> None:
    port = _free_port()
    environment = {
        **os.environ,
        "DOTENV_PATH": "",
        "OPENVIDU_SECRET": settings.access.secret,
        "HTTPS_PORT": str(port),
        "TERTULIA_DATA_DIR": str(tmp_path / "process"),
        "TERTULIA_NATS_URL": nats.url,
        "TERTULIA_NATS_TOKEN": nats_token,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.api",
        env=environment, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(60), aiohttp.ClientSession() as http:
            while True:
                assert process.returncode is None
                try:
                    async with http.get(f"http://127.0.0.1:{port}/livez") as answer:
                        assert answer.status == 200
                        break
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            _, output = await process.communicate()
        assert process.returncode == 0, output.decode()
        assert settings.access.secret not in output.decode()
        assert nats_token not in output.decode()
        assert "serving" in output.decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_an_address_in_use_is_an_error(
    api: Any, settings: Any, nats_client: Client, event_log: Any, tmp_path: Path
) -> None:
    taken = replace(
        settings,
        access=replace(settings.access, listen_port=api.port),
        storage=replace(settings.storage, data_dir=tmp_path),
    )
    with pytest.raises(ExceptionGroup) as raised:
        async with service(taken, nats_client, event_log):
            pass
    assert raised.group_contains(OSError)


async def test_over_tls_with_a_certificate_of_its_own_that_it_keeps(
    settings: Any, start: Any
) -> None:
    secure = replace(settings, access=replace(settings.access, plain_http=False))
    files = certificate_files(secure)
    trust = ssl.create_default_context(cafile=str(files.certificate))
    async with start(secure) as api, aiohttp.ClientSession() as http:
        url = f"https://127.0.0.1:{api.port}/livez"
        async with http.get(url, ssl=trust) as answer:
            assert answer.status == 200
    assert certificate_files(secure) == files
    assert files.key.stat().st_mode & 0o077 == 0
    first = files.certificate.read_bytes()
    certificate_files(secure)
    assert files.certificate.read_bytes() == first, "it is kept"
    moved = replace(secure, access=replace(secure.access, domain="meet.example"))
    certificate_files(moved)
    assert files.certificate.read_bytes() != first, "it names another host"
    files.key.write_bytes(b"damaged")
    certificate_files(moved)
    assert b"BEGIN PRIVATE KEY" in files.key.read_bytes()


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_the_grace_time_of_clients_begins_when_they_can_come_back(
    start: Any, room: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start() as api:
        await api.new_session(customSessionId="salon")
        ana = await room.person(api, "salon")

    catch_up = Feed.wait_for

    async def slow(self: Feed, sequence: int, timeout: float) -> None:  # noqa: ASYNC109
        await asyncio.sleep(2.0)  # a long catch-up, more than the grace time
        await catch_up(self, sequence, timeout)

    monkeypatch.setattr(Feed, "wait_for", slow)
    short = replace(settings, sessions=replace(settings.sessions, reconnection_grace=0.5))
    async with start(short) as api:
        path = f"/sessions/salon/connection/{ana}"
        assert (await api.get(path)).status == 200, "nobody was evicted behind a closed door"

        async def evicted() -> bool:
            return bool((await api.get(path)).status in {400, 404})

        await api.eventually(evicted)


async def test_only_the_owner_may_read_the_projection(start: Any, settings: Settings) -> None:
    async with start() as api:
        await api.new_session()
    files = list(settings.storage.data_dir.glob("projection*"))
    assert files
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)


async def test_the_door_opens_when_clients_can_come_in(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen on a busy machine: the first clients were sent away with 1013."""
    begin = Gateways.start

    async def slowly(gateways: Gateways) -> None:
        await asyncio.sleep(0.5)
        await begin(gateways)

    monkeypatch.setattr(Gateways, "start", slowly)
    async with (
        start() as server,
        connect(f"ws://127.0.0.1:{server.port}/openvidu", proxy=None) as client,
    ):
        await client.send('{"jsonrpc":"2.0","method":"ping","id":0}')
        assert json.loads(await client.recv())["result"] == {"value": "pong"}
