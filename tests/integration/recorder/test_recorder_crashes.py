from __future__ import annotations

import asyncio
import json
import resource
from itertools import pairwise
from pathlib import Path

import pytest

from services.eventlog.server import NatsServer

from .clip import assert_moving_pictures, probe
from .conftest import SESSION, Conference, RecorderProcess
from .media_node import until


async def recorded(
    conference: Conference, recorder: RecorderProcess, *names: str, start: bool = True
) -> str:
    """A recording of these participants that holds a few seconds of each."""
    await recorder.start()
    for name in names:
        await conference.join(name)
        await conference.publish(name)
    one = await conference.start_recording()
    await conference.status(one, "started")
    for name in names:
        await grown(recorder, f"{conference.stream(name)}.webm")
    return one


async def grown(recorder: RecorderProcess, name: str, size: int = 20_000) -> None:
    await until(lambda: recorder.size(SESSION, name) > size, f"growing {name}")


async def test_a_killed_recorder_goes_on_with_new_files_and_the_end_holds_both(
    conference: Conference, recorder: RecorderProcess, tmp_path: Path
) -> None:
    one = await recorded(conference, recorder, "Alpha", "Beta")
    await recorder.kill()
    alpha, beta = conference.stream("Alpha"), conference.stream("Beta")
    killed = probe(recorder.path / one / f"{alpha}.webm")
    assert killed.codecs == {"audio": "opus", "video": "vp8"}
    assert_moving_pictures(killed.frames)

    await conference.unpublish("Beta")  # nobody is there to see it
    await conference.leave("Beta")
    await recorder.start()
    await grown(recorder, f"{alpha}-1.webm")
    await conference.stop_recording(one)
    ready = await conference.status(one, "ready")
    assert await conference.reports() == [
        "RecordingRequested",
        "RecordingStarted",
        "RecordingStopped",
        "RecordingReady",
    ]
    await until(lambda: recorder.entity(one)["status"] == "ready", "entity file")
    assert recorder.files(one) == [f".recording.{one}", f"{one}.zip"]
    described = recorder.unzip(one, one, tmp_path / "zip")
    files = {file["name"]: file for file in described["files"]}
    assert set(files) == {f"{alpha}.webm", f"{alpha}-1.webm", f"{beta}.webm"}
    assert files[f"{beta}.webm"]["clientData"] == "client-Beta"
    assert files[f"{alpha}.webm"]["endTimeOffset"] < files[f"{alpha}-1.webm"]["startTimeOffset"]
    for name, file in files.items():
        path = tmp_path / "zip" / name
        found = probe(path)
        assert file["size"] == path.stat().st_size
        length = (file["endTimeOffset"] - file["startTimeOffset"]) / 1000
        assert found.duration == pytest.approx(length, abs=0.05)
        assert length > 1
        assert_moving_pictures(found.frames)
    assert ready.size == sum(file["size"] for file in files.values())


@pytest.mark.parametrize("how", ["stop", "close"])
async def test_a_recording_stopped_while_the_recorder_was_dead_gets_its_zip(
    conference: Conference, recorder: RecorderProcess, tmp_path: Path, how: str
) -> None:
    one = await recorded(conference, recorder, "Alpha")
    await recorder.kill()
    if how == "stop":
        await conference.stop_recording(one)
    else:
        await conference.close()
    await recorder.start()
    ready = await conference.status(one, "ready")
    assert ready.size > 20_000
    assert ready.duration > 1
    (file,) = recorder.unzip(one, one, tmp_path / "zip")["files"]
    assert file["clientData"] == "client-Alpha"
    assert_moving_pictures(probe(tmp_path / "zip" / file["name"]).frames)


async def test_a_terminated_recorder_closes_its_files_and_the_next_one_goes_on(
    conference: Conference, recorder: RecorderProcess, tmp_path: Path
) -> None:
    one = await recorded(conference, recorder, "Alpha")
    assert await recorder.terminate() == 0
    stream = conference.stream("Alpha")
    note = json.loads((recorder.path / one / f".stream.{stream}").read_bytes())
    found = probe(recorder.path / one / f"{stream}.webm")
    assert note["endTime"] - note["startTime"] == pytest.approx(found.duration * 1000, abs=50)
    assert not conference.node.publishers[stream].taps
    await recorder.start()
    await grown(recorder, f"{stream}-1.webm")
    await conference.stop_recording(one)
    await conference.status(one, "ready")
    assert len(recorder.unzip(one, one, tmp_path / "zip")["files"]) == 2


async def test_a_recording_asked_for_while_the_recorder_was_dead_starts_with_it(
    conference: Conference, recorder: RecorderProcess
) -> None:
    await recorder.start()
    await recorder.kill()
    await conference.join("Alpha")
    await conference.publish("Alpha")
    one = await conference.start_recording()
    await recorder.start()
    await conference.status(one, "started", seconds=9)


async def test_deletions_during_an_outage_are_made_up_for(
    conference: Conference, recorder: RecorderProcess
) -> None:
    await recorder.start()
    await conference.join("Alpha")
    ids = []
    for _ in range(3):
        one = await conference.start_recording()
        await conference.status(one, "started")
        await conference.stop_recording(one)
        await conference.status(one, "ready")
        ids.append(one)
    stranger = recorder.path / "stranger"
    stranger.mkdir()
    (stranger / "precious").touch()
    await recorder.kill()
    for one in ids[:2]:
        await conference.delete_recording(one)
    again = await conference.start_recording()
    assert again == ids[0]
    await recorder.start()
    await conference.status(again, "started")
    assert recorder.entity(again)["createdAt"] == (
        (await conference.state()).recordings[again].created_at
    )
    await until(lambda: not (recorder.path / ids[1]).exists(), "end of the folder")
    assert f"{ids[2]}.zip" in recorder.files(ids[2])
    assert (stranger / "precious").exists()


async def test_killed_again_and_again_it_still_ends_once(
    conference: Conference, recorder: RecorderProcess, tmp_path: Path
) -> None:
    one = await recorded(conference, recorder, "Alpha", "Beta")
    await recorder.kill()
    await recorder.start()
    await recorder.kill()
    await conference.stop_recording(one)
    for pause in (0.3, 0.45, 0.6):
        await recorder.start(wait=False)
        await asyncio.sleep(pause)  # somewhere between its start and the end of its work
        await recorder.kill()
    await recorder.start()
    await conference.status(one, "ready")
    await until(lambda: recorder.entity(one)["status"] == "ready", "entity file")
    assert (await conference.reports()).count("RecordingReady") == 1
    assert recorder.files(one) == [f".recording.{one}", f"{one}.zip"]
    assert len(recorder.unzip(one, one, tmp_path / "zip")["files"]) >= 2


async def test_a_folder_that_cannot_be_made_fails_the_start_and_the_recorder_lives(
    conference: Conference, recorder: RecorderProcess
) -> None:
    await recorder.start()
    (recorder.path / SESSION).write_text("in the way")
    await conference.join("Alpha")
    await conference.publish("Alpha")
    one = await conference.start_recording()
    failed = await conference.status(one, "failed", seconds=5)
    assert failed.message is not None
    assert "in the place of" in failed.message
    again = await conference.start_recording()
    await conference.status(again, "started")


async def test_a_disk_that_gets_full_fails_the_recording_and_the_recorder_lives(
    conference: Conference, recorder: RecorderProcess
) -> None:
    """A limit on the size of its files stands for the disk."""
    await recorder.start()
    assert recorder.process is not None
    pid = recorder.process.pid
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (30_000, resource.RLIM_INFINITY))
    await conference.join("Alpha")
    await conference.publish("Alpha")
    one = await conference.start_recording()
    await conference.status(one, "started")
    failed = await conference.status(one, "failed")
    assert failed.message == "The recording cannot be written: File too large."
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    stream = conference.stream("Alpha")
    assert recorder.size(one, f"{stream}.webm") <= 30_000
    again = await conference.start_recording()
    await conference.status(again, "started")
    name = recorder.path / again / f"{stream}.webm"
    await until(lambda: name.exists() and name.stat().st_size > 20_000, "media")
    await conference.stop_recording(again)
    await conference.status(again, "ready")
    assert recorder.process.returncode is None


async def test_a_broker_that_is_away_for_a_while_costs_no_media(
    conference: Conference, recorder: RecorderProcess, nats: NatsServer, tmp_path: Path
) -> None:
    one = await recorded(conference, recorder, "Alpha")
    stream = conference.stream("Alpha")
    await nats.stop()
    size = recorder.size(one, f"{stream}.webm")
    await grown(recorder, f"{stream}.webm", size + 40_000)
    await nats.start()
    await conference.stop_recording(one)
    await conference.status(one, "ready")
    (file,) = recorder.unzip(one, one, tmp_path / "zip")["files"]
    found = probe(tmp_path / "zip" / file["name"])
    assert max(b - a for a, b in pairwise(found.times["audio"])) < 1.0
    assert found.duration > 3
    assert_moving_pictures(found.frames)


async def test_a_second_recorder_on_the_same_directory_refuses_to_run(
    conference: Conference, recorder: RecorderProcess
) -> None:
    await recorder.start()
    first = recorder.process
    await recorder.start(wait=False)
    assert recorder.process is not None
    assert await asyncio.wait_for(recorder.process.wait(), 20) == 1
    recorder.process = first
