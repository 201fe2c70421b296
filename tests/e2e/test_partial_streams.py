"""Streams that are not a camera with a microphone: audio only, video only, a screen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.page_client import Client, Pages
from tests.e2e.server_under_test import Server, eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(150)]

SMALL = {"resolution": "320x240", "frameRate": 15}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(folder: Path) -> AsyncIterator[Server]:
    started = Server(folder)
    await started.start()
    yield started
    await started.stop()


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
    await server.new_session(customSessionId="kinds")
    ana, screen, ben, cleo = [await pages.open() for _ in range(4)]
    await cleo.join(await server.new_token("kinds", role="SUBSCRIBER"), "cleo")
    await ana.join(await server.new_token("kinds"), "ana")
    await screen.join(await server.new_token("kinds"), "ana's screen")
    await ben.join(await server.new_token("kinds"), "ben")

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
        await client.call("leave")


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
