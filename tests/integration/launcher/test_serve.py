"""`tertulia serve` and the commands beside it, as processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from services.conference.ids import SESSION_ID
from services.launcher.serve import SERVICES
from tests.e2e.server_under_test import SECRET, Server, eventually, free_port

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]


def descendants(pid: int) -> dict[int, str]:
    """Living processes below one, with their command lines."""
    found: dict[int, str] = {}
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, file.read_text().split()):
            try:
                found[child] = Path(f"/proc/{child}/cmdline").read_bytes().decode()
            except FileNotFoundError:
                continue
            found |= descendants(child)
    return found


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def launcher(server: Server) -> asyncio.subprocess.Process:
    process = server._process
    assert process is not None
    return process


async def stop_and_expect_nothing_left(server: Server) -> float:
    """Seconds it took."""
    below = descendants(launcher(server).pid)
    assert len(below) >= len(SERVICES) + 1
    started = time.monotonic()
    assert await server.stop() == 0
    took = time.monotonic() - started
    await eventually(lambda: all(map(gone, below)), what=f"the end of {below}")
    return took


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    started = Server(tmp_path_factory.mktemp("server"))
    await started.start()
    try:
        yield started
    finally:
        if launcher(started).returncode is None:
            await started.stop()


async def test_it_tells_the_address_and_where_the_data_is(server: Server) -> None:
    await eventually(lambda: "Tertulia is ready" in server.log())
    assert f"Tertulia is ready: {server.url}/\n" in server.log()
    assert str(server.folder / "data") in server.log()


async def test_the_log_of_all_services_is_one_without_secrets(server: Server) -> None:
    for service in SERVICES:
        await eventually(lambda service=service: f" {service} " in server.log())
    token = (server.folder / "data/nats-token").read_text()
    assert SECRET not in server.log()
    assert token not in server.log()


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_that_is_killed_is_started_again(server: Server, service: str) -> None:
    old = await server.kill(service)
    await server.until_replaced(service, old)
    await server.until_ready()
    assert await server.new_session()


async def test_a_broker_that_is_killed_is_started_again_and_nothing_is_lost(
    server: Server,
) -> None:
    session = await server.new_session()
    below = descendants(launcher(server).pid)
    (broker,) = (pid for pid, command in below.items() if "nats-server" in command)
    os.kill(broker, signal.SIGKILL)

    async def works_again() -> bool:
        try:
            return bool(await server.new_session())
        except (AssertionError, TimeoutError):
            return False

    await eventually(works_again, limit=40, what="commands are taken again")
    assert (await server.get(f"/openvidu/api/sessions/{session}"))["id"] == session


async def test_the_log_can_be_read_verified_and_replayed_while_the_server_runs(
    server: Server, tmp_path: Path
) -> None:
    session = await server.new_session()
    await server.new_token(session)
    await _read_verify_and_replay(server, session, tmp_path)


async def test_another_server_on_the_same_data_folder_is_refused(server: Server) -> None:
    code, output = await server.run("serve")
    assert code == 1
    assert "is in use by `tertulia serve` (process" in output
    assert str(launcher(server).pid) in output


async def test_stopping_takes_at_most_five_seconds_and_leaves_nothing_running(
    server: Server, tmp_path: Path
) -> None:
    session = await server.new_session()
    await server.new_token(session)
    assert await stop_and_expect_nothing_left(server) < 5 + 5  # five for a busy machine
    await _read_verify_and_replay(server, session, tmp_path)
    code, output = await server.run("log", "--session", session)
    assert code == 0
    assert session in output


async def _read_verify_and_replay(server: Server, session: str, tmp_path: Path) -> None:
    code, output = await server.run("log", "--session", session, "--json")
    assert code == 0, output
    first, second = (json.loads(line) for line in output.splitlines())
    assert first["sessionId"] == second["sessionId"] == session
    assert first["version"] == 1
    assert SESSION_ID.fullmatch(first["sessionId"])
    assert "tok_***" in output

    code, output = await server.run("log", "--from", str(second["sequence"]))
    assert code == 0
    assert output.startswith(f"{second['sequence']} ")
    assert f"{first['sequence']} " not in output.split(":")[0]

    code, output = await server.run("verify")
    assert code == 0, output
    assert "are good" in output

    file = tmp_path / "replayed?.sqlite"
    code, output = await server.run("replay", "--to", str(tmp_path / "missing" / "file"))
    assert code == 1
    assert "Traceback" not in output
    code, output = await server.run("replay", "--to", str(file))
    assert code == 0, output
    assert "commits/s" in output
    database = sqlite3.connect(file)
    try:
        tables = [row[0] for row in database.execute("select name from sqlite_master")]
    finally:
        database.close()
    assert tables
    code, output = await server.run("replay", "--to", str(file))
    assert code == 1
    assert "exists already" in output


async def test_ctrl_c_in_a_terminal_ends_it_as_well(tmp_path: Path) -> None:
    server = Server(tmp_path)
    await server.start()
    below = descendants(launcher(server).pid)
    launcher(server).send_signal(signal.SIGINT)
    assert await asyncio.wait_for(launcher(server).wait(), 15) == 0
    await server.stop()
    await eventually(lambda: all(map(gone, below)))


async def test_nothing_survives_a_launcher_that_is_killed_and_the_next_one_starts(
    tmp_path: Path,
) -> None:
    server = Server(tmp_path)
    await server.start()
    session = await server.new_session()
    below = descendants(launcher(server).pid)
    launcher(server).kill()
    await launcher(server).wait()
    await server.stop()
    await eventually(lambda: all(map(gone, below)), what="the end of the services")
    await server.start()
    try:
        assert (await server.get(f"/openvidu/api/sessions/{session}"))["id"] == session
    finally:
        await server.stop()


async def test_a_taken_port_is_named_with_its_setting(tmp_path: Path) -> None:
    server = Server(tmp_path)
    with socket.create_server(("127.0.0.1", server.port)):
        code, output = await server.run("serve")
    assert code == 1
    assert f"HTTPS_PORT={server.port}: the port is in use on 127.0.0.1" in output


async def test_a_taken_port_behind_a_proxy_is_named_with_its_setting(tmp_path: Path) -> None:
    port = free_port()
    server = Server(tmp_path, SERVER_PORT=str(port))
    with socket.create_server(("127.0.0.1", port)):
        code, output = await server.run("serve")
    assert code == 1
    assert f"SERVER_PORT={port}: " in output


async def test_a_taken_media_port_is_named_with_its_setting(tmp_path: Path) -> None:
    server = Server(tmp_path)
    port = server.environ["TERTULIA_MEDIA_PORT"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", int(port)))
        code, output = await server.run("serve")
    assert code == 1
    assert f"TERTULIA_MEDIA_PORT={port}: the port is in use" in output


async def test_an_address_of_another_machine_is_named_with_its_setting(tmp_path: Path) -> None:
    server = Server(tmp_path, TERTULIA_HOST="192.0.2.1")
    code, output = await server.run("serve")
    assert code == 1
    assert "TERTULIA_HOST=192.0.2.1: this machine has no such address" in output


async def test_wrong_settings_are_listed_together_and_nothing_starts(tmp_path: Path) -> None:
    server = Server(tmp_path, OPENVIDU_CDR="maybe")
    (tmp_path / ".env").write_text("COTURN_PORT=none\nnonsense\n")
    code, output = await server.run("serve")
    assert code == 1
    assert "OPENVIDU_CDR=maybe: accepts true or false" in output
    assert "COTURN_PORT=none: " in output
    assert "line 2" in output
    assert not (tmp_path / "data").exists()


async def test_the_default_secret_is_refused_off_loopback(tmp_path: Path) -> None:
    server = Server(tmp_path, OPENVIDU_SECRET="MY_SECRET", TERTULIA_HOST="0.0.0.0")
    code, output = await server.run("serve")
    assert code == 1
    assert "OPENVIDU_SECRET" in output
    assert "TERTULIA_HOST=0.0.0.0" in output


async def test_a_broker_that_does_not_answer_is_named(tmp_path: Path) -> None:
    server = Server(tmp_path, TERTULIA_NATS_URL=f"nats://127.0.0.1:{free_port()}")
    code, output = await server.run("serve")
    assert code == 1
    assert "The broker at 127.0.0.1" in output


@pytest.mark.parametrize("command", [("log",), ("verify",), ("replay", "--to", "never")])
async def test_without_a_log_the_commands_say_where_they_looked(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    server = Server(tmp_path)
    code, output = await server.run(*command)
    assert code == 1
    assert f"There is no event log in {tmp_path / 'data'}" in output


async def test_a_wrong_place_in_the_log_is_explained(tmp_path: Path) -> None:
    code, output = await Server(tmp_path).run("log", "--from", "yesterday")
    assert code == 2
    assert "a sequence like" in output
