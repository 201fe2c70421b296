"""The database is disposable: whatever happens to it, REST answers as the log says."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import select

from services.api import tables
from services.api.database import Database
from services.api.projections import ProjectionShared, Projector, rebuild
from services.conference.commands import ModifyConnection
from services.eventlog.follower import replay


@pytest.fixture
def file(settings: Any) -> Path:
    return Path(settings.storage.data_dir) / "projection.db"


def sql(file: Path, *statements: str) -> list[Any]:
    with closing(sqlite3.connect(file, timeout=20)) as database:
        found = [database.execute(statement).fetchall() for statement in statements]
        database.commit()
    return found


def dump(file: Path) -> list[str]:
    """Everything in it, in an order that does not depend on where it lies."""
    with closing(sqlite3.connect(file)) as database:
        return sorted(database.iterdump())


async def make_history(api: Any, room: Any) -> None:
    """Sessions, connections and recordings in every state, some of them gone again."""
    await api.new_session(customSessionId="gone")
    await api.delete("/sessions/gone")
    await api.new_session(customSessionId="zoo", recordingMode="ALWAYS", mediaMode="RELAYED")
    await api.new_session(
        customSessionId="salon", defaultRecordingProperties={"outputMode": "INDIVIDUAL"}
    )
    ana, bob, eve = [await room.person(api, "salon", data=f"n. {n}") for n in range(3)]
    await api.new_connection("salon", role="MODERATOR", kurentoOptions={"allowedFilters": ["x"]})
    pending = await api.new_connection("salon")
    await api.delete(f"/sessions/salon/connection/{pending['id']}")
    stream = await room.publish("salon", ana)
    await room.subscribe("salon", bob, stream)
    await api.call("PATCH", f"/sessions/salon/connection/{bob}", {"role": "SUBSCRIBER"})
    await api.delete(f"/sessions/salon/connection/{eve}")
    await room.finish("salon", await room.record("salon"))
    deleted = await room.record("salon", name="lesson")
    await room.finish("salon", deleted)
    await api.until(f"/recordings/{deleted}", lambda found: found["status"] == "ready")
    await api.delete(f"/recordings/{deleted}")
    await api.new_session(customSessionId="gone")
    await room.record("salon", name="lesson")
    await api.until("/recordings/salon~1", lambda found: found["status"] == "started")


async def answers(api: Any) -> dict[str, bytes]:
    paths = [
        "/sessions",
        "/sessions?pendingConnections=true",
        "/sessions/zoo",
        "/sessions/salon",
        "/sessions/salon?pendingConnections=true",
        "/sessions/gone",
        "/sessions/salon/connection",
        "/recordings",
        "/recordings/salon",
        "/recordings/salon~1",
    ]
    listed = (await api.get("/sessions/salon/connection")).json["content"]
    paths += [f"/sessions/salon/connection/{connection['id']}" for connection in listed]
    found = {}
    for path in paths:
        answer = await api.get(path)
        assert answer.status == 200, path
        found[path] = answer.body
    return found


async def test_answers_are_the_same_to_the_byte_after_the_database_was_deleted(
    start: Any, room: Any, file: Path, event_log: Any, tmp_path: Path
) -> None:
    async with start() as api:
        await make_history(api, room)
        before = await answers(api)
    rows = dump(file)
    assert len(rows) > 15
    for path in file.parent.glob("projection.db*"):
        path.unlink()
    async with start() as api:
        assert await answers(api) == before
    assert dump(file) == rows
    elsewhere = tmp_path / "elsewhere.db"
    end = await rebuild(event_log, f"sqlite:///{elsewhere}")
    assert end == await event_log.last_sequence()
    assert dump(elsewhere) == rows


async def test_a_restart_goes_on_from_the_position_it_has(
    start: Any, room: Any, file: Path
) -> None:
    async with start() as api:
        await make_history(api, room)
        before = await answers(api)
    sql(file, "update sessions set document = replace(document, 'RELAYED', 'ROUTED')")
    ((position,),) = sql(file, "select sequence from position")[0]
    async with start() as api:
        after = await answers(api)
        assert after["/sessions/zoo"] != before["/sessions/zoo"], "nothing was rebuilt"
        assert after["/sessions/salon"] == before["/sessions/salon"]
        await api.new_session(customSessionId="more")
    assert sql(file, "select sequence from position") == [[(position + 1,)]]


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
        "update position set layout = '0.an older version'",
        "update position set sequence = 1000000",
        "update position set digest = 'of another log'",
        "delete from position",
        "drop table position",
    ],
)
async def test_a_database_that_does_not_fit_is_rebuilt(
    start: Any, room: Any, file: Path, damage: str
) -> None:
    async with start() as api:
        await make_history(api, room)
        before = await answers(api)
    rows = dump(file)
    sql(file, "update sessions set document = 'nonsense'", "delete from connections", damage)
    async with start() as api:
        assert await answers(api) == before
    assert dump(file) == rows


async def test_a_file_that_is_no_database_is_replaced(start: Any, room: Any, file: Path) -> None:
    async with start() as api:
        await make_history(api, room)
        before = await answers(api)
    for path in file.parent.glob("projection.db?*"):
        path.unlink()
    file.write_bytes(b"no database at all" * 1000)
    async with start() as api:
        assert await answers(api) == before


async def test_rows_and_position_change_together_or_not_at_all(
    api: Any, room: Any, file: Path
) -> None:
    """A batch that fails half-way is tried until the database takes it; nothing is skipped."""
    await api.new_session(customSessionId="salon")
    await room.person(api, "salon")
    sql(
        file,
        "create trigger broken before insert on recordings "
        "begin select raise(abort, 'disk trouble'); end",
    )
    ((before,),) = sql(file, "select sequence from position")[0]
    await room.record("salon")
    late = asyncio.create_task(api.post("/sessions", {"customSessionId": "late"}))

    async def tried() -> bool:
        return (await api.get("/recordings")).json == {"count": 0, "items": []}

    await api.eventually(tried)
    assert not late.done(), "its commit comes after the one that cannot be written"
    assert sql(file, "select sequence from position", "select id from sessions") == [
        [(before,)],
        [("salon",)],
    ]
    assert (await api.get("/sessions/salon")).json["recording"] is False
    sql(file, "drop trigger broken")
    assert (await late).status == 200
    assert (await api.get("/recordings/salon")).json["status"] == "started"
    assert (await api.get("/sessions/salon")).json["recording"] is True
    assert (await api.get("/sessions/late")).status == 200


async def test_a_command_whose_effect_cannot_be_shown_is_503(
    api: Any, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.commands.VISIBLE_SECONDS", 0.2)
    sql(
        file,
        "create trigger broken before insert on sessions "
        "begin select raise(abort, 'disk trouble'); end",
    )
    answer = await api.post("/sessions", {"customSessionId": "salon"})
    assert answer.status == 503
    assert "lags behind" in answer.json["message"]
    sql(file, "drop trigger broken")
    await api.until("/sessions/salon", lambda found: found["id"] == "salon")


async def test_a_database_that_cannot_be_read_is_503_until_it_can(api: Any, file: Path) -> None:
    sql(file, "alter table recordings rename to hidden")
    for path in ("/recordings", "/recordings/salon"):
        answer = await api.get(path)
        assert answer.status == 503
        assert "recordings" not in answer.json["message"], "nothing of our statements"
    sql(file, "alter table hidden rename to recordings")
    assert (await api.get("/recordings")).status == 200


async def test_two_processes_cannot_write_one_database(
    api: Any, event_log: Any, tmp_path: Path
) -> None:
    for name in ("one", "two", "three"):
        await api.new_session(customSessionId=name)
    batches = [[step] async for steps in replay(event_log) for step in steps]
    database = Database(f"sqlite:///{tmp_path / 'shared.db'}")
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
    api: Any, event_log: Any, tmp_path: Path
) -> None:
    await api.new_session(customSessionId="first")
    then = await event_log.last_sequence()
    await api.new_session(customSessionId="second")
    await api.delete("/sessions/first")
    past = tmp_path / "past.db"
    assert await rebuild(event_log, f"sqlite:///{past}", up_to=then) == then
    assert sql(past, "select id from sessions") == [[("first",)]]
    assert await rebuild(event_log, f"sqlite:///{past}") == then + 2
    assert sql(past, "select id from sessions") == [[("second",)]]


async def test_another_kind_of_database_is_refused() -> None:
    with pytest.raises(ValueError, match="sqlite or postgresql"):
        Database("mysql://localhost/x")
