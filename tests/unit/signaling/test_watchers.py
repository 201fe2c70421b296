"""Who joins with the server's secret: recorders, speech to text, and others (2.1, 3.1, 4.3)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.api.rest.limits import Logins
from services.api.signaling.watchers import RECORDER, SPEECH_TO_TEXT
from services.conference.calls import Discard
from services.conference.commands import (
    CloseSession,
    ReportRecordingStarted,
    StartRecording,
    StopRecording,
)
from services.conference.model import Reason, RecordingOptions, Role
from services.eventlog.memory import MemoryLog
from services.settings import Access, Recording, Sessions, Settings
from tests.unit.signaling.harness import Client, FakeNodes, World, join_params, replica, until

SETTINGS = Settings(
    sessions=Sessions(reconnection_grace=0.3), recording=Recording(notification="all")
)
RECORDS: dict[str, Any] = {"secret": "MY_SECRET", "recorder": True}
LISTENS: dict[str, Any] = {"secret": "MY_SECRET", "stt": True}


@pytest.fixture
async def room(nodes: FakeNodes) -> AsyncIterator[World]:
    async with replica(MemoryLog(), SETTINGS, nodes) as running:
        await running.session("S1")
        yield running


async def enter(world: World, others: dict[str, Any]) -> tuple[Client, dict[str, Any]]:
    client = await world.client()
    result = await client.result("joinRoom", join_params("S1", "") | others)
    client.id, client.rpc_id = result["id"], result["sessionId"]
    return client, result


@pytest.mark.parametrize(("others", "name"), [(RECORDS, RECORDER), (LISTENS, SPEECH_TO_TEXT)])
async def test_a_watcher_comes_and_goes_unseen(
    room: World, nodes: FakeNodes, others: dict[str, Any], name: str
) -> None:
    a = await room.user()
    stream = await a.publish()
    commits, seen = await room.commits(), len(a.frames)
    watcher, result = await enter(room, others)
    assert (result["id"], result["role"]) == (name, "SUBSCRIBER")
    assert "finalUserId" not in result
    (value,) = result["value"]
    assert (value["id"], value["streams"][0]["id"]) == (a.id, stream)
    await watcher.subscribe(stream)
    await watcher.result("unsubscribeFromVideo", {"sender": a.id})
    await until(lambda: Discard(name, stream) in nodes.calls)
    await watcher.subscribe(stream)
    nodes.calls.clear()
    await watcher.result("leaveRoom", {})
    await until(lambda: Discard(name, stream) in nodes.calls)
    await a.settle()
    assert a.story(seen) == ["result"]
    assert await room.commits() == commits
    b = await room.user()
    assert name not in json.dumps(b.frames[0])


async def test_a_watcher_hears_what_all_hear(room: World) -> None:
    a = await room.user()
    watcher, _ = await enter(room, RECORDS)
    b = await room.user(role=Role.MODERATOR)
    await watcher.note("participantJoined", id=b.id)
    stream = await a.publish()
    await watcher.note("participantPublished", id=a.id)
    mute = {"property": "audioActive", "newValue": False, "reason": "publishAudio"}
    await a.result("streamPropertyChanged", mute)
    await watcher.note("streamPropertyChanged", streamId=stream)
    await a.result("sendMessage", {"message": json.dumps({"to": [b.id], "data": "not you"})})
    await a.result("sendMessage", {"message": json.dumps({"to": [], "data": "all"})})
    await watcher.note("sendMessage", data="all")
    await a.result("unpublishVideo", {})
    await watcher.note("participantUnpublished", connectionId=a.id)
    await b.result("forceDisconnect", {"connectionId": a.id})
    await watcher.note("participantLeft", connectionId=a.id)
    await watcher.settle()
    assert watcher.story().count("sendMessage") == 1
    assert watcher.frames[0]["id"] == 0, "nothing comes before the response"


async def test_a_watcher_hears_of_each_stream_once(room: World) -> None:
    publishers = [await room.user() for _ in range(4)]
    numbers = [
        await publisher.send(
            "publishVideo", {"sdpOffer": "v=0", "hasAudio": True, "hasVideo": False}
        )
        for publisher in publishers
    ]
    watcher, result = await enter(room, LISTENS)
    for publisher, number in zip(publishers, numbers, strict=True):
        await publisher.response(number)
    last = await room.user()
    await last.publish()
    await watcher.note("participantPublished", id=last.id)
    heard = [one["id"] for one in result["value"] if "streams" in one]
    heard += [
        frame["params"]["id"]
        for frame in watcher.frames
        if frame.get("method") == "participantPublished"
    ]
    assert sorted(heard) == sorted(client.id for client in (*publishers, last))


async def test_the_recorder_goes_with_the_recording_and_hears_nothing_of_it(room: World) -> None:
    a = await room.user()
    await a.publish()
    await room.execute("S1", StartRecording(RecordingOptions()))
    recorder, _ = await enter(room, RECORDS)
    listener, _ = await enter(room, LISTENS)
    await room.execute("S1", ReportRecordingStarted("S1"))
    await room.execute("S1", StopRecording("S1"))
    assert (await recorder.wait_closed())[0] == 1000
    await a.note("recordingStopped")
    await listener.settle()
    for watcher in (recorder, listener):
        assert not {"recordingStarted", "recordingStopped"} & set(watcher.story())
        assert "recordingId" not in watcher.frames[0]["result"]
    late = await room.client()
    assert await late.code("connect", {"sessionId": recorder.rpc_id}) == 40007


async def test_a_session_that_ends_lets_its_watchers_go(room: World) -> None:
    await room.user()
    recorder, _ = await enter(room, RECORDS)
    listener, _ = await enter(room, LISTENS)
    await room.execute("S1", CloseSession(Reason.SESSION_CLOSED_BY_SERVER))
    assert (await recorder.wait_closed())[0] == 1000
    evicted = await listener.note("participantEvicted", connectionId=SPEECH_TO_TEXT)
    assert evicted["reason"] == "sessionClosedByServer"
    assert await listener.code("echo", {}) == 202
    await room.session("S1")
    assert not room.gateway._watchers.of("S1", 2**60)


async def test_a_newer_recorder_takes_the_place_of_an_older(room: World, nodes: FakeNodes) -> None:
    a = await room.user()
    stream = await a.publish()
    older, _ = await enter(room, RECORDS)
    await older.subscribe(stream)
    newer, _ = await enter(room, RECORDS)
    await newer.subscribe(stream)
    assert (await older.wait_closed())[0] == 1000
    await a.result("unpublishVideo", {})
    await newer.note("participantUnpublished")
    assert not any(isinstance(call, Discard) for call in nodes.calls), (
        "the media is the newer one's"
    )


async def test_a_watcher_comes_back_in_time_or_is_forgotten(room: World, nodes: FakeNodes) -> None:
    a = await room.user()
    stream = await a.publish()
    recorder, _ = await enter(room, RECORDS)
    await recorder.subscribe(stream)
    await recorder.drop()
    await a.result("unpublishVideo", {})
    again = await room.client()
    await again.result("connect", {"sessionId": recorder.rpc_id})
    await again.note("participantUnpublished", connectionId=a.id)
    await again.subscribe(await a.publish())
    await again.drop()
    await until(lambda: not room.gateway._watchers.of("S1", 2**60))
    late = await room.client()
    assert await late.code("connect", {"sessionId": recorder.rpc_id}) == 40007
    await until(lambda: any(isinstance(call, Discard) for call in nodes.calls))


async def test_a_watcher_only_watches(room: World) -> None:
    a = await room.user()
    stream = await a.publish()
    recorder, _ = await enter(room, RECORDS)
    sdp = {"sdpOffer": "v=0", "hasAudio": True, "hasVideo": False}
    signal = {"message": json.dumps({"to": [], "data": "x"})}
    for method, params, code in (
        ("publishVideo", sdp, 401),
        ("sendMessage", signal, 401),
        ("forceDisconnect", {"connectionId": a.id}, 401),
        ("forceUnpublish", {"streamId": stream}, 401),
        ("unpublishVideo", {}, 105),
        ("joinRoom", join_params("S1", "") | RECORDS, 104),
    ):
        assert await recorder.code(method, params) == code, method
    for method, params in (("echo", {}), ("videoData", {})):
        await recorder.result(method, params)
    await recorder.subscribe(stream)
    await recorder.result("reconnectStream", {"stream": stream, "sdpString": "v=0"})


async def test_the_secret_alone_makes_a_participant_whom_no_role_check_stops(room: World) -> None:
    a = await room.user()
    stream = await a.publish()
    insecure, result = await enter(room, {"secret": "MY_SECRET"})
    assert result["role"] == "SUBSCRIBER"
    assert result["id"].startswith("con_")
    await a.note("participantJoined", id=insecure.id)
    await insecure.publish()
    await insecure.result("forceUnpublish", {"streamId": stream})
    await insecure.result("forceDisconnect", {"connectionId": a.id})
    await a.note("participantEvicted", connectionId=a.id)


async def test_a_token_makes_no_recorder(room: World) -> None:
    client = await room.client()
    params = join_params("S1", await room.token("S1")) | {"recorder": True, "stt": True}
    assert (await client.result("joinRoom", params))["id"].startswith("con_")


async def test_a_wrong_secret_is_nothing_and_guessing_has_an_end(nodes: FakeNodes) -> None:
    settings = Settings(access=Access(login_failures=3, login_window=60))
    async with replica(MemoryLog(), settings, nodes) as world:
        await world.session("S1")
        client = await world.client(additional_headers={"x-real-ip": "203.0.113.9"})
        guess = join_params("S1", "") | RECORDS | {"secret": "a guess \u00e9"}
        for _ in range(3):
            assert await client.code("joinRoom", guess) == 401
        right = join_params("S1", "") | RECORDS
        assert await client.code("joinRoom", right) == 401
        other = await world.client(additional_headers={"x-real-ip": "203.0.113.10"})
        assert await other.code("joinRoom", right) == 401, "a header opens no door"
        logins: Logins = world.gateway._services.logins
        assert (logins.failed, logins.refused) == (3, 2)
        await other.join("S1", await world.token("S1"))


async def test_the_secret_opens_no_session_that_is_not_there(room: World) -> None:
    client = await room.client()
    assert await client.code("joinRoom", join_params("S9", "") | RECORDS) == 202
