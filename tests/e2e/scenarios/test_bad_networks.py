"""Real pages in a call over bad networks: the picture is always back soon after the network is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.page_client import Pages
from tests.e2e.server_under_test import Server
from tests.media.measure import BACK_WITHIN, DROP, OUTAGE, measure
from tests.media.room import Room, open_room

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

SEED = 20261129
LOSS_LENGTH = 5.0  # seconds
DROP_LENGTH = 8.0


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(folder: Path) -> AsyncIterator[Server]:
    server = Server(folder)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def room(server: Server, pages: Pages) -> AsyncIterator[Room]:
    """One call for all: what one network did must not be felt in the next."""
    async with open_room(server, pages, seed=SEED) as opened:
        yield opened


@pytest.mark.parametrize("way", ["viewer", "publisher"])
async def test_the_picture_is_back_after_an_outage(room: Room, way: str) -> None:
    result = await measure(room, OUTAGE, way, 0)
    assert result.frozen > 0, result
    assert result.back is not None, result
    assert result.back <= BACK_WITHIN, result


async def test_losses_are_repaired_on_both_ways(room: Room) -> None:
    result = await measure(room, "20 % loss", "both", LOSS_LENGTH)
    assert result.back is not None, result
    assert result.back <= BACK_WITHIN, result
    assert result.lost_down + result.lost_up > 0, result
    assert result.nacks + result.repeats_up > 0, result


@pytest.mark.parametrize("way", ["viewer", "publisher"])
async def test_the_picture_is_back_after_a_narrow_way(room: Room, way: str) -> None:
    result = await measure(room, DROP, way, DROP_LENGTH)
    assert result.back is not None, result
    assert result.back <= BACK_WITHIN, result
