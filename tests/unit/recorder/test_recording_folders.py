from __future__ import annotations

import json
import os
import stat
import zipfile
from pathlib import Path

import pytest

from services.conference.model import OutputMode, RecordingProperties, RecordingStatus, VideoSource
from services.conference.state import Recording
from services.recorder.archive import (
    Archived,
    Cancelled,
    MediaFile,
    NoMedia,
    archive,
    complete,
    next_file,
    recover,
    write_note,
)
from services.recorder.store import Store, StoreInUse, UnsafeName
from services.recorder.webm import AUDIO_TRACK, Sample, WebmWriter
from tests.integration.recorder.clip import make_clip, probe

CREATED = 1_700_000_000_000


def recording(
    recording_id: str = "ses_A",
    *,
    name: str = "",
    created_at: int = CREATED,
    status: RecordingStatus = RecordingStatus.STARTING,
) -> Recording:
    return Recording(
        id=recording_id,
        session_id="ses_A",
        unique_session_id="ses_A_1699999999000",
        properties=RecordingProperties(name=name, output_mode=OutputMode.INDIVIDUAL),
        created_at=created_at,
        status=status,
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "recordings", "https://host")
    store.open()
    return store


def part(folder: Path, stream: str, start: int, *, note: bool = True, close: bool = True) -> Path:
    """Four seconds of sound as a stream's file, begun `start` ms after the recording."""
    name = next_file(folder, stream)
    media = MediaFile(
        name=name,
        connection_id="con_" + stream,
        stream_id=stream,
        client_data='{"user":"a"}',
        server_data="teacher",
        has_audio=True,
        has_video=True,
        type_of_video=VideoSource.CAMERA,
    )
    write_note(folder, media)
    if note:
        media.start_time = CREATED + start
        write_note(folder, media)
        writer = WebmWriter(folder / name)
        for number, data in enumerate(make_clip(4.0).audio):
            writer.write([Sample(AUDIO_TRACK, number * 20, True, data)])
        if close:
            complete(folder, media, writer.close())
        else:
            writer.abandon()
    return folder / name


def test_the_entity_file_is_the_recording_object_and_the_unique_session_id(store: Store) -> None:
    store.write_entity(recording(name="demo"))
    path = store.root / "ses_A" / ".recording.ses_A"
    entity = json.loads(path.read_bytes())
    assert entity == {
        "id": "ses_A",
        "object": "recording",
        "name": "demo",
        "outputMode": "INDIVIDUAL",
        "sessionId": "ses_A",
        "uniqueSessionId": "ses_A_1699999999000",
        "createdAt": CREATED,
        "size": 0,
        "duration": 0.0,
        "url": None,
        "hasAudio": True,
        "hasVideo": True,
        "status": "starting",
    }
    assert stat.S_IMODE(path.stat().st_mode) & 0o137 == 0
    store.write_entity(recording(name="demo", status=RecordingStatus.READY))
    entity = json.loads(path.read_bytes())
    assert entity["status"] == "ready"
    assert entity["url"] == "https://host/openvidu/recordings/ses_A/demo.zip"
    assert os.listdir(path.parent) == [".recording.ses_A"]


def test_a_folder_of_another_recording_is_never_taken(store: Store) -> None:
    store.write_entity(recording(created_at=CREATED - 1))
    with pytest.raises(FileExistsError, match="something else"):
        store.write_entity(recording())
    stranger = store.root / "ses_B"
    stranger.mkdir()
    (stranger / "precious").touch()
    with pytest.raises(FileExistsError):
        store.write_entity(recording("ses_B"))
    assert (stranger / "precious").exists()


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../a", ".recorder-lock", "a\0b", "ä", "a b"]
)
def test_no_id_or_name_leads_out_of_the_directory(store: Store, name: str) -> None:
    with pytest.raises(UnsafeName):
        store.delete(name)
    with pytest.raises(UnsafeName):
        store.write_entity(recording(name or "."))
    if name:
        with pytest.raises(UnsafeName):
            store.write_entity(recording(name=name))
    with pytest.raises(UnsafeName):
        next_file(store.root, name)


def test_deleting_removes_the_folder_and_follows_no_link(store: Store, tmp_path: Path) -> None:
    store.write_entity(recording())
    store.delete("ses_A")
    store.delete("ses_A")
    assert not (store.root / "ses_A").exists()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    (store.root / "link").symlink_to(outside)
    store.delete("link")
    assert (outside / "file").exists()
    assert not (store.root / "link").is_symlink()


def test_corrupt_entity_files_are_passed_over(store: Store) -> None:
    store.write_entity(recording("ses_A"))
    for name, content in (("ses_B", b"{"), ("ses_C", b"[]"), ("ses_D", b'{"id":"ses_X"}')):
        (store.root / name).mkdir()
        (store.root / name / f".recording.{name}").write_bytes(content)
    (store.root / "file").touch()
    assert [entity.id for entity in store.entities()] == ["ses_A"]


def test_two_recorders_do_not_share_a_directory(store: Store) -> None:
    other = Store(store.root, "")
    with pytest.raises(StoreInUse):
        other.open()
    store.close()
    other.open()
    other.close()


def test_the_position_is_kept_and_a_broken_one_is_none(store: Store) -> None:
    assert store.position() == 0
    store.keep_position(42)
    assert store.position() == 42
    (store.root / ".recorder-position").write_bytes(b"nonsense")
    assert store.position() == 0


def test_a_second_file_of_a_stream_gets_a_number(store: Store) -> None:
    store.write_entity(recording())
    folder = store.folder("ses_A")
    names = [part(folder, "str_CAM_1", 0).name for _ in range(3)]
    assert names == ["str_CAM_1.webm", "str_CAM_1-1.webm", "str_CAM_1-2.webm"]


def test_the_zip_holds_the_files_and_their_synchronisation_and_nothing_else_is_left(
    store: Store,
) -> None:
    one = recording(name="demo")
    store.write_entity(one)
    folder = store.folder("ses_A")
    sizes = [part(folder, "str_CAM_1", 95).stat().st_size for _ in range(2)]
    sizes.append(part(folder, "str_MIC_2", 5000).stat().st_size)
    part(folder, "str_CAM_3", 0, note=False)  # never any media
    assert archive(folder, one) == Archived(sum(sizes), pytest.approx(4.905 + 4.0))
    assert sorted(os.listdir(folder)) == [".recording.ses_A", "demo.zip"]
    with zipfile.ZipFile(folder / "demo.zip") as zipped:
        assert zipped.testzip() is None
        assert sorted(zipped.namelist()) == [
            "demo.json",
            "str_CAM_1-1.webm",
            "str_CAM_1.webm",
            "str_MIC_2.webm",
        ]
        assert all(entry.compress_type == zipfile.ZIP_STORED for entry in zipped.infolist())
        text = zipped.read("demo.json").decode()
        zipped.extract("str_MIC_2.webm", folder.parent)
    assert probe(folder.parent / "str_MIC_2.webm").duration == pytest.approx(4.0)
    assert text.startswith('{\n  "createdAt": 1700000000000,\n  "id": "ses_A",\n')
    described = json.loads(text)
    assert list(described) == ["createdAt", "id", "name", "sessionId", "files"]
    assert list(described["files"][0].items()) == [
        ("name", "str_CAM_1-1.webm"),
        ("connectionId", "con_str_CAM_1"),
        ("streamId", "str_CAM_1"),
        ("size", sizes[1]),
        ("clientData", '{"user":"a"}'),
        ("serverData", "teacher"),
        ("hasAudio", True),
        ("hasVideo", True),
        ("typeOfVideo", "CAMERA"),
        ("startTimeOffset", 95),
        ("endTimeOffset", 4095),
    ]


def test_archiving_again_gives_the_same_and_ends_what_was_left_undone(store: Store) -> None:
    store.write_entity(recording())
    folder = store.folder("ses_A")
    part(folder, "str_CAM_1", 100)
    first = archive(folder, recording())
    content = (folder / "ses_A.zip").read_bytes()
    part(folder, "str_CAM_1", 100)  # as if the process had died before it removed them
    assert archive(folder, recording()) == first
    assert (folder / "ses_A.zip").read_bytes() == content
    assert sorted(os.listdir(folder)) == [".recording.ses_A", "ses_A.zip"]


def test_an_unfinished_zip_is_made_anew(store: Store) -> None:
    store.write_entity(recording())
    folder = store.folder("ses_A")
    part(folder, "str_CAM_1", 100)
    (folder / ".ses_A.zip.new").write_bytes(b"half a zip")
    archive(folder, recording())
    assert sorted(os.listdir(folder)) == [".recording.ses_A", "ses_A.zip"]


def test_files_of_a_killed_recorder_are_finished(store: Store) -> None:
    store.write_entity(recording())
    folder = store.folder("ses_A")
    path = part(folder, "str_CAM_1", 100, close=False)
    with path.open("ab") as file:
        file.write(b"\x1f\x43\xb6\x75\x01")
    recover(folder)
    assert probe(path).duration == pytest.approx(4.0)
    note = json.loads((folder / ".stream.str_CAM_1").read_bytes())
    assert note["endTime"] == CREATED + 4100
    assert note["size"] == path.stat().st_size
    assert archive(folder, recording()).duration == pytest.approx(4.0)


def test_a_recording_without_streams_is_an_archive_without_files(store: Store) -> None:
    store.write_entity(recording())
    assert archive(store.folder("ses_A"), recording()) == Archived(0, 0.0)
    with zipfile.ZipFile(store.root / "ses_A" / "ses_A.zip") as zipped:
        assert json.loads(zipped.read("ses_A.json"))["files"] == []


def test_streams_that_all_sent_nothing_are_no_archive(store: Store) -> None:
    store.write_entity(recording())
    part(store.folder("ses_A"), "str_CAM_1", 0, note=False)
    with pytest.raises(NoMedia):
        archive(store.folder("ses_A"), recording())


def test_a_deleted_recording_is_not_archived_to_the_end(store: Store) -> None:
    store.write_entity(recording())
    folder = store.folder("ses_A")
    part(folder, "str_CAM_1", 0)
    with pytest.raises(Cancelled):
        archive(folder, recording(), lambda: True)
    assert not (folder / "ses_A.zip").exists()


def test_a_broken_file_is_an_error_and_stays(store: Store) -> None:
    store.write_entity(recording())
    folder = store.folder("ses_A")
    path = part(folder, "str_CAM_1", 0, close=False)
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(ValueError, match="does not begin"):
        archive(folder, recording())
    assert path.exists()
