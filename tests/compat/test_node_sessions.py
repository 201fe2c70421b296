"""openvidu-node-client: sessions and connections that nobody has taken yet."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.compat.node_client import Node, Rejected, Remote
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


async def settled(client: Remote) -> None:
    """Nothing changes between two fetches. The first after an own call may find a change with
    any server: it puts the keys into another order."""
    await client.call("fetch")
    assert await client.call("fetch") is False


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


async def test_fetch_tells_whether_anything_changed(
    ov: Remote, node: Node, server: Server
) -> None:
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


async def test_a_connection_has_the_properties_it_was_given(ov: Remote, server: Server) -> None:
    session = await ov.call("createSession", {"customSessionId": "properties"})
    given = {
        "type": "WEBRTC",
        "data": '{"user": "Ünal"}',
        "record": False,
        "role": "MODERATOR",
        "kurentoOptions": {
            "videoMaxRecvBandwidth": 1000,
            "videoMinRecvBandwidth": 0,
            "videoMaxSendBandwidth": 2000,
            "videoMinSendBandwidth": 300,
            "allowedFilters": ["GStreamerFilter", "ZBarFilter"],
        },
        "customIceServers": [
            {"url": "stun:stun.example.org:3478"},
            {"url": "turn:turn.example.org:3478", "username": "u", "credential": "c"},
        ],
    }
    connection = await session.call("createConnection", given)
    assert re.fullmatch("con_[A-Z][0-9A-Za-z]{9}", connection["connectionId"])
    assert connection["status"] == "pending"
    assert connection["createdAt"] > 0
    assert connection["token"].startswith(f"ws://localhost:{server.port}?sessionId=properties&")
    assert connection["connectionProperties"] == {
        **given,
        "rtspUri": None,
        "adaptativeBitrate": None,
        "onlyPlayWithSubscribers": None,
        "networkCache": None,
    }
    assert (connection["role"], connection["serverData"]) == ("MODERATOR", given["data"])
    for later in ("activeAt", "location", "ip", "platform", "clientData"):
        assert connection[later] is None
    assert connection["publishers"] == connection["subscribers"] == []
    await settled(session)
    assert await session.connection(connection["connectionId"]) == connection
    assert (await session.read())["activeConnections"] == []


async def test_a_connection_without_properties_has_the_defaults(ov: Remote) -> None:
    session = await ov.call("createSession")
    for connection in (
        await session.call("createConnection"),
        await session.call("createConnection", {}),
    ):
        assert connection["connectionProperties"] == {
            "type": "WEBRTC",
            "data": "",
            "record": True,
            "role": "PUBLISHER",
            "kurentoOptions": None,
            "rtspUri": None,
            "adaptativeBitrate": None,
            "onlyPlayWithSubscribers": None,
            "networkCache": None,
            "customIceServers": [],
        }
    await settled(session)


async def test_a_static_secret_of_an_ice_server_becomes_credentials_that_stay(ov: Remote) -> None:
    session = await ov.call("createSession")
    turn = {"url": "turn:turn.example.org:3478", "staticAuthSecret": "not told"}
    connection = await session.call("createConnection", {"customIceServers": [turn]})
    [told] = connection["connectionProperties"]["customIceServers"]
    assert told.keys() == {"url", "username", "credential"}
    assert told["credential"] != turn["staticAuthSecret"]
    await settled(session)
    assert await session.connection(connection["connectionId"]) == connection


async def test_connections_are_listed_in_the_order_of_their_creation(
    ov: Remote, node: Node, server: Server
) -> None:
    session = await ov.call("createSession", {"customSessionId": "order"})
    roles = ["SUBSCRIBER", "PUBLISHER", "MODERATOR"] * 4
    created = [await session.call("createConnection", {"role": role}) for role in roles]
    assert [one["role"] for one in created] == roles
    await settled(session)
    assert (await session.read())["connections"] == created
    other = await node.client(server.url, SECRET)
    await other.call("fetch")
    assert (await (await other.session("order")).read())["connections"] == created


async def test_a_pending_connection_can_be_updated(ov: Remote, node: Node, server: Server) -> None:
    session = await ov.call("createSession", {"customSessionId": "update"})
    await ov.call("fetch")
    connection = await session.call("createConnection", {"role": "PUBLISHER"})
    updated = await session.call(
        "updateConnection", connection["connectionId"], {"role": "SUBSCRIBER", "record": False}
    )
    properties = updated["connectionProperties"]
    assert (properties["role"], properties["record"]) == ("SUBSCRIBER", False)
    assert await ov.call("fetch") is False  # the server agrees

    # A client that does not know the connection takes what the server answers.
    other = await node.client(server.url, SECRET)
    await other.call("createSession", {"customSessionId": "update"})
    later = await session.call("createConnection", {"data": "unknown to others"})
    theirs = await other.session("update")
    told = await theirs.call("updateConnection", later["connectionId"], {"role": "MODERATOR"})
    assert told["connectionId"] == later["connectionId"]
    assert (told["role"], told["serverData"]) == ("MODERATOR", "unknown to others")
    assert (told["status"], told["token"]) == ("pending", later["token"])
    await settled(session)
    assert await session.connection(later["connectionId"]) == told


async def test_generate_token_makes_a_pending_connection(ov: Remote) -> None:
    session = await ov.call("createSession")
    plain = await session.call("generateToken")
    options = {
        "role": "MODERATOR",
        "data": "of a token",
        "kurentoOptions": {"videoMaxSendBandwidth": 500, "allowedFilters": []},
    }
    rich = await session.call("generateToken", options)
    await settled(session)
    first, second = (await session.read())["connections"]
    assert [first["token"], second["token"]] == [plain, rich]
    assert (first["role"], first["serverData"]) == ("PUBLISHER", "")
    assert (second["role"], second["serverData"]) == ("MODERATOR", "of a token")
    assert second["connectionProperties"]["kurentoOptions"] == options["kurentoOptions"]


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


@pytest.mark.parametrize(
    "properties",
    [
        {"type": "CARRIER_PIGEON"},
        {"role": "OWNER"},
        {"data": 5},
        {"record": "no"},
        {"kurentoOptions": {"videoMaxRecvBandwidth": -1}},
        {"kurentoOptions": {"allowedFilters": "ZBarFilter"}},
        {"customIceServers": [{"url": "http://stun.example.org"}]},
        {"customIceServers": [{"url": "turn:turn.example.org:3478", "username": "u"}]},
        {"type": "IPCAM"},  # without rtspUri
    ],
    ids=str,
)
async def test_a_connection_with_bad_properties_is_refused(
    ov: Remote, properties: dict[str, Any]
) -> None:
    session = await ov.call("createSession")
    with pytest.raises(Rejected, match=r"^400$"):
        await session.call("createConnection", properties)
    await settled(session)
    assert (await session.read())["connections"] == []


async def test_an_ip_camera_is_an_error_in_this_version(ov: Remote) -> None:
    session = await ov.call("createSession")
    camera = {
        "type": "IPCAM",
        "rtspUri": "rtsp://camera.example.org/stream",
        "adaptativeBitrate": True,
        "onlyPlayWithSubscribers": False,
        "networkCache": 1000,
        "data": "the door",
    }
    with pytest.raises(Rejected, match=r"^500$"):
        await session.call("createConnection", camera)
    await settled(session)
    assert (await session.read())["connections"] == []


async def test_what_is_not_there_is_told_by_its_status(ov: Remote) -> None:
    session = await ov.call("createSession")
    removed = await session.call("createConnection")
    await session.call("forceDisconnect", removed)
    for method, arguments in {
        "forceDisconnect": (removed,),
        "updateConnection": (removed["connectionId"], {"record": True}),
        "forceUnpublish": ("str_CAM_ABCD_con_Nobody",),
    }.items():
        with pytest.raises(Rejected, match=r"^404$"):
            await session.call(method, *arguments)
    with pytest.raises(Rejected, match=r"^400$"):
        await session.call("updateConnection", removed["connectionId"], {"role": "OWNER"})

    await session.call("close")
    for method, arguments, status in (
        ("fetch", (), 404),
        ("createConnection", ({},), 404),
        ("generateToken", (), 404),
        ("updateConnection", (removed["connectionId"], {"record": True}), 404),
        ("forceDisconnect", (removed,), 400),
        ("forceUnpublish", ("str_CAM_ABCD_con_Nobody",), 400),
        ("close", (), 404),
    ):
        with pytest.raises(Rejected, match=f"^{status}$"):
            await session.call(method, *arguments)


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


async def test_the_url_may_have_a_path_or_a_last_slash(node: Node, server: Server) -> None:
    for url in (f"{server.url}/", f"{server.url}/somewhere/else"):
        assert await (await node.client(url, SECRET)).call("fetch") is False
