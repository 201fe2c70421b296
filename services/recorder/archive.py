"""What becomes of the files of an INDIVIDUAL recording (`recording.md` 6.1, 6.2).

Each media file has a `.stream.<file>` beside it from before its first byte, so that whatever
happens it is known whose it is. At the end all go into one zip, and only when that is safely on
the disk are the loose files removed. Everything here blocks on the disk.
"""

from __future__ import annotations

import os
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from services.conference.model import VideoSource
from services.conference.state import Recording

from .store import safe, sync_directory, write_whole
from .webm import repair

_CHUNK = 1024 * 1024
_NOTE = ".stream."


class Cancelled(Exception):
    """The recording was deleted meanwhile."""


class NoMedia(Exception):
    """There were streams to record, and none of them sent anything."""


class MediaFile(msgspec.Struct, rename="camel"):
    """The content of `.stream.<file>`. Times in ms of the epoch, `duration` in ms.

    `start_time` is 0 until there is media, `end_time` until the file is complete.
    """

    name: str
    connection_id: str
    stream_id: str
    client_data: str
    server_data: str
    has_audio: bool
    has_video: bool
    type_of_video: VideoSource | UnsetType = UNSET
    start_time: int = 0
    end_time: int = 0
    duration: int = 0
    size: int = 0


class SynchronisedFile(msgspec.Struct, rename="camel", kw_only=True):
    name: str
    connection_id: str
    stream_id: str
    size: int
    client_data: str
    server_data: str
    has_audio: bool
    has_video: bool
    type_of_video: VideoSource | UnsetType = UNSET
    start_time_offset: int
    end_time_offset: int


class Synchronisation(msgspec.Struct, rename="camel"):
    """`<name>.json` in the zip. Offsets are ms from `created_at`."""

    created_at: int
    id: str
    name: str
    session_id: str
    files: list[SynchronisedFile]


class Archived(NamedTuple):
    """`size` of the media files in bytes, `duration` in seconds (`recording.md` 6.1)."""

    size: int
    duration: float


def next_file(folder: Path, stream_id: str) -> str:
    """`<streamId>.webm`, or the first free of `<streamId>-1.webm`, …"""
    stem = safe(stream_id)
    number = 0
    while True:
        name = f"{stem}-{number}" if number else stem
        if not (folder / f"{_NOTE}{name}").exists() and not (folder / f"{name}.webm").exists():
            return f"{name}.webm"
        number += 1


def write_note(folder: Path, media: MediaFile) -> None:
    write_whole(folder / f"{_NOTE}{media.name.removesuffix('.webm')}", msgspec.json.encode(media))


def complete(folder: Path, media: MediaFile, duration: int) -> None:
    """Note the end of a file that lasts `duration` ms."""
    media.duration = duration
    media.end_time = media.start_time + duration
    media.size = (folder / media.name).stat().st_size
    write_note(folder, media)


def recover(folder: Path) -> None:
    """Finish the files of a recorder that was killed. Raises `ValueError` for a broken one."""
    for media in _notes(folder):
        if media.end_time or not (folder / media.name).exists():
            continue
        duration = repair(folder / media.name)
        if duration and media.start_time:
            complete(folder, media, duration)


def archive(
    folder: Path, recording: Recording, cancelled: Callable[[], bool] = lambda: False
) -> Archived:
    """Put everything into the zip, once; again after a crash, at any point.

    Raises `NoMedia`, `Cancelled`, or `ValueError` for a broken file.
    """
    target = folder / f"{safe(recording.name)}.zip"
    if target.exists():
        synchronisation = _read_back(target, f"{recording.name}.json")
    else:
        recover(folder)
        synchronisation = _synchronisation(folder, recording)
        _write_zip(target, folder, synchronisation, cancelled)
    _remove_loose(folder)
    files = synchronisation.files
    if not files:
        return Archived(0, 0.0)
    first = min(file.start_time_offset for file in files)
    last = max(file.end_time_offset for file in files)
    return Archived(sum(file.size for file in files), (last - first) / 1000)


def _notes(folder: Path) -> list[MediaFile]:
    notes = []
    for path in sorted(folder.glob(f"{_NOTE}*")):
        if path.suffix == ".new":
            continue
        media = msgspec.json.decode(path.read_bytes(), type=MediaFile)
        safe(media.name.removesuffix(".webm"))
        notes.append(media)
    return notes


def _synchronisation(folder: Path, recording: Recording) -> Synchronisation:
    notes = _notes(folder)
    complete_files = [media for media in notes if media.end_time]
    if notes and not complete_files:
        raise NoMedia("None of the streams sent any media.")
    return Synchronisation(
        created_at=recording.created_at,
        id=recording.id,
        name=recording.name,
        session_id=recording.session_id,
        files=[
            SynchronisedFile(
                name=media.name,
                connection_id=media.connection_id,
                stream_id=media.stream_id,
                size=media.size,
                client_data=media.client_data,
                server_data=media.server_data,
                has_audio=media.has_audio,
                has_video=media.has_video,
                type_of_video=media.type_of_video,
                start_time_offset=media.start_time - recording.created_at,
                end_time_offset=media.end_time - recording.created_at,
            )
            for media in sorted(complete_files, key=lambda media: (media.start_time, media.name))
        ],
    )


def _write_zip(
    target: Path, folder: Path, synchronisation: Synchronisation, cancelled: Callable[[], bool]
) -> None:
    temporary = folder / f".{target.name}.new"
    with temporary.open("wb") as output:
        with zipfile.ZipFile(output, "w", zipfile.ZIP_STORED) as archive:
            for file in synchronisation.files:
                source = folder / file.name
                entry = _entry(file.name, source.stat().st_mtime)
                large = file.size >= zipfile.ZIP64_LIMIT // 2
                with (
                    source.open("rb") as media,
                    archive.open(entry, "w", force_zip64=large) as inside,
                ):
                    while chunk := media.read(_CHUNK):
                        if cancelled():
                            raise Cancelled
                        inside.write(chunk)
            text = msgspec.json.format(msgspec.json.encode(synchronisation), indent=2)
            archive.writestr(_entry(f"{synchronisation.name}.json", time.time()), text + b"\n")
        output.flush()
        os.fsync(output.fileno())
    temporary.replace(target)
    sync_directory(folder)


def _entry(name: str, modified: float) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, max(time.gmtime(modified)[:6], (1980, 1, 1, 0, 0, 0)))
    entry.external_attr = 0o644 << 16
    return entry


def _read_back(target: Path, name: str) -> Synchronisation:
    try:
        with zipfile.ZipFile(target) as archive:
            return msgspec.json.decode(archive.read(name), type=Synchronisation)
    except (zipfile.BadZipFile, KeyError, msgspec.DecodeError) as error:
        raise ValueError(f"{target.name} is not the zip of this recording: {error}") from error


def _remove_loose(folder: Path) -> None:
    for path in [*folder.glob(f"{_NOTE}*"), *folder.glob("*.webm"), *folder.glob(".*.zip.new")]:
        path.unlink(missing_ok=True)
    sync_directory(folder)
