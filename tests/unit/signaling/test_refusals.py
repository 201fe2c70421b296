"""Who is refused, and with which code (`signaling.md` sections 2.1, 3 and 6)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from msgspec.structs import replace

from services.api.signaling.methods.room import MAX_METADATA
from services.conference.calls import (
    AcceptAnswer,
    Discard,
    Failure,
    FailureCode,
    PrepareOffer,
    Publish,
    Subscribe,
)
from services.conference.commands import CloseSession, RemoveConnection, ResetMedia
from services.conference.model import ConnectionType, KurentoOptions, Reason, Role
from services.conference.state import State
from services.eventlog.log import LogUnavailable
from tests.unit.signaling.harness import PUBLISH, FakeNodes, World, join_params, until


async def test_a_token_serves_once(world: World) -> None:
    token = await world.token("S1")
    await (await world.client()).join("S1", token)
    other = await world.client()
    frame = await other.call("joinRoom", join_params("S1", token))
    assert frame["error"]["code"] == 401
    assert frame["error"]["message"].endswith(". Code: 401")
    assert frame.keys() == {"id", "error", "jsonrpc"}
    assert frame["error"].keys() == {"code", "message"}


async def test_a_refused_join_may_be_tried_again_on_the_same_socket(world: World) -> None:
    client = await world.client()
    assert await client.code("joinRoom", join_params("S1", "tok_no")) == 401
    await client.join("S1", await world.token("S1"))


async def test_tokens_of_another_host_and_bare_tokens_are_accepted(world: World) -> None:
    for rewrite in (
        lambda token: token.replace("ws://localhost:4443", "wss://proxy.example/path"),
        lambda token: token.partition("token=")[2],
        lambda token: token + "&role=PUBLISHER&version=2.16.0&coturnIp=1.2.3.4",
    ):
        token = rewrite(await world.token("S1"))
        await (await world.client()).join("S1", token)


async def test_a_token_is_of_one_session(world: World) -> None:
    await world.session("S2")
    token = await world.token("S1")
    client = await world.client()
    assert await client.code("joinRoom", join_params("S2", token)) == 401
    bare = token.partition("token=")[2]
    assert await client.code("joinRoom", join_params("S2", bare)) == 401
    assert await client.code("joinRoom", join_params("S9", token)) == 202
    forged = token.replace("sessionId=S1", "sessionId=S2")
    assert await client.code("joinRoom", join_params("S1", forged)) == 401
    await client.join("S1", token)


@pytest.mark.parametrize("token", ["", "?", "ws://h?sessionId=S1", "ws://h?token=", "tok_" * 500])
async def test_what_is_no_token_is_refused(world: World, token: str) -> None:
    client = await world.client()
    assert await client.code("joinRoom", join_params("S1", token)) == 401


async def test_nobody_joins_without_a_media_node(world: World, nodes: FakeNodes) -> None:
    heartbeat, nodes.heartbeat = nodes.heartbeat, None
    token = await world.token("S1")
    client = await world.client()
    assert await client.code("joinRoom", join_params("S1", token)) == 204
    nodes.heartbeat = heartbeat
    await client.join("S1", token)


async def test_a_session_bound_to_a_node_waits_for_that_node(
    world: World, nodes: FakeNodes
) -> None:
    for wanted, code in (("media_a", None), ("media_b", 204)):
        session = await world.session(f"on_{wanted}", media_node=wanted)
        client = await world.client()
        frame = await client.call("joinRoom", join_params(session, await world.token(session)))
        assert frame.get("error", {}).get("code") == code


async def test_a_second_join_on_a_socket_is_refused(world: World) -> None:
    client = await world.user()
    assert await client.code("joinRoom", join_params("S1", await world.token("S1"))) == 104


@pytest.mark.parametrize("method", ["leaveRoom", "publishVideo", "echo", "onIceCandidate"])
async def test_nothing_is_done_before_joining(world: World, method: str) -> None:
    client = await world.client()
    assert await client.code(method, {}) == 803


async def test_unknown_methods_are_told_so(world: World) -> None:
    client = await world.client()
    assert await client.code("noSuchMethod", {}) == -32601
    await client.join("S1", await world.token("S1"))
    assert await client.code("toString") == -32601


async def test_a_subscriber_does_not_publish(world: World, nodes: FakeNodes) -> None:
    client = await world.user(role=Role.SUBSCRIBER)
    assert await client.code("publishVideo", PUBLISH) == 401
    assert nodes.calls == [], "refused before any media is made"


async def test_one_connection_publishes_one_stream(world: World, nodes: FakeNodes) -> None:
    client = await world.user()
    await client.publish()
    assert await client.code("publishVideo", PUBLISH) == 106
    assert len(nodes.calls) == 1


async def test_a_filter_is_refused(world: World) -> None:
    client = await world.user()
    with_filter = PUBLISH | {"filter": {"type": "GStreamerFilter", "options": {}}}
    assert await client.code("publishVideo", with_filter) == 406
    await client.publish(filter={})


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (FailureCode.SDP_INVALID, 302),
        (FailureCode.CODEC_MISSING, 800),
        (FailureCode.ENDPOINT_CLOSED, 303),
        (FailureCode.OVERLOADED, 303),
        (FailureCode.STREAM_NOT_FOUND, 105),
        (FailureCode.SUBSCRIPTION_NOT_FOUND, 303),
    ],
)
async def test_failures_of_the_media_node_have_codes(
    world: World, nodes: FakeNodes, failure: FailureCode, code: int
) -> None:
    a, b = await world.user(), await world.user()
    stream = await a.publish()
    for call in (Publish, PrepareOffer, AcceptAnswer, Subscribe):
        nodes.replies[call] = Failure(failure, "No.")
    assert await b.code("publishVideo", PUBLISH) == code
    assert await b.code("prepareReceiveVideoFrom", {"sender": stream}) == code
    assert await b.code("receiveVideoFrom", {"sender": stream, "sdpAnswer": "v=0"}) == code
    assert await b.code("receiveVideoFrom", {"sender": stream, "sdpOffer": "v=0"}) == code
    connection = (await world.state()).session.connections[b.id]
    assert connection.stream is None
    assert not connection.subscriptions


async def test_a_dead_media_node_is_no_endpoint(world: World, nodes: FakeNodes) -> None:
    a = await world.user()
    nodes.heartbeat = None
    assert await a.code("publishVideo", PUBLISH) == 303
    late = await world.client()
    assert await late.code("joinRoom", join_params("S1", await world.token("S1"))) == 204


async def test_a_stream_of_a_media_process_that_is_no_more_is_refused(
    world: World, nodes: FakeNodes
) -> None:
    a = await world.user()
    nodes.hold[Publish] = asyncio.Event()
    number = await a.send("publishVideo", PUBLISH)
    await until(lambda: bool(nodes.calls))
    await world.execute("S1", ResetMedia("media_a", "i2"))
    nodes.hold[Publish].set()
    assert (await a.response(number))["error"]["code"] == 303
    session = (await world.state()).session
    assert session is not None
    assert session.connections[a.id].stream is None
    await a.publish()


async def test_media_is_let_go_when_the_log_refuses_the_stream(
    world: World, nodes: FakeNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = await world.user()
    execute = world.bus.execute

    async def unavailable(*_: Any, **__: Any) -> None:
        raise LogUnavailable("no broker")

    monkeypatch.setattr(world.bus, "execute", unavailable)
    assert await a.code("publishVideo", PUBLISH) == 999
    monkeypatch.setattr(world.bus, "execute", execute)
    stream = nodes.calls[0].stream_id
    await a.settle()
    assert Discard(a.id, stream) in nodes.calls
    await a.publish()


async def test_streams_that_are_not_there(world: World) -> None:
    a, b = await world.user(), await world.user()
    stream = await a.publish()
    for method, extra in (("prepareReceiveVideoFrom", {}), ("receiveVideoFrom", {"sdpOffer": "v"})):
        gone = stream.replace("CAM", "SCR")
        assert await b.code(method, {"sender": gone, **extra}) == 105
        assert await b.code(method, {"sender": "str_CAM_AAAA_con_Nobody12", **extra}) == 102
        assert await a.code(method, {"sender": stream, **extra}) == 105, "its own"
    assert await b.code("unpublishVideo", {}) == 105
    mute = {"property": "audioActive", "newValue": False, "reason": "publishAudio"}
    assert await b.code("streamPropertyChanged", mute) == 105
    assert await b.code("unsubscribeFromVideo", {"sender": "con_Nobody12"}) == 102
    assert await b.code("unsubscribeFromVideo", {"sender": stream}) == 102, "no stream id"
    assert await b.result("unsubscribeFromVideo", {"sender": a.id}) == {"sessionId": b.rpc_id}


async def test_a_subscription_needs_one_of_the_two_descriptions(
    world: World, nodes: FakeNodes
) -> None:
    a, b = await world.user(), await world.user()
    stream = await a.publish()
    both = {"sdpOffer": "v=0", "sdpAnswer": "v=0"}
    assert await b.code("receiveVideoFrom", {"sender": stream}) == -32602
    assert await b.code("receiveVideoFrom", {"sender": stream, **both}) == -32602
    assert len(nodes.calls) == 1


async def test_only_moderators_force(world: World) -> None:
    a, b = await world.user(), await world.user(role=Role.MODERATOR)
    stream = await a.publish()
    assert await a.code("forceDisconnect", {"connectionId": b.id}) == 401
    assert await a.code("forceDisconnect", {"connectionId": "con_Nobody12"}) == 401
    assert await a.code("forceUnpublish", {"streamId": stream}) == 401
    assert await b.code("forceDisconnect", {"connectionId": "con_Nobody12"}) == 102
    assert await b.code("forceUnpublish", {"streamId": "str_CAM_AAAA_con_Nobody12"}) == 105
    pending = await world.token("S1")
    (waiting,) = [c for c in (await world.state()).session.connections.values() if not c.active]
    assert await b.code("forceDisconnect", {"connectionId": waiting.id}) == 102
    await (await world.client()).join("S1", pending)


async def test_filters_are_not_applied(world: World) -> None:
    moderator = await world.user(role=Role.MODERATOR)
    plain = await world.user()
    allowed = await world.client()
    options = KurentoOptions(allowed_filters=("GStreamerFilter",))
    await allowed.join("S1", await world.token("S1", kurento=options))
    streams = {client: await client.publish() for client in (plain, allowed)}
    for client, codes in ((moderator, (406, 406)), (allowed, (406, 401)), (plain, (401, 401))):
        own = streams.get(client, streams[plain])
        foreign = streams[allowed if client is plain else plain]
        for stream, code in zip((own, foreign), codes, strict=True):
            params = {"streamId": stream, "type": "GStreamerFilter", "options": "{}"}
            assert await client.code("applyFilter", params) == code
    assert await plain.code("removeFilter", {"streamId": streams[plain]}) == 406
    assert await plain.code("removeFilter", {"streamId": streams[allowed]}) == 401
    exec_params = {"streamId": streams[plain], "method": "m", "params": "{}"}
    assert await moderator.code("execFilterMethod", exec_params) == 406
    for text in ("[]", "{", "", "null"):
        params = {"streamId": streams[allowed], "type": "GStreamerFilter", "options": text}
        assert await allowed.code("applyFilter", params) == 406
        assert await plain.code("applyFilter", params) == 401, "rights come first"
    ended = streams[plain].replace("CAM", "SCR")
    assert await moderator.code("removeFilter", {"streamId": ended}) == 105
    listener = {"streamId": "str_CAM_AAAA_con_Nobody12", "eventType": "e"}
    assert await moderator.code("addFilterEventListener", listener) == 102
    assert await plain.code("removeFilterEventListener", listener) == 401


async def test_speech_to_text_is_of_another_edition(world: World) -> None:
    a = await world.user()
    params = {"connectionId": a.id, "lang": "en-US"}
    assert await a.code("subscribeToSpeechToText", params) == 997
    assert await a.code("unsubscribeFromSpeechToText", params) == 997


async def test_what_is_only_answered(world: World) -> None:
    a = await world.user()
    data = {"height": 480, "width": 640.5, "videoActive": True, "audioActive": True}
    assert await a.result("videoData", data) == {"sessionId": a.rpc_id}
    assert await a.result("echo", {}) == {"sessionId": a.rpc_id}
    assert isinstance((await a.result("sessionStatus", {"sessionId": "S1"}))["life"], int)


@pytest.mark.parametrize(
    ("method", "params", "named"),
    [
        ("joinRoom", {}, "token"),
        ("joinRoom", {"token": 5, "session": "S1"}, "token"),
        ("joinRoom", {"token": "t"}, "session"),
        ("publishVideo", {"hasAudio": True, "hasVideo": True}, "sdpOffer"),
        ("publishVideo", {**PUBLISH, "sdpOffer": ""}, "sdpOffer"),
        ("publishVideo", {**PUBLISH, "sdpOffer": "v" * 300_000}, "sdpOffer"),
        ("publishVideo", {**PUBLISH, "hasAudio": "yes"}, "hasAudio"),
        ("publishVideo", {**PUBLISH, "typeOfVideo": "IPCAM"}, "typeOfVideo"),
        ("publishVideo", {**PUBLISH, "frameRate": 1e9}, "frameRate"),
        ("publishVideo", {**PUBLISH, "videoDimensions": "{"}, "videoDimensions"),
        ("publishVideo", {**PUBLISH, "videoDimensions": '{"width":"x"}'}, "videoDimensions"),
        ("prepareReceiveVideoFrom", {"sender": None}, "sender"),
        ("receiveVideoFrom", {"sdpOffer": "v=0"}, "sender"),
        ("unsubscribeFromVideo", {}, "sender"),
        ("onIceCandidate", {"candidate": 5}, "candidate"),
        ("onIceCandidate", {"candidate": "", "sdpMLineIndex": "x"}, "sdpMLineIndex"),
        ("sendMessage", {}, "message"),
        ("streamPropertyChanged", {"newValue": True}, "property"),
        ("streamPropertyChanged", {"property": "audioActive"}, "newValue"),
        ("reconnectStream", {}, "stream"),
        ("videoData", {"height": "tall"}, "height"),
        ("forceUnpublish", {}, "streamId"),
        ("forceDisconnect", {"connectionId": ["x"]}, "connectionId"),
        ("applyFilter", {"streamId": "s"}, "type"),
        ("removeFilter", {}, "streamId"),
        ("execFilterMethod", {"streamId": "s"}, "method"),
        ("addFilterEventListener", {"streamId": "s"}, "eventType"),
        ("removeFilterEventListener", {"streamId": "s"}, "eventType"),
        ("echo", [], "array"),
    ],
)
async def test_wrong_params_are_named(world: World, method: str, params: Any, named: str) -> None:
    client = await world.client() if method == "joinRoom" else await world.user()
    frame = await client.call(method, params)
    assert frame["error"]["code"] == -32602
    assert named in frame["error"]["message"]
    assert "Code:" not in frame["error"]["message"]


async def test_a_property_of_a_wrong_kind_is_refused(world: World) -> None:
    a, b = await world.user(), await world.user()
    await a.publish()
    for property_, value in (("audioActive", "false"), ("videoDimensions", "x"), ("colour", 1)):
        params = {"property": property_, "newValue": value, "reason": "publishAudio"}
        assert await a.code("streamPropertyChanged", params) == -32602
    await b.settle()
    assert "streamPropertyChanged" not in b.story()


async def test_the_stream_of_a_camera_is_not_unpublished(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    moderator, camera = await world.user(role=Role.MODERATOR), await world.user()
    stream = await camera.publish()
    state = await world.state()
    connection = replace(state.session.connections[camera.id], type=ConnectionType.IPCAM)
    connections = state.session.connections | {camera.id: connection}
    state = replace(state, session=replace(state.session, connections=connections))

    async def load(_: str) -> State:
        return state

    monkeypatch.setattr(world.bus, "load", load)
    assert await moderator.code("forceUnpublish", {"streamId": stream}) == 10


async def test_an_evicted_user_is_told_that_it_is_gone(world: World) -> None:
    a, b = await world.user(), await world.user()
    await world.execute("S1", RemoveConnection(b.id))
    await b.note("participantEvicted")
    for method in ("leaveRoom", "unpublishVideo", "echo"):
        assert await b.code(method, {}) == 102
    await world.execute("S1", CloseSession(Reason.SESSION_CLOSED_BY_SERVER))
    await a.note("participantEvicted", connectionId=a.id)
    for method, params in (("sendMessage", {"message": "{}"}), ("echo", {})):
        assert await a.code(method, params) == 202


async def test_a_session_that_closes_while_somebody_joins_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, execute = await world.token("S1"), world.bus.execute

    async def closing(session_id: str, command: Any, **options: Any) -> Any:
        monkeypatch.undo()
        await world.execute(session_id, CloseSession(Reason.SESSION_CLOSED_BY_SERVER))
        return await execute(session_id, command, **options)

    monkeypatch.setattr(world.bus, "execute", closing)
    assert await (await world.client()).code("joinRoom", join_params("S1", token)) == 203


async def test_a_text_about_oneself_is_not_endless(world: World) -> None:
    params = join_params("S1", await world.token("S1"), "m" * (MAX_METADATA + 1))
    client = await world.client()
    assert await client.code("joinRoom", params) == -32602
    await client.join("S1", await world.token("S1"), "m" * MAX_METADATA)


async def test_an_unknown_client_of_any_name_is_unknown(world: World) -> None:
    client = await world.client()
    for length in (1, 26, 65, 100_000):
        assert await client.code("connect", {"sessionId": "x" * length}) == 40007


@pytest.mark.parametrize("to", [[None], [5], [["con_A"]], ["con_Nobody12"]])
async def test_a_receiver_that_is_nobody_is_told(world: World, to: list[Any]) -> None:
    a = await world.user()
    assert await a.code("sendMessage", {"message": json.dumps({"to": to})}) == 601


async def test_values_nested_too_deep_are_wrong_params(world: World) -> None:
    a = await world.user()
    await a.publish()
    for depth in range(900, 1000):
        value = "[" * depth + "]" * depth
        await a.raw(
            f'{{"jsonrpc":"2.0","id":{1000 + depth},"method":"streamPropertyChanged",'
            f'"params":{{"property":"audioActive","newValue":{value}}}}}'
        )
    for depth in range(900, 1000):
        frame = await a.wait(lambda frame, number=1000 + depth: frame.get("id") in (number, None))
        assert frame["error"]["code"] in (-32602, -32700)
