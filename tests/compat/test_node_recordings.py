"""openvidu-node-client records: real pages, real media, the real recorder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.compat.node_client import Node, Rejected, Remote
from tests.compat.people import CAMERA
from tests.e2e.page_client import Client, Pages
from tests.e2e.server_under_test import SECRET, Server, eventually

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(90)]

INDIVIDUAL = {"outputMode": "INDIVIDUAL"}


async def publishing(session: Remote, pages: Pages) -> Client:
    client = await pages.open()
    await client.join((await session.call("createConnection"))["token"])
    await client.publish(**CAMERA)
    return client


async def ready(ov: Remote, recording_id: str) -> dict[str, Any]:
    async def found() -> dict[str, Any] | None:
        recording = await ov.call("getRecording", recording_id)
        assert recording["status"] != "failed"
        return dict(recording) if recording["status"] == "ready" else None

    return await eventually(found, limit=30, what=f"{recording_id} is ready") or {}


async def test_a_recording_from_its_start_to_its_deletion(ov: Remote, pages: Pages) -> None:
    session = await ov.call("createSession", {"customSessionId": "recorded"})
    page = await publishing(session, pages)
    await ov.call("fetch")

    started = await ov.call("startRecording", "recorded", {**INDIVIDUAL, "name": "talk"})
    assert started | {"createdAt": 0} == {
        "id": "recorded",
        "sessionId": "recorded",
        "createdAt": 0,
        "size": 0,
        "duration": 0,
        "url": None,
        "status": "started",
        "properties": {
            "name": "talk",
            "hasAudio": True,
            "hasVideo": True,
            "outputMode": "INDIVIDUAL",
            "ignoreFailedStreams": False,
        },
    }
    assert started["createdAt"] > 0
    await page.sees("recordingStarted", id="recorded", name="talk")
    assert (await session.read())["recording"] is True
    assert await ov.call("fetch") is False  # the server agrees with the client
    assert await ov.call("getRecording", "recorded") == started
    assert await ov.call("listRecordings") == [started]
    for method, arguments in {
        "startRecording": ("recorded", INDIVIDUAL),
        "deleteRecording": ("recorded",),
    }.items():
        with pytest.raises(Rejected, match=r"^409$"):
            await ov.call(method, *arguments)

    stopped = await ov.call("stopRecording", "recorded")
    assert stopped["status"] in ("stopped", "ready")
    assert stopped["createdAt"] == started["createdAt"]
    await page.sees("recordingStopped", id="recorded", reason="recordingStoppedByServer")
    assert (await session.read())["recording"] is False
    assert await ov.call("fetch") is False
    with pytest.raises(Rejected, match=r"^404$"):
        await ov.call("stopRecording", "recorded")  # it does not run any more

    done = await ready(ov, "recorded")
    assert done["size"] > 0
    assert 0 < done["duration"] < 60  # seconds
    assert done["url"].endswith("/openvidu/recordings/recorded/talk.zip")
    assert done["properties"] == started["properties"]
    assert await ov.call("listRecordings") == [done]
    assert await ov.call("deleteRecording", "recorded") is None
    assert await ov.call("listRecordings") == []
    for method in ("getRecording", "deleteRecording", "stopRecording"):
        with pytest.raises(Rejected, match=r"^404$"):
            await ov.call(method, "recorded")


async def test_recordings_take_the_defaults_of_their_session(ov: Remote, pages: Pages) -> None:
    defaults = {**INDIVIDUAL, "hasVideo": False, "name": "voices"}
    session = await ov.call(
        "createSession", {"customSessionId": "defaults", "defaultRecordingProperties": defaults}
    )
    await publishing(session, pages)
    names = []
    for given in ((), ("named",), ({"name": "film", "hasVideo": True, "hasAudio": False},)):
        recording = await ov.call("startRecording", "defaults", *given)
        properties = recording["properties"]
        names.append((recording["id"], properties["name"]))
        assert properties["outputMode"] == "INDIVIDUAL"
        film = properties["name"] == "film"
        assert (properties["hasAudio"], properties["hasVideo"]) == (not film, film)
        await ov.call("stopRecording", recording["id"])
        await ready(ov, recording["id"])
    assert names == [("defaults", "voices"), ("defaults~1", "named"), ("defaults~2", "film")]
    newest_first = [recording["id"] for recording in await ov.call("listRecordings")]
    assert newest_first == [recording_id for recording_id, _ in reversed(names)]
    for recording_id, _ in names:
        await ov.call("deleteRecording", recording_id)


async def test_a_session_that_is_always_recorded(ov: Remote, pages: Pages) -> None:
    session = await ov.call(
        "createSession",
        {
            "customSessionId": "always",
            "recordingMode": "ALWAYS",
            "defaultRecordingProperties": INDIVIDUAL,
        },
    )
    page = await publishing(session, pages)
    await page.sees("recordingStarted", id="always")
    assert await session.call("fetch") is True
    assert (await session.read())["recording"] is True
    assert (await ov.call("getRecording", "always"))["status"] == "started"
    await page.call("leave")
    done = await ready(ov, "always")
    assert done["properties"]["name"] == "always"
    assert await ov.call("fetch") is True
    assert (await ov.read())["activeSessions"] == []
    await ov.call("deleteRecording", "always")


async def test_what_cannot_be_recorded_is_told_by_its_status(ov: Remote, pages: Pages) -> None:
    with pytest.raises(Rejected, match=r"^404$"):
        await ov.call("startRecording", "nowhere")
    await ov.call("createSession", {"customSessionId": "relayed", "mediaMode": "RELAYED"})
    with pytest.raises(Rejected, match=r"^409$"):
        await ov.call("startRecording", "relayed", INDIVIDUAL)
    session = await ov.call("createSession", {"customSessionId": "nobody"})
    with pytest.raises(Rejected, match=r"^406$"):
        await ov.call("startRecording", "nobody", INDIVIDUAL)

    await publishing(session, pages)
    for properties, status in (
        ({**INDIVIDUAL, "name": "a/b"}, 400),
        ({"outputMode": "TAPE"}, 400),
        ({**INDIVIDUAL, "hasAudio": "yes"}, 400),
        ({**INDIVIDUAL, "hasAudio": False, "hasVideo": False}, 422),
        ({"resolution": "99x100"}, 422),
        ({"frameRate": 121}, 422),
        ({"shmSize": 1}, 422),
    ):
        with pytest.raises(Rejected, match=f"^{status}$"):
            await ov.call("startRecording", "nobody", properties)
    for method in ("getRecording", "deleteRecording", "stopRecording"):
        with pytest.raises(Rejected, match=r"^404$"):
            await ov.call(method, "nobody")
    await ov.call("fetch")
    assert (await session.read())["recording"] is False
    assert await ov.call("listRecordings") == []


async def test_a_recording_without_media_is_starting_until_it_fails(
    ov: Remote, pages: Pages
) -> None:
    session = await ov.call("createSession", {"customSessionId": "silent"})
    page = await publishing(session, pages)
    await page.page.evaluate(
        "client.publisher.stream.getMediaStream().getTracks().forEach(track => track.stop())"
    )
    start = asyncio.create_task(ov.call("startRecording", "silent", INDIVIDUAL))

    async def starting() -> bool:
        return [one["status"] for one in await ov.call("listRecordings")] == ["starting"]

    await eventually(starting)
    for method, status in {
        "stopRecording": 406,
        "deleteRecording": 409,
        "startRecording": 409,
    }.items():
        with pytest.raises(Rejected, match=f"^{status}$"):
            await ov.call(method, "silent")
    with pytest.raises(Rejected, match=r"^500$"):
        await start
    assert (await ov.call("getRecording", "silent"))["status"] == "failed"
    await ov.call("fetch")
    assert (await session.read())["recording"] is False
    await ov.call("deleteRecording", "silent")


@pytest_asyncio.fixture(loop_scope="package")
async def not_recording(
    tmp_path_factory: pytest.TempPathFactory, node: Node
) -> AsyncIterator[Remote]:
    """A client of a server whose recording module is off."""
    server = Server(tmp_path_factory.mktemp("not-recording"), OPENVIDU_RECORDING="false")
    await server.start()
    yield await node.client(server.url, SECRET)
    await server.stop()


async def test_without_the_recording_module_every_call_is_501(not_recording: Remote) -> None:
    await not_recording.call("createSession", {"customSessionId": "off"})
    for method, arguments in {
        "startRecording": ("off",),
        "stopRecording": ("off",),
        "getRecording": ("off",),
        "listRecordings": (),
        "deleteRecording": ("off",),
    }.items():
        with pytest.raises(Rejected, match=r"^501$"):
            await not_recording.call(method, *arguments)
