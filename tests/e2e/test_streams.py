"""Codecs, filters, one's own stream coming back, many streams at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.page_client import Pages
from tests.e2e.server_under_test import Server, eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(150)]

SMALL = {"resolution": "320x240", "frameRate": 15}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(folder: Path) -> AsyncIterator[Server]:
    started = Server(folder)
    await started.start()
    yield started
    await started.stop()


async def test_a_publisher_that_shows_what_comes_back(server: Server, pages: Pages) -> None:
    await server.new_session(customSessionId="loopback")
    ana = await pages.open()
    await ana.join(await server.new_token("loopback"), "ana")
    own = await ana.publish(**SMALL, loopback=True)

    async def decoded() -> bool:
        reports = await ana.statistics(own, "inbound-rtp")
        return any(report.get("framesDecoded", 0) > 10 for report in reports)

    await eventually(decoded, what="the own picture comes back")
    assert not await ana.frames("receiveVideoFrom")
    assert not await ana.events("exception")
    await ana.call("leave")


async def test_filters_are_refused_and_nothing_hangs(server: Server, pages: Pages) -> None:
    await server.new_session(customSessionId="filters")
    ana, ben = await pages.open(), await pages.open()
    await ana.join(await server.new_token("filters", role="MODERATOR"), "ana")
    await ben.join(await server.new_token("filters"), "ben")
    of_ben = await ben.publish(**SMALL)
    await ana.plays(of_ben, frames=10)
    options = {"command": "videobalance"}
    refused = await ben.refused("applyFilter", of_ben, "GStreamerFilter", options)
    assert refused["name"] == "OPENVIDU_PERMISSION_DENIED"
    refused = await ana.refused("applyFilter", of_ben, "GStreamerFilter", options)
    assert refused["code"] == 406
    await ana.plays(of_ben, frames=10)
    for client in (ana, ben):
        assert not await client.events("streamPropertyChanged")
        await client.call("leave")


@pytest.mark.parametrize("codec", ["VP8", "VP9", "H264", "NONE"])
async def test_the_codec_of_the_session_is_used(server: Server, pages: Pages, codec: str) -> None:
    session = f"codec-{codec}"
    await server.new_session(customSessionId=session, forcedVideoCodec=codec)
    ana, ben = await pages.open(), await pages.open()
    await ana.join(await server.new_token(session), "ana")
    stream = await ana.publish(**SMALL)
    await ben.join(await server.new_token(session, role="SUBSCRIBER"), "ben")
    await ben.plays(stream, frames=10)
    names = {report["mimeType"] for report in await ben.statistics(stream, "codec")}
    (video,) = [name for name in names if name.startswith("video/") and "rtx" not in name]
    assert codec == "NONE" or video == f"video/{codec}"
    for client in (ana, ben):
        await client.call("leave")


async def test_four_people_see_each_other(server: Server, pages: Pages) -> None:
    await server.new_session(customSessionId="four")
    people = [await pages.open() for _ in range(4)]
    streams = {}
    for number, client in enumerate(people):
        await client.join(await server.new_token("four"), str(number))
        streams[client.id] = await client.publish(resolution="160x120", frameRate=10)
    for client in people:
        for owner, stream in streams.items():
            if owner != client.id:
                await client.plays(stream, frames=5, limit=60)
    first, *others = people
    for client in others:
        assert not await client.events("exception")
        await client.call("leave")
    for client in others:
        await first.sees("connectionDestroyed", connection=client.id, reason="disconnect")
    await first.call("leave")
