"""The database is disposable: whatever happens to it, REST answers as the log says."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import select

from services.api import tables
from services.api.database import Database
from services.api.projections import ProjectionShared, Projector, rebuild
from services.conference.commands import ModifyConnection
from services.eventlog.follower import replay
from tests.integration.api.histories import answers, make_history
from tests.integration.api.stores import Store


@pytest.fixture
def settings(settings: Any, store: Store) -> Any:
    return store.used_by(settings)


async def test_answers_are_the_same_to_the_byte_after_the_database_was_deleted(
    start: Any, room: Any, store: Store, event_log: Any
) -> None:
    async with start() as api:
        await make_history(api, room)
        before = await answers(api)
    rows = await store.rows()
    assert all(rows.values())
    await store.vanish()
    async with start() as api:
        assert await answers(api) == before
    assert await store.rows() == rows
    elsewhere = await store.another()
    end = await rebuild(event_log, elsewhere.url)
    assert end == await event_log.last_sequence()
    assert await elsewhere.rows() == rows


async def test_a_restart_goes_on_from_the_position_it_has(
    start: Any, room: Any, store: Store
) -> None:
    async with start() as api:
        await make_history(api, room)
        before = await answers(api)
    await store.sql("update sessions set document = replace(document, 'RELAYED', 'ROUTED')")
    position = await store.position()
    async with start() as api:
        after = await answers(api)
        assert after["/sessions/zoo"] != before["/sessions/zoo"], "nothing was rebuilt"
        assert after["/sessions/salon"] == before["/sessions/salon"]
        await api.new_session(customSessionId="more")
        await store.reach(position + 1)


async def test_what_happened_while_the_api_was_away_is_shown(start: Any, room: Any) -> None:
    async with start() as api:
        await api.new_session(customSessionId="salon")
        connection = await api.new_connection("salon")
    await room.join("salon", connection)
    await room.act("salon", ModifyConnection(connection["id"], record=False))
    async with start() as api:
        shown = (await api.get(f"/sessions/salon/connection/{connection['id']}")).json
        assert shown["status"] == "active", "the door opens only when answers are up to date"
        assert shown["record"] is False


async def test_a_new_public_address_shows_without_a_rebuild(start: Any, settings: Any) -> None:
    async with start() as api:
        await api.new_session(customSessionId="salon")
        connection = await api.new_connection("salon")
        assert connection["token"].startswith("ws://localhost:4443?")
    moved = replace(settings, access=replace(settings.access, domain="meet.example", https_port=80))
    async with start(moved) as api:
        shown = (await api.get(f"/sessions/salon/connection/{connection['id']}")).json
        assert shown["token"].startswith("ws://meet.example?")


@pytest.mark.parametrize(
    "damage",
    [
        "update alembic_version set version_num = 'of a newer version'",
        "update alembic_version set version_num = '0001'",  # its tables are of another
        "insert into alembic_version values ('of a branch')",
        "delete from alembic_version",
        "drop table alembic_version",
        "alter table sessions add column title varchar",
        "alter table connections drop column status",
        "drop table recordings",
        "update position set sequence = 1000000",
        "update position set digest = 'of another log'",
        "delete from position",
        "drop table position",
    ],
)
async def test_a_database_that_does_not_fit_is_rebuilt(
    start: Any, room: Any, store: Store, damage: str
) -> None:
    async with start() as api:
        await make_history(api, room)
        before = await answers(api)
    rows = await store.rows()
    await store.sql("update sessions set document = 'nonsense'", "delete from connections", damage)
    async with start() as api:
        assert await answers(api) == before
    assert await store.rows() == rows


async def test_rows_and_position_change_together_or_not_at_all(
    api: Any, room: Any, store: Store
) -> None:
    """A batch that fails half-way is tried until the database takes it; nothing is skipped."""
    await api.new_session(customSessionId="salon")
    await room.person(api, "salon")
    assert (await api.get("/recordings")).json["count"] == 0, "so the database has it all"
    await store.refuse("recordings")
    before = await store.position()
    await room.record("salon")
    await api.new_session(customSessionId="late")
    assert (await api.get("/sessions/salon")).json["recording"] is True, "the log has it"
    listing = asyncio.create_task(api.get("/recordings"))
    done, _ = await asyncio.wait({listing}, timeout=0.5)
    assert not done, "a list is read from the database"
    assert await store.position() == before
    assert await store.sql("select id from sessions") == [[("salon",)]]
    await store.accept("recordings")
    assert [found["status"] for found in (await listing).json["items"]] == ["started"]
    assert (await api.get("/recordings/salon")).json["status"] == "started"
    assert await store.sql("select id from sessions order by id") == [[("late",), ("salon",)]]


async def test_a_database_that_lags_too_far_behind_holds_up_the_answers(
    api: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.commands.VISIBLE_SECONDS", 0.2)
    monkeypatch.setattr("services.api.views.SETTLE_SECONDS", 0.2)
    monkeypatch.setattr("services.api.feed.BACKLOG", 2)
    await store.refuse("sessions")
    for name in ("one", "two"):
        assert (await api.post("/sessions", {"customSessionId": name})).status == 200
    answer = await api.post("/sessions", {"customSessionId": "three"})
    assert answer.status == 503
    assert "lags behind" in answer.json["message"]
    assert (await api.get("/recordings")).status == 503
    await store.accept("sessions")
    await api.until("/sessions/three", lambda found: found["id"] == "three")
    assert (await api.get("/sessions")).json["numberOfElements"] == 3


async def test_a_database_that_cannot_be_read_is_503_until_it_can(api: Any, store: Store) -> None:
    await store.sql("alter table recordings rename to hidden")
    for path in ("/recordings", "/recordings/salon"):
        answer = await api.get(path)
        assert answer.status == 503
        assert "recordings" not in answer.json["message"], "nothing of our statements"
    await store.sql("alter table hidden rename to recordings")
    assert (await api.get("/recordings")).status == 200


async def test_two_processes_cannot_write_one_database(
    api: Any, event_log: Any, store: Store
) -> None:
    for name in ("one", "two", "three"):
        await api.new_session(customSessionId=name)
    batches = [[step] async for steps in replay(event_log) for step in steps]
    database = Database((await store.another()).url)
    try:
        ours, theirs = Projector(database), Projector(database)
        for projector in (ours, theirs):
            await projector.open(event_log)
        await ours.apply(batches[0])
        await theirs.apply(batches[0])  # as when our own commit was not acknowledged
        await ours.apply(batches[1] + batches[2])
        with pytest.raises(ProjectionShared, match="of its own"):
            await theirs.apply(batches[1])
        assert await database.read(select(tables.position.c.sequence)) == [(3,)]
    finally:
        await database.close()


async def test_a_projection_of_the_past_can_be_built(
    api: Any, event_log: Any, store: Store
) -> None:
    await api.new_session(customSessionId="first")
    then = await event_log.last_sequence()
    await api.new_session(customSessionId="second")
    await api.delete("/sessions/first")
    past = await store.another()
    assert await rebuild(event_log, past.url, up_to=then) == then
    assert await past.sql("select id from sessions") == [[("first",)]]
    assert await rebuild(event_log, past.url) == then + 2
    assert await past.sql("select id from sessions") == [[("second",)]]
