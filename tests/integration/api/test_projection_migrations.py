"""A database of an earlier version keeps its rows; one that is not understood is made anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection as SqlConnection
from sqlalchemy import inspect

from services.api import migrations, tables
from services.api.database import Database, DatabaseUnusable, Position, default_url
from services.api.projections import rebuild
from services.conference.commands import InitializeSession
from services.conference.model import SessionProperties
from services.conference.state import Connection, Recording, Session
from tests.integration.api.histories import answers, make_history
from tests.integration.api.stores import Store

# What the program before revision 0002 made, with the same words on both databases.
RELEASED = """
CREATE TABLE position (id INTEGER NOT NULL, sequence BIGINT NOT NULL, digest VARCHAR NOT NULL,
    layout VARCHAR NOT NULL, PRIMARY KEY (id));
CREATE TABLE sessions (id VARCHAR NOT NULL, ordinal BIGINT NOT NULL, recording BOOLEAN NOT NULL,
    document TEXT NOT NULL, PRIMARY KEY (id));
CREATE INDEX ix_sessions_ordinal ON sessions (ordinal);
CREATE TABLE connections (session_id VARCHAR NOT NULL, id VARCHAR NOT NULL,
    ordinal BIGINT NOT NULL, status VARCHAR NOT NULL, document TEXT NOT NULL,
    PRIMARY KEY (session_id, id));
CREATE TABLE recordings (id VARCHAR NOT NULL, session_id VARCHAR NOT NULL,
    ordinal BIGINT NOT NULL, status VARCHAR NOT NULL, document TEXT NOT NULL, PRIMARY KEY (id));
CREATE INDEX ix_recordings_session_id ON recordings (session_id);
CREATE INDEX ix_recordings_ordinal ON recordings (ordinal);
"""
LAYOUT = "1.a13dedfd1d8c4e92"
STAMPED = (
    "create table alembic_version (version_num varchar(32) not null primary key)",
    "insert into alembic_version values ('0001')",
)

# The newest revision and the documents that it can read.
PINNED = ("0002", "af7b9db1872fcc30")


@pytest.fixture
def settings(settings: Any, store: Store) -> Any:
    return store.used_by(settings)


@pytest.fixture
async def database(settings: Any) -> AsyncIterator[Database]:
    database = Database(default_url(settings.storage))
    yield database
    await database.close()


async def age(store: Store, *changes: str) -> None:
    """Give a database of this version the tables of the released one, with the same rows."""
    kept = ("position", "sessions", "connections", "recordings")
    for table in kept:
        await store.sql(
            f"create table kept_{table} as select * from {table}", f"drop table {table}"
        )
    await store.sql("drop table alembic_version", *filter(str.strip, RELEASED.split(";")))
    await store.sql(
        f"insert into position select id, sequence, digest, '{LAYOUT}' from kept_position",
        *(f"insert into {table} select * from kept_{table}" for table in kept[1:]),
        *(f"drop table kept_{table}" for table in kept),
        *changes,
    )


@pytest.mark.parametrize("stamp", [(), STAMPED], ids=["without a version", "stamped"])
async def test_a_released_database_is_brought_forward_with_its_rows(
    start: Any, room: Any, store: Store, stamp: tuple[str, ...]
) -> None:
    async with start() as api:
        await make_history(api, room)
        before = await answers(api)
    rows = await store.rows()
    mark = "update sessions set document = replace(document, 'RELAYED', 'ROUTED')"
    await age(store, mark, *stamp)
    async with start() as api:
        after = await answers(api)
        assert after.pop("/sessions/zoo") != before.pop("/sessions/zoo"), "nothing was rebuilt"
        assert after["/sessions/salon"] == before["/sessions/salon"]
        assert await store.position() == rows["position"][0][1], "nothing was applied again"
        await api.new_session(customSessionId="more")
        assert (await api.get("/sessions/more")).status == 200
        await store.reach(rows["position"][0][1] + 1)
    await store.sql(mark.replace("'RELAYED', 'ROUTED'", "'ROUTED', 'RELAYED'"))
    migrated = await store.rows()
    for table in ("connections", "recordings", "alembic_version"):
        assert migrated[table] == rows[table]


@pytest.mark.parametrize(
    "changes",
    [
        ("update position set layout = '1.0123456789abcdef'",),
        ("alter table sessions add column title varchar",),
        ("drop index ix_recordings_ordinal",),
        ("delete from position",),
        ("drop table recordings",),
        (STAMPED[0], "insert into alembic_version values ('0002')"),
        (*STAMPED, "insert into alembic_version values ('0002')"),
        (*STAMPED, "alter table sessions add column title varchar"),
    ],
)
async def test_a_database_like_the_released_one_is_emptied(
    database: Database, store: Store, event_log: Any, room: Any, changes: tuple[str, ...]
) -> None:
    await room.act("zoo", InitializeSession("zoo", SessionProperties()))
    assert await rebuild(event_log, database.url) == 1
    await age(store, *changes)
    assert await database.open() == Position()
    rows = await store.rows()
    assert rows.pop("position") == [(1, 0, "")]
    assert rows.pop("alembic_version") == [(migrations.NEWEST,)]
    assert not any(rows.values())


async def test_the_revisions_make_the_tables_that_the_program_uses(database: Database) -> None:
    await database.open()

    def compare(connection: SqlConnection) -> list[Any]:
        inspector = inspect(connection)
        for table in tables.metadata.sorted_tables:
            keys = inspector.get_pk_constraint(table.name)["constrained_columns"]
            assert keys == [column.name for column in table.primary_key]
        return migrations.differences(connection, tables.metadata)

    assert await database.write(compare) == []


async def test_a_difference_would_be_seen(database: Database, store: Store) -> None:
    await database.open()
    await store.sql("drop index ix_sessions_ordinal")
    different = await database.write(lambda c: migrations.differences(c, tables.metadata))
    assert [kind for kind, *_ in different] == ["add_index"]


def test_documents_change_with_a_revision_only() -> None:
    """Rows hold the JSON of these structs. When this fails, add a revision that converts the rows,
    or one that deletes them and sets `position.sequence` to 0, and pin its name here."""

    def without_prose(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without_prose(v) for key, v in value.items() if key != "description"}
        return [without_prose(v) for v in value] if isinstance(value, list | tuple) else value

    _, schema = msgspec.json.schema_components([Session, Connection, Recording])
    found = sha256(repr(without_prose(schema)).encode()).hexdigest()[:16]
    assert (migrations.NEWEST, found) == PINNED


async def test_of_two_that_start_at_once_both_find_the_tables(
    database: Database, store: Store, settings: Any
) -> None:
    other = Database(default_url(settings.storage))
    try:
        for _ in range(3):
            assert await asyncio.gather(database.open(), other.open()) == [Position()] * 2
            await age(store)
    finally:
        await other.close()


@pytest.mark.parametrize(
    "tables_of_another",
    [
        (
            "create table sessions (id integer, user_agent text)",
            "insert into sessions values (1, 'x')",
        ),
        ("create table position (x integer)", "insert into position values (1)"),
        (STAMPED[0], "insert into alembic_version values ('8ab3')"),
        STAMPED,
    ],
)
async def test_the_tables_of_another_program_are_not_touched(
    database: Database, store: Store, tables_of_another: tuple[str, ...]
) -> None:
    await store.sql(*tables_of_another)
    name = tables_of_another[0].split()[2]
    before = await store.sql(f"select * from {name}")
    with pytest.raises(DatabaseUnusable, match=f"its table {name} is another program's"):
        await database.open()
    assert await store.sql(f"select * from {name}") == before


async def test_other_tables_beside_ours_do_not_matter(database: Database, store: Store) -> None:
    await store.sql("create table notes (note text)", "insert into notes values ('mine')")
    assert await database.open() == Position()
    await store.sql("update position set sequence = 7, digest = 'x'")
    assert await database.open() == Position(7, "x")
    await database.reset()
    assert await store.sql("select * from notes") == [[("mine",)]]
