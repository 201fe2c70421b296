"""Names, rotation, retention and repair of CDR files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from services.webhooks import cdr
from services.webhooks.cdr import CdrFile, CdrUnusable, finish
from services.webhooks.store import CdrPlace

START = datetime(2024, 4, 2, 9, 26, 5, tzinfo=UTC)


class Now:
    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def file(tmp_path: Path, now: Now) -> Iterator[CdrFile]:
    file = CdrFile(tmp_path / "cdr", now=now)
    yield file
    file.close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_file_exists_from_the_start_with_the_time_of_the_start_in_its_name(
    file: CdrFile, tmp_path: Path
) -> None:
    file.open(None)
    assert names(tmp_path / "cdr") == ["CDR.2024-04-02_09-26-05.log"]
    assert file.place == CdrPlace(str(tmp_path / "cdr/CDR.2024-04-02_09-26-05.log"), 0)


def test_a_line_can_be_read_at_once(file: CdrFile) -> None:
    file.open(None)
    file.append(b'{"a":{}}\n')
    assert Path(file.place.path).read_bytes() == b'{"a":{}}\n'
    file.append(b'{"b":{}}\n{"c":{}}\n')
    assert Path(file.place.path).read_bytes() == b'{"a":{}}\n{"b":{}}\n{"c":{}}\n'
    assert file.place.size == 27


def test_each_day_has_a_file_whose_name_keeps_the_time_of_the_start(
    file: CdrFile, tmp_path: Path, now: Now
) -> None:
    file.open(None)
    file.append(b"1\n")
    now.time = START.replace(hour=23, minute=59)
    assert not file.day_is_over
    now.time += timedelta(minutes=2)
    assert file.day_is_over
    file.rotate()
    assert file.place.size == 0
    file.append(b"2\n")
    folder = tmp_path / "cdr"
    assert names(folder) == ["CDR.2024-04-02_09-26-05.log", "CDR.2024-04-03_09-26-05.log"]
    assert [(folder / name).read_bytes() for name in names(folder)] == [b"1\n", b"2\n"]


def test_what_a_crash_left_behind_the_last_position_is_cut_off(
    file: CdrFile, tmp_path: Path, now: Now
) -> None:
    file.open(None)
    file.append(b"kept\n")
    place = file.place
    file.append(b"not kept\nhal")
    file.close()
    now.time += timedelta(seconds=3)
    after = CdrFile(tmp_path / "cdr", now=now)
    after.open(place)
    after.append(b"not kept\n")
    after.close()
    folder = tmp_path / "cdr"
    assert [(folder / name).read_bytes() for name in names(folder)] == [b"kept\n", b"not kept\n"]


def test_two_starts_within_one_second_share_a_file(file: CdrFile, tmp_path: Path, now: Now) -> None:
    file.open(None)
    file.append(b"kept\n")
    place = file.place
    file.append(b"lost in a crash\n")
    file.close()
    after = CdrFile(tmp_path / "cdr", now=now)
    after.open(place)
    assert after.place == place
    after.append(b"next\n")
    after.close()
    assert Path(place.path).read_bytes() == b"kept\nnext\n"


def test_the_last_file_is_repaired_where_it_was_if_the_folder_changed(
    file: CdrFile, tmp_path: Path, now: Now
) -> None:
    file.open(None)
    file.append(b"kept\nlost\n")
    file.close()
    after = CdrFile(tmp_path / "elsewhere", now=now)
    after.open(CdrPlace(file.place.path, 5))
    after.close()
    assert Path(file.place.path).read_bytes() == b"kept\n"
    assert names(tmp_path / "elsewhere") == ["CDR.2024-04-02_09-26-05.log"]


@pytest.mark.parametrize("damage", ["gone", "shorter"])
def test_a_last_file_that_somebody_changed_is_told_and_does_not_stop_the_start(
    file: CdrFile, tmp_path: Path, now: Now, damage: str
) -> None:
    file.open(None)
    file.append(b"12345\n")
    file.close()
    if damage == "gone":
        Path(file.place.path).unlink()
    else:
        os.truncate(file.place.path, 3)
    now.time += timedelta(seconds=1)
    after = CdrFile(tmp_path / "cdr", now=now)
    with capture_logs() as lines:
        after.open(file.place)
    after.close()
    assert [line["log_level"] for line in lines] == ["warning"]


def test_a_write_that_stopped_halfway_is_made_whole_by_the_next_try(
    file: CdrFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.open(None)
    file.append(b"first\n")
    real = os.pwrite

    def full_disk(descriptor: int, data: bytes, offset: int) -> int:
        if offset > 6:
            raise OSError(28, "No space left on device")
        return real(descriptor, bytes(data)[:4], offset)

    monkeypatch.setattr(os, "pwrite", full_disk)
    with pytest.raises(OSError, match="No space"):
        file.append(b"second\n")
    monkeypatch.setattr(os, "pwrite", real)
    assert file.place.size == 6
    file.append(b"second\n")
    assert Path(file.place.path).read_bytes() == b"first\nsecond\n"


def test_files_of_thirty_days_are_kept(tmp_path: Path, file: CdrFile) -> None:
    folder = tmp_path / "cdr"
    folder.mkdir()
    for age in (28, 29, 30, 400):
        (folder / f"CDR.{START - timedelta(days=age):%Y-%m-%d}_10-00-00.log").touch()
    (folder / "notes.txt").touch()
    (folder / "CDR.2020-01-01_10-00-00.log.gz").touch()
    file.open(None)
    assert names(folder) == [
        "CDR.2020-01-01_10-00-00.log.gz",
        "CDR.2024-03-04_10-00-00.log",
        "CDR.2024-03-05_10-00-00.log",
        "CDR.2024-04-02_09-26-05.log",
        "notes.txt",
    ]


def test_the_oldest_files_make_room_when_all_are_too_large(
    tmp_path: Path, file: CdrFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cdr, "KEPT_BYTES", 250)
    folder = tmp_path / "cdr"
    folder.mkdir()
    for age in (1, 2, 3):
        path = folder / f"CDR.{START - timedelta(days=age):%Y-%m-%d}_10-00-00.log"
        path.write_bytes(bytes(100))
    file.open(None)
    assert names(folder) == [
        "CDR.2024-03-31_10-00-00.log",
        "CDR.2024-04-01_10-00-00.log",
        "CDR.2024-04-02_09-26-05.log",
    ]


def test_a_folder_that_cannot_be_written_stops_the_start_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CdrUnusable, match=r"OPENVIDU_CDR_PATH.*/file/cdr.*Not a directory"):
        CdrFile(tmp_path / "file/cdr").open(None)


def test_when_cdr_is_switched_off_only_half_a_line_is_taken_back(file: CdrFile) -> None:
    file.open(None)
    file.append(b"kept\n")
    place = file.place
    finish(place)
    assert Path(place.path).read_bytes() == b"kept\n"
    file.append(b"written\nhal")
    finish(place)
    assert Path(place.path).read_bytes() == b"kept\nwritten\n"
    Path(place.path).unlink()
    finish(place)
