"""The recordings' directory: one folder a recording with its entity file (`recording.md` 5.2).

Ids, names and stream ids come from the log, yet nothing becomes a path that was not looked at.
Everything here blocks on the disk: call it off the event loop. `OSError` means what it says.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from pathlib import Path
from typing import Any

import msgspec

from services.conference.state import Recording
from services.conference.views import recording_object

_SAFE = re.compile(r"[A-Za-z0-9_~-]+")
_POSITION = ".recorder-position"
_LOCK = ".recorder-lock"


class UnsafeName(ValueError):
    """Not a name that may become part of a path."""


class StoreInUse(Exception):
    """Another recorder works in this directory."""


def safe(name: str) -> str:
    """The name itself. Raises `UnsafeName`."""
    if not _SAFE.fullmatch(name):
        raise UnsafeName(f"{name[:80]!r} is no name for a file")
    return name


class Entity(msgspec.Struct, rename="camel"):
    """What must be known of an entity file to take a recording up again."""

    id: str
    session_id: str
    created_at: int
    status: str


class _Position(msgspec.Struct):
    sequence: int


class Store:
    def __init__(self, root: Path, public_url: str) -> None:
        self.root = root.absolute()
        self._public_url = public_url
        self._lock: int | None = None

    def open(self) -> None:
        """Make the directory if it is not there and keep other recorders out of it until `close`.

        Raises `StoreInUse`, or `OSError` if nothing can be written.
        """
        self.root.mkdir(parents=True, exist_ok=True, mode=0o750)
        descriptor = os.open(self.root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise StoreInUse(f"Another recorder works in {self.root}.") from None
        self._lock = descriptor

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def folder(self, recording_id: str) -> Path:
        """Raises `UnsafeName`."""
        return self.root / safe(recording_id)

    def entity(self, recording_id: str) -> Entity | None:
        """`None` without a readable entity file."""
        path = self.folder(recording_id) / f".recording.{recording_id}"
        try:
            entity = msgspec.json.decode(path.read_bytes(), type=Entity)
        except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
            return None
        return entity if entity.id == recording_id else None

    def holds(self, recording: Recording) -> bool:
        """Whether the folder is this recording's, not an earlier one's of the same id."""
        try:
            entity = self.entity(recording.id)
        except UnsafeName:
            return False
        return entity is not None and entity.created_at == recording.created_at

    def entities(self) -> list[Entity]:
        return [
            entity
            for path in sorted(self.root.iterdir())
            if _SAFE.fullmatch(path.name) and (entity := self.entity(path.name)) is not None
        ]

    def write_entity(self, recording: Recording) -> None:
        """Make the folder if need be. Raises `FileExistsError` if it is another recording's."""
        folder = self.folder(recording.id)
        safe(recording.name)
        try:
            folder.mkdir(mode=0o750)
        except FileExistsError:
            known = self.entity(recording.id)
            if (
                known.created_at != recording.created_at
                if known is not None
                else not folder.is_dir() or any(folder.iterdir())
            ):
                raise FileExistsError(
                    f"There is something else in the place of {recording.id}; move it away."
                ) from None
        write_whole(folder / f".recording.{recording.id}", self._entity_json(recording))
        sync_directory(self.root)

    def delete(self, recording_id: str) -> None:
        """Remove the folder; harmless if it is gone."""
        folder = self.folder(recording_id)
        if folder.is_symlink():
            folder.unlink()
        elif folder.exists():
            shutil.rmtree(folder)

    def position(self) -> int:
        """The log sequence up to which everything is reflected here; 0 if that is not known."""
        try:
            data = (self.root / _POSITION).read_bytes()
            return max(0, msgspec.json.decode(data, type=_Position).sequence)
        except (FileNotFoundError, msgspec.DecodeError):
            return 0

    def keep_position(self, sequence: int) -> None:
        write_whole(self.root / _POSITION, msgspec.json.encode(_Position(sequence)))

    def _entity_json(self, recording: Recording) -> bytes:
        entity: dict[str, Any] = {}
        for key, value in recording_object(recording, self._public_url).items():
            entity[key] = value
            if key == "sessionId":
                entity["uniqueSessionId"] = recording.unique_session_id
        return msgspec.json.encode(entity)


def explain(error: Exception) -> str:
    """For people outside: without the paths of this machine."""
    if isinstance(error, OSError) and error.strerror:
        return f"The recording cannot be written: {error.strerror}."
    return str(error) or type(error).__name__


def write_whole(path: Path, data: bytes) -> None:
    """The file is the old one or the new one, whatever happens."""
    temporary = path.with_name(f"{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
