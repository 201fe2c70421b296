"""`rest-api.md`, "The Recording object"; `recording.md` 1 and 14."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from services.conference.commands import (
    ReportRecordingFailed,
    ReportRecordingReady,
    ReportRecordingStarted,
    StartRecording,
)
from services.conference.model import OutputMode, RecordingOptions

INDIVIDUAL = {"outputMode": "INDIVIDUAL"}
RECORDING_KEYS = {
    "id", "object", "name", "outputMode", "hasAudio", "hasVideo", "sessionId", "createdAt",
    "size", "duration", "url", "status",
}  # fmt: skip


@pytest.fixture
async def session(api: Any, room: Any) -> str:
    """With somebody in it."""
    name = await api.new_session(customSessionId="salon")
    await room.person(api, name)
    return str(name)


@asynccontextmanager
async def recorder(room: Any, session: str, recording: str, answer: type) -> AsyncIterator[None]:
    """A recorder that answers one start."""

    async def asked() -> bool:
        return recording in (await room.bus.load(session)).recordings

    async def run() -> None:
        await room.eventually(asked)
        if answer is ReportRecordingFailed:
            await room.act(session, ReportRecordingFailed(recording, "no stream flows"))
        else:
            await room.act(session, ReportRecordingStarted(recording))

    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(run())
        yield


async def test_a_recording_starts_stops_and_gets_ready(api: Any, room: Any, session: str) -> None:
    async with recorder(room, session, "salon", ReportRecordingStarted):
        started = await api.post("/recordings/start", {"session": session, **INDIVIDUAL})
    assert started.status == 200
    assert set(started.json) == RECORDING_KEYS
    assert started.json["id"] == started.json["name"] == "salon"
    assert started.json["object"] == "recording"
    assert started.json["outputMode"] == "INDIVIDUAL"
    assert started.json["sessionId"] == session
    assert started.json["status"] == "started"
    assert started.json["url"] is None
    assert (await api.get("/recordings/salon")).body == started.body
    assert (await api.get(f"/sessions/{session}")).json["recording"] is True

    stopped = await api.post("/recordings/stop/salon")
    assert stopped.status == 200
    assert stopped.json["status"] == "stopped"
    assert stopped.json["url"] is None
    assert (await api.get(f"/sessions/{session}")).json["recording"] is False
    assert (await api.post("/recordings/stop/salon")).status == 404

    await room.act(session, ReportRecordingReady("salon", size=12, duration=1.5))
    ready = await api.until("/recordings/salon", lambda found: found["status"] == "ready")
    assert ready["size"] == 12
    assert ready["duration"] == 1.5
    assert ready["url"] == "http://localhost:4443/openvidu/recordings/salon/salon.zip"
    assert (await api.post("/recordings/stop/salon")).status == 404


async def test_a_start_that_the_recorder_refuses_is_500_in_plain_text(
    api: Any, room: Any, session: str
) -> None:
    async with recorder(room, session, "salon", ReportRecordingFailed):
        answer = await api.post("/recordings/start", {"session": session, **INDIVIDUAL})
    assert answer.status == 500
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.body == b"Error starting recording: no stream flows"
    assert (await api.get("/recordings/salon")).json["status"] == "failed"
    assert (await api.get(f"/sessions/{session}")).json["recording"] is False


async def test_a_recorder_that_says_nothing_fails_the_recording(
    start: Any, room: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.service.RECORDING_START_SECONDS", 0.3)
    async with start() as api:
        session = await api.new_session(customSessionId="salon")
        await room.person(api, session)
        answer = await api.post("/recordings/start", {"session": session, **INDIVIDUAL})
        assert answer.status == 500
        assert answer.body == b"Error starting recording: The recorder did not answer in time"
        assert (await api.get("/recordings/salon")).json["status"] == "failed"
        async with recorder(room, session, "salon~1", ReportRecordingStarted):
            again = await api.post("/recordings/start", {"session": session, **INDIVIDUAL})
        assert again.status == 200
        assert again.json["id"] == "salon~1"


async def test_of_two_starts_at_once_one_is_a_conflict(api: Any, room: Any, session: str) -> None:
    async with recorder(room, session, "salon", ReportRecordingStarted):
        body = {"session": session, **INDIVIDUAL}
        answers = await asyncio.gather(*(api.post("/recordings/start", body) for _ in range(2)))
    assert sorted(answer.status for answer in answers) == [200, 409]
    assert {answer.body for answer in answers if answer.status == 409} == {b""}


async def test_the_state_of_the_session_is_judged_before_other_properties(
    api: Any, room: Any
) -> None:
    """The order of checks of `recording.md` section 1."""
    wrong: dict[str, Any] = {"outputMode": "BOTH", "frameRate": 0, "name": "a/b"}

    async def status(session: Any, **more: Any) -> int:
        answer = await api.post("/recordings/start", {"session": session, **wrong, **more})
        if answer.status in (404, 406, 409):
            assert answer.body == b""
        else:
            assert set(answer.json) == {"timestamp", "status", "error", "message", "path"}
        return int(answer.status)

    assert await status(None) == 400
    assert await status("") == 400
    assert await status(7) == 400
    assert await status("nobody") == 404
    assert await status("no/body") == 404
    nobody = await api.new_session()
    assert await status(nobody) == 406
    relayed = await api.new_session(mediaMode="RELAYED")
    assert await status(relayed) == 409
    session = await api.new_session()
    await room.person(api, session)
    assert await status(session) == 400
    wrong.clear()
    wrong.update(INDIVIDUAL)
    await room.record(session)
    assert await status(session, name="a/b") == 409


IMPOSSIBLE = [
    ({"frameRate": 0, "hasVideo": False}, 422),
    ({"frameRate": 0, "outputMode": "COMPOSED_QUICK_START"}, 422),
    ({}, 501),
    ({"outputMode": "COMPOSED"}, 501),
    ({"outputMode": "COMPOSED_QUICK_START"}, 501),
]


async def test_what_cannot_be_recorded_is_told_before_anything_happens(
    api: Any, session: str
) -> None:
    for body, status in IMPOSSIBLE:
        answer = await api.post("/recordings/start", {"session": session, **body})
        assert answer.status == status, (body, answer.body)
        assert answer.json["message"]
        assert (await api.get("/recordings")).json == {"count": 0, "items": []}


async def test_values_that_do_not_apply_are_ignored_and_defaults_of_the_session_count(
    api: Any, room: Any
) -> None:
    defaults = {**INDIVIDUAL, "name": "Lesson", "hasVideo": False}
    session = await api.new_session(customSessionId="salon", defaultRecordingProperties=defaults)
    await room.person(api, session)
    body = {"session": session, "name": "", "frameRate": 0, "resolution": "1x1", "hasVideo": None}
    async with recorder(room, session, "salon", ReportRecordingStarted):
        started = await api.post("/recordings/start", body)
    assert started.status == 200
    assert started.json["name"] == "Lesson"
    assert started.json["hasVideo"] is False
    assert started.json["outputMode"] == "INDIVIDUAL"


async def test_a_starting_recording_can_be_neither_stopped_nor_deleted(
    api: Any, room: Any, session: str
) -> None:
    options = RecordingOptions(output_mode=OutputMode.INDIVIDUAL)
    await room.act(session, StartRecording(options))
    await api.until("/recordings", lambda found: found["count"] == 1)
    assert (await api.get("/recordings/salon")).json["status"] == "starting"
    stop = await api.post("/recordings/stop/salon")
    assert (stop.status, stop.body) == (406, b"")
    delete = await api.delete("/recordings/salon")
    assert (delete.status, delete.body) == (409, b"")


async def test_a_running_recording_cannot_be_deleted_a_finished_one_can(
    api: Any, room: Any, session: str
) -> None:
    recording = await room.record(session)
    await api.until("/recordings", lambda found: found["count"] == 1)
    assert (await api.delete(f"/recordings/{recording}")).status == 409
    await room.finish(session, recording)
    deleted = await api.delete(f"/recordings/{recording}")
    assert (deleted.status, deleted.body) == (204, b"")
    assert (await api.get(f"/recordings/{recording}")).status == 404
    assert (await api.delete(f"/recordings/{recording}")).status == 404
    assert await room.record(session) == recording, "the id is free again"


async def test_recordings_outlive_their_session_and_are_listed_newest_first(
    api: Any, room: Any, session: str
) -> None:
    for _ in range(3):
        await room.finish(session, await room.record(session))
    other = await api.new_session(customSessionId="aula")
    await room.person(api, other)
    await room.finish(other, await room.record(other))
    await api.delete(f"/sessions/{session}")
    listed = (await api.get("/recordings")).json
    assert listed["count"] == 4
    names = [recording["id"] for recording in listed["items"]]
    assert names == ["aula", "salon~2", "salon~1", "salon"]


@pytest.mark.parametrize("name", ["start", "stop"])
async def test_a_session_may_be_called_like_a_part_of_a_path(
    api: Any, room: Any, name: str
) -> None:
    await api.new_session(customSessionId=name)
    await room.person(api, name)
    await room.record(name)
    await api.until(f"/recordings/{name}", lambda found: found["status"] == "started")
    assert (await api.post(f"/recordings/stop/{name}")).status == 200
    assert (await api.delete(f"/recordings/{name}")).status == 204
    assert (await api.get(f"/recordings/{name}")).status == 404


ABSENT = ["nobody", "salon~1", "a~~b", "a~b", "a~%00", "%00", "%F0%9F%98%80~1"]


async def test_an_unknown_recording_is_404_without_a_body(api: Any) -> None:
    for recording in ABSENT:
        for answer in (
            await api.get(f"/recordings/{recording}"),
            await api.delete(f"/recordings/{recording}"),
            await api.post(f"/recordings/stop/{recording}"),
        ):
            assert (answer.status, answer.body) == (404, b"")


async def test_without_the_recording_module_all_operations_are_501(
    start: Any, settings: Any
) -> None:
    off = replace(settings, recording=replace(settings.recording, enabled=False))
    async with start(off) as api:
        for answer in (
            await api.post("/recordings/start", {"session": 5}),
            await api.post("/recordings/start", {}),
            await api.post("/recordings/stop/a"),
            await api.get("/recordings/a"),
            await api.get("/recordings"),
            await api.delete("/recordings/a"),
        ):
            assert (answer.status, answer.body) == (501, b"")
        broken = await api.call("POST", "/recordings/start", data=b"{")
        assert broken.status == 400
        assert (await api.get("/recordings", auth=None)).status == 401
        session = await api.post("/sessions", {"recordingMode": "ALWAYS"})
        assert session.status == 200
