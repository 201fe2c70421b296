"""Streams of all kinds: codecs, one kind of media, a screen, muted, many at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.page_client import Client, Pages
from tests.e2e.server_under_test import Server, eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

SMALL = {"resolution": "320x240", "frameRate": 15}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(folder: Path) -> AsyncIterator[Server]:
    started = Server(folder)
    await started.start()
    yield started
    await started.stop()


async def one_watches_another(
    server: Server, pages: Pages, **session: object
) -> tuple[Client, Client, str]:
    """Ana, who publishes, Ben, and her stream."""
    name = await server.new_session(**session)
    ana, ben = await pages.open(), await pages.open()
    await ana.join(await server.new_token(name), "ana")
    stream = await ana.publish(**SMALL)
    await ben.join(await server.new_token(name, role="MODERATOR"), "ben")
    await ben.plays(stream, frames=10)
    return ana, ben, stream


async def test_a_publisher_that_shows_what_comes_back(server: Server, pages: Pages) -> None:
    session = await server.new_session()
    ana = await pages.open()
    await ana.join(await server.new_token(session), "ana")
    own = await ana.publish(**SMALL, loopback=True)

    async def decoded() -> bool:
        reports = await ana.statistics(own, "inbound-rtp")
        return any(report.get("framesDecoded", 0) > 10 for report in reports)

    await eventually(decoded, what="the own picture comes back")
    assert not await ana.frames("receiveVideoFrom")
    assert not await ana.events("exception")
    await pages.leave(ana)


async def test_what_is_muted_is_not_forwarded_and_filters_are_refused(
    server: Server, pages: Pages
) -> None:
    ana, ben, stream = await one_watches_another(server, pages)
    options = {"command": "videobalance"}
    refused = await ana.refused("applyFilter", stream, "GStreamerFilter", options)
    assert refused["name"] == "OPENVIDU_PERMISSION_DENIED"
    refused = await ben.refused("applyFilter", stream, "GStreamerFilter", options)
    assert refused["code"] == 406
    assert not await ben.events("streamPropertyChanged")
    for kind in ("video", "audio"):
        await ana.mute(kind, False)
        await ben.sees("streamPropertyChanged", property=f"{kind}Active", newValue=False)
        await ben.silent(stream, kind)
        await ana.mute(kind, True)
        await ben.sees("streamPropertyChanged", property=f"{kind}Active", newValue=True)
        await ben.plays(stream, frames=10, limit=5)
    for client in (ana, ben):
        assert not await client.events("exception")
    await pages.leave(ana, ben)


@pytest.mark.parametrize("codec", ["VP8", "VP9", "H264", "NONE"])
async def test_the_codec_of_the_session_is_used(server: Server, pages: Pages, codec: str) -> None:
    ana, ben, stream = await one_watches_another(server, pages, forcedVideoCodec=codec)
    names = {report["mimeType"] for report in await ben.statistics(stream, "codec")}
    (video,) = [name for name in names if name.startswith("video/") and "rtx" not in name]
    assert codec == "NONE" or video == f"video/{codec}"
    await pages.leave(ana, ben)


async def test_four_people_see_each_other(server: Server, pages: Pages) -> None:
    session = await server.new_session()
    people = [await pages.open() for _ in range(4)]
    streams = {}
    for number, client in enumerate(people):
        await client.join(await server.new_token(session), str(number))
        streams[client.id] = await client.publish(resolution="160x120", frameRate=10)
    await asyncio.gather(
        *(
            client.plays(stream, frames=5)
            for client in people
            for owner, stream in streams.items()
            if owner != client.id
        )
    )
    first, *others = people
    for client in people:
        assert not await client.events("exception")
    await pages.leave(*others)
    for client in others:
        await first.sees("connectionDestroyed", connection=client.id, reason="disconnect")
    await pages.leave(first)


async def _arrives(client: Client, stream: str, kind: str) -> None:
    """RTP of this kind goes on arriving, and none of the other kind was negotiated."""

    async def packets() -> int:
        reports = await client.statistics(stream, "inbound-rtp")
        assert all(report["kind"] == kind for report in reports)
        return sum(int(report["packetsReceived"]) for report in reports)

    first = await eventually(packets, what=f"{kind} of {stream}")

    async def more() -> bool:
        return await packets() > first

    await eventually(more, what=f"more {kind} of {stream}")


async def test_audio_only_video_only_and_a_screen(server: Server, pages: Pages) -> None:
    session = await server.new_session()
    ana, screen, ben, cleo = [await pages.open() for _ in range(4)]
    await cleo.join(await server.new_token(session, role="SUBSCRIBER"), "cleo")
    await ana.join(await server.new_token(session), "ana")
    await screen.join(await server.new_token(session), "ana's screen")
    await ben.join(await server.new_token(session), "ben")

    voice = await ana.publish(videoSource=False)
    picture = await ben.publish(**SMALL, audioSource=False)
    shared = await screen.publish(videoSource="screen", audioSource=False)
    assert voice.startswith("str_MIC_")
    assert picture.startswith("str_CAM_")
    assert shared.startswith("str_SCR_")
    told = {f["params"]["id"]: f["params"]["streams"] for f in await _published(cleo, 3)}
    assert told[ana.id][0].keys() == {"id", "createdAt", "hasAudio", "hasVideo", "audioActive",
                                      "filter"}  # fmt: skip
    assert "audioActive" not in told[ben.id][0]
    assert told[screen.id][0]["typeOfVideo"] == "SCREEN"
    await _arrives(cleo, voice, "audio")
    await _arrives(cleo, picture, "video")
    await _arrives(cleo, shared, "video")

    await screen.call("shrink", 320)
    change = await cleo.sees("streamPropertyChanged", stream=shared, property="videoDimensions")
    assert change["newValue"]["width"] == 320
    assert change["newValue"]["height"] > 0
    assert change["reason"] == "screenResized"

    await cleo.call("unsubscribe", voice)
    await _unsubscribed(cleo, ana)
    await _arrives(cleo, picture, "video")
    for client in (ana, screen, ben, cleo):
        assert not await client.events("exception")
    await pages.leave(ana, screen, ben, cleo)


async def _published(client: Client, count: int) -> list[dict[str, Any]]:
    async def all_told() -> bool:
        return len(await client.frames("participantPublished")) == count

    await eventually(all_told, what=f"{count} streams are told")
    return await client.frames("participantPublished")


async def _unsubscribed(client: Client, publisher: Client) -> None:
    async def answered() -> bool:
        request, *_ = await client.frames("unsubscribeFromVideo")
        assert request["params"] == {"sender": publisher.id}
        return any(
            f.get("id") == request["id"] and "result" in f
            for f in await client.frames()
            if not f["sent"]
        )

    await eventually(answered, what="the end of the subscription is answered")
