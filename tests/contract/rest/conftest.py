"""A service as the tests of the api run it."""

from __future__ import annotations

import pytest
from nats.aio.client import Client

from services.eventlog.jetstream import JetStreamLog
from tests.integration.api.conftest import (  # noqa: F401
    Room,
    Server,
    api,
    room,
    settings,
    start,
)

from .world import World


@pytest.fixture
async def world(
    api: Server,  # noqa: F811
    room: Room,  # noqa: F811
    nats_client: Client,
    event_log: JetStreamLog,
) -> World:
    return World(api, room, nats_client, event_log)
