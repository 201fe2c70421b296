"""A receiver of webhooks, a conference driven by commands, the service and its process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web
from multidict import CIMultiDictProxy

from services.conference.commands import (
    CloseSession,
    Command,
    CreateConnection,
    InitializeSession,
    JoinSession,
    LeaveSession,
    PublishStream,
    ReportRecordingReady,
    ReportRecordingStarted,
    SendSignal,
    StartRecording,
    StopRecording,
    SubscribeToStream,
    UnpublishStream,
)
from services.conference.model import (
    MediaOptions,
    OutputMode,
    Reason,
    RecordingOptions,
    SessionProperties,
    VideoSource,
)
from services.eventlog.bus import CommandBus, utc_ms
from services.eventlog.commit import Actor, ActorKind
from services.eventlog.log import EventLog
from services.settings import Cdr, Settings, Webhook
from services.settings.community import EVENTS
from services.webhooks.outbox import Outbox, Totals
from services.webhooks.schedule import Schedule
from services.webhooks.service import CDR, ENDPOINT, serve
from services.webhooks.store import Store

SECONDS = 40.0  # for anything that must happen
QUICK = Schedule(delays=(0.02, 0.05, 0.1), probe=0.1)
ROOT = Path(__file__).parents[3]
REST = Actor(ActorKind.REST)

Event = dict[str, Any]


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while True:
            if holds():
                return
            await asyncio.sleep(0.01)


class Post(NamedTuple):
    path: str
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def event(self) -> Event:
        event: Event = json.loads(self.body)
        return event

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


class Receiver:
    """Accepts everything, unless `answer` is set. Its port stays the same while it is down."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.answer: Callable[[Post, web.Request], Awaitable[web.StreamResponse]] | None = None
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def up(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._take)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def down(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _take(self, request: web.Request) -> web.StreamResponse:
        post = Post(request.path_qs, request.headers, await request.read())
        self.posts.append(post)
        return web.Response() if self.answer is None else await self.answer(post, request)

    @property
    def events(self) -> list[Event]:
        """Without repetitions, in the order of their first arrival."""
        first = {}
        for post in self.posts:
            first.setdefault(post.id, post)
        return [post.event for post in first.values()]

    @property
    def repeated(self) -> list[Post]:
        seen: set[str] = set()
        return [post for post in self.posts if post.id in seen or seen.add(post.id)]  # type: ignore[func-returns-value]

    async def until(self, count: int) -> list[Event]:
        """So many different events have come, and no other."""
        try:
            await eventually(lambda: len(self.events) >= count)
        except TimeoutError:
            raise AssertionError(f"{len(self.events)} of {count} events came") from None
        assert len(self.events) == count
        return self.events


class Conference:
    """Two users with everything a session can have, and shorter ones."""

    EVENTS = 20  # that a `whole` one causes

    def __init__(self, log: EventLog) -> None:
        self.bus = CommandBus(log)

    async def _do(self, session: str, *commands: Command) -> None:
        for command in commands:
            await self.bus.execute(session, command, actor=REST)

    async def begin(self, session: str) -> None:
        await self._do(session, InitializeSession(session, SessionProperties()))

    async def short(self, session: str) -> None:
        """Two events."""
        await self.begin(session)
        await self._do(session, CloseSession(Reason.SESSION_CLOSED_BY_SERVER))

    async def signals(self, session: str, count: int, data: str = "x") -> None:
        """One event more than that: somebody must be there to hear them."""
        await self.join(session, "con_Listener")
        for number in range(count):
            await self._do(session, SendSignal(type="count", data=f"{data}{number}"))

    async def join(self, session: str, connection: str) -> None:
        await self._do(
            session,
            CreateConnection(connection, f"tok_{connection}", server_data="teacher-17"),
            JoinSession(
                token=f"tok_{connection}",
                platform="Firefox 124.0 on Windows 64-bit",
                client_data='{"nick":"Ángel 東京 <b>&\'"}',
                rpc_digest="0" * 64,
                media_node_id="media_local",
                media_instance="one",
                ip="203.0.113.77",
            ),
        )

    async def whole(self, session: str) -> None:
        ana, ben = f"con_Ana{session}", f"con_Ben{session}"
        of_ana, of_ben = f"str_CAM_Aaaa_{ana}", f"str_CAM_Bbbb_{ben}"
        media = MediaOptions(
            has_audio=True,
            has_video=True,
            audio_active=True,
            video_active=True,
            type_of_video=VideoSource.CAMERA,
            frame_rate=30,
            video_dimensions='{"width":640,"height":480}',
        )
        now = utc_ms()
        await self.begin(session)
        await self.join(session, ana)
        await self._do(session, PublishStream(ana, of_ana, media, now))
        await self.join(session, ben)
        await self._do(
            session,
            SubscribeToStream(ben, of_ana, now),
            PublishStream(ben, of_ben, media, now),
            SubscribeToStream(ana, of_ben, now),
        )
        options = RecordingOptions(name="Lesson-2", output_mode=OutputMode.INDIVIDUAL)
        outcome = await self.bus.execute(session, StartRecording(options), actor=REST)
        recording = next(iter(reversed(outcome.after.recordings)))
        await self._do(
            session,
            ReportRecordingStarted(recording),
            SendSignal(sender=ana, type="quiz", data="question 3"),
            StopRecording(recording),
            ReportRecordingReady(recording, size=20_483_321, duration=118.4),
            UnpublishStream(of_ben),
            PublishStream(ben, of_ben, media, now),
            LeaveSession(ben),
            LeaveSession(ana),
        )


def settings(
    *,
    url: str = "",
    headers: Iterable[tuple[str, str]] = (),
    events: Iterable[str] = EVENTS,
    cdr: Path | None = None,
) -> Settings:
    return Settings(
        webhook=Webhook(
            enabled=bool(url), endpoint=url, headers=tuple(headers), events=frozenset(events)
        ),
        cdr=Cdr(enabled=cdr is not None, path=cdr or Path()),
    )


class Service:
    """The service in this process, on a database that stays."""

    def __init__(self, log: EventLog, path: Path) -> None:
        self._log = log
        self._path = path
        self._store: Store | None = None

    async def until_end(self) -> None:
        """Everything is in the outbox, or passed over."""
        await self._until_position(ENDPOINT)

    async def until_cdr_end(self) -> None:
        await self._until_position(CDR)

    async def _until_position(self, follower: str) -> None:
        assert self._store is not None
        end = await self._log.last_sequence()
        async with asyncio.timeout(SECONDS):
            while True:
                cursor = await self._store.cursor(follower)
                if cursor is not None and cursor.sequence >= end:
                    return
                await asyncio.sleep(0.01)

    async def totals(self) -> Totals:
        assert self._store is not None
        return await Outbox(self._store, ENDPOINT).totals()

    @asynccontextmanager
    async def running(
        self, settings: Settings, *, schedule: Schedule = QUICK
    ) -> AsyncIterator[asyncio.Task[None]]:
        store = self._store = await Store.open(self._path)
        try:
            task = asyncio.create_task(serve(settings, store, self._log, schedule=schedule))
            try:
                yield task
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        finally:
            await store.close()


class Process:
    """`python -m services.webhooks`, as the launcher starts it."""

    def __init__(self, **environment: str) -> None:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("OPENVIDU_")}
        self._environment = inherited | {"DOTENV_PATH": ""} | environment
        self._process: asyncio.subprocess.Process | None = None
        self.output = b""

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.webhooks",
            cwd=ROOT, env=self._environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip

    async def kill(self) -> None:
        await self.stop(signal.SIGKILL)

    async def stop(self, number: int = signal.SIGTERM) -> int | None:
        """The exit code."""
        if self._process is None:
            return None
        with suppress(ProcessLookupError):
            self._process.send_signal(number)
        code = await self.ended()
        self._process = None
        return code

    async def ended(self) -> int:
        assert self._process is not None
        async with asyncio.timeout(SECONDS):
            output, _ = await self._process.communicate()
        self.output += output
        assert self._process.returncode is not None
        return self._process.returncode


def cdr_events(folder: Path) -> list[Event]:
    """What all CDR files hold, in the webhook's form. Fails at a broken line."""
    events = []
    for path in sorted(folder.glob("CDR.*.log"), key=lambda path: path.stat().st_mtime_ns):
        data = path.read_bytes()
        assert not data or data.endswith(b"\n")
        for line in data.splitlines():
            ((name, fields),) = json.loads(line).items()
            events.append({**fields, "event": name})
    return events


def by_session(events: Iterable[Event]) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        found[event["sessionId"]].append(event)
    return found
