"""The database of the projection: SQLite in the data folder, or PostgreSQL by URL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

import structlog
from msgspec import Struct
from sqlalchemy import (
    URL,
    Connection,
    Select,
    Table,
    create_engine,
    event,
    insert,
    make_url,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DatabaseError, SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from services.settings import Storage

from . import tables

READERS = 4  # connections for answers
POOL_SECONDS = 10  # for a free connection
BUSY_MS = 5000  # SQLite: wait this long for a lock of another process

DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}

_UNREADABLE = ("not a database", "malformed")

T = TypeVar("T")

log = structlog.get_logger(__name__)


class DatabaseAway(Exception):
    """The database did not answer a read."""


class Position(Struct, frozen=True):
    """The last commit that is in the database; sequence 0: none."""

    sequence: int = 0
    digest: str = ""


def default_url(storage: Storage) -> str:
    path = storage.data_dir.absolute() / "projection.db"
    return storage.database_url or f"sqlite+aiosqlite:///{path}"


class Writer(Protocol):
    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do it in one transaction."""
        ...

    async def close(self) -> None: ...


class SqliteWriter:
    """A thread that does whole transactions. Statement by statement, as aiosqlite goes to its
    thread and back, a transaction of the projector costs three times the CPU."""

    def __init__(self, url: URL) -> None:
        self._engine = create_engine(
            url.set(drivername="sqlite"), pool_size=1, max_overflow=0, pool_timeout=POOL_SECONDS
        )
        event.listen(self._engine, "connect", _tune)
        event.listen(self._engine, "begin", _begin)
        self._thread = ThreadPoolExecutor(1, "projection")

    async def run(self, work: Callable[[Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, work)

    def _run(self, work: Callable[[Connection], T]) -> T:
        with self._engine.begin() as connection:
            return work(connection)

    async def close(self) -> None:
        await asyncio.to_thread(self._thread.shutdown)  # a transaction on its way comes to its end
        self._engine.dispose()


class AsyncWriter:
    def __init__(self, url: URL) -> None:
        self._engine = create_async_engine(
            url, pool_size=1, max_overflow=0, pool_timeout=POOL_SECONDS, pool_pre_ping=True
        )

    async def run(self, work: Callable[[Connection], T]) -> T:
        async with self._engine.begin() as connection:
            return await connection.run_sync(work)

    async def close(self) -> None:
        await self._engine.dispose()


class Database:
    """One writing connection, a few for reading. Every read is one statement, so it sees one
    state of the projection.

    A database serves one api process: each replica has its own.
    """

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        self.dialect = parsed.get_backend_name()
        if self.dialect not in DRIVERS:
            raise ValueError(f"The database is {self.dialect}; accepts sqlite or postgresql")
        named = parsed.drivername != self.dialect
        self.url = parsed if named else parsed.set(drivername=DRIVERS[self.dialect])
        try:
            self._open_engines()
        except ModuleNotFoundError as error:
            raise ValueError(
                f"{self.dialect} needs the Python package {error.name}: install it"
            ) from None

    def _open_engines(self) -> None:
        sqlite = self.dialect == "sqlite"
        if self._file is not None:  # it holds tokens; where it cannot be made, SQLite will say so
            with suppress(OSError):
                self._file.touch(mode=0o600)
        self._writer: Writer = SqliteWriter(self.url) if sqlite else AsyncWriter(self.url)
        self._reader = create_async_engine(
            self.url,
            pool_size=READERS,
            max_overflow=0,
            pool_timeout=POOL_SECONDS,
            pool_pre_ping=not sqlite,  # a server may have been started anew
            pool_reset_on_return=None,
            isolation_level="AUTOCOMMIT",
        )
        if sqlite:
            event.listen(self._reader.sync_engine, "connect", _tune)

    @property
    def _file(self) -> Path | None:
        name = self.url.database
        return Path(name) if self.dialect == "sqlite" and name and name != ":memory:" else None

    async def open(self) -> Position:
        """Make what is missing. A database of another layout, or one that cannot be read, is
        emptied: the log has it all."""
        try:
            return await self._open()
        except DatabaseError as error:
            if self._file is None or not any(text in str(error) for text in _UNREADABLE):
                raise
            log.warning("projection unreadable, rebuilding", error=reason(error))
            await self.close()
            _remove(self._file)
            self._open_engines()
            return await self._open()

    async def _open(self) -> Position:
        return await self._writer.run(_prepare)

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

    def upsert(self, table: Table, keys: Sequence[str]) -> Any:
        """Insert rows, or replace those with the same keys."""
        insert_into = sqlite.insert if self.dialect == "sqlite" else postgresql.insert
        statement = insert_into(table)
        new = {c.name: statement.excluded[c.name] for c in table.c if c.name not in keys}
        return statement.on_conflict_do_update(index_elements=list(keys), set_=new)


def _prepare(connection: Connection) -> Position:
    tables.position.create(connection, checkfirst=True)
    row = connection.execute(select(tables.position)).first()
    if row is not None and row.layout == tables.layout():
        return Position(row.sequence, row.digest)
    if row is not None:
        log.info("projection of another version, rebuilding", found=row.layout)
    return _reset(connection)


def _reset(connection: Connection) -> Position:
    tables.metadata.drop_all(connection)
    tables.metadata.create_all(connection)
    row = {"id": 1, "sequence": 0, "digest": "", "layout": tables.layout()}
    connection.execute(insert(tables.position), row)
    return Position()


def reason(error: Exception) -> str:
    """In the driver's words, without the statement and its values."""
    return str(getattr(error, "orig", None) or error)


def _remove(file: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{file}{suffix}").unlink(missing_ok=True)


def _tune(connection: Any, _record: object) -> None:
    """WAL: readers do not wait for the writer. NORMAL may lose the last transactions with the
    power, whole ones with their position, and the log has them."""
    connection.isolation_level = None  # transactions are ours, around DDL as well
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", f"busy_timeout={BUSY_MS}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
