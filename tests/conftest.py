"""Real parts for every test: a nats-server of its own, fresh and empty, in some 50 ms."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nats.aio.client import Client

from services.eventlog.jetstream import JetStreamLog, connect
from services.eventlog.server import NatsServer

TOKEN = "only-for-tests"


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[NatsServer]:
    """A running nats-server as `tertulia serve` starts it, with nothing in it.

    `nats.url`; its token is the fixture `nats_token`.
    """
    server = NatsServer(tmp_path / "nats", token=TOKEN)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@pytest.fixture
def nats_token() -> str:
    return TOKEN


@pytest.fixture
async def nats_client(nats: NatsServer) -> AsyncIterator[Client]:
    client = await connect(nats.url, token=TOKEN, name="test")
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture
async def event_log(nats_client: Client) -> AsyncIterator[JetStreamLog]:
    """The event log on that server, empty."""
    log = await JetStreamLog.open(nats_client)
    try:
        yield log
    finally:
        await log.close()
