"""Signals, configuration, health, documentation, CORS."""

from __future__ import annotations

import json
import re
from typing import Any

from msgspec.json import encode
from nats.aio.client import Client

from services.conference.calls import Heartbeat, heartbeat_subject
from services.conference.commands import SendSignal


async def test_a_signal_goes_to_all_or_to_some(api: Any, room: Any, event_log: Any) -> None:
    session = await api.new_session()
    ana, bob = [await room.person(api, session) for _ in range(2)]
    for body in (
        {"session": session},
        {"session": session, "to": [], "type": None, "data": None},
        {"session": session, "to": [bob], "type": "chat", "data": "hola"},
        {"session": session, "to": [bob, ana, bob], "type": "signal:chat", "data": ""},
    ):
        sent = await api.post("/signal", body)
        assert (sent.status, sent.body) == (200, b"")
    commits = [recorded.commit async for recorded in event_log.read(session)][-4:]
    assert [commit.command for commit in commits] == [
        SendSignal(),
        SendSignal(),
        SendSignal(to=(bob,), type="chat", data="hola"),
        SendSignal(to=(bob, ana, bob), type="chat", data=""),
    ]
    assert [event.to for commit in commits for event in commit.events] == [
        (ana, bob), (ana, bob), (bob,), (bob, ana),
    ]  # fmt: skip


async def test_a_signal_that_reaches_nobody_is_406(api: Any, room: Any) -> None:
    session = await api.new_session()
    pending = (await api.new_connection(session))["id"]
    assert (await api.post("/signal", {"session": session})).status == 406
    ana = await room.person(api, session)
    for to in (["con_Nobody"], [ana, "con_Nobody"], [pending]):
        assert (await api.post("/signal", {"session": session, "to": to})).status == 406


async def test_a_trace_of_the_caller_goes_into_the_log(api: Any, event_log: Any) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    for name, header in {"traced": trace, "odd": "x" * 5000, "none": ""}.items():
        answer = await api.post(
            "/sessions", {"customSessionId": name}, headers={"Traceparent": header}
        )
        assert answer.status == 200
    found = {
        recorded.commit.session_id: recorded.commit.traceparent
        async for recorded in event_log.read_all()
    }
    assert found == {"traced": trace, "odd": None, "none": None}


async def test_the_configuration_has_the_contract_s_keys_and_no_secret(api: Any) -> None:
    answer = await api.get("/config")
    assert answer.status == 200
    assert list(answer.json)[:5] == [
        "VERSION", "OPENVIDU_SERVER_DEPENDENCY_VERSION", "DOMAIN_OR_PUBLIC_IP", "HTTPS_PORT",
        "OPENVIDU_PUBLICURL",
    ]  # fmt: skip
    for name, kind in {
        "OPENVIDU_CDR": bool,
        "OPENVIDU_STREAMS_VIDEO_MAX_RECV_BANDWIDTH": int,
        "OPENVIDU_SESSIONS_GARBAGE_INTERVAL": int,
        "OPENVIDU_RECORDING": bool,
        "OPENVIDU_RECORDING_PATH": str,
        "OPENVIDU_WEBHOOK": bool,
        "KMS_URIS": list,
    }.items():
        assert type(answer.json[name]) is kind, name
    assert api.settings.access.secret.encode() not in answer.body


async def test_the_health_is_up_while_a_media_node_is_heard(api: Any, nats_client: Client) -> None:
    down = await api.get("/health")
    assert (down.status, down.json) == (503, {"status": "DOWN"})
    assert (await api.get("/health", auth=None)).status == 401
    beat = Heartbeat("media_1", "one", "127.0.0.1", 1, 0.0, 0, 0)
    await nats_client.publish(heartbeat_subject("media_1"), encode(beat))
    assert await api.until("/health", lambda found: found == {"status": "UP"})
    assert (await api.get("/health")).status == 200


async def test_liveness_needs_no_secret(api: Any) -> None:
    answer = await api.get("/livez", auth=None)
    assert (answer.status, answer.json) == (200, {"status": "UP"})


async def test_every_operation_is_documented_under_a_stable_id(api: Any) -> None:
    document = (await api.get("/docs/openapi.json", auth=None)).body
    spec = json.loads(document)
    found = {
        operation["operationId"]
        for methods in spec["paths"].values()
        for operation in methods.values()
    }
    assert found == {
        "initializeSession", "getSession", "listSessions", "closeSession",
        "initializeConnection", "getConnection", "listConnections", "modifyConnection",
        "removeConnection", "generateToken",
        "getMediaNode", "listMediaNodes", "addMediaNode", "removeMediaNode", "modifyMediaNode",
        "autodiscoverMediaNodes",
        "startRecording", "stopRecording", "getRecording", "listRecordings", "deleteRecording",
        "downloadRecording", "inspectRecording",
        "unpublishStream", "sendSignal", "getHealth", "livez",
        "getConfig", "getPublicUrl", "getVersion", "getRecordingEnabled", "getRecordingPath",
        "getCdrEnabled", "restart", "getStatus",
    }  # fmt: skip
    start = spec["paths"]["/openvidu/api/recordings/start"]["post"]
    body = spec["components"]["schemas"]["RecordingStartBody"]
    assert body["required"] == ["session"]
    assert {"frameRate", "outputMode", "ignoreFailedStreams"} <= set(body["properties"])
    assert {"200", "400", "401", "404", "406", "409", "422", "501"} <= set(start["responses"])


async def test_the_page_of_the_documentation_takes_all_it_needs_from_us(api: Any) -> None:
    page = await api.get("/docs", auth=None)
    assert page.status == 200
    parts = re.findall(r'(?:src|href)="([^"]+)"', page.body.decode())
    assert len(parts) >= 4
    for part in parts:
        assert part.startswith("/docs/assets/"), part
        assert (await api.get(part, auth=None)).status == 200


async def test_pages_of_any_origin_may_call(api: Any) -> None:
    asked = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "DELETE",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    preflight = await api.call("OPTIONS", "/sessions/any", auth=None, headers=asked)
    assert preflight.status == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert "DELETE" in preflight.headers["Access-Control-Allow-Methods"]
    assert "authorization" in preflight.headers["Access-Control-Allow-Headers"].lower()
    for answer in (
        await api.get("/sessions", headers=asked),
        await api.get("/sessions", auth=None, headers=asked),
        await api.get("/nowhere", headers=asked),
        await api.post("/sessions", {"mediaMode": 1}, headers=asked),
    ):
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


NO_OPERATION = [
    ("GET", "/nowhere", 404),
    ("DELETE", "/sessions", 405),
    ("DELETE", "/recordings", 405),
    ("POST", "/recordings/stop", 405),
    ("PUT", "/recordings/start", 405),
    ("PUT", "/sessions/a", 405),
    ("GET", "/recordings/a/b", 404),
]


async def test_what_is_no_operation_is_told_in_json(api: Any) -> None:
    for method, path, status in NO_OPERATION:
        answer = await api.call(method, path)
        assert answer.status == status, (method, path)
        assert answer.json["status"] == status
