"""Simulcast of a real Chromium: each subscriber gets the layer that it can take."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.page_client import Client, Pages
from tests.e2e.server_under_test import Server, eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

SESSION = "simulcast"
LIMITED = 350  # kbit/s: less than the full layer of this camera takes


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(folder: Path) -> AsyncIterator[Server]:
    server = Server(folder, OPENVIDU_STREAMS_VIDEO_MAX_SEND_BANDWIDTH="4000")
    await server.start()
    await server.new_session(customSessionId=SESSION)
    yield server
    await server.stop()


async def height(client: Client, stream: str) -> int:
    reports = await client.statistics(stream, "inbound-rtp")
    return max((int(report.get("frameHeight", 0)) for report in reports), default=0)


async def test_the_full_layer_and_a_lower_one(server: Server, pages: Pages) -> None:
    ana, ben, cleo = await pages.open(), await pages.open(), await pages.open()
    fast = {"videoMaxSendBandwidth": 4000, "videoMaxRecvBandwidth": 4000}
    slow = {"videoMaxRecvBandwidth": LIMITED}
    await ana.join(await server.new_token(SESSION, kurentoOptions=fast), "ana")
    stream = await ana.publish(resolution="1280x720", videoSimulcast=True)
    await ben.join(await server.new_token(SESSION, kurentoOptions=fast), "ben")
    await cleo.join(await server.new_token(SESSION, kurentoOptions=slow), "cleo")

    async def is_full() -> bool:
        return await height(ben, stream) == 720

    async def is_less() -> bool:
        return 0 < await height(cleo, stream) < 720

    await eventually(is_full, limit=40, what="the picture of full size")
    await eventually(is_less, limit=40, what="a smaller picture")
    await ben.plays(stream)
    await cleo.plays(stream, frames=20)
    assert await height(ben, stream) == 720
    for client in (cleo, ben, ana):
        await client.call("leave")
