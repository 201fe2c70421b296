"""What the scenarios of several files need."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.e2e.scenarios.relay import Relay
from tests.e2e.server_under_test import Server


@pytest_asyncio.fixture(loop_scope="module")
async def sockets(server: Server) -> AsyncIterator[Relay]:
    started = Relay(server.port)
    await started.start()
    yield started
    await started.stop()
