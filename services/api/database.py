"""The database of the projection: SQLite in the data folder, or PostgreSQL by URL."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog
from msgspec import Struct
from sqlalchemy import Connection, Select, Table, event, insert, make_url, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DatabaseError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from services.settings import Storage

from . import tables

READERS = 4  # connections for answers
POOL_SECONDS = 10  # for a free connection
BUSY_MS = 5000  # SQLite: wait this long for a lock of another process

_UNREADABLE = ("not a database", "malformed")

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


class Database:
    """One writing connection, a few for reading. Every read is one statement, so it sees one
    state of the projection.

    A database serves one api process: each replica has its own.
    """

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        drivers = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
        self.url = parsed.set(drivername=drivers.get(parsed.drivername, parsed.drivername))
        self.dialect = self.url.get_backend_name()
        if self.dialect not in drivers:
            raise ValueError(f"The database is {self.dialect}; accepts sqlite or postgresql")
        self.writer = self._engine(pool_size=1, max_overflow=0)
        self.reader = self._engine(
            pool_size=READERS,
            max_overflow=0,
            isolation_level="AUTOCOMMIT",
            pool_reset_on_return=None,
        )

    def _engine(self, **options: Any) -> AsyncEngine:
        try:
            engine = create_async_engine(
                self.url,
                pool_timeout=POOL_SECONDS,
                pool_pre_ping=self.dialect != "sqlite",  # the server may have been started anew
                **options,
            )
        except ModuleNotFoundError as error:
            raise ValueError(
                f"{self.dialect} needs the Python package {error.name}: install it"
            ) from None
        if self.dialect == "sqlite":
            event.listen(engine.sync_engine, "connect", _tune)
            if "isolation_level" not in options:
                event.listen(engine.sync_engine, "begin", _begin)
        return engine

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
            return await self._open()

    async def _open(self) -> Position:
        async with self.writer.begin() as connection:
            await connection.run_sync(tables.position.create, checkfirst=True)
            row = (await connection.execute(select(tables.position))).first()
            if row is not None and row.layout == tables.layout():
                return Position(row.sequence, row.digest)
            if row is not None:
                log.info("projection of another version, rebuilding", found=row.layout)
            await self._reset(connection)
            return Position()

    async def reset(self) -> Position:
        async with self.writer.begin() as connection:
            await self._reset(connection)
        return Position()

    async def _reset(self, connection: AsyncConnection) -> None:
        await connection.run_sync(tables.metadata.drop_all)
        await connection.run_sync(tables.metadata.create_all)
        row = {"id": 1, "sequence": 0, "digest": "", "layout": tables.layout()}
        await connection.execute(insert(tables.position), row)

    async def read(self, statement: Select[Any]) -> list[tuple[Any, ...]]:
        """Raises `DatabaseAway`."""
        try:
            async with self.reader.connect() as connection:
                return [tuple(row) for row in await connection.execute(statement)]
        except (SQLAlchemyError, OSError) as error:
            log.warning("projection cannot be read", error=reason(error))
            raise DatabaseAway("The database of the answers is not available") from error

    async def close(self) -> None:
        await self.writer.dispose()
        await self.reader.dispose()

    def upsert(self, table: Table, keys: Sequence[str]) -> Any:
        """Insert rows, or replace those with the same keys."""
        build = sqlite.insert if self.dialect == "sqlite" else postgresql.insert
        statement = build(table)
        new = {c.name: statement.excluded[c.name] for c in table.c if c.name not in keys}
        return statement.on_conflict_do_update(index_elements=list(keys), set_=new)


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
