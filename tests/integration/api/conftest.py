"""The api as a process runs it: a real nats-server, a real database, real HTTP."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import aiohttp
import pytest
from msgspec.structs import replace
from nats.aio.client import Client

from services.api.service import service
from services.conference.commands import (
    Command,
    JoinSession,
    PublishStream,
    ReportRecordingReady,
    ReportRecordingStarted,
    StartRecording,
    StopRecording,
    SubscribeToStream,
)
from services.conference.model import MediaOptions, OutputMode, RecordingOptions, VideoSource
from services.eventlog.bus import CommandBus, Outcome
from services.eventlog.commit import Actor, ActorKind
from services.eventlog.jetstream import JetStreamLog
from services.settings import Settings
from services.settings.load import load
from tests.integration.api.stores import PostgreSqlStore, SqliteStore, Store
from tests.postgresql import Missing, PostgreSql

SECRET = "A_SECRET_OF_THE_TESTS"
AUTH = aiohttp.encode_basic_auth("OPENVIDUAPP", SECRET)
API = "/openvidu/api"
SERVICE = Actor(ActorKind.SERVICE, "test")
MEDIA = MediaOptions(
    has_audio=True,
    has_video=True,
    audio_active=True,
    video_active=True,
    type_of_video=VideoSource.CAMERA,
    frame_rate=30,
    video_dimensions='{"width":640,"height":480}',
)


T = TypeVar("T")


async def eventually(probe: Callable[[], Awaitable[T]], *, limit: float = 20.0) -> T:
    """The first true answer of `probe`."""
    last: Any = None
    try:
        async with asyncio.timeout(limit):
            while True:
                if last := await probe():
                    return last
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not within {limit} s; last answer: {last!r}") from None


class Answer(NamedTuple):
    status: int
    headers: Any
    body: bytes
    json: Any


class Server:
    """One running api and an HTTP client that knows its secret."""

    eventually = staticmethod(eventually)

    def __init__(self, port: int, http: aiohttp.ClientSession, settings: Settings) -> None:
        self.port = port
        self.settings = settings
        self._http = http

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        auth: str | None = AUTH,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> Answer:
        """`path` is under `/openvidu/api` unless it has a root of its own; `auth` is the header."""
        if not path.startswith(("/openvidu", "/livez", "/docs", "/metrics")):
            path = API + path
        if body is not None:
            more["json"] = body
        sent = {**({"Authorization": auth} if auth is not None else {}), **(headers or {})}
        async with self._http.request(method, self.url + path, headers=sent, **more) as answer:
            raw = await answer.read()
            found = await answer.json() if answer.content_type == "application/json" else None
            return Answer(answer.status, answer.headers, raw, found)

    async def raw(self, method: str, path: str) -> Answer:
        """Sent as it is, with no normalisation by a client."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            request = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            writer.write(f"{request}Authorization: {AUTH}\r\n\r\n".encode())
            async with asyncio.timeout(20):
                head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
            return Answer(int(head.split()[1]), None, body, None)
        finally:
            writer.close()

    async def begin_download(self, path: str) -> None:
        """And go away after the first bytes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: {AUTH}\r\n\r\n".encode())
        await reader.read(1)
        writer.transport.abort()

    async def get(self, path: str, **more: Any) -> Answer:
        return await self.call("GET", path, **more)

    async def post(self, path: str, body: object = None, **more: Any) -> Answer:
        return await self.call("POST", path, body, **more)

    async def delete(self, path: str, **more: Any) -> Answer:
        return await self.call("DELETE", path, **more)

    async def until(self, path: str, good: Callable[[Any], Any]) -> Any:
        """The first answer of `GET path` that is good."""

        async def probe() -> Answer | None:
            answer = await self.get(path)
            return answer if answer.status < 300 and good(answer.json) else None

        return (await eventually(probe)).json

    async def new_session(self, **properties: object) -> str:
        answer = await self.post("/sessions", properties)
        assert answer.status == 200, answer.body
        return str(answer.json["id"])

    async def new_connection(self, session: str, **properties: object) -> dict[str, Any]:
        answer = await self.post(f"/sessions/{session}/connection", properties)
        assert answer.status == 200, answer.body
        return dict(answer.json)


class Room:
    """What browsers and services do to a session, sent straight to the log; the api hears of it
    as it hears of any other process."""

    eventually = staticmethod(eventually)

    def __init__(self, event_log: JetStreamLog) -> None:
        self.bus = CommandBus(event_log)

    async def act(self, session: str, command: Command) -> Outcome:
        return await self.bus.execute(session, command, actor=SERVICE)

    async def person(self, server: Server, session: str, **properties: object) -> str:
        """Somebody who is in the session, as the api shows it; the connection id."""
        connection = await server.new_connection(session, **properties)
        await self.join(session, connection)
        path = f"/sessions/{session}/connection/{connection['id']}"
        await server.until(path, lambda found: found["status"] == "active")
        return str(connection["id"])

    async def join(self, session: str, connection: dict[str, Any]) -> None:
        token = connection["token"].rpartition("token=")[2]
        await self.act(
            session,
            JoinSession(
                token=token,
                platform="Chrome 142",
                client_data="Ana",
                rpc_digest="0" * 64,
                media_node_id="media_local",
                media_instance="one",
                ip="127.0.0.1",
            ),
        )

    async def publish(self, session: str, connection: str) -> str:
        stream = f"str_CAM_Ab12_{connection}"
        await self.act(session, PublishStream(connection, stream, MEDIA, created_at=1))
        return stream

    async def subscribe(self, session: str, connection: str, stream: str) -> None:
        await self.act(session, SubscribeToStream(connection, stream, created_at=2))

    async def record(self, session: str, **options: Any) -> str:
        """A recording that runs."""
        options = {"output_mode": OutputMode.INDIVIDUAL, **options}
        outcome = await self.act(session, StartRecording(RecordingOptions(**options)))
        recording = list(outcome.after.recordings)[-1]
        await self.act(session, ReportRecordingStarted(recording))
        return recording

    async def finish(self, session: str, recording: str) -> None:
        await self.act(session, StopRecording(recording))
        await self.act(session, ReportRecordingReady(recording, size=1000, duration=1.5))


Start = Callable[..., Any]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    loaded = load(
        {
            "OPENVIDU_SECRET": SECRET,
            "TERTULIA_DATA_DIR": str(tmp_path / "data"),
            "OPENVIDU_RECORDING_PATH": str(tmp_path / "recordings"),
        }
    )
    (tmp_path / "data").mkdir()
    return replace(loaded, access=replace(loaded.access, listen_port=0))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSql]:
    """A running server. A test that stops it starts it again."""
    try:
        server = PostgreSql()
    except Missing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing))
        pytest.skip(f"NOT TESTED on PostgreSQL: {missing}")
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """An empty database for the projection. A module that has its `settings` use it (`used_by`)
    runs once with each kind."""
    if request.param == "sqlite":
        yield SqliteStore(tmp_path / "data" / "projection.db", is_default=True)
        return
    server: PostgreSql = request.getfixturevalue("postgresql")
    yield PostgreSqlStore(server, await server.new_database())
    await server.clear()


@pytest.fixture
async def start(
    settings: Settings, nats_client: Client, event_log: JetStreamLog
) -> AsyncIterator[Start]:
    """A context manager that runs an api: `async with start(settings) as server`."""

    @asynccontextmanager
    async def run(with_settings: Settings = settings) -> AsyncIterator[Server]:
        async with AsyncExitStack() as stack:
            port = await stack.enter_async_context(service(with_settings, nats_client, event_log))
            http = await stack.enter_async_context(
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
            )
            yield Server(port, http, with_settings)

    return run


@pytest.fixture
async def api(start: Start) -> AsyncIterator[Server]:
    async with start() as server:
        yield server


@pytest.fixture
def room(event_log: JetStreamLog) -> Room:
    return Room(event_log)
