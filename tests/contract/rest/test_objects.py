"""The objects in every state they can be in, with people who joined through the real signaling."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import connect

from services.conference.commands import ReportRecordingFailed, ReportRecordingReady, StartRecording
from services.conference.model import OutputMode, RecordingOptions
from tests.integration.signaling.conftest import responding
from tests.unit.signaling.harness import Client

from .objects import (
    ACTIVE,
    CONNECTION,
    CONNECTION_ID,
    NEW_SESSION_ID,
    NULL,
    PENDING,
    PUBLISHER,
    RECORDING,
    RESOLUTION,
    SESSION,
    TOKEN_OBJECT,
    URL,
    misfit,
    page,
)
from .world import INDIVIDUAL, World

MICROPHONE = {"hasVideo": False, "videoActive": False}


@asynccontextmanager
async def browser(world: World, connection: dict[str, Any]) -> AsyncIterator[Client]:
    """That has joined with the connection's token."""
    url = f"ws://127.0.0.1:{world.api.port}/openvidu?sessionId=salon"
    async with connect(url, max_size=None, ping_interval=None, proxy=None) as socket:
        client = Client(socket)
        await client.join("salon", connection["token"], json.dumps({"clientData": "Ana"}))
        yield client
        await client.close()


async def test_the_connections_of_people_who_talk(world: World) -> None:
    await world.salon()
    ana, bob = [await world.api.new_connection("salon", data=name) for name in ("a", "b")]
    one, other = (f"/sessions/salon/connection/{made['id']}" for made in (ana, bob))
    async with (
        responding(world.nats, "media_a"),
        media_node_is_up(world),
        browser(world, ana) as speaker,
        browser(world, bob) as listener,
    ):
        camera = await speaker.publish()
        microphone = await listener.publish(**MICROPHONE)
        await listener.subscribe(camera)
        talking = await world.api.until(one, lambda found: found["publishers"])
        listening = await world.api.until(
            other, lambda found: found["subscribers"] and found["publishers"]
        )
        session = (await world.api.get("/sessions/salon")).json
        listed = (await world.api.get("/sessions/salon/connection")).json

    for found in (talking, listening):
        assert misfit(found, ACTIVE) is None
        assert found["createdAt"] <= found["activeAt"]
        assert found["platform"] == "Chrome 156.0.0.0 on Linux 64-bit"
        assert found["ip"] == "127.0.0.1"
        assert json.loads(found["clientData"]) == {"clientData": "Ana"}
    assert {**ana, **later(talking)} == talking
    assert {**bob, **later(listening)} == listening
    (publisher,) = talking["publishers"]
    assert misfit(publisher, PUBLISHER) is None
    assert publisher["createdAt"] >= talking["activeAt"]
    assert publisher["streamId"] == camera
    assert camera.endswith(f"_{ana['id']}")
    assert publisher["mediaOptions"] == {
        "hasAudio": True,
        "audioActive": True,
        "hasVideo": True,
        "videoActive": True,
        "typeOfVideo": "CAMERA",
        "frameRate": 30,
        "videoDimensions": '{"width":640,"height":480}',
        "filter": {},
    }
    (sound,) = listening["publishers"]
    assert sound["streamId"] == microphone
    assert microphone.startswith("str_MIC_")
    assert sound["mediaOptions"] == {
        "hasAudio": True,
        "audioActive": True,
        "hasVideo": False,
        "filter": {},
    }
    assert [one["streamId"] for one in listening["subscribers"]] == [camera]
    assert talking["subscribers"] == []

    assert misfit(session, {**SESSION, "mediaNodeId": {"media_a"}}) is None
    assert session["connections"] == {"numberOfElements": 2, "content": [talking, listening]}
    assert listed == session["connections"]


def later(connection: dict[str, Any]) -> dict[str, Any]:
    """What a connection gets when somebody takes it; the rest must stay as it was."""
    changing = {key for key, shape in PENDING.items() if shape is NULL and ACTIVE[key] is not NULL}
    return {key: connection[key] for key in (*changing, "status")}


@asynccontextmanager
async def media_node_is_up(world: World) -> AsyncIterator[None]:
    await world.api.until("/health", lambda found: found["status"] == "UP")
    yield


async def test_new_ids_have_the_documented_forms_and_differ(world: World) -> None:
    sessions = [await world.api.new_session() for _ in range(20)]
    made = [await world.api.new_connection(session) for session in sessions]
    tokens = [(await world.api.post("/tokens", {"session": one})).json for one in sessions]
    assert all(NEW_SESSION_ID.fullmatch(session) for session in sessions)
    assert all(misfit(connection, PENDING) is None for connection in made)
    assert all(misfit(token, TOKEN_OBJECT) is None for token in tokens)
    ids = [connection["id"] for connection in made] + [token["connectionId"] for token in tokens]
    texts = [connection["token"] for connection in made] + [token["token"] for token in tokens]
    assert all(CONNECTION_ID.fullmatch(one) for one in ids)
    assert len(set(sessions)) == 20
    assert len(set(ids)) == 40
    assert len({text.rpartition("token=")[2] for text in texts}) == 40


VIDEO = {
    "recordingLayout": {"BEST_FIT"},
    "resolution": RESOLUTION,
    "frameRate": {25},
    "shmSize": {536870912},
}
DEFAULTS = [
    ({}, {"outputMode": {"COMPOSED"}, **VIDEO}),
    (
        {"outputMode": "COMPOSED_QUICK_START", "hasAudio": False},
        {"outputMode": {"COMPOSED_QUICK_START"}, "hasAudio": {False}, **VIDEO},
    ),
    (
        {"recordingLayout": "CUSTOM", "customLayout": "mine/2"},
        {
            "outputMode": {"COMPOSED"},
            **VIDEO,
            "recordingLayout": {"CUSTOM"},
            "customLayout": {"mine/2"},
        },
    ),
    ({"recordingLayout": "CUSTOM"}, {**VIDEO, "recordingLayout": {"CUSTOM"}, "customLayout": {""}}),
    ({"customLayout": "unused"}, VIDEO),
    ({"hasVideo": False, "resolution": "640x480"}, {"hasVideo": {False}}),
    (INDIVIDUAL, {"outputMode": {"INDIVIDUAL"}, "ignoreFailedStreams": {False}}),
    (
        {**INDIVIDUAL, "ignoreFailedStreams": True, "frameRate": 30},
        {"outputMode": {"INDIVIDUAL"}, "ignoreFailedStreams": {True}},
    ),
    ({"name": "Lesson"}, {"name": {"Lesson"}, **VIDEO}),
]
EVERYWHERE = {"name": {""}, "hasAudio": {True}, "hasVideo": {True}, "outputMode": {"COMPOSED"}}


async def test_the_recording_properties_of_a_session_are_those_that_apply(world: World) -> None:
    for given, shown in DEFAULTS:
        made = await world.api.post("/sessions", {"defaultRecordingProperties": given})
        assert made.status == 200, given
        assert misfit(made.json, SESSION) is None
        assert misfit(made.json["defaultRecordingProperties"], {**EVERYWHERE, **shown}) is None, (
            given
        )


NO_FILE = {"size": {0}, "duration": {0.0}, "url": NULL}
INDIVIDUAL_RECORDING = {key: shape for key, shape in RECORDING.items() if not key.endswith("?")} | {
    "outputMode": {"INDIVIDUAL"}
}


async def test_a_recording_in_every_status(world: World) -> None:
    await world.salon()
    await world.person()
    shown: dict[str, Any] = {}

    async def show(recording: str, status: str) -> None:
        path = f"/recordings/{recording}"
        shown[status] = await world.api.until(path, lambda found: found["status"] == status)

    options = RecordingOptions(output_mode=OutputMode.INDIVIDUAL, name="Lesson")
    await world.room.act("salon", StartRecording(options))
    await show("salon", "starting")
    await world.room.act("salon", ReportRecordingFailed("salon", "no stream flows"))
    await show("salon", "failed")
    second = await world.room.record("salon")
    await show(second, "started")
    assert (await world.api.get("/sessions/salon")).json["recording"] is True
    assert (await world.api.post(f"/recordings/stop/{second}")).status == 200
    await show(second, "stopped")
    await world.room.act("salon", ReportRecordingReady(second, size=1000, duration=1.5))
    await show(second, "ready")

    for status, found in shown.items():
        is_first = status in {"starting", "failed"}
        assert misfit(found, {**INDIVIDUAL_RECORDING, "status": {status}}) is None
        assert found["name"] == ("Lesson" if is_first else "salon~1")
        assert found["id"] == ("salon" if is_first else "salon~1")
        if status in {"starting", "started", "stopped"}:
            assert misfit({key: found[key] for key in NO_FILE}, NO_FILE) is None
        else:
            assert URL.fullmatch(found["url"])
    assert shown["ready"]["size"] > 0
    assert shown["ready"]["duration"] > 0
    listed = (await world.api.get("/recordings")).json
    assert listed == {"count": 2, "items": [shown["ready"], shown["failed"]]}


@pytest.mark.parametrize("pending", ["true", "false"])
async def test_an_object_is_the_same_wherever_it_is_shown(world: World, pending: str) -> None:
    """Byte for byte, as the real clients compare."""
    first = await world.api.post("/sessions", {"customSessionId": "salon"})
    assert (await world.api.get(f"/sessions/salon?pendingConnections={pending}")).body == first.body
    made = await world.api.post("/sessions/salon/connection", {"data": "x"})
    person = await world.person()
    path = "/sessions/salon/connection"
    assert (await world.api.get(f"{path}/{made.json['id']}")).body == made.body
    active = (await world.api.get(f"{path}/{person}")).body
    patched = await world.api.call("PATCH", f"{path}/{person}", {})
    assert patched.body == active
    both = await world.api.get(f"{path}?pendingConnections={pending}")
    assert misfit(both.json, page(CONNECTION)) is None
    one = await world.api.get(f"/sessions/salon?pendingConnections={pending}")
    every = await world.api.get(f"/sessions?pendingConnections={pending}")
    assert active in both.body
    assert (made.body in both.body) is (pending == "true")
    assert both.body in one.body
    assert one.body in every.body
