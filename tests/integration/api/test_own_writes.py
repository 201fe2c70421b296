"""Whoever wrote sees it at once; many writers and several processes agree."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.integration.api.stores import Store


@pytest.fixture
def settings(settings: Any, store: Store) -> Any:
    return store.used_by(settings)


@pytest.fixture
async def other_settings(settings: Any, store: Store, tmp_path: Path) -> Any:
    """Of a second process on the same log, with its own database."""
    (tmp_path / "other").mkdir()
    elsewhere = replace(settings.storage, data_dir=tmp_path / "other")
    return (await store.another()).used_by(replace(settings, storage=elsewhere))


async def test_fifty_writers_at_once_each_see_their_own_writes(api: Any) -> None:
    async def writer(number: int) -> None:
        session = await api.new_session(customSessionId=f"room-{number}")
        for _ in range(3):
            connection = await api.new_connection(session, data=str(number))
            path = f"/sessions/{session}/connection/{connection['id']}"
            assert (await api.get(path)).json == connection
            changed = await api.call("PATCH", path, {"role": "SUBSCRIBER"})
            assert (await api.get(path)).body == changed.body
            assert (await api.delete(path)).status == 204
            assert (await api.get(path)).status == 404
        listed = (await api.get("/sessions")).json["content"]
        assert session in [found["id"] for found in listed]
        assert (await api.delete(f"/sessions/{session}")).status == 204
        assert (await api.get(f"/sessions/{session}")).status == 404

    async with asyncio.TaskGroup() as tasks:
        for number in range(50):
            tasks.create_task(writer(number))
    assert (await api.get("/sessions")).json["numberOfElements"] == 0


async def test_fifty_connections_made_at_once_in_one_session_are_all_there(api: Any) -> None:
    session = await api.new_session()
    made = await asyncio.gather(*(api.new_connection(session) for _ in range(50)))
    listed = (await api.get(f"/sessions/{session}/connection")).json
    assert listed["numberOfElements"] == 50
    assert {found["id"] for found in listed["content"]} == {found["id"] for found in made}
    times = [found["createdAt"] for found in listed["content"]]
    assert times == sorted(times)


async def test_of_many_that_take_an_id_at_once_one_gets_it(api: Any) -> None:
    for _ in range(5):
        body = {"customSessionId": "salon"}
        answers = await asyncio.gather(*(api.post("/sessions", body) for _ in range(20)))
        assert sorted(answer.status for answer in answers) == [200] + [409] * 19
        assert (await api.delete("/sessions/salon")).status == 204


async def test_two_processes_on_one_log_agree(start: Any, other_settings: Any) -> None:
    async with start() as one, start(other_settings) as two:
        for round_number in range(5):
            name = f"salon-{round_number}"
            body = {"customSessionId": name}
            answers = await asyncio.gather(
                *(api.post("/sessions", body) for _ in range(4) for api in (one, two))
            )
            assert sorted(answer.status for answer in answers) == [200] + [409] * 7
            made = await asyncio.gather(
                *(api.new_connection(name, data="x") for _ in range(5) for api in (one, two))
            )
            assert len({found["id"] for found in made}) == 10
            for api in (one, two):
                path = f"/sessions/{name}/connection"
                await api.until(path, lambda found: found["numberOfElements"] == 10)
        assert (await one.get("/sessions?pendingConnections=true")).body == (
            await two.get("/sessions?pendingConnections=true")
        ).body
        closed = await asyncio.gather(*(api.delete("/sessions/salon-1") for api in (one, two)))
        assert sorted(answer.status for answer in closed) == [204, 404]


async def test_a_refusal_is_never_older_than_the_log(start: Any, other_settings: Any) -> None:
    """What one process did is known to the commands of the other at once."""
    async with start() as one, start(other_settings) as two:
        for _ in range(10):
            session = await one.new_session()
            connection = await two.new_connection(session)
            path = f"/sessions/{session}/connection/{connection['id']}"
            assert (await one.call("PATCH", path, {"record": False})).status == 200
            assert (await one.delete(f"/sessions/{session}")).status == 204
            assert (await two.post(f"/sessions/{session}/connection", {})).status == 404
