"""Simulcast of a real Chromium: each subscriber gets the layer that it can take."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.page_client import Client, Pages, leave
from tests.e2e.server_under_test import Server, eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

FAST = {"videoMaxSendBandwidth": 4000, "videoMaxRecvBandwidth": 4000}
SLOW = {"videoMaxRecvBandwidth": 60}  # less than the full layer takes on the slowest machine


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(folder: Path) -> AsyncIterator[Server]:
    server = Server(folder, OPENVIDU_STREAMS_VIDEO_MAX_SEND_BANDWIDTH="4000")
    await server.start()
    yield server
    await server.stop()


async def shows(client: Client, stream: str, *, full: bool) -> None:
    """Until the picture is of the camera's height, or of less."""

    async def is_so() -> bool:
        reports = await client.statistics(stream, "inbound-rtp")
        height = max((int(report.get("frameHeight", 0)) for report in reports), default=0)
        return height == 720 if full else 0 < height < 720

    await eventually(is_so, limit=40, what=f"{'the full' if full else 'a smaller'} picture")


async def test_the_full_layer_and_a_lower_one_also_after_a_pause(
    server: Server, pages: Pages
) -> None:
    session = await server.new_session()
    ana, ben, cleo = await pages.open(), await pages.open(), await pages.open()
    await ana.join(await server.new_token(session, kurentoOptions=FAST), "ana")
    stream = await ana.publish(resolution="1280x720", videoSimulcast=True)
    await ana.call("keepSize")
    await ben.join(await server.new_token(session, kurentoOptions=FAST), "ben")
    await cleo.join(await server.new_token(session, kurentoOptions=SLOW), "cleo")
    for is_again in (False, True):
        if is_again:
            await ana.mute("video", False)
            for viewer in (ben, cleo):
                await viewer.silent(stream, "video")
            await ana.mute("video", True)
        await ben.plays(stream, frames=15)
        await cleo.plays(stream, frames=15)
        await shows(ben, stream, full=True)
        await shows(cleo, stream, full=False)
    assert not await cleo.events("streamDestroyed")
    await leave(cleo, ben, ana)
