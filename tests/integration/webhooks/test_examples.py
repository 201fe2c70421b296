"""The programs in `examples/`, run as the README says, against the real processes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from services.eventlog.server import NatsServer
from tests.integration.webhooks.helpers import ROOT, SECONDS, Conference, Process

SECRET = "A_SECRET_OF_THE_TESTS"


class Program:
    """Its lines come by `line`; it is ended with the context."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> str:
        assert self._process.stdout is not None
        async with asyncio.timeout(SECONDS):
            return (await self._process.stdout.readline()).decode().rstrip("\n")

    async def address(self) -> str:
        found = re.search(r"http://\S+", await self.line())
        assert found is not None
        return found.group()


@asynccontextmanager
async def program(*arguments: str, **environment: str) -> AsyncIterator[Program]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments,
        cwd=ROOT, env=os.environ | environment, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Program(process)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


@pytest.fixture
async def api(nats: NatsServer, nats_token: str, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a real api process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://localhost:{port}"
    environment = {
        "DOTENV_PATH": "",
        "HTTPS_PORT": str(port),
        "OPENVIDU_SECRET": SECRET,
        "TERTULIA_NATS_URL": nats.url,
        "TERTULIA_NATS_TOKEN": nats_token,
        "TERTULIA_DATA_DIR": str(tmp_path / "data"),
    }
    async with program("-m", "services.api", **environment), aiohttp.ClientSession() as http:
        async with asyncio.timeout(SECONDS):
            while True:
                with suppress(aiohttp.ClientError):
                    async with http.get(url):
                        break
                await asyncio.sleep(0.05)
        yield url


async def test_the_receiver_prints_each_event_once(
    nats: NatsServer, nats_token: str, conference: Conference, tmp_path: Path
) -> None:
    async with program("examples/webhook_receiver.py", "0") as receiver:
        url = await receiver.address()
        webhooks = Process(
            TERTULIA_NATS_URL=nats.url,
            TERTULIA_NATS_TOKEN=nats_token,
            TERTULIA_DATA_DIR=str(tmp_path / "data"),
            OPENVIDU_WEBHOOK="true",
            OPENVIDU_WEBHOOK_ENDPOINT=url,
        )
        await webhooks.start()
        try:
            await conference.whole("salon")
            lines = [await receiver.line() for _ in range(Conference.EVENTS)]
        finally:
            await webhooks.kill()
        async with aiohttp.ClientSession() as http:  # one that came before, and a new one
            for number in (1, 1, 2):
                async with http.post(
                    url,
                    data=json.dumps({"event": "nodeCrashed", "timestamp": number}),
                    headers={"webhook-id": f"evt_{number}"},
                ) as answer:
                    assert answer.status == 200
        lines += [await receiver.line(), await receiver.line()]
    assert re.fullmatch(r"\d+ salon sessionCreated {.*}", lines[0])
    assert re.fullmatch(r"\d+ salon sessionDestroyed {.*lastParticipantLeft.*}", lines[-3])
    assert lines[-2:] == [
        '1 - nodeCrashed {"timestamp": 1}',
        '2 - nodeCrashed {"timestamp": 2}',
    ]


async def test_the_application_server_serves_its_page_and_hands_out_tokens(api: str) -> None:
    async with (
        program(
            "examples/app_server.py", "0", OPENVIDU_URL=api, OPENVIDU_SECRET=SECRET
        ) as application,
        aiohttp.ClientSession() as http,
    ):
        url = await application.address()
        async with http.get(url) as page:
            text = await page.text()
        assert "session.connect" in text
        assert SECRET not in text
        tokens = []
        for _ in range(2):  # the session is there the second time
            async with http.post(f"{url}/api/token") as answer:
                assert answer.status == 200
                tokens.append(await answer.text())
    for token in tokens:
        assert re.match(r"ws://localhost:\d+\?sessionId=room&token=tok_\w+", token)
    assert len(set(tokens)) == 2


@pytest.mark.parametrize("name", ["webhook_receiver.py", "app_server.py"])
def test_an_example_is_short(name: str) -> None:
    assert len((ROOT / "examples" / name).read_text().splitlines()) <= 50
