"""The database of the webhooks process: what makes it refuse, and what it waits for."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.testing import capture_logs

from services.webhooks import store as store_module
from services.webhooks.outbox import Outbox, Outgoing
from services.webhooks.store import BEGINNING, CdrPlace, Cursor, Store, StoreUnusable, exclusive
from tests.unit.webhooks.harness import eventually


async def test_every_transaction_is_synced_to_disk(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "webhooks.db")
    try:
        modes = []
        for name in ("journal_mode", "synchronous"):

            async def ask(connection, name=name):
                return (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one()

            modes.append(await store.transaction(ask))
        assert modes == ["wal", 2]
    finally:
        await store.close()


async def test_cursors_are_kept_apart_and_survive(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "webhooks.db")
    assert await store.cursor("a") is None
    await store.keep_cursor("a", BEGINNING)
    await store.keep_cdr("b", CdrPlace("/cdr/x", 5), Cursor(7, "seven"))
    await store.keep_cdr("b", CdrPlace("/cdr/y", 6), Cursor(8, "eight"))
    await store.close()
    store = await Store.open(tmp_path / "webhooks.db")
    assert await store.cursor("a") == BEGINNING
    assert await store.cursor("b") == Cursor(8, "eight")
    assert await store.cdr_place() == CdrPlace("/cdr/y", 6)
    await store.forget_cdr("b")
    assert await store.cursor("b") is None
    assert await store.cdr_place() is None
    assert await store.cursor("a") == BEGINNING
    await store.close()


async def test_the_cursor_and_what_is_to_be_sent_move_together_or_not_at_all(
    tmp_path: Path,
) -> None:
    store = await Store.open(tmp_path / "webhooks.db")
    outbox = Outbox(store, "e")
    await outbox.open("", 0)
    good = Outgoing(1, 0, "evt_1", "s", "signalSent", b"{}")
    bad = good._replace(body=None)
    with pytest.raises(Exception, match="NOT NULL"):
        await outbox.enqueue([good, bad], Cursor(1, ""), 0)
    assert await store.cursor("e") is None
    assert await outbox.totals() == (0, 0)
    await outbox.enqueue([good], Cursor(1, ""), 0)
    assert await store.cursor("e") == Cursor(1, "")
    assert await outbox.totals() == (1, 0)
    await store.close()


async def test_a_disk_that_refuses_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "WRITE_PAUSE", 0.01)
    path = tmp_path / "webhooks.db"
    store = await Store.open(path)
    outbox = Outbox(store, "e")
    await outbox.open("", 0)

    async def limit(connection, pages: int) -> None:
        await connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    with capture_logs() as lines:
        await store.transaction(lambda connection: limit(connection, 1))
        event = Outgoing(1, 0, "evt_1", "s", "signalSent", bytes(100_000))
        async with asyncio.TaskGroup() as group:
            task = group.create_task(outbox.enqueue([event], Cursor(1, ""), 0))
            await eventually(lambda: bool(lines))
            assert not task.done()
            await store.transaction(lambda connection: limit(connection, 1_000_000))
        assert await outbox.totals() == (1, 0)
    assert [line["log_level"] for line in lines] == ["error", "info"]
    assert "full" in lines[0]["why"]
    await store.close()


async def test_a_database_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "webhooks.db"
    await (await Store.open(path)).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreUnusable, match="later version"):
        await Store.open(path)


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "webhooks.db"
    path.write_bytes(b"something else entirely" * 100)
    with pytest.raises(StoreUnusable, match=r"webhooks\.db cannot be used"):
        await Store.open(path)


async def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnusable, match=r"file/webhooks\.db cannot be used"):
        await Store.open(tmp_path / "file/webhooks.db")
    with pytest.raises(StoreUnusable, match="cannot be made"), exclusive(tmp_path / "file/x.lock"):
        pass


def test_a_second_process_is_kept_out(tmp_path: Path) -> None:
    lock = tmp_path / "data/webhooks.lock"
    with (
        exclusive(lock),
        pytest.raises(StoreUnusable, match="Another webhooks process"),
        exclusive(lock),
    ):
        pass
    with exclusive(lock):
        pass


async def test_nobody_else_may_read_what_is_to_be_sent(tmp_path: Path) -> None:
    path = tmp_path / "webhooks.db"
    store = await Store.open(path)
    await store.keep_cursor("a", BEGINNING)
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}
    await store.close()


async def test_an_error_that_no_waiting_mends_is_raised(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "webhooks.db")

    async def wrong(connection: AsyncConnection) -> None:
        await connection.exec_driver_sql("SELECT x FROM nowhere")

    async with asyncio.timeout(5):
        with pytest.raises(OperationalError, match="no such table"):
            await store.transaction(wrong)
    await store.close()
