"""SQLAlchemy's engines for the two kinds of database, and the thread that writes SQLite."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import URL, Connection, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

READERS = 4  # connections for answers
POOL_SECONDS = 10  # for a free connection
BUSY_MS = 5000  # SQLite: wait this long for a lock of another process
CONNECT_SECONDS, READ_SECONDS, WRITE_SECONDS = 10, 20, 60  # PostgreSQL: for each answer

DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
}

T = TypeVar("T")


def parse(text: str | URL) -> URL:
    """With the driver that is ours. Raises `ValueError`; the message does not repeat the URL."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError("it is no URL like postgresql://user:password@host/name") from None
    backend = url.get_backend_name()
    if backend not in DRIVERS:
        raise ValueError(f"{backend} is not supported: sqlite or postgresql")
    url = url.set(drivername=DRIVERS[backend])
    if backend == "sqlite" and url.database in {None, "", ":memory:"}:
        raise ValueError("SQLite needs a file: sqlite:////folder/projection.db")
    if mode := url.query.get("sslmode"):  # as all PostgreSQL tools call what asyncpg calls ssl
        url = url.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
    return url


class Writer(Protocol):
    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do it in one transaction."""
        ...

    async def close(self) -> None: ...


class SqliteWriter:
    """A thread that does whole transactions. Statement by statement, as aiosqlite goes to its
    thread and back, a transaction of the projector costs three times the CPU."""

    def __init__(self, url: URL) -> None:
        with suppress(OSError):  # it holds tokens; where it cannot be made, SQLite will say so
            Path(url.database or "").touch(mode=0o600)
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
            url,
            pool_size=1,
            max_overflow=0,
            pool_timeout=POOL_SECONDS,
            pool_pre_ping=True,
            connect_args={"timeout": CONNECT_SECONDS, "command_timeout": WRITE_SECONDS},
        )

    async def run(self, work: Callable[[Connection], T]) -> T:
        async with self._engine.begin() as connection:
            return await connection.run_sync(work)

    async def close(self) -> None:
        await self._engine.dispose()


def writer(url: URL) -> Writer:
    """Raises `ValueError` if the database's driver is not installed. Connects later."""
    try:
        return SqliteWriter(url) if url.get_backend_name() == "sqlite" else AsyncWriter(url)
    except ModuleNotFoundError as error:
        raise ValueError(f"the Python package {error.name} is not installed") from None


def reader(url: URL) -> AsyncEngine:
    """Connects later."""
    sqlite = url.get_backend_name() == "sqlite"
    limits = {} if sqlite else {"timeout": CONNECT_SECONDS, "command_timeout": READ_SECONDS}
    engine = create_async_engine(
        url,
        pool_size=READERS,
        max_overflow=0,
        pool_timeout=POOL_SECONDS,
        pool_pre_ping=not sqlite,  # a server may have been started anew
        pool_reset_on_return=None,
        isolation_level="AUTOCOMMIT",
        connect_args=limits,
    )
    if sqlite:
        event.listen(engine.sync_engine, "connect", _tune)
    return engine


def _tune(connection: Any, _record: object) -> None:
    """WAL: readers do not wait for the writer. NORMAL may lose the last transactions with the
    power, whole ones with their position, and the log has them."""
    try:
        connection.isolation_level = None  # transactions are ours, around DDL as well
        cursor = connection.cursor()
        for pragma in (f"busy_timeout={BUSY_MS}", "journal_mode=WAL", "synchronous=NORMAL"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
    except BaseException:
        connection.close()  # nobody else would, and its thread would stay
        raise


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
