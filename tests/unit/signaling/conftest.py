from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.eventlog.memory import MemoryLog
from services.settings import Settings
from tests.unit.signaling.harness import FakeNodes, World, replica


@pytest.fixture
def nodes() -> FakeNodes:
    return FakeNodes()


@pytest.fixture
async def world(nodes: FakeNodes) -> AsyncIterator[World]:
    """One replica with default settings and the open session S1."""
    async with replica(MemoryLog(), Settings(), nodes) as running:
        await running.session("S1")
        yield running
