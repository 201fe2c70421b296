"""`rest-api.md`, "The Connection object" and "Generate a token"."""

from __future__ import annotations

import re
from typing import Any

CONNECTION_KEYS = {
    "id", "object", "type", "status", "connectionId", "sessionId", "createdAt", "activeAt",
    "location", "ip", "platform", "token", "serverData", "clientData", "record", "role",
    "kurentoOptions", "customIceServers", "rtspUri", "adaptativeBitrate",
    "onlyPlayWithSubscribers", "networkCache", "publishers", "subscribers",
}  # fmt: skip
KURENTO = {
    "videoMaxRecvBandwidth": 1000,
    "videoMinRecvBandwidth": 300,
    "videoMaxSendBandwidth": 0,
    "videoMinSendBandwidth": 300,
    "allowedFilters": ["GStreamerFilter", "ZBarFilter"],
}


async def test_a_pending_connection_has_every_key_and_nulls_for_what_is_to_come(api: Any) -> None:
    session = await api.new_session()
    answer = await api.post(f"/sessions/{session}/connection", {})
    assert answer.status == 200
    connection = answer.json
    assert set(connection) == CONNECTION_KEYS
    assert connection["connectionId"] == connection["id"]
    assert re.fullmatch(r"con_[A-Z][0-9A-Za-z]{9}", connection["id"])
    assert connection["sessionId"] == session
    assert connection["status"] == "pending"
    assert connection["type"] == "WEBRTC"
    assert connection["role"] == "PUBLISHER"
    assert connection["record"] is True
    assert connection["serverData"] == ""
    assert connection["customIceServers"] == []
    later = ("activeAt", "location", "ip", "platform", "clientData", "publishers", "subscribers")
    assert [connection[key] for key in later] == [None] * 7
    token = re.fullmatch(
        r"ws://localhost:4443\?sessionId=(\w+)&token=tok_\w{16}", connection["token"]
    )
    assert token is not None
    assert token[1] == session


async def test_a_connection_keeps_what_it_was_made_with(api: Any) -> None:
    session = await api.new_session()
    made = await api.post(
        f"/sessions/{session}/connection",
        {
            "type": "WEBRTC",
            "data": 'Ana "la jefa" 😀',
            "record": False,
            "role": "MODERATOR",
            "kurentoOptions": KURENTO,
            "customIceServers": [
                {"url": "stun:stun.example.org:3478"},
                {"url": "turn:turn.example.org", "username": "u", "credential": "c"},
            ],
        },
    )
    assert made.status == 200
    assert made.json["serverData"] == 'Ana "la jefa" 😀'
    assert made.json["record"] is False
    assert made.json["role"] == "MODERATOR"
    assert made.json["kurentoOptions"] == KURENTO
    assert made.json["customIceServers"] == [
        {"url": "stun:stun.example.org:3478"},
        {"url": "turn:turn.example.org", "username": "u", "credential": "c"},
    ]
    path = f"/sessions/{session}/connection/{made.json['id']}"
    assert (await api.get(path)).body == made.body


async def test_a_static_secret_of_an_ice_server_becomes_credentials(api: Any) -> None:
    session = await api.new_session()
    server = {"url": "turn:turn.example.org", "staticAuthSecret": "hush"}
    made = await api.new_connection(session, customIceServers=[server])
    (shown,) = made["customIceServers"]
    assert set(shown) == {"url", "username", "credential"}
    assert re.fullmatch(r"\d+:\w{8}", shown["username"])
    assert "hush" not in str(made)


async def test_the_explicit_nulls_of_the_node_client_are_values_not_given(api: Any) -> None:
    session = await api.new_session()
    names = (
        "type", "data", "record", "role", "kurentoOptions", "rtspUri", "adaptativeBitrate",
        "onlyPlayWithSubscribers", "networkCache", "customIceServers",
    )  # fmt: skip
    made = await api.post(f"/sessions/{session}/connection", dict.fromkeys(names))
    assert made.status == 200
    assert made.json["role"] == "PUBLISHER"


async def test_an_active_connection_shows_who_came_and_what_is_sent(api: Any, room: Any) -> None:
    session = await api.new_session()
    ana = await room.person(api, session, data="server side")
    bob = await room.person(api, session)
    stream = await room.publish(session, ana)
    await room.subscribe(session, bob, stream)

    async def shown(connection: str) -> dict[str, Any]:
        return dict((await api.get(f"/sessions/{session}/connection/{connection}")).json)

    path = f"/sessions/{session}/connection/{bob}"
    receiving = await api.until(path, lambda found: found["subscribers"])
    assert receiving["subscribers"] == [{"createdAt": 2, "streamId": stream}]
    assert receiving["publishers"] == []
    found = await shown(ana)
    assert set(found) == CONNECTION_KEYS
    assert found["status"] == "active"
    assert found["activeAt"] >= found["createdAt"]
    assert found["platform"] == "Chrome 142"
    assert found["clientData"] == "Ana"
    assert found["serverData"] == "server side"
    assert found["ip"] == "127.0.0.1"
    assert found["location"] == "unknown"
    assert found["publishers"] == [
        {
            "createdAt": 1,
            "streamId": stream,
            "mediaOptions": {
                "hasAudio": True,
                "audioActive": True,
                "hasVideo": True,
                "videoActive": True,
                "typeOfVideo": "CAMERA",
                "frameRate": 30,
                "videoDimensions": '{"width":640,"height":480}',
                "filter": {},
            },
        }
    ]
    assert (await api.delete(f"/sessions/{session}/stream/{stream}")).status == 204
    assert (await shown(ana))["publishers"] == []
    assert (await shown(bob))["subscribers"] == []
    assert (await api.delete(f"/sessions/{session}/stream/{stream}")).status == 404


async def test_connections_are_listed_pending_ones_too(api: Any, room: Any) -> None:
    session = await api.new_session()
    ids = [(await api.new_connection(session))["id"] for _ in range(5)]
    active = await room.person(api, session)
    path = f"/sessions/{session}/connection"
    listed = (await api.get(path)).json
    assert listed["numberOfElements"] == 6
    assert [connection["id"] for connection in listed["content"]] == [*ids, active]
    only_active = (await api.get(path + "?pendingConnections=false")).json
    assert [connection["id"] for connection in only_active["content"]] == [active]
    assert (await api.get(path + "?pendingConnections=perhaps")).status == 400


async def test_a_connection_is_modified_and_answered(api: Any) -> None:
    session = await api.new_session()
    made = await api.new_connection(session)
    path = f"/sessions/{session}/connection/{made['id']}"
    changed = await api.call("PATCH", path, {"role": "SUBSCRIBER", "record": False})
    assert changed.status == 200
    assert changed.json == {**made, "role": "SUBSCRIBER", "record": False}
    assert (await api.get(path)).body == changed.body
    for body in ({}, {"role": None}, {"record": False}, {"unknown": 1}):
        same = await api.call("PATCH", path, body)
        assert same.status == 200
        assert same.body == changed.body
    for body in ({"role": "BOSS"}, {"record": 1}, [], "role"):
        assert (await api.call("PATCH", path, body)).status == 400


async def test_a_removed_connection_leaves_its_session(api: Any, room: Any) -> None:
    session = await api.new_session()
    stays = await room.person(api, session)
    goes = await room.person(api, session)
    pending = (await api.new_connection(session))["id"]
    for connection in (goes, pending):
        path = f"/sessions/{session}/connection/{connection}"
        gone = await api.delete(path)
        assert gone.status == 204
        assert gone.body == b""
        assert (await api.get(path)).status == 404
        assert (await api.delete(path)).status == 404
    left = (await api.get(f"/sessions/{session}/connection")).json
    assert [connection["id"] for connection in left["content"]] == [stays]


async def test_a_token_is_a_pending_connection(api: Any) -> None:
    session = await api.new_session()
    body = {"session": session, "role": "MODERATOR", "data": "Ana", "kurentoOptions": KURENTO}
    made = await api.post("/tokens", body)
    assert made.status == 200
    token = made.json
    assert set(token) == {
        "id", "token", "connectionId", "createdAt", "session", "role", "data", "record",
        "kurentoOptions",
    }  # fmt: skip
    assert token["id"] == token["token"]
    assert token["role"] == "MODERATOR"
    assert token["data"] == "Ana"
    assert token["record"] is True
    assert token["kurentoOptions"] == KURENTO
    path = f"/sessions/{session}/connection/{token['connectionId']}"
    assert (await api.get(path)).json["token"] == token["token"]
