"""Litestar handlers to compare with, behind the same server as ours.

    python -m benchmarks.api.peers nothing|NORMAL|FULL FOLDER SIZE...

Serves `GET /<size>` and `POST /<size>`, which answers JSON of so many bytes, and prints its port.
A POST reads its JSON body. `nothing` does no more; the others insert a row before they answer, by
SQLAlchemy and aiosqlite with that `synchronous`. Ends with its standard input.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import uvloop
from litestar import Litestar, MediaType, Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from sqlalchemy import Column, Integer, MetaData, Table, Text, event, insert
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from services.api.server import serve

rows = Table(
    "rows",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("document", Text, nullable=False),
)


def answer(size: int) -> bytes:
    return b'{"id":"' + b"x" * (size - 9) + b'"}'


def nothing(size: int) -> list[HTTPRouteHandler]:
    content = answer(size)

    @get(f"/{size}")
    async def read() -> Response[bytes]:
        return Response(content, media_type=MediaType.JSON)

    @post(f"/{size}", status_code=200)
    async def write(request: Request[Any, Any, Any]) -> Response[bytes]:
        await request.json()
        return Response(content, media_type=MediaType.JSON)

    return [read, write]


def inserting(size: int, engine: AsyncEngine) -> list[HTTPRouteHandler]:
    content = answer(size)
    document = content.decode()

    @post(f"/{size}", status_code=200)
    async def write(request: Request[Any, Any, Any]) -> Response[bytes]:
        await request.json()
        async with engine.begin() as connection:
            await connection.execute(insert(rows).values(kind="session", document=document))
        return Response(content, media_type=MediaType.JSON)

    return [write]


async def open_database(folder: Path, synchronous: str) -> AsyncEngine:
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{folder}/{synchronous}.db",
        pool_size=1,  # SQLite has one writer anyway: with more, the slow ones wait for 300 ms
        max_overflow=0,
        pool_timeout=60,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def tune(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", f"synchronous={synchronous}"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    async with engine.begin() as connection:
        await connection.run_sync(rows.metadata.create_all)
    return engine


async def main(kind: str, folder: Path, sizes: list[int]) -> None:
    engine = None if kind == "nothing" else await open_database(folder, kind)
    handlers = [nothing(size) if engine is None else inserting(size, engine) for size in sizes]
    app = Litestar([one for group in handlers for one in group], logging_config=None)
    async with serve(app, host="127.0.0.1", port=0) as port:
        print(port, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    if engine is not None:
        await engine.dispose()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], Path(sys.argv[2]), [int(size) for size in set(sys.argv[3:])]))
