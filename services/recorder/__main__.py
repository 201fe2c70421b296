"""`python -m services.recorder`: one recorder for all sessions, settings from the environment."""

from __future__ import annotations

import asyncio

import structlog
from nats.aio.client import Client

from services.eventlog.bus import CommandBus
from services.eventlog.connection import connect
from services.eventlog.jetstream import JetStreamLog
from services.process import raise_swallowed, run, until_restart
from services.settings import Settings

from .service import RecorderService
from .store import Store

SESSIONS = 100  # remembered for the next report of a recording; others are read again

log = structlog.get_logger(__name__)


async def main(settings: Settings) -> int:
    client = await connect(
        settings.storage.nats_url, token=settings.storage.nats_token, name="recorder"
    )
    try:
        return await until_restart(client, _record(settings, client))
    finally:
        await client.close()


async def _record(settings: Settings, client: Client) -> None:
    if not settings.recording.enabled:
        log.info("recording is off")
        await asyncio.Event().wait()
    store = Store(settings.recording.path, settings.access.public_url)
    await asyncio.to_thread(store.open)
    try:
        event_log = await JetStreamLog.open(client)
        bus = CommandBus(event_log, capacity=SESSIONS)
        service = RecorderService(event_log, bus, client, store, host=settings.media.recorder_host)
        log.info("recording", path=str(store.root))
        raise_swallowed()
        await service.run()
    finally:
        store.close()


if __name__ == "__main__":
    run("recorder", main)
