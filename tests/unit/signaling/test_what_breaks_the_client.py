"""The list "what breaks the real client" (`signaling.md` section 8), row by row.

A row is here if frames show it, or in `test_what_breaks_the_client_sdp.py` if descriptions do. What
only media shows is elsewhere: 35 in `tests/integration/media/test_media_forwarding.py`. In
`tests/e2e` real clients show 34 (`test_simulcast.py`), 39 (`test_losses.py`), 44 and 45
(`test_turn.py`).
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

from services.conference.calls import (
    AcceptAnswer,
    PrepareOffer,
    Publish,
    Republish,
    Subscribe,
)
from services.conference.commands import RemoveConnection
from services.conference.model import Role
from services.eventlog.memory import MemoryLog
from services.settings import VERSION, Access, Ice, Settings
from tests.unit.signaling.harness import (
    PUBLISH,
    Client,
    FakeNodes,
    World,
    come_back,
    join_params,
    replica,
)


def methods(client: Client) -> list[str]:
    return [frame["method"] for frame in client.frames if "method" in frame]


async def visit(world: World) -> list[Client]:
    """Three users who do a bit of everything; gives them with all they heard."""
    users = a, b, c = [await world.user(role=role) for role in reversed(Role)]
    stream = await a.publish()
    await b.note("participantPublished")
    await b.subscribe(stream)
    mute = {"property": "audioActive", "newValue": False, "reason": "publishAudio"}
    await a.result("streamPropertyChanged", mute)
    await a.result("sendMessage", {"message": json.dumps({"to": [], "data": "x"})})
    await a.code("publishVideo", PUBLISH)
    await a.result("forceDisconnect", {"connectionId": c.id})
    await a.result("unpublishVideo", {})
    for user in users:
        await user.settle()
    return users


async def test_row_01_a_response_has_a_result_or_an_error_and_no_null(world: World) -> None:
    """Every client of these tests checks that of every frame; here the bare ones are seen."""
    client = await world.client()
    good = await client.call("ping")
    bad = await client.call("echo", {})
    assert good.keys() == {"id", "result", "jsonrpc"}
    assert bad.keys() == {"id", "error", "jsonrpc"}
    assert bad["error"].keys() == {"code", "message"}


async def test_row_02_a_request_with_id_0_is_answered(world: World) -> None:
    client = await world.client()
    pong = await client.call("ping", {"interval": 5000})
    assert pong == {"id": 0, "result": {"value": "pong"}, "jsonrpc": "2.0"}
    assert await client.call("ping") == {"id": 1, "result": {"value": "pong"}, "jsonrpc": "2.0"}


async def test_row_03_pings_are_answered_while_a_request_takes_its_time(
    world: World, nodes: FakeNodes
) -> None:
    a = await world.user()
    nodes.hold[Publish] = asyncio.Event()
    published = await a.send("publishVideo", PUBLISH)
    told = await a.send("sendMessage", {"message": '{"to":["nobody"]}'})
    await a.settle()
    assert not {published, told} & {frame["id"] for frame in a.frames}
    nodes.hold[Publish].set()
    await a.response(told)
    order = [frame["id"] for frame in a.frames if frame["id"] in (published, told)]
    assert order == [published, told], "one request after the other"


async def test_rows_04_and_05_a_notification_has_jsonrpc_and_no_id(world: World) -> None:
    told = [frame for user in await visit(world) for frame in user.frames if "method" in frame]
    assert len({frame["method"] for frame in told}) >= 6
    for frame in told:
        assert frame.keys() == {"jsonrpc", "method", "params"}
        assert frame["jsonrpc"] == "2.0"


async def test_row_06_the_answer_to_join_room_has_a_value_and_a_semantic_version(
    world: World,
) -> None:
    a = await world.client()
    result = await a.join("S1", await world.token("S1"))
    assert result["value"] == []
    assert re.fullmatch(r"\d+\.\d+\.\d+", result["version"])
    assert result["version"] == VERSION


async def test_row_07_who_publishes_nothing_has_no_streams(world: World) -> None:
    a = await world.user()
    b = await world.client()
    (value,) = (await b.join("S1", await world.token("S1")))["value"]
    assert value.keys() == {"id", "createdAt", "metadata"}
    assert (await a.note("participantJoined")).keys() == {"id", "createdAt", "metadata"}
    await a.publish()
    assert len((await b.note("participantPublished"))["streams"]) == 1
    await a.result("unpublishVideo", {})
    c = await world.client()
    for one in (await c.join("S1", await world.token("S1")))["value"]:
        assert "streams" not in one


@pytest.mark.parametrize("role", list(Role))
async def test_row_08_the_joiner_has_a_role(world: World, role: Role) -> None:
    client = await world.client()
    assert (await client.join("S1", await world.token("S1", role)))["role"] == role.value


async def test_row_09_others_have_none(world: World) -> None:
    a = await world.user(role=Role.MODERATOR)
    await a.publish()
    b = await world.client()
    result = await b.join("S1", await world.token("S1"))
    joined = await a.note("participantJoined")
    await b.publish()
    for other in (*result["value"], joined, await a.note("participantPublished")):
        assert "role" not in other


async def test_row_10_the_session_id_of_the_rpc_is_not_that_of_the_session(world: World) -> None:
    a = await world.client()
    result = await a.join("S1", await world.token("S1"))
    assert result["session"] == "S1"
    assert re.fullmatch("[0-9a-v]{26}", result["sessionId"])
    assert (await a.result("echo", {}))["sessionId"] == result["sessionId"]


async def test_row_11_the_dimensions_of_a_video_are_a_text(world: World) -> None:
    a = await world.user()
    stream = await a.publish()
    b = await world.client()
    (value,) = (await b.join("S1", await world.token("S1")))["value"]
    assert value.keys() == {"id", "createdAt", "metadata", "streams"}
    (found,) = value["streams"]
    assert found["id"] == stream
    assert found["videoDimensions"] == '{"width":640,"height":480}'


@pytest.mark.parametrize(
    ("property_", "sent", "seen"),
    [
        ("audioActive", False, "false"),
        ("videoActive", True, "true"),
        ("videoDimensions", '{"width":1,"height":2}', '"{\\"width\\":1,\\"height\\":2}"'),
        ("audioTrack", {"label": "x"}, '{"label":"x"}'),
    ],
)
async def test_rows_12_and_13_a_changed_property_is_told_as_json_text(
    world: World, property_: str, sent: object, seen: str
) -> None:
    a, b = await world.user(), await world.user()
    stream = await a.publish()
    params = {"streamId": stream, "property": property_, "newValue": sent, "reason": "why"}
    assert await a.result("streamPropertyChanged", params) == {"sessionId": a.rpc_id}
    assert await b.note("streamPropertyChanged") == {
        "connectionId": a.id,
        "streamId": stream,
        "property": property_,
        "newValue": seen,
        "reason": "why",
    }
    assert json.loads(seen) == sent
    await a.settle()
    assert "streamPropertyChanged" not in a.story()


async def test_row_14_a_filter_is_an_object(world: World) -> None:
    """No filter is ever applied, so this is the only place where one is told."""
    a, b = await world.user(), await world.user()
    await a.publish()
    (stream,) = (await b.note("participantPublished"))["streams"]
    assert stream["filter"] == {}


async def test_rows_15_and_19_a_joiner_hears_of_each_stream_once_and_of_nothing_before_its_response(
    world: World,
) -> None:
    publishers = [await world.user() for _ in range(6)]
    joiners = [await world.client() for _ in range(6)]
    tokens = [await world.token("S1") for _ in joiners]
    requests = []
    for publisher, joiner, token in zip(publishers, joiners, tokens, strict=True):
        requests.append(publisher.publish())
        requests.append(joiner.join("S1", token))
    await asyncio.gather(*requests)
    last = await world.user()
    await last.publish()
    for joiner in joiners:
        await joiner.note("participantPublished", id=last.id)
        assert joiner.frames[0]["id"] == 0, "nothing comes before the response"
        heard = [p["id"] for p in joiner.frames[0]["result"]["value"] if "streams" in p]
        heard += [
            frame["params"]["id"]
            for frame in joiner.frames
            if frame.get("method") == "participantPublished"
        ]
        assert sorted(heard) == sorted(peer.id for peer in (*publishers, last))
        known = [p["id"] for p in joiner.frames[0]["result"]["value"]]
        known += [
            frame["params"]["id"]
            for frame in joiner.frames
            if frame.get("method") == "participantJoined"
        ]
        others = {peer.id for peer in (*publishers, *joiners, last)} - {joiner.id}
        assert sorted(known) == sorted(others)


async def test_row_16_a_stream_ends_once_and_only_for_who_had_one(world: World) -> None:
    a, b = await world.user(role=Role.MODERATOR), await world.user()
    stream = await b.publish()
    await a.result("forceUnpublish", {"streamId": stream})
    assert await a.code("forceUnpublish", {"streamId": stream}) == 105
    assert await b.code("unpublishVideo", {}) == 105
    await b.publish()
    await b.result("leaveRoom", {})
    await a.note("participantLeft", connectionId=b.id)
    await a.settle()
    assert methods(a).count("participantUnpublished") == 1, "leaving is told by one notification"


async def test_row_17_unpublishing_is_told_to_the_others_only(world: World) -> None:
    a, b = await world.user(), await world.user()
    first = await a.publish()
    await b.subscribe(first)
    assert await a.result("unpublishVideo", {}) == {"sessionId": a.rpc_id}
    gone = await b.note("participantUnpublished")
    assert gone == {"connectionId": a.id, "reason": "unpublish"}
    await a.settle()
    assert "participantUnpublished" not in a.story()
    assert await a.publish() != first


async def test_row_18_nobody_hears_of_its_own_coming_and_publishing(world: World) -> None:
    a, b = await world.user(), await world.user()
    for client in (a, b):
        await client.publish()
    for client in (a, b):
        await client.note("participantPublished")
        await client.settle()
        told = [frame["params"] for frame in client.frames if "method" in frame]
        assert client.id not in [params["id"] for params in told]


async def test_rows_20_and_21_who_is_evicted_is_told_and_so_are_the_others(world: World) -> None:
    a = await world.user(role=Role.MODERATOR)
    b, c = await world.user(), await world.user()
    await b.publish()
    await a.note("participantPublished")
    before = {client: len(client.frames) for client in (a, b, c)}
    await a.result("forceDisconnect", {"connectionId": b.id})
    for client in (a, b, c):
        evicted = await client.note("participantEvicted")
        assert evicted == {"connectionId": b.id, "reason": "forceDisconnectByUser"}
    assert a.story(before[a]) == ["participantLeft", "result", "participantEvicted"]
    assert b.story(before[b]) == ["participantEvicted"]
    assert c.story(before[c])[-2:] == ["participantLeft", "participantEvicted"]
    left = await a.note("participantLeft")
    assert left == {"connectionId": b.id, "reason": "forceDisconnectByUser"}
    assert b.closed is None, "closing is left to the client"
    assert await b.code("publishVideo", PUBLISH) == 102


async def test_rows_22_and_23_a_socket_stays_open_for_a_while_after_its_user_left(
    nodes: FakeNodes,
) -> None:
    async with replica(MemoryLog(), Settings(), nodes, linger=0.2) as world:
        await world.session("S1")
        a, b = await world.user(), await world.user()
        await world.execute("S1", RemoveConnection(a.id))
        assert (await a.wait_closed())[0] == 1000
        assert a.story()[-1] == "participantEvicted"
        await b.result("leaveRoom", {})
        assert (await b.wait_closed())[0] == 1000


async def test_rows_24_and_25_a_client_that_came_back_goes_on_as_before(world: World) -> None:
    a, b = await world.user(), await world.user()
    stream = await a.publish()
    await a.close(4104)
    again = await come_back(world, a)
    assert await again.result("ping", {"interval": 5000}) == {"value": "pong"}
    await again.result("reconnectStream", {"stream": stream, "sdpString": "v=0"})
    await again.result("sendMessage", {"message": json.dumps({"to": [b.id], "data": "x"})})
    assert (await b.note("sendMessage"))["from"] == a.id


async def test_row_26_no_life_is_told(world: World) -> None:
    client = await world.client()
    assert "life" not in await client.join("S1", await world.token("S1"))


async def test_row_29_candidates_are_answered_whenever_they_come(world: World) -> None:
    a = await world.user()
    params = {"endpointName": a.id, "candidate": "", "sdpMid": "0", "sdpMLineIndex": 0}
    assert await a.result("onIceCandidate", params) == {"sessionId": a.rpc_id}


async def test_row_36_a_subscriber_reconnects_in_all_the_shapes_of_its_request(
    world: World, nodes: FakeNodes
) -> None:
    a, b = await world.user(), await world.user()
    stream = await a.publish()
    await b.subscribe(stream)
    commits = await world.commits()
    kurento = {"stream": stream, "sdpOffer": "v=0 offer", "forciblyReconnect": False}
    result = await b.result("reconnectStream", kurento)
    assert result == {"sdpAnswer": "answer to v=0 offer", "sessionId": b.rpc_id}
    assert nodes.calls[-1] == Subscribe("S1", b.id, stream, "v=0 offer", 1000, 300)
    await b.result("prepareReceiveVideoFrom", {"sender": stream, "reconnect": True})
    assert nodes.calls[-1] == PrepareOffer("S1", b.id, stream, 1000, 300)
    for forced in ({"forciblyReconnect": False}, {"forciblyReconnect": True}, {}):
        params = {"stream": stream, "sdpString": "v=0 answer", **forced}
        assert await b.result("reconnectStream", params) == {"sessionId": b.rpc_id}
        assert nodes.calls[-1] == AcceptAnswer(b.id, stream, "v=0 answer")
    assert await world.commits() == commits


async def test_row_37_a_publisher_reconnects_in_silence(world: World, nodes: FakeNodes) -> None:
    a, b = await world.user(), await world.user()
    stream = await a.publish()
    await b.note("participantPublished")
    commits, seen = await world.commits(), len(b.frames)
    result = await a.result("reconnectStream", {"stream": stream, "sdpString": "v=0 again"})
    assert result.keys() == {"sdpAnswer", "id", "createdAt", "sessionId"}
    assert result["id"] == stream
    assert result["sdpAnswer"] == "answer to v=0 again"
    (call,) = [call for call in nodes.calls if isinstance(call, Republish)]
    assert (call.connection_id, call.stream_id) == (a.id, stream)
    assert await world.commits() == commits
    await b.settle()
    assert b.story(seen) == ["result"]


async def test_row_38_streams_and_connections_are_named_where_each_is_expected(
    world: World, nodes: FakeNodes
) -> None:
    a, b = await world.user(), await world.user()
    stream = await a.publish()
    assert await b.code("prepareReceiveVideoFrom", {"sender": a.id}) == 102
    await b.subscribe(stream)
    assert await b.code("unsubscribeFromVideo", {"sender": stream}) == 102
    candidate = {"endpointName": a.id, "candidate": "", "sdpMid": "0", "sdpMLineIndex": 0}
    await b.result("onIceCandidate", candidate)
    await b.result("unsubscribeFromVideo", {"sender": a.id})
    assert not (await world.state()).session.connections[b.id].subscriptions


async def test_row_39_an_echo_is_answered(world: World) -> None:
    a = await world.user()
    assert await a.result("echo", {}) == {"sessionId": a.rpc_id}


@pytest.mark.parametrize("turn", [True, False])
async def test_rows_40_and_41_ice_servers_are_told_in_the_words_of_all_versions(
    nodes: FakeNodes, *, turn: bool
) -> None:
    settings = Settings(ice=Ice(turn_host="192.0.2.1", turn_enabled=turn))
    async with replica(MemoryLog(), settings, nodes) as world:
        await world.session("S1")
        result = await (await world.client()).join("S1", await world.token("S1"))
        (server,) = result["customIceServers"]
        assert server["url"].endswith(":192.0.2.1:3478")
        assert "urls" not in server
        assert (result["coturnIp"], result["coturnPort"]) == ("192.0.2.1", 3478)
        assert result["turnUsername"]
        assert result["turnCredential"]


def test_row_42_tokens_have_the_scheme_of_the_public_address() -> None:
    assert Access(plain_http=False).websocket_url == "wss://localhost:4443"
    assert Access(plain_http=True).websocket_url == "ws://localhost:4443"


async def test_row_43_members_that_old_versions_do_not_send_are_not_demanded(world: World) -> None:
    params = join_params("S1", await world.token("S1"))
    assert not {"sdkVersion", "stt"} & params.keys()
    await (await world.client()).result("joinRoom", params)
    newest = join_params("S1", await world.token("S1"))
    newest |= {"sdkVersion": "2.32.2", "stt": False, "unheardOf": [1]}
    await (await world.client()).result("joinRoom", newest)


async def test_row_44_candidates_with_hidden_names_are_neither_resolved_nor_waited_for(
    world: World, nodes: FakeNodes
) -> None:
    a = await world.user()
    name = "3b1f6c1e-5f0a-4b57-9d63-0f1fdd4a1f7e.local"
    candidate = f"candidate:1 1 udp 2113937151 {name} 50000 typ host"
    params = {"endpointName": a.id, "candidate": candidate, "sdpMid": "0", "sdpMLineIndex": 0}
    numbers = [await a.send("onIceCandidate", params) for _ in range(20)]
    for number in numbers:
        assert (await a.response(number))["result"] == {"sessionId": a.rpc_id}
    assert nodes.calls == [], "the media node learns addresses from packets"


async def test_row_46_missing_rights_are_always_401(world: World) -> None:
    owner, a, b = [await world.user(role=role) for role in reversed(Role)]
    stream = await owner.publish()
    assert await b.code("publishVideo", PUBLISH) == 401
    foreign: dict[str, dict[str, Any]] = {
        "forceDisconnect": {"connectionId": owner.id},
        "forceUnpublish": {"streamId": stream},
        "applyFilter": {"streamId": stream, "type": "GStreamerFilter", "options": "{}"},
        "removeFilter": {"streamId": stream},
        "execFilterMethod": {"streamId": stream, "method": "m", "params": "{}"},
        "addFilterEventListener": {"streamId": stream, "eventType": "e"},
        "removeFilterEventListener": {"streamId": stream, "eventType": "e"},
    }
    for method, params in foreign.items():
        for client in (a, b):
            assert await client.code(method, params) == 401, method


async def test_row_47_frames_are_text_without_what_json_does_not_know(world: World) -> None:
    """That all frames are text, every client of these tests checks."""
    a, b = await world.user(), await world.user()
    await a.publish()
    for value in ("NaN", "Infinity", "-Infinity"):
        params = f'{{"property":"videoDimensions","newValue":{value},"reason":"x"}}'
        request = f'"method":"streamPropertyChanged","params":{params}'
        await a.raw(f'{{"jsonrpc":"2.0","id":77,{request}}}')
    number = '{"width":1e999,"height":1}'
    given = {"property": "videoDimensions", "newValue": number, "reason": "screenResized"}
    assert await a.code("streamPropertyChanged", given) == -32602
    await b.settle()
    assert "streamPropertyChanged" not in methods(b)
    assert a.story().count("error -32700") == 3
