from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from pathlib import Path

import pytest

from .clip import assert_moving_pictures, make_clip, probe
from .conftest import SESSION, Conference, RecorderProcess
from .media_node import until


async def grown(recorder: RecorderProcess, name: str, size: int = 20_000) -> None:
    """Wait for media of some seconds: the clip has some 16 kB in each."""
    await until(lambda: recorder.size(SESSION, name) > size, f"growing {name}")


async def test_two_streams_are_recorded_zipped_and_described(
    conference: Conference, recorder: RecorderProcess, tmp_path: Path
) -> None:
    await recorder.start()
    await conference.join("Alpha")
    await conference.join("Beta")
    await conference.publish("Alpha")
    await conference.publish("Beta", has_video=False)
    one = await conference.start_recording(name="demo")
    begun = await conference.status(one, "started")
    assert begun.size == 0
    alpha, beta = conference.stream("Alpha"), conference.stream("Beta")
    assert recorder.size(one, f"{alpha}.webm") > 0
    assert recorder.entity(one)["url"] is None
    started_at = time.monotonic()
    await grown(recorder, f"{alpha}.webm", 40_000)
    wall = time.monotonic() - started_at
    await conference.stop_recording(one)
    ready = await conference.status(one, "ready")

    await until(lambda: recorder.entity(one)["status"] == "ready", "entity file")
    assert recorder.files(one) == [f".recording.{one}", "demo.zip"]
    entity = recorder.entity(one)
    assert entity["size"] == ready.size
    assert entity["duration"] == ready.duration
    assert entity["url"].endswith(f"/openvidu/recordings/{one}/demo.zip")
    assert entity["uniqueSessionId"] == ready.unique_session_id

    described = recorder.unzip(one, "demo", tmp_path / "zip")
    assert list(described) == ["createdAt", "id", "name", "sessionId", "files"]
    assert (described["createdAt"], described["id"], described["name"], described["sessionId"]) == (
        ready.created_at,
        one,
        "demo",
        SESSION,
    )
    files = {file["streamId"]: file for file in described["files"]}
    assert set(files) == {alpha, beta}
    for name, stream in (("Alpha", alpha), ("Beta", beta)):
        file = files[stream]
        path = tmp_path / "zip" / file["name"]
        assert list(file) == [
            "name",
            "connectionId",
            "streamId",
            "size",
            "clientData",
            "serverData",
            "hasAudio",
            "hasVideo",
            *(["typeOfVideo"] if name == "Alpha" else []),
            "startTimeOffset",
            "endTimeOffset",
        ]
        assert file["name"] == f"{stream}.webm"
        assert file["connectionId"] == f"con_{name}"
        assert file["clientData"] == f"client-{name}"
        assert file["serverData"] == f"server-{name}"
        assert (file["hasAudio"], file["hasVideo"]) == (True, name == "Alpha")
        assert file["size"] == path.stat().st_size
        found = probe(path)
        length = (file["endTimeOffset"] - file["startTimeOffset"]) / 1000
        assert found.duration == pytest.approx(length, abs=0.05)
        assert wall - 1 <= length <= wall + 3
        assert found.samples / 48_000 == pytest.approx(length, abs=0.2)
        if name == "Alpha":
            assert found.codecs == {"audio": "opus", "video": "vp8"}
            assert found.size == (320, 240)
            assert len(found.frames) / 30 == pytest.approx(length, abs=0.4)
            assert_moving_pictures(found.frames)
        else:
            assert found.codecs == {"audio": "opus"}
        for times in found.times.values():
            assert all(a < b for a, b in pairwise(times))
    assert files[alpha]["typeOfVideo"] == "CAMERA"
    assert ready.size == sum(file["size"] for file in described["files"])
    offsets = [
        max(file["endTimeOffset"] for file in described["files"]),
        min(file["startTimeOffset"] for file in described["files"]),
    ]
    assert ready.duration == pytest.approx((offsets[0] - offsets[1]) / 1000)
    assert await conference.reports() == [
        "RecordingRequested",
        "RecordingStarted",
        "RecordingStopped",
        "RecordingReady",
    ]


async def test_loss_reordering_and_a_reconnecting_publisher_stay_one_playable_file(
    conference: Conference, recorder: RecorderProcess, tmp_path: Path
) -> None:
    await recorder.start()
    await conference.join("Alpha")
    publisher = await conference.publish("Alpha", loss=0.01, swap=0.05)
    one = await conference.start_recording()
    await conference.status(one, "started")
    name = f"{conference.stream('Alpha')}.webm"
    await grown(recorder, name, 30_000)
    publisher.reconnect()
    size = recorder.size(one, name)
    await grown(recorder, name, size + 30_000)
    wall = time.time() * 1000
    await conference.stop_recording(one)
    ready = await conference.status(one, "ready")
    described = recorder.unzip(one, one, tmp_path / "zip")
    (file,) = described["files"]
    assert wall == pytest.approx(ready.created_at + file["endTimeOffset"], abs=1000)
    found = probe(tmp_path / "zip" / name)
    assert found.duration == pytest.approx(ready.duration, abs=0.05)
    assert_moving_pictures(found.frames)
    sound, pictures = found.times["audio"], found.times["video"]
    assert max(b - a for a, b in pairwise(sound)) < 1.0, "it waited for the next lease"
    assert max(b - a for a, b in pairwise(pictures)) < 3.0
    assert all(a < b for a, b in pairwise(sound))
    assert all(a < b for a, b in pairwise(pictures))
    assert abs(sound[-1] - pictures[-1]) < 1.5


async def test_streams_come_and_go_and_record_is_switched(
    conference: Conference, recorder: RecorderProcess, tmp_path: Path
) -> None:
    await recorder.start()
    for name in ("Alpha", "Beta", "Gamma"):
        await conference.join(name, record=name != "Gamma")
    await conference.publish("Alpha")
    await conference.publish("Gamma")
    one = await conference.start_recording()
    await conference.status(one, "started")
    alpha, beta, gamma = (conference.stream(name) for name in ("Alpha", "Beta", "Gamma"))
    await grown(recorder, f"{alpha}.webm")

    await conference.publish("Beta")
    await grown(recorder, f"{beta}.webm")
    await conference.set_record("Alpha", False)
    await until(lambda: not conference.node.publishers[alpha].taps, "end of the tap")
    await conference.set_record("Alpha", True)
    await grown(recorder, f"{alpha}-1.webm")
    await conference.unpublish("Beta")
    await conference.leave("Beta")
    await conference.set_record("Gamma", True)
    await grown(recorder, f"{gamma}.webm")
    await conference.set_record("Gamma", False)

    await conference.stop_recording(one)
    ready = await conference.status(one, "ready")
    described = recorder.unzip(one, one, tmp_path / "zip")
    files = {file["name"]: file for file in described["files"]}
    assert set(files) == {f"{alpha}.webm", f"{alpha}-1.webm", f"{beta}.webm", f"{gamma}.webm"}
    ends = files[f"{alpha}.webm"]["endTimeOffset"]
    assert ends <= files[f"{alpha}-1.webm"]["startTimeOffset"] + 100  # what the last frame lasts
    assert files[f"{beta}.webm"]["clientData"] == "client-Beta"
    assert files[f"{beta}.webm"]["startTimeOffset"] > files[f"{alpha}.webm"]["startTimeOffset"]
    for name in files:
        assert_moving_pictures(probe(tmp_path / "zip" / name).frames)
    assert ready.duration == pytest.approx(
        (max(file["endTimeOffset"] for file in files.values())
         - min(file["startTimeOffset"] for file in files.values())) / 1000
    )  # fmt: skip


@pytest.mark.parametrize("record", [False, True])
async def test_with_nothing_to_await_the_start_succeeds_at_once(
    conference: Conference, recorder: RecorderProcess, tmp_path: Path, record: bool
) -> None:
    await recorder.start()
    await conference.join("Alpha", record=record)
    if not record:
        await conference.publish("Alpha")
    one = await conference.start_recording()
    await conference.status(one, "started", seconds=5)
    await conference.stop_recording(one)
    ready = await conference.status(one, "ready")
    assert (ready.size, ready.duration) == (0, 0.0)
    assert recorder.unzip(one, one, tmp_path / "zip")["files"] == []


async def test_what_a_recording_takes_of_a_stream_depends_on_what_both_have(
    conference: Conference, recorder: RecorderProcess, tmp_path: Path
) -> None:
    await recorder.start()
    for name, tracks in (
        ("Both", {}),
        ("Sound", {"has_video": False}),
        ("Pic", {"has_audio": False}),
    ):
        await conference.join(name)
        await conference.publish(name, **tracks)
    for wanted, kind, names in (
        ({"has_video": False}, "audio", {"Both", "Sound"}),
        ({"has_audio": False}, "video", {"Both", "Pic"}),
    ):
        one = await conference.start_recording(**wanted)
        await conference.status(one, "started")
        streams = {conference.stream(name) for name in names}
        for stream in streams:
            await until(lambda: recorder.size(one, f"{stream}.webm") > 5000, "media")  # noqa: B023
        await conference.stop_recording(one)
        await conference.status(one, "ready")
        to = tmp_path / kind
        described = recorder.unzip(one, one, to)
        assert {file["streamId"] for file in described["files"]} == streams
        for file in described["files"]:
            assert (file["hasAudio"], file["hasVideo"]) == (kind == "audio", kind == "video")
            assert list(probe(to / file["name"]).codecs) == [kind]


async def test_a_muted_track_is_not_awaited_and_joins_when_it_comes(
    conference: Conference, recorder: RecorderProcess, tmp_path: Path
) -> None:
    await recorder.start()
    await conference.join("Alpha")
    publisher = await conference.publish("Alpha", video_active=False)
    publisher.video_on = False
    one = await conference.start_recording()
    await conference.status(one, "started", seconds=5)
    name = f"{conference.stream('Alpha')}.webm"
    await grown(recorder, name, 8_000)
    publisher.video.seek_key_frame()
    publisher.video_on = True
    await grown(recorder, name, 40_000)
    await conference.stop_recording(one)
    await conference.status(one, "ready")
    recorder.unzip(one, one, tmp_path / "zip")
    found = probe(tmp_path / "zip" / name)
    assert found.codecs == {"audio": "opus", "video": "vp8"}
    assert found.size == (320, 240)
    assert found.times["audio"][0] == 0
    assert found.times["video"][0] > 0.5
    assert_moving_pictures(found.frames)


async def test_vp9_is_recorded_too(
    conference: Conference, recorder: RecorderProcess, tmp_path: Path
) -> None:
    await recorder.start()
    await conference.join("Alpha")
    await conference.publish("Alpha", codec="VP9", clip=make_clip(4.0, codec="libvpx-vp9"))
    one = await conference.start_recording()
    await conference.status(one, "started")
    name = f"{conference.stream('Alpha')}.webm"
    await grown(recorder, name)
    await conference.stop_recording(one)
    await conference.status(one, "ready")
    recorder.unzip(one, one, tmp_path / "zip")
    found = probe(tmp_path / "zip" / name)
    assert found.codecs == {"audio": "opus", "video": "vp9"}
    assert_moving_pictures(found.frames)


async def test_a_stream_that_sends_nothing_fails_the_start_after_ten_seconds(
    conference: Conference, recorder: RecorderProcess
) -> None:
    await recorder.start()
    await conference.join("Alpha")
    await conference.join("Beta")
    await conference.publish("Alpha")
    await conference.publish("Beta", silent=True)
    one = await conference.start_recording()
    failed = await conference.status(one, "failed", seconds=20)
    assert failed.message == f"{conference.stream('Beta')}: no media"
    assert await conference.reports() == ["RecordingRequested", "RecordingFailed"]
    await until(lambda: recorder.entity(one)["status"] == "failed", "entity file")
    assert f"{conference.stream('Alpha')}.webm" in recorder.files(one)
    assert recorder.entity(one)["url"] is not None
    conference.node.publishers[conference.stream("Beta")].silent = False
    again = await conference.start_recording()
    assert again != one
    await conference.status(again, "started")


async def test_failed_streams_can_be_ignored(
    conference: Conference, recorder: RecorderProcess, tmp_path: Path
) -> None:
    await recorder.start()
    for name in ("Alpha", "Beta", "Gamma", "Delta"):
        await conference.join(name)
    await conference.publish("Alpha")
    beta = await conference.publish("Beta", silent=True)
    await conference.publish("Gamma", absent=True)
    await conference.publish("Delta", codec="H264")
    one = await conference.start_recording(ignore_failed_streams=True)
    await conference.status(one, "started", seconds=5)
    await grown(recorder, f"{conference.stream('Alpha')}.webm")
    beta.silent = False
    await grown(recorder, f"{conference.stream('Beta')}.webm")
    await conference.stop_recording(one)
    await conference.status(one, "ready")
    described = recorder.unzip(one, one, tmp_path / "zip")
    streams = {file["streamId"] for file in described["files"]}
    assert streams == {conference.stream("Alpha"), conference.stream("Beta")}


async def test_a_codec_that_cannot_be_recorded_fails_the_start_with_a_clear_message(
    conference: Conference, recorder: RecorderProcess
) -> None:
    await recorder.start()
    await conference.join("Alpha")
    await conference.publish("Alpha", codec="H264")
    one = await conference.start_recording()
    failed = await conference.status(one, "failed", seconds=8)
    assert failed.message is not None
    assert "H264 cannot be recorded" in failed.message


async def test_other_output_modes_fail_with_a_clear_message(
    conference: Conference, recorder: RecorderProcess
) -> None:
    from services.conference.model import OutputMode

    await recorder.start()
    await conference.join("Alpha")
    one = await conference.start_recording(output_mode=OutputMode.COMPOSED)
    failed = await conference.status(one, "failed", seconds=5)
    assert failed.message is not None
    assert "COMPOSED" in failed.message
    await until(lambda: recorder.entity(one)["status"] == "failed", "entity file")


async def test_closing_the_session_stops_the_recording_and_keeps_it(
    conference: Conference, recorder: RecorderProcess, tmp_path: Path
) -> None:
    await recorder.start()
    await conference.join("Alpha")
    await conference.publish("Alpha")
    one = await conference.start_recording()
    await conference.status(one, "started")
    await grown(recorder, f"{conference.stream('Alpha')}.webm")
    await conference.close()
    ready = await conference.status(one, "ready")
    assert ready.size > 20_000
    (file,) = recorder.unzip(one, one, tmp_path / "zip")["files"]
    assert file["clientData"] == "client-Alpha"


async def test_a_session_closed_while_the_recording_starts_ends_it_as_failed(
    conference: Conference, recorder: RecorderProcess
) -> None:
    await recorder.start()
    await conference.join("Alpha")
    await conference.publish("Alpha", silent=True)
    one = await conference.start_recording()
    await until(lambda: recorder.files(one), "folder")
    await conference.close()
    await conference.status(one, "failed")
    await until(lambda: recorder.entity(one)["status"] == "failed", "entity file")
    assert await conference.reports() == [
        "RecordingRequested",
        "RecordingStopped",
        "RecordingFailed",
    ]


async def test_deleting_removes_the_folder_and_its_id_can_be_used_again(
    conference: Conference, recorder: RecorderProcess
) -> None:
    await recorder.start()
    await conference.join("Alpha")
    await conference.publish("Alpha")
    for _ in range(2):
        one = await conference.start_recording()
        assert one == SESSION
        await conference.status(one, "started")
        await conference.stop_recording(one)
        await conference.status(one, "ready")
        await conference.delete_recording(one)
        await until(lambda: not (recorder.path / SESSION).exists(), "end of the folder")


async def test_a_recording_deleted_while_it_is_processed_is_gone(
    conference: Conference, recorder: RecorderProcess
) -> None:
    await recorder.start()
    await conference.join("Alpha")
    await conference.publish("Alpha")
    one = await conference.start_recording()
    await conference.status(one, "started")
    await grown(recorder, f"{conference.stream('Alpha')}.webm")
    await conference.stop_recording(one)
    await conference.delete_recording(one)
    await until(lambda: not (recorder.path / one).exists(), "end of the folder")
    again = await conference.start_recording()
    assert again == one
    await conference.status(again, "started")
    assert recorder.process is not None
    assert recorder.process.returncode is None


async def test_a_media_node_that_is_away_for_a_while_leaves_a_gap(
    conference: Conference, recorder: RecorderProcess, tmp_path: Path
) -> None:
    await recorder.start()
    await conference.join("Alpha")
    await conference.publish("Alpha")
    one = await conference.start_recording()
    await conference.status(one, "started")
    stream = conference.stream("Alpha")
    await grown(recorder, f"{stream}.webm")
    publisher = conference.node.publishers.pop(stream)
    publisher.taps.clear()
    await asyncio.sleep(2)  # the length of the gap
    publisher.due()
    conference.node.publishers[stream] = publisher
    size = recorder.size(one, f"{stream}.webm")
    await grown(recorder, f"{stream}.webm", size + 20_000)
    await conference.stop_recording(one)
    await conference.status(one, "ready")
    recorder.unzip(one, one, tmp_path / "zip")
    found = probe(tmp_path / "zip" / f"{stream}.webm")
    assert max(b - a for a, b in pairwise(found.times["audio"])) > 1.5
    assert_moving_pictures(found.frames)
