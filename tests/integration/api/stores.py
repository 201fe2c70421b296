"""The projection's database as a test sees and damages it: SQLite and PostgreSQL alike."""

from __future__ import annotations

import asyncio
import sqlite3
from abc import ABC, abstractmethod
from contextlib import closing
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from services.api import tables
from services.settings import Settings
from tests.postgresql import PostgreSql

Rows = list[Any]
TABLES = [*sorted(tables.metadata.tables), "alembic_version"]


class Store(ABC):
    """`url` is what `TERTULIA_DATABASE_URL` says. Tables may be missing when rows are read."""

    url: str

    @abstractmethod
    async def sql(self, *statements: str) -> list[Rows]:
        """The rows of each statement; all in one transaction."""

    @abstractmethod
    async def vanish(self) -> None:
        """Leave nothing, as if the database had been made just now."""

    @abstractmethod
    async def refuse(self, table: str) -> None:
        """Every new row of the table, until `accept`."""

    @abstractmethod
    async def accept(self, table: str) -> None: ...

    @abstractmethod
    async def another(self) -> Store:
        """Of the same kind, empty."""

    def used_by(self, settings: Settings) -> Settings:
        return replace(settings, storage=replace(settings.storage, database_url=self.url))

    async def rows(self) -> dict[str, Rows]:
        """Everything of the projection, in an order that does not depend on where it lies."""
        found = await self.sql(*(f"select * from {table}" for table in TABLES))
        return {table: sorted(rows, key=repr) for table, rows in zip(TABLES, found, strict=True)}

    async def position(self) -> int:
        ((sequence,),) = (await self.sql("select sequence from position"))[0]
        return int(sequence)

    async def reach(self, sequence: int) -> None:
        """Wait until the position is there; what answers show comes to the database later."""
        async with asyncio.timeout(20):
            while await self.position() != sequence:  # noqa: ASYNC110 - another task moves it
                await asyncio.sleep(0.01)


class SqliteStore(Store):
    def __init__(self, file: Path, *, is_default: bool = False) -> None:
        self.file = file
        self.url = "" if is_default else f"sqlite:///{file}"

    async def sql(self, *statements: str) -> list[Rows]:
        with closing(sqlite3.connect(self.file, timeout=20)) as database:
            found = [database.execute(statement).fetchall() for statement in statements]
            database.commit()
        return found

    async def vanish(self) -> None:
        for path in self.file.parent.glob(f"{self.file.name}*"):
            path.unlink()

    async def refuse(self, table: str) -> None:
        await self.sql(
            f"create trigger broken before insert on {table} "
            "begin select raise(abort, 'disk trouble'); end"
        )

    async def accept(self, table: str) -> None:
        await self.sql("drop trigger broken")

    async def another(self) -> Store:
        number = len(list(self.file.parent.glob("another-*.db")))
        file = self.file.parent / f"another-{number}.db"
        file.touch()
        return SqliteStore(file)


class PostgreSqlStore(Store):
    def __init__(self, server: PostgreSql, name: str) -> None:
        self.server = server
        self.name = name
        self.url = server.url(name)

    async def sql(self, *statements: str) -> list[Rows]:
        return await self.server.execute(*statements, database=self.name)

    async def vanish(self) -> None:
        await self.sql("drop schema public cascade", "create schema public")

    async def refuse(self, table: str) -> None:
        await self.sql(
            "create function broken() returns trigger language plpgsql as "
            "$$ begin raise exception 'disk trouble'; end $$",
            f"create trigger broken before insert on {table} "
            "for each row execute function broken()",
        )

    async def accept(self, table: str) -> None:
        await self.sql(f"drop trigger broken on {table}", "drop function broken")

    async def another(self) -> Store:
        return PostgreSqlStore(self.server, await self.server.new_database())
