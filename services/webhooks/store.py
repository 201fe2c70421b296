"""The database of the webhooks process: where it is in the log, and what it still has to deliver.

It cannot be rebuilt from the log without repeating deliveries, so every transaction is on disk
when it returns. All access goes over one connection: transactions are short and never collide.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import structlog
from sqlalchemy import (
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    delete,
    event,
    select,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

VERSION = 1  # of the tables, in `user_version`
WRITE_PAUSE = 1.0  # seconds until a write is tried again that the disk refused

# What may be better later: a full or failing disk, a lock (of a backup), no descriptors left.
_PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
}

T = TypeVar("T")

_logger = structlog.get_logger(__name__)

metadata = MetaData()

cursors = Table(
    "cursor",
    metadata,
    Column("follower", Text, primary_key=True),
    Column("sequence", Integer, nullable=False),
    Column("digest", Text, nullable=False),
)

endpoints = Table(
    "endpoint",
    metadata,
    Column("id", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),  # of URL and headers
    Column("last_position", Text, nullable=False),  # of the last event that was enqueued, or ""
)

deliveries = Table(
    "delivery",
    metadata,
    Column("id", Integer, primary_key=True),  # in the log's order
    Column("endpoint", Text, nullable=False),
    Column("sequence", Integer, nullable=False),  # of the commit in the log
    Column("position", Integer, nullable=False),  # of the event in its commit
    Column("previous", Text, nullable=False),  # `sequence.position` of the event before, or ""
    Column("event_id", Text, nullable=False),
    Column("session_id", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),  # as sent
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("first_attempt_at", Integer),  # UTC ms
    Column("error", Text),  # of the last attempt
    Column("dead_at", Integer),  # UTC ms; given up
)
Index(
    "delivery_waiting",
    deliveries.c.endpoint,
    deliveries.c.session_id,
    deliveries.c.id,
    sqlite_where=deliveries.c.dead_at.is_(None),
)

# A lane is the queue of one session: there is a row while it has deliveries that wait.
lanes = Table(
    "lane",
    metadata,
    Column("endpoint", Text, primary_key=True),
    Column("session_id", Text, primary_key=True),
    Column("due_at", Integer, nullable=False),  # UTC ms: no attempt before
    Column("unreachable", Boolean, nullable=False, server_default="0"),  # by the last attempt
    sqlite_with_rowid=False,
)
Index("lane_due", lanes.c.endpoint, lanes.c.due_at)

cdr_files = Table(
    "cdr_file",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("path", Text, nullable=False),
    Column("size", Integer, nullable=False),
)


class StoreUnusable(Exception):
    """The database cannot be used; `str()` says why and what to do."""


class Cursor(NamedTuple):
    """The last commit that was dealt with; `digest` tells if the log is still the same one."""

    sequence: int
    digest: str


BEGINNING = Cursor(0, "")


class CdrPlace(NamedTuple):
    """The file being written and how many of its bytes belong to commits before the cursor."""

    path: str
    size: int


class Store:
    """Made by `open`. Follower names and endpoint ids are the caller's."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @classmethod
    async def open(cls, path: Path) -> Store:
        """Raises `StoreUnusable`."""
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise StoreUnusable(f"{path} cannot be used: {error.strerror}") from error
        engine = create_async_engine(
            f"sqlite+aiosqlite:///{path}",
            pool_size=1,
            max_overflow=0,
            pool_timeout=60,
            pool_reset_on_return=None,  # every transaction ends in `transaction`
        )
        event.listen(engine.sync_engine, "connect", _configure)
        try:
            async with engine.begin() as connection:
                version = (await connection.exec_driver_sql("PRAGMA user_version")).scalar_one()
                if version > VERSION:
                    raise StoreUnusable(f"{path} was written by a later version of Tertulia.")
                await connection.run_sync(metadata.create_all)
                await connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")
        except DatabaseError as error:
            await engine.dispose()
            raise StoreUnusable(f"{path} cannot be used: {error.orig or error}") from error
        except BaseException:
            await engine.dispose()
            raise
        return cls(engine)

    async def close(self) -> None:
        await self._engine.dispose()

    async def transaction(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """All of `work` or nothing, on disk when it returns.

        While the disk refuses (full, or failing) it is tried again and again: sending on without
        the record of it would repeat every delivery at the next start.
        """
        refused = False
        while True:
            try:
                async with self._engine.begin() as connection:
                    result = await work(connection)
            except OperationalError as error:
                if getattr(error.orig, "sqlite_errorcode", 0) & 0xFF not in _PASSING:
                    raise
                if not refused:
                    _logger.error("cannot write what was delivered, waiting", why=str(error.orig))
                refused = True
                await asyncio.sleep(WRITE_PAUSE)
            else:
                if refused:
                    _logger.info("can write again")
                return result

    async def cursor(self, follower: str) -> Cursor | None:
        async def work(connection: AsyncConnection) -> Cursor | None:
            query = select(cursors.c.sequence, cursors.c.digest)
            row = (await connection.execute(query.where(cursors.c.follower == follower))).first()
            return None if row is None else Cursor(row.sequence, row.digest)

        return await self.transaction(work)

    async def keep_cursor(self, follower: str, cursor: Cursor) -> None:
        async def work(connection: AsyncConnection) -> None:
            await set_cursor(connection, follower, cursor)

        await self.transaction(work)

    async def cdr_place(self) -> CdrPlace | None:
        async def work(connection: AsyncConnection) -> CdrPlace | None:
            row = (await connection.execute(select(cdr_files.c.path, cdr_files.c.size))).first()
            return None if row is None else CdrPlace(row.path, row.size)

        return await self.transaction(work)

    async def keep_cdr(self, follower: str, place: CdrPlace, cursor: Cursor) -> None:
        """Where the CDR file stands after the commits up to the cursor."""

        async def work(connection: AsyncConnection) -> None:
            row = {"id": 1, "path": place.path, "size": place.size}
            await _upsert(connection, cdr_files, row)
            await set_cursor(connection, follower, cursor)

        await self.transaction(work)

    async def forget_cdr(self, follower: str) -> None:
        async def work(connection: AsyncConnection) -> None:
            await connection.execute(delete(cdr_files))
            await connection.execute(delete(cursors).where(cursors.c.follower == follower))

        await self.transaction(work)


async def set_cursor(connection: AsyncConnection, follower: str, cursor: Cursor) -> None:
    row = {"follower": follower, "sequence": cursor.sequence, "digest": cursor.digest}
    await _upsert(connection, cursors, row)


async def _upsert(connection: AsyncConnection, table: Table, row: dict[str, Any]) -> None:
    await connection.execute(insert(table).on_conflict_do_update(set_=row), row)


def _configure(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    try:
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA busy_timeout = 5000")
        cursor.close()
    except BaseException:
        connection.close()  # nobody else would, and its thread would stay
        raise


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Keep other processes out while inside: two senders would send everything twice.

    Raises `StoreUnusable` if another one is in, or the file cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise StoreUnusable(f"{path} cannot be made: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreUnusable(f"Another webhooks process works in {path.parent}.") from None
        yield
    finally:
        os.close(descriptor)
