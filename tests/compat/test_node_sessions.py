"""openvidu-node-client: sessions, what `fetch` tells of them, and who may see them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.compat.node_client import Node, Rejected, Remote, settled
from tests.e2e.server_under_test import SECRET, Server

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(60)]

DEFAULT_RECORDING = {
    "name": "",
    "hasAudio": True,
    "hasVideo": True,
    "outputMode": "COMPOSED",
    "recordingLayout": "BEST_FIT",
    "resolution": "1280x720",
    "frameRate": 25,
    "shmSize": 536870912,
}
DEFAULTS = {
    "mediaMode": "ROUTED",
    "recordingMode": "MANUAL",
    "customSessionId": "",
    "forcedVideoCodec": "VP8",
    "allowTranscoding": False,
    "defaultRecordingProperties": DEFAULT_RECORDING,
}
COMPOSED = {
    "customSessionId": "composed",
    "recordingMode": "MANUAL",
    "forcedVideoCodec": "H264",
    "allowTranscoding": True,
    "defaultRecordingProperties": {
        "name": "talk",
        "hasAudio": False,
        "hasVideo": True,
        "outputMode": "COMPOSED_QUICK_START",
        "recordingLayout": "CUSTOM",
        "customLayout": "mosaic",
        "resolution": "640x480",
        "frameRate": 30,
        "shmSize": 268435456,
    },
}
INDIVIDUAL = {
    "customSessionId": "individual",
    "recordingMode": "ALWAYS",
    "forcedVideoCodec": "NONE",
    "defaultRecordingProperties": {
        "name": "streams",
        "hasAudio": True,
        "hasVideo": True,
        "outputMode": "INDIVIDUAL",
        "ignoreFailedStreams": True,
    },
}
RELAYED_AUDIO = {
    "customSessionId": "relayed-audio",
    "mediaMode": "RELAYED",
    "forcedVideoCodec": "MEDIA_SERVER_PREFERRED",
    "defaultRecordingProperties": {
        "name": "",
        "hasAudio": True,
        "hasVideo": False,
        "outputMode": "COMPOSED",
    },
}


async def test_a_session_without_properties_has_the_defaults(ov: Remote) -> None:
    session = await ov.call("createSession")
    seen = await session.read()
    assert re.fullmatch("ses_[A-Z][0-9A-Za-z]{9}", seen["sessionId"])
    assert seen["properties"] == DEFAULTS
    assert (seen["recording"], seen["broadcasting"]) == (False, False)
    await settled(session)
    assert await session.read() == seen


@pytest.mark.parametrize(
    "given", [COMPOSED, INDIVIDUAL, RELAYED_AUDIO], ids=lambda given: given["customSessionId"]
)
async def test_a_session_has_the_properties_it_was_given(
    ov: Remote, node: Node, server: Server, given: dict[str, Any]
) -> None:
    session = await ov.call("createSession", given)
    seen = await session.read()
    assert seen["sessionId"] == given["customSessionId"]
    assert seen["properties"] == DEFAULTS | given
    await settled(session)
    assert await session.read() == seen

    other = await node.client(server.url, SECRET)
    assert await other.call("fetch") is True
    assert (await other.read())["activeSessions"] == [seen]
    assert await other.call("fetch") is False


async def test_creating_a_session_again_gives_the_one_there_is(
    ov: Remote, node: Node, server: Server
) -> None:
    first = await ov.call("createSession", COMPOSED)
    connection = await first.call("createConnection", {"data": "first"})
    other = await node.client(server.url, SECRET)
    again = await other.call("createSession", {"customSessionId": "composed"})
    seen = await again.read()
    assert seen["properties"] == DEFAULTS | COMPOSED
    assert [one["connectionId"] for one in seen["connections"]] == [connection["connectionId"]]
    await first.call("fetch")
    assert await first.read() == seen


async def test_fetch_tells_whether_anything_changed(ov: Remote, node: Node, server: Server) -> None:
    other = await node.client(server.url, SECRET)
    assert await other.call("fetch") is False
    mine = await ov.call("createSession", {"customSessionId": "mine"})
    assert await other.call("fetch") is True  # a session more
    assert await other.call("fetch") is False
    theirs = await other.session("mine")
    await settled(mine)
    await settled(ov)

    created = await theirs.call("createConnection", {"data": "new"})
    assert await theirs.call("fetch") is False  # the client knows what it did itself
    assert await other.call("fetch") is False
    assert await mine.call("fetch") is True
    assert await mine.call("fetch") is False
    assert (await mine.read())["connections"] == [created]
    assert await ov.call("fetch") is False

    await theirs.call("updateConnection", created["connectionId"], {"record": False})
    assert await other.call("fetch") is False
    assert await ov.call("fetch") is True
    assert await ov.call("fetch") is False

    await theirs.call("forceDisconnect", created["connectionId"])
    assert await theirs.call("fetch") is False
    assert await mine.call("fetch") is True
    assert (await mine.read())["connections"] == []

    await theirs.call("close")
    assert await other.call("fetch") is False
    assert await ov.call("fetch") is True  # a session less
    assert (await ov.read())["activeSessions"] == []
    assert await ov.call("fetch") is False


@pytest.mark.parametrize(
    "properties",
    [
        {"customSessionId": "not allowed"},
        {"mediaMode": "DIRECT"},
        {"recordingMode": "SOMETIMES"},
        {"forcedVideoCodec": "AV7"},
        {"allowTranscoding": "perhaps"},
        {"defaultRecordingProperties": {"outputMode": "NONE"}},
        {"defaultRecordingProperties": {"name": "../up"}},
        {"defaultRecordingProperties": {"hasAudio": "yes"}},
    ],
    ids=str,
)
async def test_a_session_with_bad_properties_is_refused(
    ov: Remote, properties: dict[str, Any]
) -> None:
    with pytest.raises(Rejected, match=r"^400$"):
        await ov.call("createSession", properties)
    assert (await ov.read())["activeSessions"] == []
    assert await ov.call("fetch") is False


async def test_a_wrong_secret_opens_nothing(ov: Remote, node: Node, server: Server) -> None:
    await ov.call("createSession", {"customSessionId": "closed"})
    for secret in ("WRONG", "", SECRET.lower(), SECRET + " "):
        stranger = await node.client(server.url, secret)
        for method, arguments in {
            "createSession": ({"customSessionId": "closed"},),
            "fetch": (),
            "startRecording": ("closed",),
            "stopRecording": ("closed",),
            "getRecording": ("closed",),
            "listRecordings": (),
            "deleteRecording": ("closed",),
        }.items():
            with pytest.raises(Rejected, match=r"^401$"):
                await stranger.call(method, *arguments)


async def test_a_broadcast_is_an_error_in_this_version(ov: Remote) -> None:
    await ov.call("createSession", {"customSessionId": "broadcast"})
    with pytest.raises(Rejected, match=r"^404$"):
        await ov.call("startBroadcast", "broadcast", "rtmp://tv.example.org/live")
    with pytest.raises(Rejected, match=r"^404$"):
        await ov.call("stopBroadcast", "broadcast")


async def test_the_url_may_have_a_path_or_a_last_slash(node: Node, server: Server) -> None:
    for url in (f"{server.url}/", f"{server.url}/somewhere/else"):
        assert await (await node.client(url, SECRET)).call("fetch") is False
