"""Simulcast of a real Chromium: each subscriber gets the layer that it can take."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.page_client import Client, Pages
from tests.e2e.server_under_test import Server, eventually
from tests.media.network import Profile, Relay
from tests.media.room import OBSERVER

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

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
    await pages.leave(cleo, ben, ana)


async def test_a_viewer_on_a_narrow_way_steps_down_and_up_again(
    server: Server, pages: Pages
) -> None:
    session = await server.new_session()
    media = ("127.0.0.1", int(server.environ["TERTULIA_MEDIA_PORT"]))
    with closing(Relay(media, seed=1)) as relay:
        ana, ben = await pages.open(), await pages.open()
        await ben.page.evaluate(OBSERVER)
        await ben.page.evaluate("([host, port]) => lab.through(host, port)", relay.address)
        await ana.join(await server.new_token(session, kurentoOptions=FAST), "ana")
        stream = await ana.publish(resolution="1280x720", videoSimulcast=True)
        await ana.call("keepSize")
        await ben.join(await server.new_token(session, kurentoOptions=FAST), "ben")
        await ben.plays(stream, frames=15)
        await shows(ben, stream, full=True)
        relay.impair(down=Profile(rate=await rate(ben, stream) // 2))
        await shows(ben, stream, full=False)
        relay.impair()
        await shows(ben, stream, full=True)
        await ben.plays(stream, frames=15)
        await pages.leave(ben, ana)


async def rate(client: Client, stream: str) -> int:
    """Bits a second of the picture, over three seconds."""

    async def measured() -> tuple[float, int]:
        (video,) = [
            one for one in await client.statistics(stream, "inbound-rtp") if one["kind"] == "video"
        ]
        return video["timestamp"] / 1000, video["bytesReceived"] * 8

    since, before = await measured()

    async def later() -> int:
        now, bits = await measured()
        return round((bits - before) / (now - since)) if now - since >= 3 else 0

    return await eventually(later, what="a rate")
