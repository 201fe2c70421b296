"""Several processes of the api on one log: one of many equal requests wins, and all see it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import aiohttp
import pytest
from msgspec.structs import replace

from services.api.service import service
from services.eventlog.follower import Step, follow
from services.eventlog.jetstream import JetStreamLog, connect
from services.eventlog.log import EventLog
from services.eventlog.server import NatsServer
from services.settings import Settings
from tests.integration.api.conftest import Answer, Server


async def replica(
    stack: AsyncExitStack, settings: Settings, data: Path, nats: NatsServer, token: str
) -> Server:
    """With a connection, a log and a database of its own, as in a process of its own."""
    data.mkdir()
    client = await connect(nats.url, token=token, name=data.name)
    stack.push_async_callback(client.close)
    log = await JetStreamLog.open(client)
    stack.push_async_callback(log.close)
    own = replace(settings, storage=replace(settings.storage, data_dir=data))
    port = await stack.enter_async_context(service(own, client, log))
    http = await stack.enter_async_context(aiohttp.ClientSession())
    return Server(port, http, own)


async def test_of_fifty_sessions_with_one_id_one_is_made(
    settings: Settings, tmp_path: Path, nats: NatsServer, nats_token: str
) -> None:
    async with AsyncExitStack() as stack:
        servers = [
            await replica(stack, settings, tmp_path / f"data-{n}", nats, nats_token)
            for n in range(3)
        ]

        async def initialize(n: int) -> tuple[Answer, Answer]:
            """And look at once, as the node client does after a conflict."""
            body = {"customSessionId": "salon", "recordingMode": ["MANUAL", "ALWAYS"][n % 2]}
            answer = await servers[n % 3].post("/sessions", body)
            return answer, await servers[n % 3].get("/sessions/salon")

        answers = await asyncio.gather(*(initialize(n) for n in range(50)))
        assert Counter(answer.status for answer, _ in answers) == {200: 1, 409: 49}
        (made,) = [answer for answer, _ in answers if answer.status == 200]
        assert {shown.body for _, shown in answers} == {made.body}
        for server in servers:
            assert (await server.get("/sessions/salon")).body == made.body
            assert (await server.post("/sessions", {"customSessionId": "salon"})).status == 409
            assert (await server.get("/sessions")).json["numberOfElements"] == 1


async def late(event_log: EventLog, *, after: int) -> AsyncGenerator[list[Step], None]:
    """As `follow`, of a process that is slow to read."""
    async with aclosing(follow(event_log, after=after)) as batches:
        async for steps in batches:
            await asyncio.sleep(0.5)
            yield steps


async def test_a_refusal_is_not_ahead_of_the_answers(
    settings: Settings,
    tmp_path: Path,
    nats: NatsServer,
    nats_token: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What another process did is shown by the time it is a reason to refuse, or to do nothing."""
    async with AsyncExitStack() as stack:
        first = await replica(stack, settings, tmp_path / "first", nats, nats_token)
        monkeypatch.setattr("services.api.feed.follow", late)
        second = await replica(stack, settings, tmp_path / "second", nats, nats_token)

        made = await first.post("/sessions", {"customSessionId": "salon"})
        assert (await second.post("/sessions", {"customSessionId": "salon"})).status == 409
        assert (await second.get("/sessions/salon")).body == made.body

        connection = await first.new_connection("salon")
        path = f"/sessions/salon/connection/{connection['id']}"
        changed = await first.call("PATCH", path, {"record": False})
        assert (await second.call("PATCH", path, {"record": False})).body == changed.body
        assert (await second.get(path)).body == changed.body

        assert (await first.delete("/sessions/salon")).status == 204
        assert (await second.delete("/sessions/salon")).status == 404
        assert (await second.get("/sessions/salon")).status == 404
