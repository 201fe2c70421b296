"""Reading the log from the command line, whether the installation runs or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack, aclosing, asynccontextmanager
from datetime import UTC, datetime

from services.eventlog.commit import Recorded
from services.eventlog.jetstream import JetStreamLog, connect
from services.eventlog.log import EventLog
from services.eventlog.server import NatsServer
from services.settings import Settings

from .data_folder import DataFolder, InUse

START_PATIENCE = 20.0  # seconds for an installation that just starts to announce its broker


class NoData(Exception):
    """There is no log to read; `str()` says where it was looked for."""


class Moment:
    """A place in the log: a sequence, or a time in UTC ms."""

    def __init__(self, text: str) -> None:
        """Raises `ValueError`."""
        self.sequence: int | None = None
        self.time: int | None = None
        if text.isdecimal() and text.isascii():
            self.sequence = int(text)
            return
        parsed = datetime.fromisoformat(text)
        aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        self.time = int(aware.timestamp() * 1000)


@asynccontextmanager
async def opened(settings: Settings, purpose: str) -> AsyncIterator[JetStreamLog]:
    """The log of the installation that the settings describe.

    If that does not run, its nats-server is started for the time being. Raises `NoData`, `InUse`
    or `LogError`.
    """
    storage = settings.storage
    if storage.nats_url:
        async with _connected(storage.nats_url, storage.nats_token, purpose) as log:
            yield log
        return
    folder = DataFolder(storage.data_dir)
    if not folder.nats_directory.is_dir():
        raise NoData(f"There is no event log in {folder.path} (TERTULIA_DATA_DIR).")
    with ExitStack() as stack:
        try:
            stack.enter_context(folder.locked(purpose))
        except InUse as in_use:
            url = await _announced(folder, in_use)
            async with _connected(url, folder.nats_token(), purpose) as log:
                yield log
            return
        server = NatsServer(folder.nats_directory, token=folder.nats_token())
        await server.start()
        try:
            with folder.announced(server.url):
                async with _connected(server.url, folder.nats_token(), purpose) as log:
                    yield log
        finally:
            await server.stop()


async def select(
    log: EventLog, session_id: str | None, first: Moment | None, last: Moment | None
) -> AsyncGenerator[Recorded, None]:
    """The commits from `first` to `last`, both included, oldest first."""
    after = first.sequence - 1 if first and first.sequence else 0
    up_to = last.sequence if last else None
    since = first.time if first else None
    until = last.time if last else None
    found = (
        log.read(session_id, after=after, up_to=up_to)
        if session_id is not None
        else log.read_all(after=after, up_to=up_to)
    )
    async with aclosing(found) as commits:
        async for recorded in commits:
            time = recorded.commit.time
            if (since is None or time >= since) and (until is None or time <= until):
                yield recorded


@asynccontextmanager
async def _connected(url: str, token: str, purpose: str) -> AsyncIterator[JetStreamLog]:
    client = await connect(url, token=token, name=f"tertulia {purpose}")
    try:
        log = await JetStreamLog.open(client)
        try:
            yield log
        finally:
            await log.close()
    finally:
        await client.close()


async def _announced(folder: DataFolder, in_use: InUse) -> str:
    """Whoever has the folder may still be starting its nats-server."""
    for _ in range(int(START_PATIENCE / 0.1)):
        if url := folder.broker_url:
            return url
        await asyncio.sleep(0.1)
    raise in_use
