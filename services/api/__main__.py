"""`python -m services.api`: REST, signaling and timers."""

from __future__ import annotations

import asyncio
import os

import structlog
from nats.aio.client import Client

from services.eventlog.jetstream import JetStreamLog, connect
from services.process import raise_swallowed, run, until_restart
from services.settings import Settings

from . import web
from .database import DatabaseUnusable
from .service import service

log = structlog.get_logger(__name__)


async def main(settings: Settings) -> int:
    storage = settings.storage
    client = await connect(storage.nats_url, token=storage.nats_token, name="api")
    try:
        return await until_restart(client, _serve(settings, client))
    except DatabaseUnusable as error:
        log.error(str(error))
        return 1
    finally:
        await client.close()


async def _serve(settings: Settings, client: Client) -> None:
    event_log = await JetStreamLog.open(client)
    async with service(settings, client, event_log, pages=web.routes, environ=os.environ):
        raise_swallowed()
        await asyncio.Event().wait()


if __name__ == "__main__":
    run("api", main)
