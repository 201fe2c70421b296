from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from services.recorder.webm import (
    AUDIO_TRACK,
    VIDEO_TRACK,
    Sample,
    VideoFormat,
    WebmWriter,
    repair,
)
from tests.integration.recorder.clip import (
    Clip,
    assert_moving_pictures,
    make_clip,
    probe,
)

ROOT = Path(__file__).parents[3]


def samples(clip: Clip, *, audio: bool = True, video: bool = True) -> list[Sample]:
    found = []
    if video:
        found += [
            Sample(VIDEO_TRACK, round(number * 1000 / 30), key, data)
            for number, (data, key) in enumerate(clip.video)
        ]
    if audio:
        found += [
            Sample(AUDIO_TRACK, number * 20, True, data) for number, data in enumerate(clip.audio)
        ]
    return sorted(found, key=lambda sample: sample.time)


def write(path: Path, media: list[Sample], video: VideoFormat | None) -> WebmWriter:
    writer = WebmWriter(path)
    if video is not None:
        writer.describe_video(video)
    for start in range(0, len(media), 80):
        writer.write(media[start : start + 80])
    return writer


@pytest.mark.parametrize(("codec", "name"), [("libvpx", "VP8"), ("libvpx-vp9", "VP9")])
def test_a_closed_file_plays_with_its_codecs_size_and_duration(
    tmp_path: Path, codec: str, name: str
) -> None:
    clip = make_clip(4.0, codec=codec)
    path = tmp_path / "a.webm"
    assert write(path, samples(clip), VideoFormat(name, 320, 240)).close() == pytest.approx(
        4000, abs=2
    )
    found = probe(path)
    assert found.codecs == {"audio": "opus", "video": name.lower()}
    assert found.size == (320, 240)
    assert found.duration == pytest.approx(4.0, abs=0.002)
    assert len(found.frames) == 120
    assert_moving_pictures(found.frames)
    assert found.samples == pytest.approx(4 * 48_000, abs=960)
    for times in found.times.values():
        assert times == sorted(set(times))


def test_ffprobe_reads_the_duration_and_ffmpeg_seeks(tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    write(path, samples(make_clip(4.0)), VideoFormat("VP8", 320, 240)).close()
    probed = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", path],
        capture_output=True,
        text=True,
        check=True,
    )
    assert probed.stderr == ""
    assert float(probed.stdout) == pytest.approx(4.0, abs=0.05)
    sought = subprocess.run(
        ["ffmpeg", "-v", "error", "-ss", "2.5", "-i", path, "-f", "null", "-"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert sought.stderr == ""


@pytest.mark.parametrize("kind", ["audio", "video"])
def test_a_track_that_never_came_is_not_in_the_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.webm"
    media = samples(make_clip(4.0), audio=kind == "audio", video=kind == "video")
    write(path, media, None if kind == "audio" else VideoFormat("VP8", 320, 240)).close()
    found = probe(path)
    assert list(found.codecs) == [kind]
    assert found.duration == pytest.approx(4.0, abs=0.002)


def test_gaps_stay_gaps(tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    media = samples(make_clip(4.0), video=False)
    moved = [s._replace(time=s.time + 100_000) if s.time >= 2000 else s for s in media]
    assert write(path, moved, None).close() == 104_000
    times = probe(path).times["audio"]
    assert times[99:101] == [pytest.approx(1.98), pytest.approx(102.0)]


def test_a_sample_that_comes_too_late_does_not_turn_time_back(tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    media = samples(make_clip(4.0))
    writer = WebmWriter(path)
    writer.describe_video(VideoFormat("VP8", 320, 240))
    late = [sample for sample in media if sample.track == VIDEO_TRACK and sample.time < 500]
    writer.write([s for s in media if s.track == AUDIO_TRACK and s.time < 500])
    writer.write(late)
    writer.write([s for s in media if s.time >= 500])
    writer.close()
    found = probe(path)
    assert len(found.frames) == 120
    for times in found.times.values():
        assert times == sorted(times)


def test_a_file_cut_anywhere_plays_and_can_be_repaired(tmp_path: Path) -> None:
    whole = tmp_path / "whole.webm"
    writer = write(whole, samples(make_clip(4.0)), VideoFormat("VP8", 320, 240))
    shutil.copy(whole, tmp_path / "open.webm")
    writer.close()
    size = (tmp_path / "open.webm").stat().st_size
    for cut in range(size, 600, -1711):
        path = tmp_path / "cut.webm"
        shutil.copy(tmp_path / "open.webm", path)
        os.truncate(path, cut)
        duration = repair(path)
        content = path.read_bytes()
        assert repair(path) == duration
        assert path.read_bytes() == content
        if duration:
            segment = content.index(b"\x18\x53\x80\x67") + 4
            length = int.from_bytes(content[segment : segment + 8], "big") & (1 << 56) - 1
            assert segment + 8 + length == len(content)
            found = probe(path)
            assert found.duration == pytest.approx(duration / 1000)
            assert duration / 1000 >= 4.0 * (cut - 1) / size - 1.5
            if found.frames:
                assert_moving_pictures(found.frames)


@pytest.mark.parametrize("content", [b"", b"\x1a\x45\xdf\xa3", b"no webm at all" * 100])
def test_what_is_no_file_of_ours_is_not_repaired(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.webm"
    path.write_bytes(content)
    if len(content) < 100:
        assert repair(path) == 0
    else:
        with pytest.raises(ValueError, match="does not begin"):
            repair(path)
    assert path.read_bytes() == content


def test_damage_inside_a_file_ends_it_there(tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    write(path, samples(make_clip(4.0)), VideoFormat("VP8", 320, 240)).abandon()
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle:] = bytes(len(content) - middle)
    path.write_bytes(content)
    assert 1000 <= repair(path) <= 3000
    assert_moving_pictures(probe(path).frames)


def test_a_full_disk_is_an_error_and_leaves_what_was_written(tmp_path: Path) -> None:
    """`RLIMIT_FSIZE` stands for the disk: the write is cut short, then refused."""
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from tests.unit.recorder.test_webm_files import *\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))\n"
        "try:\n"
        "    write(Path(sys.argv[1]), samples(make_clip(4.0)), VideoFormat('VP8', 320, 240))\n"
        "except OSError as error:\n"
        "    print(error.errno)\n"
    )
    path = tmp_path / "a.webm"
    done = subprocess.run(
        [sys.executable, "-c", program, path], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "27"
    assert repair(path) > 1000
    assert_moving_pictures(probe(path).frames)


def test_the_file_of_a_writer_killed_in_the_middle_plays(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.unit.recorder.test_webm_files import *\n"
        "writer = WebmWriter(Path(sys.argv[1]))\n"
        "writer.describe_video(VideoFormat('VP8', 320, 240))\n"
        "clip = samples(make_clip(4.0))\n"
        "shift = 0\n"
        "while True:\n"
        "    for start in range(0, len(clip), 80):\n"
        "        part = clip[start : start + 80]\n"
        "        writer.write([s._replace(time=s.time + shift) for s in part])\n"
        "    shift += 4000\n"
    )
    path = tmp_path / "a.webm"
    process = subprocess.Popen([sys.executable, "-c", program, path], cwd=ROOT)
    try:
        deadline = time.monotonic() + 60
        while not path.exists() or path.stat().st_size < 200_000:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    killed = probe(path)
    assert killed.codecs == {"audio": "opus", "video": "vp8"}
    assert_moving_pictures(killed.frames)
    duration = repair(path) / 1000
    assert duration > 8
    assert probe(path).duration == pytest.approx(duration)
