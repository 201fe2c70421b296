"""Media nodes over several processes of the api, restarts and crashes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace
from nats.aio.client import Client

from services.conference.model import Reason
from tests.integration.api.media_nodes.conftest import (
    NODE,
    URI,
    MakeWorker,
    Worker,
    reasons,
    removed,
    running,
    seat,
    statuses,
)


async def test_a_removed_node_stays_out_when_the_api_starts_again(
    start: Any, worker: Worker, event_log: Any, nats_client: Client
) -> None:
    async with start() as api:
        await removed(api, worker)
        end = await event_log.last_sequence()
    async with start() as api:
        for _ in range(3):
            await worker.beat()
        await api.new_session()
        assert (await api.get("/media-nodes")).json["content"] == []
        assert (await api.get("/health")).status == 503
        assert (await statuses(event_log))[-1] == "terminated"
        assert (await event_log.last_sequence()) == end + 1
        assert (await api.post("/media-nodes?wait=true", {"uri": URI})).status == 200
    async with start() as api:
        assert (await running(api))["uri"] == URI


async def test_two_processes_agree(
    start: Any, settings: Any, worker: Worker, event_log: Any, room: Any
) -> None:
    elsewhere = settings.storage.data_dir / "second"
    elsewhere.mkdir()
    other = replace(settings, storage=replace(settings.storage, data_dir=elsewhere))
    async with start() as first, start(other) as second:
        a, b = [await running(api) for api in (first, second)]
        for volatile in ("load",):
            del a[volatile], b[volatile]
        assert a == b
        assert await statuses(event_log) == ["launching", "running"], "admitted once"
        await seat(room, first)
        await second.until("/sessions/salon", lambda found: found.get("mediaNodeId"))
        assert (await second.delete(f"{NODE}?deletion-strategy=now&wait=true")).status == 204

        async def gone() -> bool:
            return bool((await first.get(NODE)).status == 404)

        await first.eventually(gone)
        added = await asyncio.gather(
            *(api.post("/media-nodes?wait=true", {"uri": URI}) for api in (first, second))
        )
        assert sorted(answer.status for answer in added) == [200, 409]
        assert (await statuses(event_log))[2:] == [
            *("terminating", "terminated"),
            *("launching", "running"),
        ]


async def test_a_node_that_crashed_is_given_up_and_welcome_when_it_is_back(
    start: Any,
    room: Any,
    make_worker: MakeWorker,
    event_log: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.api.reactors.nodes.RETURN_MS", 500)
    monkeypatch.setattr("services.api.nodes.ALIVE_SECONDS", 0.5)
    async with start() as api:
        async with make_worker().running():
            await running(api)
            await seat(room, api)

        async def gone() -> bool:
            return bool((await api.get(NODE)).status == 404)

        await api.eventually(gone)
        assert (await api.get("/sessions/salon")).status == 404
        async with make_worker().running():
            await running(api)
    assert await reasons(event_log, "salon") == {Reason.NODE_CRASHED}
    assert await statuses(event_log) == [
        *("launching", "running", "terminating", "terminated"),
        *("launching", "running"),
    ]
