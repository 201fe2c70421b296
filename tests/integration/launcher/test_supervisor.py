"""Keeping real processes alive, and leaving none behind."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from services.eventlog.server import NatsServer
from services.launcher.children import Broker, Service
from services.launcher.output import Lines, Output
from services.launcher.supervisor import GaveUp, Supervisor
from services.logs import Masker

LIVE = "import time\nprint('up', flush=True)\nwhile True: time.sleep(60)\n"
POLITE = (
    "import signal, sys, time\n"
    "def stop(*_):\n"
    "    print('goodbye', flush=True); sys.exit(0)\n"
    "signal.signal(signal.SIGTERM, stop)\n" + LIVE
)
DEAF = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + LIVE
WITH_CHILD = (
    "import subprocess, sys\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "print('child', child.pid, flush=True)\n" + LIVE
)


class Log:
    """The common log, in memory."""

    def __init__(self) -> None:
        self._stream = io.BytesIO()
        self.output = Output(self._stream)

    @property
    def text(self) -> str:
        return self._stream.getvalue().decode()

    def service(self, name: str, program: str) -> Service:
        lines = Lines(name, self.output, Masker([]).text, as_json=False)
        return Service(name, (sys.executable, "-c", program), lambda: os.environ, lines)


@pytest.fixture
async def log() -> AsyncIterator[Log]:
    made = Log()
    yield made
    made.output.finish()


async def until(probe: Callable[[], object], limit: float = 20.0) -> None:
    async with asyncio.timeout(limit):
        while not probe():  # noqa: ASYNC110 - what is waited for is outside of this process
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@asynccontextmanager
async def running(supervisor: Supervisor) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(supervisor.run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_output_of_all_processes_is_one_log(log: Log) -> None:
    supervisor = Supervisor([log.service("media", LIVE), log.service("api", LIVE)])
    async with running(supervisor):
        await until(lambda: "media    | up" in log.text and "api      | up" in log.text)


async def test_a_process_that_is_killed_is_started_again_and_others_are_left_alone(
    log: Log,
) -> None:
    media, api = log.service("media", LIVE), log.service("api", LIVE)
    async with running(Supervisor([media, api])):
        await until(lambda: log.text.count("up") == 2)
        assert media.process is not None
        assert api.process is not None
        old, other = media.process.pid, api.process.pid
        os.kill(old, signal.SIGKILL)
        await until(lambda: log.text.count("media    | up") == 2)
        assert media.process.pid != old
        assert api.process.pid == other
        assert alive(other)


async def test_a_process_that_always_dies_at_its_start_is_given_up_and_the_others_stopped(
    log: Log,
) -> None:
    good = log.service("media", LIVE)
    bad = log.service("api", "print('the reason'); raise SystemExit(7)")
    with pytest.raises(GaveUp, match=r"api ended 3 times.*exit code 7.*the reason"):
        await asyncio.wait_for(Supervisor([good, bad], limit=3, pauses=(0.01,)).run(), 20)
    assert good.process is not None
    assert not alive(good.process.pid)
    assert log.text.count("the reason") == 3


async def test_a_process_that_ends_for_a_restart_comes_back_at_once_with_what_is_new(
    log: Log,
) -> None:
    environ = {**os.environ, "GENERATION": "0"}

    def renew() -> None:
        environ["GENERATION"] = str(int(environ["GENERATION"]) + 1)

    program = (
        "import os, time\n"
        "print('generation', os.environ['GENERATION'], flush=True)\n"
        "if int(os.environ['GENERATION']) < 5: raise SystemExit(75)\n" + LIVE
    )
    lines = Lines("api", log.output, Masker([]).text, as_json=False)
    service = Service("api", (sys.executable, "-c", program), lambda: environ, lines)
    async with running(Supervisor([service], limit=2, pauses=(60.0,), renew=renew)):
        await until(lambda: "api      | generation 5" in log.text)
    assert log.text.count("generation") == 6


async def test_a_process_that_lived_for_a_while_is_never_given_up(log: Log) -> None:
    dying = log.service("media", "print('up', flush=True)")
    async with running(Supervisor([dying], quick=0.0, limit=2, pauses=(0.01,))) as task:
        await until(lambda: log.text.count("up") >= 5)
        assert not task.done()


async def test_a_program_that_is_not_there_is_given_up(log: Log) -> None:
    lines = Lines("api", log.output, Masker([]).text, as_json=False)
    missing = Service("api", ("/nowhere/python",), dict, lines)
    with pytest.raises(GaveUp, match="cannot be started"):
        await asyncio.wait_for(Supervisor([missing], limit=2, pauses=(0.01,)).run(), 20)


async def test_processes_may_clean_up_and_their_last_words_are_in_the_log(log: Log) -> None:
    service = log.service("recorder", POLITE)
    async with running(Supervisor([service])):
        await until(lambda: "up" in log.text)
    await until(lambda: "recorder | goodbye" in log.text)
    assert service.process is not None
    assert service.process.returncode == 0


async def test_a_process_that_does_not_end_is_killed(log: Log) -> None:
    service = log.service("recorder", DEAF)
    async with running(Supervisor([service], grace=0.2)):
        await until(lambda: "up" in log.text)
    assert service.process is not None
    assert service.process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("how", ["stop", "crash"])
async def test_what_a_process_started_ends_with_it(log: Log, how: str) -> None:
    service = log.service("recorder", WITH_CHILD)
    async with running(Supervisor([service], grace=0.5)):
        await until(lambda: "child" in log.text and "up" in log.text)
        child = int(log.text.partition("child ")[2].split()[0])
        assert alive(child)
        if how == "crash":
            assert service.process is not None
            os.kill(service.process.pid, signal.SIGKILL)
            await until(lambda: not alive(child))
    await until(lambda: not alive(child))


async def test_a_flood_of_output_is_read_and_stopped(log: Log) -> None:
    service = log.service("media", "while True: print('x' * 100_000, flush=True)")
    async with running(Supervisor([service], grace=0.5)):
        await until(lambda: log.text.count("\n") > 10)
    assert service.process is not None
    assert not alive(service.process.pid)


async def test_processes_end_when_their_launcher_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "launcher.py"
    program.write_text(
        "import asyncio, sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from tests.integration.launcher.test_supervisor import LIVE, Log, Supervisor, until\n"
        "async def main():\n"
        "    log = Log()\n"
        "    service = log.service('media', LIVE)\n"
        "    async with asyncio.TaskGroup() as group:\n"
        "        group.create_task(Supervisor([service]).run())\n"
        "        await until(lambda: 'up' in log.text)\n"
        "        print(service.process.pid, flush=True)\n"
        "asyncio.run(main())\n"
    )
    launcher = await asyncio.create_subprocess_exec(
        sys.executable, str(program), str(Path(__file__).parents[3]),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert launcher.stdout is not None
    child = int(await asyncio.wait_for(launcher.stdout.readline(), 20))
    assert alive(child)
    launcher.kill()
    await launcher.wait()
    await until(lambda: not alive(child))


async def test_a_nats_server_that_is_killed_comes_back_on_the_same_port(
    tmp_path: Path, log: Log
) -> None:
    server = NatsServer(tmp_path, token="t")
    broker = Broker(server)
    await broker.start()
    url = server.url
    async with running(Supervisor([log.service("api", LIVE)], foundation=broker)):
        assert server.process is not None
        old = server.process.pid
        await until(lambda: "up" in log.text)
        os.kill(old, signal.SIGKILL)
        await until(lambda: server.process is not None and server.process.pid != old)
        new = server.process.pid
        await until(lambda: _listens(server.port))
        assert server.url == url
    assert not alive(new)


def _listens(port: int) -> bool:
    needle = f":{port:04X} 00000000:0000 0A"
    return any(needle in line for line in Path("/proc/net/tcp").read_text().splitlines())


async def test_stopping_takes_no_longer_than_the_grace(log: Log) -> None:
    services = [log.service(f"deaf{number}", DEAF) for number in range(4)]
    async with running(Supervisor(services, grace=0.3)):
        await until(lambda: log.text.count("up") == 4)
        started = time.monotonic()
    assert time.monotonic() - started < 4 * 0.3 + 5
    assert not any(alive(service.process.pid) for service in services if service.process)
