"""A SQLite file that is damaged, locked, of something else or not there."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.api import engines
from services.api.database import Database, DatabaseUnusable, Position
from tests.integration.api.histories import answers, make_history
from tests.integration.api.stores import SqliteStore


@pytest.fixture
def file(settings: Any) -> Path:
    return Path(settings.storage.data_dir) / "projection.db"


async def test_a_file_that_is_no_database_makes_room(start: Any, room: Any, file: Path) -> None:
    async with start() as api:
        await make_history(api, room)
        before = await answers(api)
    await SqliteStore(file).vanish()
    file.write_bytes(b"no database at all" * 1000)
    async with start() as api:
        assert await answers(api) == before
    moved = file.with_name("projection.db.unreadable")
    assert moved.read_bytes() == b"no database at all" * 1000


async def test_a_file_that_is_damaged_inside_is_replaced(start: Any, room: Any, file: Path) -> None:
    async with start() as api:
        await make_history(api, room)
        before = await answers(api)
    with closing(sqlite3.connect(file)) as database:
        ((page, root),) = database.execute(
            "select page_size, rootpage from pragma_page_size, sqlite_schema "
            "where name = 'connections'"
        )
    with file.open("r+b") as damaged:
        damaged.seek(page * (root - 1))
        damaged.write(os.urandom(page))
    async with start() as api:
        assert await answers(api) == before


async def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "projection.db"
    database = Database(f"sqlite:///{path}")
    with capture_logs() as lines, pytest.raises(DatabaseUnusable) as raised:
        await database.open()
    await database.close()
    assert not lines, "what cannot get better is not tried again"
    assert str(raised.value) == (
        f"The SQLite database {path} cannot be used: unable to open database file."
    )


async def test_a_file_that_another_program_keeps_locked_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "BUSY_MS", 50)
    monkeypatch.setattr("services.api.database.START_SECONDS", 0.5)
    path = tmp_path / "projection.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("begin exclusive")
        database = Database(f"sqlite:///{path}")
        with capture_logs() as lines, pytest.raises(DatabaseUnusable, match="is locked"):
            await database.open()
        assert lines, "it was tried again"
        other.rollback()
    assert await database.open() == Position()
    await database.close()
