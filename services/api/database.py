"""The database of the projection: SQLite in the data folder, or PostgreSQL by URL."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import structlog
from msgspec import Struct
from sqlalchemy import URL, Connection, Select, func, insert, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from services.settings import Storage

from . import engines, migrations, tables

START_SECONDS = 30.0  # for a server that starts when we do
FIRST_RETRY, LAST_RETRY = 0.1, 2.0  # seconds between tries

_LOCK = int.from_bytes(b"tertulia")  # of PostgreSQL; any number that others hardly choose
_UNREADABLE = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
# Classes of SQLSTATE: no connection, a deadlock, no room, starting or stopping.
_PASSING = ("08", "40", "53", "57")

T = TypeVar("T")

log = structlog.get_logger(__name__)


class DatabaseAway(Exception):
    """The database did not answer a read."""


class DatabaseUnusable(Exception):
    """`str()` says in one sentence which database, without its password, and why."""


class Damaged(SQLAlchemyError):
    """The file is a database with something wrong inside."""


class Position(Struct, frozen=True):
    """The last commit that is in the database; sequence 0: none."""

    sequence: int = 0
    digest: str = ""


def default_url(storage: Storage) -> str | URL:
    path = storage.data_dir.absolute() / "projection.db"
    return storage.database_url or URL.create("sqlite", database=str(path))


class Database:
    """One writing connection, a few for reading. Every read is one statement, so it sees one
    state of the projection.

    A database serves one api process: each replica has its own.
    """

    def __init__(self, url: str | URL) -> None:
        """Raises `DatabaseUnusable`."""
        try:
            self.url = engines.parse(url)
        except ValueError as error:
            raise DatabaseUnusable(f"TERTULIA_DATABASE_URL cannot be used: {error}.") from None
        self.dialect = self.url.get_backend_name()
        self._open_engines()

    def _open_engines(self) -> None:
        try:
            self._writer = engines.writer(self.url)
        except ValueError as error:
            raise self._unusable(error) from None
        self._reader = engines.reader(self.url)

    def _unusable(self, error: Exception) -> DatabaseUnusable:
        where = self.url.host or self.url.query.get("host", "")
        name = f"PostgreSQL database {self.url.database} at {where}"
        if self.dialect == "sqlite":
            name = f"SQLite database {self.url.database}"
        return DatabaseUnusable(f"The {name} cannot be used: {reason(error)}.")

    async def open(self) -> Position:
        """Bring the tables to this version. A database of a version that is not known, or one that
        cannot be read, is emptied: the log has it all.

        Raises `DatabaseUnusable`, at once or when a server has not been there for `START_SECONDS`.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + START_SECONDS
        delay = FIRST_RETRY
        while True:
            try:
                return await self._open()
            except (SQLAlchemyError, OSError) as error:
                if not _may_pass(error) or loop.time() + delay > deadline:
                    raise self._unusable(error) from error
                log.warning("database away, trying again", error=reason(error), seconds=delay)
            await asyncio.sleep(delay)
            delay = min(2 * delay, LAST_RETRY)

    async def _open(self) -> Position:
        try:
            await self._writer.run(_examine)
        except (TypeError, ValueError) as error:  # also of the driver, about what the URL says
            raise self._unusable(error) from error
        except SQLAlchemyError as error:
            if not _unreadable(error):
                raise
            log.warning("projection unreadable, rebuilding", error=reason(error))
            await self.close()
            try:
                _move_away(Path(self.url.database or ""))
            finally:
                self._open_engines()
        try:
            return await self._writer.run(_prepare)
        except migrations.ForeignTables as error:
            raise self._unusable(error) from error

    async def reset(self) -> Position:
        return await self._writer.run(_reset)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Do it in one transaction. Raises errors of SQLAlchemy, `OSError`, and what `work` does.

        `work` may run in another thread."""
        return await self._writer.run(work)

    async def read(self, statement: Select[Any]) -> list[tuple[Any, ...]]:
        """Raises `DatabaseAway`."""
        try:
            async with self._reader.connect() as connection:
                return [tuple(row) for row in await connection.execute(statement)]
        except (SQLAlchemyError, OSError) as error:
            log.warning("projection cannot be read", error=reason(error))
            raise DatabaseAway("The database of the answers is not available") from error

    async def close(self) -> None:
        await self._writer.close()
        await self._reader.dispose()


def _examine(connection: Connection) -> None:
    """Can it be read, and can it hold any text?"""
    if connection.dialect.name == "sqlite":
        if (found := connection.scalar(text("PRAGMA quick_check(1)"))) != "ok":
            raise Damaged(str(found))
    elif (encoding := connection.scalar(text("SHOW server_encoding"))) != "UTF8":
        raise ValueError(f"its encoding is {encoding}; create it with ENCODING 'UTF8'")


def _prepare(connection: Connection) -> Position:
    if connection.dialect.name == "postgresql":  # of two that start, one waits for the other
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    if migrations.keep(connection):
        row = connection.execute(select(tables.position)).first()
        if row is not None:
            return Position(row.sequence, row.digest)
    return _reset(connection)


def _reset(connection: Connection) -> Position:
    migrations.make(connection)
    connection.execute(insert(tables.position), {"id": 1, "sequence": 0, "digest": ""})
    return Position()


def _move_away(file: Path) -> None:
    for suffix in ("-wal", "-shm"):
        Path(f"{file}{suffix}").unlink(missing_ok=True)
    file.replace(f"{file}.unreadable")  # it may be no projection but somebody's document


def reason(error: Exception) -> str:
    """In the driver's words, without the statement and its values."""
    return (str(getattr(error, "orig", None) or error) or type(error).__name__).partition("\n")[0]


def _unreadable(error: Exception) -> bool:
    return isinstance(error, Damaged) or _sqlite_code(error) in _UNREADABLE


def _may_pass(error: Exception) -> bool:
    """Whether it is worth trying again."""
    if isinstance(error, OSError | PoolTimeout) or _sqlite_code(error) in _BUSY:
        return True
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    return (state or "").startswith(_PASSING) or getattr(error, "connection_invalidated", False)


def _sqlite_code(error: Exception) -> int:
    code: int = getattr(getattr(error, "orig", None), "sqlite_errorcode", 0)
    return code & 0xFF  # the rest are details
