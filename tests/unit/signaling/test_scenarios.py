"""The scenarios of `signaling.md` section 7, frame by frame."""

from __future__ import annotations

import json

import pytest

from services.conference.calls import AcceptAnswer, PrepareOffer, Publish, Subscribe
from services.conference.commands import (
    CloseSession,
    ModifyConnection,
    RemoveConnection,
    ReportRecordingStarted,
    SendSignal,
    StartRecording,
    StopRecording,
    UnpublishStream,
)
from services.conference.errors import UnknownReceiver
from services.conference.model import (
    IceServer,
    KurentoOptions,
    Reason,
    RecordingOptions,
    Role,
    VideoCodec,
)
from services.eventlog.memory import MemoryLog
from services.settings import Recording, Settings, Streams
from tests.unit.signaling.harness import PUBLISH, FakeNodes, World, join_params, replica


async def test_the_first_user_learns_all_it_needs(world: World) -> None:
    token = await world.token("S1", Role.MODERATOR, data="server data")
    client = await world.client()
    await client.call("ping", {"interval": 5000})
    result = await client.join("S1", token, '{"n":1}')
    connection = (await world.state()).session.connections[result["id"]]
    ice = {"coturnIp", "coturnPort", "turnUsername", "turnCredential", "customIceServers"}
    assert {name: result[name] for name in result.keys() - ice} == {
        "id": connection.id,
        "finalUserId": connection.rpc_digest[:16].upper(),
        "createdAt": connection.active_at,
        "metadata": '{"n":1}%/%server data',
        "value": [],
        "session": "S1",
        "sessionId": client.rpc_id,
        "version": "2.32.1",
        "mediaServer": "mediasoup",
        "videoSimulcast": False,
        "record": True,
        "role": "MODERATOR",
    }
    assert ice <= result.keys()
    assert len(client.rpc_id) == 26
    assert set(client.rpc_id) <= set("0123456789abcdefghijklmnopqrstuv")
    assert connection.ip == "127.0.0.1"
    assert connection.platform == "Chrome 156.0.0.0 on Linux 64-bit"


async def test_the_address_of_a_client_behind_a_proxy_is_the_one_the_proxy_tells(
    world: World,
) -> None:
    for header, expected in [("203.0.113.9", "203.0.113.9"), ("not an address", "127.0.0.1")]:
        client = await world.client(additional_headers={"x-real-ip": header})
        result = await client.join("S1", await world.token("S1"))
        assert (await world.state()).session.connections[result["id"]].ip == expected


async def test_the_ice_servers_of_the_connection_are_told(world: World) -> None:
    token = await world.token("S1", ice=(IceServer("turn:own.example:1", "u", "c"),))
    client = await world.client()
    result = await client.join("S1", token)
    assert result["customIceServers"] == [
        {"url": "turn:own.example:1", "username": "u", "credential": "c"}
    ]


async def test_a_second_user_and_the_first_hear_of_each_other(world: World) -> None:
    a = await world.user(metadata="a")
    b = await world.client()
    result = await b.join("S1", await world.token("S1"), "b")
    joined = await a.note("participantJoined")
    assert joined == {"id": b.id, "createdAt": result["createdAt"], "metadata": "b"}
    (value,) = result["value"]
    assert value.keys() == {"id", "createdAt", "metadata"}
    assert (value["id"], value["metadata"]) == (a.id, "a")
    assert b.story() == ["result"]
    assert a.story() == ["result", "participantJoined"]


async def test_a_published_stream_is_answered_first_and_told_to_the_others(world: World) -> None:
    a, b, c = [await world.user() for _ in range(3)]
    seen = len(a.frames)
    result = await a.result("publishVideo", PUBLISH)
    assert result.keys() == {"id", "sdpAnswer", "createdAt", "sessionId"}
    assert result["sdpAnswer"] == "answer to v=0 offer"
    assert result["id"].startswith("str_CAM_")
    assert result["id"].endswith(a.id)
    for other in (b, c):
        assert await other.note("participantPublished") == {
            "id": a.id,
            "streams": [
                {
                    "id": result["id"],
                    "createdAt": result["createdAt"],
                    "hasAudio": True,
                    "hasVideo": True,
                    "audioActive": True,
                    "videoActive": True,
                    "typeOfVideo": "CAMERA",
                    "frameRate": 30,
                    "videoDimensions": '{"width":640,"height":480}',
                    "filter": {},
                }
            ],
        }
    await a.settle()
    assert a.story(seen) == ["result", "result"]


async def test_an_audio_only_stream_has_no_video_members(world: World) -> None:
    a, b = await world.user(), await world.user()
    audio = {"hasVideo": False, "frameRate": -1, "typeOfVideo": ""}
    stream = await a.publish(**{k: v for k, v in PUBLISH.items() if "video" not in k} | audio)
    assert stream.startswith("str_MIC_")
    (found,) = (await b.note("participantPublished"))["streams"]
    assert not found.keys() & {"videoActive", "typeOfVideo", "videoDimensions"}
    assert found["hasVideo"] is False
    assert found["audioActive"] is True


async def test_a_media_node_is_asked_with_the_settings_of_the_session(nodes: FakeNodes) -> None:
    async with replica(MemoryLog(), Settings(), nodes) as world:
        await world.session(
            "S1",
            forced_video_codec=VideoCodec.MEDIA_SERVER_PREFERRED,
            allow_transcoding=True,
        )
        a = await world.client()
        await a.join("S1", await world.token("S1"))
        await a.publish(doLoopback=True, audioActive=False)
        (call,) = nodes.calls
        assert isinstance(call, Publish)
        assert call.codec is VideoCodec.VP8
        assert call.allow_transcoding
        assert call.loopback
        assert (call.audio_active, call.video_active) == (False, True)


async def test_a_media_node_is_told_what_a_client_may_send_and_receive(nodes: FakeNodes) -> None:
    """Of the connection what it has, else of the server; 0 is a limit of its own: none."""
    streams = Streams(
        video_max_recv_bandwidth=900,
        video_min_recv_bandwidth=200,
        video_max_send_bandwidth=800,
        video_min_send_bandwidth=100,
    )
    async with replica(MemoryLog(), Settings(streams=streams), nodes) as world:
        await world.session("S1")
        a, b = await world.user(), await world.client()
        options = KurentoOptions(video_max_send_bandwidth=333, video_max_recv_bandwidth=0)
        await b.join("S1", await world.token("S1", kurento=options))
        stream = await a.publish()
        await b.publish()
        assert [(call.max_send_kbps, call.min_send_kbps) for call in nodes.calls] == [
            (800, 100),
            (333, 100),
        ]
        other = (await world.state()).session.connections[b.id].stream.id
        for client, wanted, expected in ((a, other, (900, 200)), (b, stream, (0, 200))):
            await client.subscribe(wanted)
            offered = nodes.calls[-2]
            assert isinstance(offered, PrepareOffer)
            assert (offered.max_recv_kbps, offered.min_recv_kbps) == expected
            await client.result("receiveVideoFrom", {"sender": wanted, "sdpOffer": "v=0"})
            asked = nodes.calls[-1]
            assert isinstance(asked, Subscribe)
            assert (asked.max_recv_kbps, asked.min_recv_kbps) == expected


async def test_a_subscription_by_the_servers_offer(world: World, nodes: FakeNodes) -> None:
    a, b, c = [await world.user() for _ in range(3)]
    stream = await a.publish()
    prepare = {"sender": stream, "reconnect": False}
    offer = await b.result("prepareReceiveVideoFrom", prepare)
    assert offer["sdpOffer"] == f"offer of {stream}"
    assert await b.result("receiveVideoFrom", {"sender": stream, "sdpAnswer": "v=0 b"}) == {
        "sessionId": b.rpc_id
    }
    assert nodes.calls[-2:] == [
        PrepareOffer("S1", b.id, stream, 1000, 300),
        AcceptAnswer(b.id, stream, "v=0 b"),
    ]
    subscription = (await world.state()).session.connections[b.id].subscriptions[stream]
    assert subscription.publisher_id == a.id
    await c.settle()
    assert "participantPublished" in c.story()
    assert c.story()[-1] == "result"


async def test_a_subscription_by_the_clients_offer(world: World, nodes: FakeNodes) -> None:
    a, b = await world.user(), await world.user()
    stream = await a.publish()
    result = await b.result("receiveVideoFrom", {"sender": stream, "sdpOffer": "v=0 b"})
    assert result == {"sdpAnswer": "answer to v=0 b", "sessionId": b.rpc_id}
    assert nodes.calls[-1] == Subscribe("S1", b.id, stream, "v=0 b", 1000, 300)


async def test_a_late_user_finds_a_muted_stream_muted(world: World) -> None:
    a = await world.user()
    await a.publish()
    mute = {"property": "audioActive", "newValue": False, "reason": "publishAudio"}
    await a.result("streamPropertyChanged", mute)
    b = await world.client()
    (value,) = (await b.join("S1", await world.token("S1")))["value"]
    assert value["streams"][0]["audioActive"] is False


async def test_leaving_is_told_to_the_others_and_answered(world: World) -> None:
    a, b = await world.user(), await world.user()
    await b.subscribe(await a.publish())
    seen = len(b.frames)
    assert await a.result("leaveRoom", {}) == {"sessionId": a.rpc_id}
    left = await b.note("participantLeft")
    assert left == {"connectionId": a.id, "reason": "disconnect"}
    await b.settle()
    assert b.story(seen) == ["participantLeft", "result"]
    assert a.closed is None
    assert await a.code("echo") == 102


async def test_the_last_user_takes_the_session_with_it(world: World) -> None:
    a = await world.user()
    spare = await world.token("S1")
    await a.result("leaveRoom", {})
    assert (await world.state()).session is None
    late = await world.client()
    assert await late.code("joinRoom", join_params("S1", spare)) == 202


async def test_a_user_evicted_by_rest_hears_of_it(world: World) -> None:
    a, b = await world.user(), await world.user()
    await world.execute("S1", RemoveConnection(b.id))
    evicted = {"connectionId": b.id, "reason": "forceDisconnectByServer"}
    assert await b.note("participantEvicted") == evicted
    assert await a.note("participantEvicted") == evicted
    assert a.story()[-2:] == ["participantLeft", "participantEvicted"]
    assert "participantLeft" not in b.story()


async def test_a_moderator_unpublishes_a_stream_and_all_hear_of_it(world: World) -> None:
    a = await world.user(role=Role.MODERATOR)
    b, c = await world.user(), await world.user()
    stream = await b.publish()
    await a.note("participantPublished")
    seen = len(a.frames)
    await a.result("forceUnpublish", {"streamId": stream})
    for client in (a, b, c):
        gone = await client.note("participantUnpublished")
        assert gone == {"connectionId": b.id, "reason": "forceUnpublishByUser"}
    assert a.story(seen) == ["result", "participantUnpublished"]


async def test_a_stream_unpublished_by_rest_is_told_to_all(world: World) -> None:
    a, b = await world.user(), await world.user()
    stream = await a.publish()
    await world.execute("S1", UnpublishStream(stream, Reason.FORCE_UNPUBLISH_BY_SERVER))
    for client in (a, b):
        gone = await client.note("participantUnpublished")
        assert gone == {"connectionId": a.id, "reason": "forceUnpublishByServer"}


async def test_a_closed_session_evicts_everybody(world: World) -> None:
    users = [await world.user() for _ in range(3)]
    await world.execute("S1", CloseSession(Reason.SESSION_CLOSED_BY_SERVER))
    told = 0
    for user in users:
        own = {"connectionId": user.id, "reason": "sessionClosedByServer"}
        assert await user.note("participantEvicted", connectionId=user.id) == own
        told += user.story().count("participantLeft")
        assert await user.code("echo") == 202
    assert told == 3, "the first hears of itself only, the last of both others"


async def test_a_signal_to_all_reaches_its_sender_before_the_response(world: World) -> None:
    a, b = await world.user(), await world.user()
    seen = len(a.frames)
    message = json.dumps({"to": [], "data": "hello", "type": "signal:chat"})
    await a.result("sendMessage", {"message": message})
    expected = {"data": "hello", "type": "signal:chat", "from": a.id}
    assert await b.note("sendMessage") == expected
    assert await a.note("sendMessage") == expected
    assert a.story(seen)[-2:] == ["sendMessage", "result"]


async def test_a_signal_to_one_reaches_nobody_else(world: World) -> None:
    a, b, c = [await world.user() for _ in range(3)]
    message = json.dumps({"to": [c.id], "data": "", "type": "signal:signal"})
    await a.result("sendMessage", {"message": message})
    assert (await c.note("sendMessage"))["type"] == "signal:signal"
    for other in (a, b):
        await other.settle()
        assert "sendMessage" not in other.story()


async def test_a_signal_with_an_unknown_receiver_reaches_nobody(world: World) -> None:
    a, b = await world.user(), await world.user()
    for to in ([b.id, "con_Nobody1234"], [b.id, None]):
        message = json.dumps({"to": to, "data": "x", "type": "signal:x"})
        assert await a.code("sendMessage", {"message": message}) == 601
    with pytest.raises(UnknownReceiver):
        await world.execute("S1", SendSignal(to=("con_Nobody1234",)))
    await b.settle()
    assert "sendMessage" not in b.story()


@pytest.mark.parametrize("message", ["", "[]", "null", "{", '{"to":5}', '{"type":5}', "[" * 9999])
async def test_a_signal_of_a_wrong_form_is_refused(world: World, message: str) -> None:
    a = await world.user()
    assert await a.code("sendMessage", {"message": message}) == 600


async def test_a_signal_by_rest_has_no_sender(world: World) -> None:
    a = await world.user()
    await world.execute("S1", SendSignal(type="MY_TYPE", data="x"))
    assert await a.note("sendMessage") == {"data": "x", "type": "signal:MY_TYPE"}


@pytest.mark.parametrize(
    ("notification", "roles"),
    [
        ("none", set()),
        ("moderator", {Role.MODERATOR}),
        ("publisher_moderator", {Role.PUBLISHER, Role.MODERATOR}),
        ("all", set(Role)),
    ],
)
async def test_recordings_are_told_by_role(
    nodes: FakeNodes, notification: str, roles: set[Role]
) -> None:
    settings = Settings(recording=Recording(notification=notification))
    async with replica(MemoryLog(), settings, nodes) as world:
        await world.session("S1")
        users = {role: await world.user(role=role) for role in Role}
        await users[Role.MODERATOR].publish()
        await world.execute("S1", StartRecording(RecordingOptions(name="mine")))
        early = await world.client()
        result = await early.join("S1", await world.token("S1", Role.MODERATOR))
        assert "recordingId" not in result, "it has not started"
        await world.execute("S1", ReportRecordingStarted("S1"))
        for role in Role:
            late = await world.client()
            result = await late.join("S1", await world.token("S1", role))
            told = (result.get("recordingId"), result.get("recordingName"))
            assert told == (("S1", "mine") if role in roles else (None, None))
        await world.execute("S1", StopRecording("S1"))
        for role, user in users.items():
            if role in roles:
                assert await user.note("recordingStarted") == {"id": "S1", "name": "mine"}
                stopped = await user.note("recordingStopped")
                assert stopped["reason"] == "recordingStoppedByServer"
        for role, user in users.items():
            await user.settle()
            assert user.story().count("recordingStarted") == (role in roles)


async def test_a_changed_role_is_told_to_the_connection_only(world: World) -> None:
    a, b = await world.user(), await world.user()
    await world.execute("S1", ModifyConnection(a.id, role=Role.MODERATOR, record=False))
    changed = await a.note("connectionPropertyChanged", property="role")
    assert changed["newValue"] == "MODERATOR"
    changed = await a.note("connectionPropertyChanged", property="record")
    assert changed["newValue"] == "false"
    await b.settle()
    assert "connectionPropertyChanged" not in b.story()
