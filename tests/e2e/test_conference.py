"""A conference from end to end: real pages, real media, a recording, webhooks, the log.

One run tells a whole story (the fixture `story`); each test looks at one side of it.
"""

from __future__ import annotations

import io
import json
import re
import time
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import pytest
import pytest_asyncio

from tests.e2e.page_client import Client, Pages
from tests.e2e.server_under_test import Server, eventually, free_port
from tests.e2e.webhook_sink import WebhookSink

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

SESSION = "story"


@dataclass
class Story:
    server: Server
    sink: WebhookSink
    ana: Client
    ben: Client
    cleo: Client
    streams: dict[str, str] = field(default_factory=dict)  # name → stream id
    live: dict[str, Any] = field(default_factory=dict)  # REST objects while all was live
    events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # name → page's events
    recording: dict[str, Any] = field(default_factory=dict)
    recorded_wall_time: float = 0.0
    recording_zip: bytes = b""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def story(folder: Path, pages: Pages) -> AsyncIterator[Story]:
    sink = WebhookSink(free_port())
    await sink.up()
    server = Server(
        folder,
        OPENVIDU_WEBHOOK="true",
        OPENVIDU_WEBHOOK_ENDPOINT=sink.url,
        OPENVIDU_CDR="true",
    )
    await server.start()
    try:
        told = Story(server, sink, await pages.open(), await pages.open(), await pages.open())
        await _tell(told)
        yield told
    finally:
        await server.stop()
        await sink.down()


async def _tell(story: Story) -> None:
    server, ana, ben, cleo = story.server, story.ana, story.ben, story.cleo
    await server.new_session(customSessionId=SESSION)

    # Two people see and hear each other.
    await ana.join(await server.new_token(SESSION, data="from the server", role="MODERATOR"), "ana")
    story.streams["ana"] = await ana.publish()
    await ben.join(await server.new_token(SESSION), "ben")
    story.streams["ben"] = await ben.publish()
    await ben.plays(story.streams["ana"])
    await ana.plays(story.streams["ben"])

    # The webhook receiver goes away here and comes back at the end.
    await story.sink.down()

    started = time.monotonic()
    recording = await server.post(
        "/openvidu/api/recordings/start",
        {"session": SESSION, "name": "talk", "outputMode": "INDIVIDUAL"},
    )
    assert recording["status"] == "started"
    story.live = {
        "session": await server.get(f"/openvidu/api/sessions/{SESSION}"),
        "sessions": await server.get("/openvidu/api/sessions"),
    }

    # Mute, signals, and somebody who drops in.
    await ana.mute("audio", False)
    await ben.sees("streamPropertyChanged", property="audioActive", newValue=False)
    await ana.mute("audio", True)
    await ben.sees("streamPropertyChanged", property="audioActive", newValue=True)
    await ben.mute("video", False)
    await ana.sees("streamPropertyChanged", property="videoActive", newValue=False)
    await ben.mute("video", True)
    await ana.sees("streamPropertyChanged", property="videoActive", newValue=True)
    await ana.call("signal", "hello all", "greeting")
    await ben.sees("signal", signal="signal:greeting", data="hello all")
    await server.post(
        "/openvidu/api/signal", {"session": SESSION, "to": [ben.id], "type": "note", "data": "psst"}
    )
    await ben.sees("signal", signal="signal:note", data="psst")

    await cleo.join(await server.new_token(SESSION, role="SUBSCRIBER"), "cleo")
    await cleo.plays(story.streams["ana"])
    await cleo.plays(story.streams["ben"])
    await ana.sees("connectionCreated", connection=cleo.id)
    await cleo.call("leave")
    await ana.sees("connectionDestroyed", connection=cleo.id, reason="disconnect")

    await ana.plays(story.streams["ben"], frames=60)
    stopped = await server.post(f"/openvidu/api/recordings/stop/{recording['id']}")
    story.recorded_wall_time = time.monotonic() - started
    assert stopped["status"] in ("stopped", "ready")

    async def ready() -> dict[str, Any] | None:
        now = await server.get(f"/openvidu/api/recordings/{recording['id']}")
        assert now["status"] != "failed", server.log()[-4000:]
        return dict(now) if now["status"] == "ready" else None

    story.recording = await eventually(ready, limit=30, what="the recording is ready") or {}
    path = re.sub(r"^https?://[^/]+", "", story.recording["url"])
    story.recording_zip = await server.get_bytes(path)

    # Unpublish, publish again, leave.
    await ben.call("unpublish")
    await ana.sees("streamDestroyed", stream=story.streams["ben"], reason="unpublish")
    story.streams["ben again"] = await ben.publish()
    await ana.plays(story.streams["ben again"])
    await ben.call("leave")
    await ana.sees("connectionDestroyed", connection=ben.id, reason="disconnect")
    await ana.call("leave")
    story.events = {
        "ana": await ana.events(),
        "ben": await ben.events(),
        "cleo": await cleo.events(),
    }

    async def gone() -> bool:
        return (await server.get("/openvidu/api/sessions"))["numberOfElements"] == 0

    await eventually(gone, what="the session ends with its last participant")

    # The webhooks process dies as well before the receiver is back.
    old = await server.kill("webhooks")
    await server.until_replaced("webhooks", old)
    await story.sink.up()
    await eventually(
        lambda: "sessionDestroyed" in story.sink.names(SESSION), limit=60, what="all webhooks came"
    )


async def test_each_page_is_told_what_the_others_do(story: Story) -> None:
    def heard(name: str, kind: str) -> list[dict[str, Any]]:
        return [event for event in story.events[name] if event["type"] == kind]

    assert [event["reason"] for event in heard("ana", "streamDestroyed")] == [
        "unpublish",
        "disconnect",
    ]
    assert [event["reason"] for event in heard("ana", "connectionDestroyed")] == ["disconnect"] * 2
    assert [event["reason"] for event in heard("ben", "ownStreamDestroyed")] == [
        "unpublish",
        "disconnect",
    ]
    assert heard("ana", "sessionDisconnected") == [
        {"type": "sessionDisconnected", "reason": "disconnect"}
    ]
    recording = {"id": SESSION, "name": "talk"}
    for name in ("ana", "ben"):
        assert heard(name, "recordingStarted") == [{"type": "recordingStarted", **recording}]
        assert heard(name, "recordingStopped") == [
            {"type": "recordingStopped", **recording, "reason": "recordingStoppedByServer"}
        ]
        assert heard(name, "exception") == []
    assert heard("cleo", "recordingStarted") == []  # a subscriber is not notified by default
    assert [event["data"] for event in heard("ana", "signal")] == ["hello all"]
    assert [(event["data"], event["from"]) for event in heard("ben", "signal")] == [
        ("hello all", story.ana.id),
        ("psst", None),
    ]
    assert heard("ben", "connectionCreated")[1]["data"] == "ana%/%from the server"


async def test_rest_shows_the_conference_while_it_goes_on(story: Story) -> None:
    session = story.live["session"]
    assert session["recording"] is True
    assert session["connections"]["numberOfElements"] == 2
    ana, ben = session["connections"]["content"]
    assert (ana["id"], ben["id"]) == (story.ana.id, story.ben.id)
    for own, other, streams in ((ana, "ben", "ana"), (ben, "ana", "ben")):
        assert own["status"] == "active"
        assert [p["streamId"] for p in own["publishers"]] == [story.streams[streams]]
        assert [s["streamId"] for s in own["subscribers"]] == [story.streams[other]]
    options = ana["publishers"][0]["mediaOptions"]
    assert options["typeOfVideo"] == "CAMERA"
    assert json.loads(options["videoDimensions"]) == {"width": 640, "height": 480}
    assert story.live["sessions"]["content"] == [session]


async def test_the_media_process_never_ran_a_codec(story: Story) -> None:
    media = story.server.pid_of("media")
    mapped = Path(f"/proc/{media}/maps").read_text()
    threads = [
        Path(task, "comm").read_text().strip() for task in Path(f"/proc/{media}/task").iterdir()
    ]
    assert "libvpx" not in mapped
    assert "libopus" not in mapped
    assert not [name for name in threads if "codec" in name or "decoder" in name]
    assert re.search(r"cpu_us_per_packet=\d", story.server.log())


async def test_the_individual_recording_holds_what_was_seen(story: Story) -> None:
    files = zipfile.ZipFile(io.BytesIO(story.recording_zip))
    assert files.testzip() is None
    index = json.loads(files.read("talk.json"))
    streams = {story.streams["ana"]: story.ana, story.streams["ben"]: story.ben}
    assert sorted(files.namelist()) == sorted(["talk.json", *(f"{s}.webm" for s in streams)])
    assert {key: index[key] for key in ("id", "name", "sessionId")} == {
        "id": SESSION,
        "name": "talk",
        "sessionId": SESSION,
    }
    assert index["createdAt"] == story.recording["createdAt"]
    assert len(index["files"]) == 2
    for entry in index["files"]:
        client = streams[entry["streamId"]]
        data = files.read(entry["name"])
        assert entry["name"] == f"{entry['streamId']}.webm"
        assert entry["connectionId"] == client.id
        assert entry["size"] == len(data)
        assert entry["clientData"] == ("ana" if client is story.ana else "ben")
        assert entry["serverData"] == ("from the server" if client is story.ana else "")
        assert (entry["hasAudio"], entry["hasVideo"], entry["typeOfVideo"]) == (
            True,
            True,
            "CAMERA",
        )
        assert 0 <= entry["startTimeOffset"] < entry["endTimeOffset"]
        _check_media(data, story.recorded_wall_time)
    assert story.recording["size"] == sum(entry["size"] for entry in index["files"])
    assert story.recording["duration"] == pytest.approx(story.recorded_wall_time, abs=1.0)


def _check_media(data: bytes, wall_time: float) -> None:
    with av.open(io.BytesIO(data)) as container:
        codecs = {stream.type: stream.codec_context.name for stream in container.streams}
        assert codecs["video"] in ("vp8", "libvpx")
        assert codecs["audio"] in ("opus", "libopus")
        assert container.duration is not None
        assert container.duration / 1e6 == pytest.approx(wall_time, abs=1.0)
        pictures = [
            bytes(frame.reformat(width=64, height=48, format="gray").planes[0])
            for frame in container.decode(video=0)
        ]
    assert len(pictures) > 5 * wall_time  # the fake camera gives up to 30 a second
    bright = [picture for picture in pictures if sum(picture) / len(picture) > 5]
    assert pictures[0] in bright
    assert pictures[-1] in bright
    assert len(bright) > len(pictures) / 2  # Ben's is black while he mutes it
    assert len(set(pictures)) > len(pictures) / 2  # it moves
    with av.open(io.BytesIO(data)) as container:
        sounds = [bytes(frame.planes[0]) for frame in container.decode(audio=0)]
    assert len(sounds) > 30 * wall_time  # 20 ms each, less what was muted
    assert any(any(sound) for sound in sounds)  # the fake microphone beeps


async def test_the_webhook_receiver_got_every_event_once_and_in_order(story: Story) -> None:
    ana, ben, cleo = story.ana.id, story.ben.id, story.cleo.id
    of_ana, of_ben, again = (story.streams[name] for name in ("ana", "ben", "ben again"))
    events = [event for event in story.sink.received if event.get("sessionId") == SESSION]

    def brief(event: dict[str, Any]) -> tuple[Any, ...]:
        keys = ("event", "connectionId", "connection", "streamId", "status", "type", "reason")
        return tuple(event[key] for key in keys if key in event)

    created, destroyed = "webrtcConnectionCreated", "webrtcConnectionDestroyed"
    changed = "recordingStatusChanged"
    told = [brief(event) for event in events]

    def unordered(first: int, *expected: tuple[Any, ...]) -> int:
        """Media connections of different users have no order among each other."""
        assert sorted(told[first : first + len(expected)]) == sorted(expected)
        return first + len(expected)

    def in_order(first: int, *expected: tuple[Any, ...]) -> int:
        assert told[first : first + len(expected)] == list(expected)
        return first + len(expected)

    at = in_order(
        0,
        ("sessionCreated",),
        ("participantJoined", ana),
        (created, ana, "OUTBOUND", of_ana),
        ("participantJoined", ben),
    )
    at = unordered(
        at,
        (created, ben, "INBOUND", of_ana),
        (created, ben, "OUTBOUND", of_ben),
        (created, ana, "INBOUND", of_ben),
    )
    at = in_order(
        at,
        (changed, "started"),
        ("signalSent", "greeting"),
        ("signalSent", "note"),
        ("participantJoined", cleo),
    )
    at = unordered(at, (created, cleo, "INBOUND", of_ana), (created, cleo, "INBOUND", of_ben))
    at = unordered(
        at,
        (destroyed, cleo, "INBOUND", of_ana, "disconnect"),
        (destroyed, cleo, "INBOUND", of_ben, "disconnect"),
    )
    stop = "recordingStoppedByServer"
    at = in_order(
        at,
        ("participantLeft", cleo, "disconnect"),
        (changed, "stopped", stop),
        (changed, "ready", stop),
        (destroyed, ben, "OUTBOUND", of_ben, "unpublish"),
        (destroyed, ana, "INBOUND", of_ben, "unpublish"),
        (created, ben, "OUTBOUND", again),
        (created, ana, "INBOUND", again),
        (destroyed, ana, "INBOUND", again, "disconnect"),
        (destroyed, ben, "INBOUND", of_ana, "disconnect"),
        (destroyed, ben, "OUTBOUND", again, "disconnect"),
        ("participantLeft", ben, "disconnect"),
        (destroyed, ana, "OUTBOUND", of_ana, "disconnect"),
        ("participantLeft", ana, "disconnect"),
        ("sessionDestroyed", "lastParticipantLeft"),
    )
    assert at == len(told)


async def test_webhooks_and_the_cdr_file_carry_the_fields_of_the_contract(story: Story) -> None:
    common = {"sessionId", "uniqueSessionId", "timestamp", "event"}
    person = {
        "participantId", "connectionId", "location", "ip", "platform", "clientData", "serverData",
    }  # fmt: skip
    media = {
        "streamId", "participantId", "connectionId", "connection",
        "videoSource", "videoFramerate", "videoDimensions", "audioEnabled", "videoEnabled",
    }  # fmt: skip
    ended = {"startTime", "duration", "reason"}
    recording = {
        "startTime", "duration", "id", "name", "outputMode",
        "hasAudio", "hasVideo", "size", "status",
    }  # fmt: skip
    expected = {
        "sessionCreated": common,
        "sessionDestroyed": common | ended,
        "participantJoined": common | person,
        "participantLeft": common | person | ended,
        "webrtcConnectionCreated": common | media,
        "webrtcConnectionDestroyed": common | media | ended,
        "recordingStatusChanged": common | recording,
        "signalSent": common | {"from", "to", "type", "data"},
    }
    events = [event for event in story.sink.received if event.get("sessionId") == SESSION]
    for event in events:
        keys = expected[event["event"]]
        if event.get("connection") == "INBOUND":
            keys = keys | {"receivingFrom"}
        if event.get("status") in ("stopped", "ready"):
            keys = keys | {"reason"}
        assert event.keys() == keys, event
        created_at = events[0]["timestamp"]
        assert event["uniqueSessionId"] == f"{SESSION}_{created_at}"
    joined, *_ = story.sink.of(SESSION, "participantJoined")
    assert (joined["clientData"], joined["serverData"]) == ("ana", "from the server")
    assert joined["platform"].startswith("Chrome")
    assert joined["ip"] in ("127.0.0.1", "::1")

    lines = [
        json.loads(line)
        for file in sorted((story.server.folder / "data/cdr").glob("CDR.*.log"))
        for line in file.read_text().splitlines()
    ]
    flat = [{**fields, "event": name} for line in lines for name, fields in line.items()]
    assert [event for event in flat if event.get("sessionId") == SESSION] == events


async def test_the_log_verifies_and_prints_what_happened(story: Story) -> None:
    code, output = await story.server.run("verify")
    assert code == 0, output
    code, output = await story.server.run("log", "--session", SESSION, "--json")
    assert code == 0, output
    commits = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    assert len(commits) > 20
    code, output = await story.server.run("log", "--session", SESSION)
    assert "participantJoined" in output
    assert "tok_***" in output or "tok_" not in output


async def test_all_state_can_be_rebuilt_from_the_log(story: Story) -> None:
    server = story.server
    pending = await server.new_session(customSessionId="later", recordingMode="ALWAYS")
    await server.new_token(pending, data="x", role="MODERATOR")
    questions = (
        "/openvidu/api/sessions",
        "/openvidu/api/sessions?pendingConnections=true",
        "/openvidu/api/sessions/later",
        "/openvidu/api/sessions/later/connection",
        "/openvidu/api/recordings",
        f"/openvidu/api/recordings/{SESSION}",
    )
    before = [await server.get_bytes(question) for question in questions]
    await server.stop()
    databases = list((server.folder / "data").glob("projection*.db*"))
    assert databases
    for database in databases:
        database.unlink()
    await server.start()
    assert [await server.get_bytes(question) for question in questions] == before
    code, output = await server.run("replay", "--to", str(server.folder / "fresh.db"))
    assert code == 0, output
    assert re.search(r"commits.*commits/s|commits a second", output), output
