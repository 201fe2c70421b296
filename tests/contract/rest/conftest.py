"""A service as the tests of the api run it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from nats.aio.client import Client

from services.eventlog.jetstream import JetStreamLog
from services.settings import Settings
from tests.integration.api.conftest import Room, Start, room, settings, start  # noqa: F401

from .world import World

Open = Callable[[Settings], AbstractAsyncContextManager[World]]


@pytest.fixture
def open_world(
    start: Start,  # noqa: F811
    room: Room,  # noqa: F811
    nats_client: Client,
    event_log: JetStreamLog,
) -> Open:
    @asynccontextmanager
    async def run(with_settings: Settings) -> AsyncIterator[World]:
        async with start(with_settings) as api:
            yield World(api, room, nats_client, event_log)

    return run


@pytest.fixture
async def world(open_world: Open, settings: Settings) -> AsyncIterator[World]:  # noqa: F811
    async with open_world(settings) as opened:
        yield opened
