"""`POST /openvidu/api/restart` on a whole installation."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from services.eventlog.connection import connect
from services.eventlog.restarts import Restarts
from services.launcher.serve import SERVICES
from tests.e2e.server_under_test import SECRET, Server, eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

API = "/openvidu/api"
RESTART = f"{API}/restart"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    started = Server(tmp_path_factory.mktemp("server"))
    (started.folder / ".env").write_text(
        "# mine\nOPENVIDU_STREAMS_VIDEO_MAX_RECV_BANDWIDTH=1000\n\nOPENVIDU_CDR=false\n"
    )
    (started.folder / ".env").chmod(0o640)
    await started.start()
    try:
        yield started
    finally:
        await started.stop()


async def restarts(server: Server) -> int:
    return int((await server.get(f"{API}/status"))["restartCounter"])


async def until_restarted(server: Server, before: int) -> None:
    async def grown() -> bool:
        try:
            return await restarts(server) > before
        except (aiohttp.ClientError, AssertionError, TimeoutError):
            return False

    await eventually(grown, limit=60, what="the counter of restarts grows")
    await server.until_ready()


async def restart(server: Server, body: object = None) -> None:
    before = await restarts(server)
    await server.post(RESTART, body)
    await until_restarted(server, before)


def pids(server: Server) -> dict[str, int]:
    return {service: server.pid_of(service) for service in SERVICES}


def broker(server: Server) -> str:
    return (server.folder / "data/nats/nats-server.pid").read_text()


async def commits(server: Server, session: str) -> list[dict[str, Any]]:
    code, output = await server.run("log", "--session", session, "--json")
    assert code == 0, output
    return [json.loads(line) for line in output.splitlines()]


async def test_new_settings_are_kept_and_all_services_have_them(server: Server) -> None:
    session = await server.new_session()
    await server.new_token(session)
    old, old_broker = pids(server), broker(server)
    since = (await server.get(f"{API}/status"))["startTime"]

    await restart(
        server,
        {
            "OPENVIDU_SECRET": SECRET,
            "OPENVIDU_CDR": True,
            "OPENVIDU_STREAMS_VIDEO_MAX_RECV_BANDWIDTH": 1500,
            "OPENVIDU_SESSIONS_GARBAGE_INTERVAL": "60",
            "OPENVIDU_WEBHOOK_HEADERS": ["Authorization: Basic abcdefgh", "X-It: is 'so'"],
            "OPENVIDU_PRO_CLUSTER_ID": None,
        },
    )

    config = await server.get(f"{API}/config")
    assert config["OPENVIDU_CDR"] is True
    assert config["OPENVIDU_STREAMS_VIDEO_MAX_RECV_BANDWIDTH"] == 1500
    assert config["OPENVIDU_SESSIONS_GARBAGE_INTERVAL"] == 60
    assert config["OPENVIDU_CDR_PATH"] == str(server.folder / "data/cdr") + "/"
    await eventually(lambda: all(pid != old[name] for name, pid in pids(server).items()))
    assert broker(server) == old_broker
    assert list((server.folder / "data/cdr").glob("CDR.*.log"))

    file = server.folder / ".env"
    assert file.read_text() == (
        "# mine\n"
        "OPENVIDU_STREAMS_VIDEO_MAX_RECV_BANDWIDTH=1500\n"
        "\n"
        "OPENVIDU_CDR=true\n"
        "OPENVIDU_SESSIONS_GARBAGE_INTERVAL=60\n"
        'OPENVIDU_WEBHOOK_HEADERS=["Authorization: Basic abcdefgh","X-It: is \'so\'"]\n'
    )
    assert file.stat().st_mode & 0o777 == 0o640

    status = await server.get(f"{API}/status")
    assert status["startTime"] > status["lastRestartTime"] > since
    assert (await server.get(f"{API}/sessions"))["numberOfElements"] == 0
    history = await commits(server, session)
    assert history[-1]["command"] == {
        "command": "closeSession",
        "reason": "openviduServerStopped",
    }
    assert "is started again" not in server.log()


async def test_a_second_one_works_as_well_and_keeps_the_first(server: Server) -> None:
    await restart(server, {"OPENVIDU_SESSIONS_GARBAGE_THRESHOLD": 30})
    config = await server.get(f"{API}/config")
    assert config["OPENVIDU_SESSIONS_GARBAGE_THRESHOLD"] == 30
    assert config["OPENVIDU_SESSIONS_GARBAGE_INTERVAL"] == 60


async def test_without_a_body_everything_restarts_as_it_was(server: Server) -> None:
    text, old = (server.folder / ".env").read_text(), pids(server)
    await restart(server)
    assert (server.folder / ".env").read_text() == text
    await eventually(lambda: all(pid != old[name] for name, pid in pids(server).items()))
    assert await server.new_session()


async def test_a_wrong_value_changes_nothing(server: Server) -> None:
    session = await server.new_session()
    text, old, before = (server.folder / ".env").read_text(), pids(server), await restarts(server)
    answer = await server.request(
        "POST",
        RESTART,
        {"OPENVIDU_CDR": "maybe", "OPENVIDU_WEBHOOK": True, "HTTPS_PORT": 1, "NONSENSE": 1},
        status=400,
    )
    for name in ("OPENVIDU_CDR", "OPENVIDU_WEBHOOK_ENDPOINT", "HTTPS_PORT", "NONSENSE"):
        assert name in answer["message"]
    assert (server.folder / ".env").read_text() == text
    assert pids(server) == old
    assert await restarts(server) == before
    assert (await server.get(f"{API}/sessions/{session}"))["id"] == session


async def test_an_api_that_is_killed_after_its_answer_does_no_harm(server: Server) -> None:
    session = await server.new_session()
    before, old = await restarts(server), pids(server)
    await server.post(RESTART, {"OPENVIDU_SESSIONS_GARBAGE_INTERVAL": 61})
    os.kill(old["api"], signal.SIGKILL)
    await until_restarted(server, before)

    async def has_the_new_settings() -> bool:
        try:
            config = await server.get(f"{API}/config")
        except (aiohttp.ClientError, AssertionError, TimeoutError):
            return False
        return bool(config["OPENVIDU_SESSIONS_GARBAGE_INTERVAL"] == 61)

    # A killed service comes back as it was, and only then hears of the restart.
    await eventually(has_the_new_settings, what="the api has the new settings")
    await server.until_ready()
    await eventually(lambda: all(pid != old[name] for name, pid in pids(server).items()))
    assert await restarts(server) == before + 1
    assert (await commits(server, session))[-1]["command"]["reason"] == "openviduServerStopped"


async def test_a_service_that_hung_meanwhile_hears_of_it(server: Server) -> None:
    old = pids(server)
    os.kill(old["webhooks"], signal.SIGSTOP)
    try:
        await restart(server, {"OPENVIDU_CDR": False})
        assert server.pid_of("webhooks") == old["webhooks"]
    finally:
        os.kill(old["webhooks"], signal.SIGCONT)
    await server.until_replaced("webhooks", old["webhooks"])


async def test_a_service_that_came_back_as_it_was_just_before_hears_of_it(server: Server) -> None:
    old = pids(server)
    client = await connect(
        (server.folder / "data/nats-url").read_text(),
        token=(server.folder / "data/nats-token").read_text(),
        name="test",
    )
    try:
        for pid in old.values():
            os.kill(pid, signal.SIGSTOP)  # none of them tells the launcher
        with (server.folder / ".env").open("a") as file:
            file.write("OPENVIDU_PRO_STATS_WEBRTC_INTERVAL=7\n")
        restarts = Restarts(client)
        await restarts.ask()
        await restarts.begin(await restarts.read(), 1)
        os.kill(old["api"], signal.SIGKILL)

        async def has_the_new_settings() -> bool:
            try:
                config = await server.get(f"{API}/config")
            except (aiohttp.ClientError, AssertionError, TimeoutError):
                return False
            return bool(config["OPENVIDU_PRO_STATS_WEBRTC_INTERVAL"] == 7)

        await eventually(has_the_new_settings, limit=60)
    finally:
        await client.close()
        for service in SERVICES[:-1]:
            os.kill(old[service], signal.SIGCONT)
    for service in SERVICES[:-1]:
        await server.until_replaced(service, old[service])
    await server.until_ready()


async def test_the_same_idempotency_key_restarts_once(server: Server) -> None:
    before = await restarts(server)
    for _ in range(2):
        await post_with_key(server, "one")
    await until_restarted(server, before)
    old = pids(server)
    await post_with_key(server, "one")
    assert await restarts(server) == before + 1
    session = await server.new_session()  # had it begun again, this would be closed
    await restart(server)
    assert await restarts(server) == before + 2
    assert pids(server) != old
    assert (await commits(server, session))[-1]["command"]["reason"] == "openviduServerStopped"


async def post_with_key(server: Server, key: str) -> None:
    assert server._http is not None
    async with server._http.post(RESTART, headers={"Idempotency-Key": key}) as answer:
        assert answer.status == 200, await answer.text()


async def test_without_a_folder_for_the_file_nothing_changes(tmp_path: Path) -> None:
    server = Server(tmp_path, DOTENV_PATH=str(tmp_path / "missing"))
    await server.start()
    try:
        body = {"OPENVIDU_CDR": True}
        answer = await server.request("POST", RESTART, body, status=503)
        assert answer["message"].startswith("Nothing was changed. ")
        assert str(tmp_path / "missing/.env") in answer["message"]
        assert await restarts(server) == 0
        assert (await server.get(f"{API}/status"))["lastRestartTime"] == 0
    finally:
        await asyncio.wait_for(server.stop(), 30)
