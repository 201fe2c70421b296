"""Recorded files: `GET` and `HEAD /openvidu/recordings/<id>/<file>` (`recording.md` 11.3)."""

from __future__ import annotations

import asyncio
import os
import re
import stat
from collections.abc import AsyncIterator, Mapping
from email.utils import formatdate
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from litestar import HttpMethod, MediaType, Response, route
from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream
from litestar.types import Method

from .api import Api, HttpRequest
from .auth import authenticated
from .errors import ApiError
from .openapi import Empty, operation
from .replies import Reply

CHUNK = 256 * 1024  # bytes read at a time

TYPES = {
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".zip": "application/zip",
    ".jpg": "image/jpeg",
    ".json": "application/json",
}

OTHER = "application/octet-stream"

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.ASCII)


class Span(NamedTuple):
    """`start` inclusive, `end` exclusive."""

    start: int
    end: int


class Unsatisfiable(Exception):
    """The range lies beyond the file."""


def span_of(header: str, size: int) -> Span | None:
    """The part of a file that a `Range` header asks for. `None`: all of it, also where the header
    is malformed or asks for several parts, as RFC 9110 14.2 allows. Raises `Unsatisfiable`."""
    match = _RANGE.fullmatch(header.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        length = int(match[2])
        if not length or not size:
            raise Unsatisfiable
        return Span(max(0, size - length), size)
    start = int(match[1])
    end = int(match[2]) + 1 if match[2] else size
    if match[2] and end <= start:
        return None
    if start >= size:
        raise Unsatisfiable
    return Span(start, min(end, size))


def handlers(api: Api) -> list[HTTPRouteHandler]:
    root = api.settings.recording.path
    public = api.settings.recording.public_access

    @route(
        "/openvidu/recordings/{recording_id:str}/{name:str}",
        http_method=[HttpMethod.GET, HttpMethod.HEAD],
        operation_id=_operation_id,
        summary="Download a file of a recording",
        description="The file of a finished recording, as its `url` names it. With the header "
        "`Range` a part of it.",
        tags=["Recordings"],
        status_code=200,
        operation_class=operation(
            "The file",
            (*TYPES.values(), OTHER),
            fails={
                206: Empty("A part of the file"),
                404: "There is no such recording, or no such file",
                416: Empty("The part lies beyond the file"),
            },
        ),
        middleware=[] if public else [authenticated],
        security=[{}] if public else None,
    )
    async def download(request: HttpRequest, recording_id: str, name: str) -> Reply:
        # A recording that the projection does not know has been deleted, whatever the disk says.
        if await api.views.recording(recording_id) is None:
            raise ApiError(404, "There is no such recording")
        file = await asyncio.to_thread(_open, root / recording_id, name)
        return _answer(request, file, name)

    return [download]


def _operation_id(_: HTTPRouteHandler, method: Method, __: object) -> str:
    return "downloadRecording" if method == HttpMethod.GET else "inspectRecording"


def _open(folder: Path, name: str) -> FileIO:
    """A regular file right in the folder. Raises `ApiError` 404 for anything else."""
    if name.startswith(".") or "/" in name or "\0" in name:
        raise ApiError(404, "There is no such file")
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(folder / name, flags)
    except (OSError, UnicodeError):
        raise ApiError(404, "There is no such file") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ApiError(404, "There is no such file")
    return FileIO(descriptor)


def _answer(request: HttpRequest, file: FileIO, name: str) -> Reply:
    """Closes the file, or hands it to the stream that does."""
    found = os.fstat(file.fileno())
    tag = f'"{found.st_mtime_ns:x}-{found.st_size:x}"'
    changed = formatdate(int(found.st_mtime), usegmt=True)
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": tag,
        "Last-Modified": changed,
        "X-Content-Type-Options": "nosniff",
    }
    status, span = 200, Span(0, found.st_size)
    try:
        if asked := _asked(request.headers, tag, changed, found.st_size):
            status, span = 206, asked
            headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{found.st_size}"
    except Unsatisfiable:
        file.close()
        headers["Content-Range"] = f"bytes */{found.st_size}"
        return Response(b"", status_code=416, headers=headers, media_type=MediaType.TEXT)
    headers["Content-Length"] = str(span.end - span.start)
    media_type = TYPES.get(Path(name).suffix.lower(), OTHER)
    if request.method == HttpMethod.HEAD:
        file.close()
        return Response(b"", status_code=status, headers=headers, media_type=media_type)
    chunks = _chunks(file, span)
    return Stream(chunks, status_code=status, headers=headers, media_type=media_type)


def _asked(headers: Mapping[str, str], tag: str, changed: str, size: int) -> Span | None:
    """A range is taken of the file that the client has the rest of, or else the whole file."""
    asked = headers.get("range")
    if asked is None or headers.get("if-range", tag) not in (tag, changed):
        return None
    return span_of(asked, size)


async def _chunks(file: FileIO, span: Span) -> AsyncIterator[bytes]:
    try:
        position = span.start
        while position < span.end:
            length = min(CHUNK, span.end - position)
            chunk = await asyncio.to_thread(os.pread, file.fileno(), length, position)
            if not chunk:
                return  # it was cut short meanwhile; the client sees a broken transfer
            position += len(chunk)
            yield chunk
    finally:
        file.close()
