"""openvidu-node-client: connections that nobody has taken yet."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.compat.node_client import Node, Rejected, Remote, settled
from tests.e2e.server_under_test import SECRET, Server

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(60)]


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
