"""A PostgreSQL that is away, hangs or cannot be used; and its coming back."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from structlog.testing import capture_logs

from services.api import engines, tables
from services.api.database import Database, DatabaseAway, DatabaseUnusable, Position
from services.eventlog.server import NatsServer
from tests.integration.api.conftest import eventually
from tests.integration.api.stores import PostgreSqlStore
from tests.postgresql import PASSWORD, PostgreSql

SOCKET = ".s.PGSQL.5432"
COUNT = select(func.count()).select_from(tables.sessions)


class Wire:
    """Between clients and the server, on a Unix socket in `folder`. Nothing passes while `flows`
    is not set."""

    def __init__(self, server_folder: Path) -> None:
        self._server = server_folder / SOCKET
        self.folder = tempfile.mkdtemp(prefix="wire-")  # short: a socket's path is limited
        self.flows = asyncio.Event()
        self.flows.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as pumps:

            async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                far_reader, far_writer = await asyncio.open_unix_connection(self._server)
                pumps.create_task(self._pump(reader, far_writer))
                pumps.create_task(self._pump(far_reader, writer))

            server = await asyncio.start_unix_server(join, Path(self.folder) / SOCKET)
            try:
                yield
            finally:
                server.close()
                self.flows.set()
                shutil.rmtree(self.folder)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self.flows.wait()
                writer.write(data)
        writer.close()


@pytest.fixture
async def server(postgresql: PostgreSql) -> AsyncIterator[PostgreSqlStore]:
    """An empty database on PostgreSQL. The test may stop the server."""
    store = PostgreSqlStore(postgresql, await postgresql.new_database())
    yield store
    if not postgresql.running:
        postgresql.start()
    await postgresql.clear()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    try:
        await database.open()
        yield database
    finally:
        await database.close()


async def refusal(url: str) -> str:
    """Why the database at this URL is not opened."""
    database = Database(url)
    try:
        with capture_logs() as lines, pytest.raises(DatabaseUnusable) as raised:
            await database.open()
    finally:
        await database.close()
    assert not lines, "what cannot get better is not tried again"
    return str(raised.value)


async def test_while_postgresql_is_away_its_answers_are_503_and_then_it_goes_on(
    start: Any, settings: Any, server: PostgreSqlStore, postgresql: PostgreSql
) -> None:
    async with start(server.used_by(settings)) as api:
        await api.new_session(customSessionId="before")
        await server.reach(1)
        postgresql.stop()
        for path in ("/recordings/before", "/recordings"):
            answer = await api.get(path)
            assert answer.status == 503
            assert PASSWORD not in answer.json["message"]
        await api.new_session(customSessionId="meanwhile")
        assert (await api.get("/sessions/meanwhile")).status == 200, "the log has it"
        postgresql.start()
        await server.reach(2)
        assert (await api.get("/recordings/before")).status == 404
        assert (await api.get("/recordings")).json == {"count": 0, "items": []}
        await api.new_session(customSessionId="after")
        await server.reach(3)
        rows = await server.sql("select id from sessions order by ordinal")
        assert rows == [[("before",), ("meanwhile",), ("after",)]]


async def test_broken_connections_are_replaced(server: PostgreSqlStore) -> None:
    async with opened(server.url) as database:
        assert await database.read(COUNT) == [(0,)]
        await server.sql(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )
        assert await database.read(COUNT) == [(0,)]
        assert await database.write(lambda c: c.scalar(COUNT)) == 0


async def test_a_network_that_hangs_ends_in_an_error(
    server: PostgreSqlStore, tmp_path_factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "READ_SECONDS", 0.5)
    monkeypatch.setattr(engines, "WRITE_SECONDS", 0.5)
    monkeypatch.setattr(engines, "CONNECT_SECONDS", 2)
    wire = Wire(server.server.folder)
    slow = server.url.replace(str(server.server.folder), wire.folder)
    async with wire.running(), opened(slow) as database:

        async def read() -> bool:
            try:
                return await database.read(COUNT) == [(0,)]
            except DatabaseAway:
                return False

        assert await eventually(read)
        wire.flows.clear()
        async with asyncio.timeout(20):
            with pytest.raises(DatabaseAway):
                await database.read(COUNT)
            with pytest.raises((OSError, SQLAlchemyError)):  # a time-out, or a lost connection
                await database.write(lambda connection: connection.scalar(COUNT))
        wire.flows.set()
        assert await eventually(read)


async def test_a_server_that_starts_later_is_waited_for(
    server: PostgreSqlStore, postgresql: PostgreSql
) -> None:
    postgresql.stop()
    database = Database(server.url)
    try:
        with capture_logs() as lines:
            opening = asyncio.create_task(database.open())

            async def tried() -> bool:
                return len(lines) > 1

            await eventually(tried)
            assert not opening.done()
            postgresql.start()
            assert await opening == Position()
    finally:
        await database.close()
    assert {line["event"] for line in lines} == {"database away, trying again"}
    assert PASSWORD not in str(lines)


async def test_a_server_that_stays_away_is_an_error(
    server: PostgreSqlStore, postgresql: PostgreSql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.database.START_SECONDS", 0.3)
    postgresql.stop()
    database = Database(server.url)
    with pytest.raises(DatabaseUnusable) as raised:
        await database.open()
    await database.close()
    assert str(raised.value) == (
        f"The PostgreSQL database {server.name} at {postgresql.folder} cannot be used: "
        "[Errno 2] No such file or directory."
    )


async def test_what_postgresql_refuses_is_told_at_once_without_the_password(
    server: PostgreSqlStore, postgresql: PostgreSql
) -> None:
    name = server.name
    begin = f"The PostgreSQL database {name} at {postgresql.folder} cannot be used: "
    wrong = await refusal(postgresql.url(name, password="geheim"))
    assert wrong == f'{begin}password authentication failed for user "tertulia".'
    absent = await refusal(postgresql.url("nowhere"))
    assert absent.endswith('database "nowhere" does not exist.')
    unknown = await refusal(f"{server.url}&colour=green")
    assert "'colour'" in unknown
    await server.sql(
        f"create role guest login password '{PASSWORD}'", "grant usage on schema public to guest"
    )
    guest = await refusal(postgresql.url(name, user="guest"))
    assert guest == f"{begin}permission denied for schema public."
    await postgresql.execute(
        "create database latin encoding 'LATIN1' template template0",
    )
    latin = await refusal(postgresql.url("latin"))
    assert latin.endswith("its encoding is LATIN1; create it with ENCODING 'UTF8'.")
    for message in (wrong, absent, unknown, guest, latin):
        assert PASSWORD not in message
        assert "geheim" not in message
        assert "\n" not in message


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "",
        "://",
        "mysql://ana:geheim@host/name",
        "postgresql://ana:geheim@host:port/name",
        "postgresql://ana:geheim@[::1/name",
        "sqlite://",
        "sqlite:///:memory:",
    ],
)
def test_a_url_of_something_else_is_refused(url: str) -> None:
    with pytest.raises(
        DatabaseUnusable, match=r"^TERTULIA_DATABASE_URL cannot be used: "
    ) as raised:
        Database(url)
    assert "geheim" not in str(raised.value)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(DatabaseUnusable, match="the Python package asyncpg is not installed"):
        Database("postgresql://ana:geheim@host/name")


async def test_urls_as_other_tools_write_them_are_taken(server: PostgreSqlStore) -> None:
    rest = server.url.removeprefix("postgresql")
    for url in (f"postgres{rest}", f"postgresql+psycopg2{rest}", f"{server.url}&sslmode=disable"):
        async with opened(url):
            pass


async def test_the_process_ends_with_one_sentence(
    nats: NatsServer, nats_token: str, settings: Any, tmp_path: Path
) -> None:
    environment = {
        **os.environ,
        "DOTENV_PATH": "",
        "OPENVIDU_SECRET": settings.access.secret,
        "TERTULIA_DATA_DIR": str(tmp_path / "process"),
        "TERTULIA_NATS_URL": nats.url,
        "TERTULIA_NATS_TOKEN": nats_token,
        "TERTULIA_DATABASE_URL": "mysql://ana:geheim@host/name",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.api",
        env=environment, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        _, output = await process.communicate()
    assert process.returncode == 1
    lines = output.decode().splitlines()
    assert "TERTULIA_DATABASE_URL cannot be used: mysql is not supported" in lines[-1]
    assert "Traceback" not in output.decode()
    assert "geheim" not in output.decode()
