"""CDR files (`events.md` section 6), each event in them exactly once.

Who writes keeps `(file, size)` with its position in the log; what a crash left behind that size
is cut off at the next start and written again. Everything here blocks on the disk.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from .store import CdrPlace

KEPT_DAYS = 30
KEPT_BYTES = 20 * 1024**3

_NAME = re.compile(r"CDR\.(\d{4}-\d\d-\d\d)_\d\d-\d\d-\d\d\.log")

_logger = structlog.get_logger(__name__)


class CdrUnusable(Exception):
    """The folder of `OPENVIDU_CDR_PATH` cannot be written; `str()` says why."""


def local_time() -> datetime:
    """File names are in the time zone of the server."""
    return datetime.now(tz=UTC).astimezone()


class CdrFile:
    """The file being written: one a day, its name ends in the time of day of our start."""

    def __init__(self, folder: Path, *, now: Callable[[], datetime] = local_time) -> None:
        self._folder = folder.absolute()
        self._now = now
        self._suffix = f"{now():%H-%M-%S}"
        self._path = Path()
        self._descriptor = -1
        self._size = 0

    @property
    def place(self) -> CdrPlace:
        return CdrPlace(str(self._path), self._size)

    def open(self, last: CdrPlace | None) -> None:
        """Repair the file of the last run and begin ours. Raises `CdrUnusable`."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if last is not None:
                _cut(last)
            self._begin()
        except OSError as error:
            raise CdrUnusable(
                f"OPENVIDU_CDR_PATH: CDR files cannot be written in {self._folder}: "
                f"{error.strerror}"
            ) from error

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @property
    def day_is_over(self) -> bool:
        return self._path.name != self._name()

    def rotate(self) -> None:
        """Begin the file of the day. Its place must be kept before a line is appended."""
        self._begin()

    def append(self, lines: bytes) -> None:
        """On disk when it returns. After an `OSError` the same lines may be appended again."""
        rest, offset = memoryview(lines), self._size
        while rest:
            written = os.pwrite(self._descriptor, rest, offset)
            rest, offset = rest[written:], offset + written
        os.fdatasync(self._descriptor)
        self._size = offset

    def _name(self) -> str:
        return f"CDR.{self._now():%Y-%m-%d}_{self._suffix}.log"

    def _begin(self) -> None:
        path = self._folder / self._name()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self.close()
        self._path, self._descriptor = path, descriptor
        self._size = os.fstat(descriptor).st_size
        _sync_folder(self._folder)
        self._delete_old()

    def _delete_old(self) -> None:
        first_day = f"{self._now() - timedelta(days=KEPT_DAYS - 1):%Y-%m-%d}"
        files = sorted(
            (path for path in self._folder.iterdir() if _NAME.fullmatch(path.name)),
            key=lambda path: (path.name, path.stat().st_mtime),
            reverse=True,
        )
        total = 0
        for path in files:
            total += path.stat().st_size
            day = path.name[4:14]
            if path != self._path and (day < first_day or total > KEPT_BYTES):
                path.unlink(missing_ok=True)
                _logger.info("old CDR file deleted", file=path.name)


def finish(last: CdrPlace) -> None:
    """CDR is off now: whole lines of the last run stay, half of one does not."""
    try:
        with open(last.path, "r+b") as file:
            file.seek(last.size)
            file.truncate(last.size + file.read().rfind(b"\n") + 1)
    except OSError as error:
        _logger.warning("CDR file of the last run is gone", file=last.path, why=error.strerror)


def _cut(last: CdrPlace) -> None:
    """Drop what was written behind the last position that was kept."""
    try:
        size = os.stat(last.path).st_size
        if size > last.size:
            os.truncate(last.path, last.size)
        elif size < last.size:
            _logger.warning("CDR file is shorter than it was written", file=last.path)
    except FileNotFoundError:
        _logger.warning("CDR file of the last run is gone", file=last.path)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
