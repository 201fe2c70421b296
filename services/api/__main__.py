"""`python -m services.api`: REST, signaling and timers."""

from __future__ import annotations

import asyncio

from services.eventlog.jetstream import JetStreamLog, connect
from services.process import run
from services.settings import Settings

from . import web
from .service import service


async def main(settings: Settings) -> None:
    storage = settings.storage
    client = await connect(storage.nats_url, token=storage.nats_token, name="api")
    try:
        event_log = await JetStreamLog.open(client)
        async with service(settings, client, event_log, pages=web.routes):
            await asyncio.Event().wait()
    finally:
        await client.close()


if __name__ == "__main__":
    run("api", main)
