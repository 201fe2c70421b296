"""Services that something else starts again, as it is with containers."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from nats.aio.client import Client

from services.eventlog.restarts import Restarts
from services.eventlog.server import NatsServer
from services.launcher.serve import SERVICES
from services.process import RESTART
from tests.e2e.server_under_test import SECRET, free_port

Start = Callable[[str], Awaitable[Any]]

ROOT = Path(__file__).parents[3]


class Process:
    def __init__(self, name: str, folder: Path, environ: dict[str, str]) -> None:
        self._name = name
        self._log = folder / f"{name}.log"
        self._environ = environ
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> asyncio.subprocess.Process:
        with self._log.open("wb") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", f"services.{self._name}",
                cwd=ROOT, env=self._environ, stdout=log, stderr=log,
            )  # fmt: skip
        return self.process

    async def until_said(self, text: str) -> None:
        assert self.process is not None
        async with asyncio.timeout(40):
            while text not in self.log:
                assert self.process.returncode is None, self.log
                await asyncio.sleep(0.05)

    async def end(self) -> int:
        assert self.process is not None
        async with asyncio.timeout(40):
            return await self.process.wait()

    async def stop(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")


@pytest.fixture
def environ(tmp_path: Path, nats: NatsServer, nats_token: str) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("OPENVIDU_")}
    return inherited | {
        "DOTENV_PATH": str(tmp_path),
        "OPENVIDU_SECRET": SECRET,
        "HTTPS_PORT": str(free_port()),
        "TERTULIA_DATA_DIR": str(tmp_path / "data"),
        "TERTULIA_MEDIA_PORT": "0",
        "TERTULIA_NATS_URL": nats.url,
        "TERTULIA_NATS_TOKEN": nats_token,
    }


@pytest.fixture
async def start(tmp_path: Path, environ: dict[str, str]) -> AsyncIterator[Start]:
    started: list[Process] = []

    async def run(name: str) -> Process:
        started.append(Process(name, tmp_path, environ))
        await started[-1].start()
        await started[-1].until_said("started")
        return started[-1]

    yield run
    for process in started:
        await process.stop()


@pytest.mark.parametrize(
    ("name", "recording"), [*((name, "true") for name in SERVICES), ("recorder", "false")]
)
async def test_it_ends_with_a_code_of_its_own(
    start: Start, environ: dict[str, str], nats_client: Client, name: str, recording: str
) -> None:
    environ["OPENVIDU_RECORDING"] = recording
    process = await start(name)
    restarts = Restarts(nats_client)
    await restarts.ask()
    await restarts.begin(await restarts.read(), 1)
    assert await process.end() == RESTART, process.log
    assert "restarting, as was asked for" in process.log
    assert "Traceback" not in process.log


async def test_the_next_one_has_the_new_settings(
    start: Start, environ: dict[str, str], tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{environ['HTTPS_PORT']}/openvidu/api"
    process = await start("api")
    await process.until_said("serving")
    async with aiohttp.ClientSession(
        headers={"Authorization": aiohttp.encode_basic_auth("OPENVIDUAPP", SECRET)}
    ) as http:
        body = {"OPENVIDU_PRO_CLUSTER_ID": "MY_CLUSTER"}
        async with http.post(f"{url}/restart", json=body) as answer:
            assert answer.status == 200, await answer.text()
        assert await process.end() == RESTART
        assert (tmp_path / ".env").read_text() == "OPENVIDU_PRO_CLUSTER_ID=MY_CLUSTER\n"
        process = await start("api")
        await process.until_said("serving")
        async with http.get(f"{url}/config") as answer:
            assert (await answer.json())["OPENVIDU_PRO_CLUSTER_ID"] == "MY_CLUSTER"
        async with http.get(f"{url}/status") as answer:
            assert (await answer.json())["restartCounter"] == 1
