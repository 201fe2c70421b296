"""The embedded nats-server: starts, stops, dies with us, and says what is wrong."""

from __future__ import annotations

import asyncio
import signal
import stat
import sys
from pathlib import Path

import pytest

from services.eventlog import server as server_module
from services.eventlog.jetstream import JetStreamLog, connect
from services.eventlog.log import LogMisconfigured, LogUnavailable
from services.eventlog.server import NatsServer

PATIENCE = 30


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


async def until(condition) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_it_starts_again_on_the_same_port_with_the_same_log(tmp_path):
    server = NatsServer(tmp_path, token="abc")
    await server.start()
    url = server.url
    await server.stop()
    assert server.process is None
    await server.stop()
    await server.start()
    assert server.url == url
    client = await connect(url, token="abc", name="test")
    assert await (await JetStreamLog.open(client)).last_sequence() == 0
    await client.close()
    await server.stop()


async def test_its_configuration_is_for_its_owner_only_and_syncs_every_write(tmp_path):
    server = NatsServer(tmp_path / "new", token="hidden-token")
    await server.start()
    await server.stop()
    path = tmp_path / "new" / "nats-server.conf"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    text = path.read_text()
    assert "sync_interval: always" in text
    assert 'host: "127.0.0.1"' in text
    assert 'token: "hidden-token"' in text
    log = (tmp_path / "new" / "nats-server.log").read_text()
    assert "hidden-token" not in log


async def test_a_server_that_does_not_sync_each_write_is_refused_and_stopped(tmp_path):
    class Careless(NatsServer):
        def config(self) -> str:
            return super().config().replace("sync_interval: always", "sync_interval: 10s")

    server = Careless(tmp_path)
    with pytest.raises(LogMisconfigured, match="every 10 s, must be `sync_interval: always`"):
        await server.start()
    assert server.process is None
    careful = NatsServer(tmp_path)
    await careful.start()
    await careful.stop()


async def test_a_second_server_on_the_same_directory_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(server_module, "LOCK_TIMEOUT", 0.3)
    first, second = NatsServer(tmp_path), NatsServer(tmp_path)
    await first.start()
    with pytest.raises(LogUnavailable, match=f"process {first.process.pid}.* still runs on"):
        await second.start()
    assert second.process is None
    assert first.process.returncode is None
    await first.stop()
    await second.start()
    await second.stop()


async def test_a_taken_port_is_told_with_the_words_of_the_server(tmp_path):
    first = NatsServer(tmp_path / "first")
    await first.start()
    second = NatsServer(tmp_path / "second", port=first.port)
    with pytest.raises(LogUnavailable, match="address already in use"):
        await second.start()
    assert second.process is None
    await first.stop()


async def test_a_damaged_configuration_is_told_with_the_words_of_the_server(tmp_path):
    class Broken(NatsServer):
        def config(self) -> str:
            return super().config() + "max_payload: many\n"

    with pytest.raises(LogUnavailable, match=r"ended with code 1\.\n.*nats-server\.conf:\d+"):
        await Broken(tmp_path).start()


@pytest.mark.parametrize("token", ["a b", 'a"b', "a\nb", "$2a$10$abc", "ñ"])
def test_a_token_that_would_not_be_taken_literally_is_refused(tmp_path, token):
    with pytest.raises(ValueError, match="token") as caught:
        NatsServer(tmp_path, token=token)
    assert token not in str(caught.value)


@pytest.mark.parametrize("name", ["with space", 'quo"te', "back\\slash", "ñandú", "$HOME", "{}#;"])
async def test_any_directory_name_will_do(tmp_path, name):
    server = NatsServer(tmp_path / name)
    await server.start()
    client = await connect(server.url, name="test")
    await JetStreamLog.open(client)
    await client.close()
    await server.stop()
    assert (tmp_path / name / "jetstream").is_dir()


async def test_without_the_token_nobody_gets_in(tmp_path):
    server = NatsServer(tmp_path, token="abc")
    await server.start()
    with pytest.raises(LogUnavailable):
        await connect(server.url, name="test", wait_up_to=0.5)
    await server.stop()


async def test_a_server_that_ignores_the_end_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(server_module, "STOP_TIMEOUT", 0.3)
    server = NatsServer(tmp_path)
    await server.start()
    process = server.process
    process.send_signal(signal.SIGSTOP)
    await server.stop()
    assert process.returncode == -signal.SIGKILL


async def test_a_cancelled_start_leaves_no_server(tmp_path, monkeypatch):
    started = asyncio.Event()

    async def never(*_: object) -> None:
        started.set()
        await asyncio.Event().wait()

    server = NatsServer(tmp_path)
    monkeypatch.setattr(server, "_wait_until_ready", never)
    starting = asyncio.create_task(server.start())
    await started.wait()
    process = server.process
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert process.returncode is not None


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a child of its parent's death"
)
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_it_dies_with_the_process_that_started_it(tmp_path, loop):
    """Killed without a chance to clean up; the next start finds the directory free."""
    program = f"""
import asyncio, pathlib, uvloop
from services.eventlog.server import NatsServer

async def main():
    server = NatsServer(pathlib.Path({str(tmp_path)!r}))
    await server.start()
    print(server.process.pid, flush=True)
    await asyncio.Event().wait()

{loop}.run(main())
"""
    launcher = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    try:
        pid = int(await launcher.stdout.readline())
        assert alive(pid)
    finally:
        launcher.kill()
        await launcher.communicate()
    await until(lambda: not alive(pid))
    server = NatsServer(tmp_path)
    await server.start()
    await server.stop()
