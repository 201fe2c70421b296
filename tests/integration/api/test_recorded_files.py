"""`recording.md` 11.3: recorded files over HTTP."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

CONTENT = bytes(range(256)) * 3000  # three pieces of what is read at a time


@pytest.fixture
def folder(settings: Any) -> Path:
    """Of the recording `salon`."""
    path = Path(settings.recording.path) / "salon"
    path.mkdir(parents=True)
    (path / "salon.zip").write_bytes(CONTENT)
    (path / "salon.jpg").write_bytes(b"jpeg")
    (path / "empty.webm").write_bytes(b"")
    (path / ".recording.salon").write_bytes(b"{}")
    (path / "inner").mkdir()
    (path / "inner" / "file").write_bytes(b"NOBODY MAY READ THIS")
    (path.parent / "secret.txt").write_bytes(b"NOBODY MAY READ THIS")
    return path


@pytest.fixture
async def ready(api: Any, room: Any, folder: Path) -> Any:
    await make_recording(api, room)
    return api


async def make_recording(api: Any, room: Any) -> None:
    await api.new_session(customSessionId="salon")
    await room.person(api, "salon")
    await room.finish("salon", await room.record("salon"))
    await api.until("/recordings/salon", lambda found: found["status"] == "ready")


FILE = "/openvidu/recordings/salon/salon.zip"


async def test_a_file_comes_whole_with_its_type(ready: Any) -> None:
    answer = await ready.get(FILE)
    assert answer.status == 200
    assert answer.body == CONTENT
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["ETag"]
    picture = await ready.get("/openvidu/recordings/salon/salon.jpg")
    assert (picture.headers["Content-Type"], picture.body) == ("image/jpeg", b"jpeg")
    nothing = await ready.get("/openvidu/recordings/salon/empty.webm")
    assert (nothing.status, nothing.body) == (200, b"")
    assert nothing.headers["Content-Type"] == "video/webm"


async def test_head_tells_of_the_file_without_it(ready: Any) -> None:
    answer = await ready.call("HEAD", FILE)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    assert answer.headers["Content-Type"] == "application/zip"
    part = await ready.call("HEAD", FILE, headers={"Range": "bytes=5-9"})
    assert (part.status, part.body) == (206, b"")
    assert part.headers["Content-Length"] == "5"
    missing = await ready.call("HEAD", "/openvidu/recordings/salon/other.zip")
    assert (missing.status, missing.body) == (404, b"")


PARTS = [
    ("bytes=0-0", 0, 1),
    ("bytes=10-19", 10, 20),
    ("bytes=300000-", 300000, len(CONTENT)),
    ("bytes=-5", len(CONTENT) - 5, len(CONTENT)),
    ("bytes=-99999999", 0, len(CONTENT)),
    ("bytes=262140-262150", 262140, 262151),
    (f"bytes=0-{10**17}", 0, len(CONTENT)),
]


async def test_a_part_of_a_file(ready: Any) -> None:
    for asked, first, end in PARTS:
        answer = await ready.get(FILE, headers={"Range": asked})
        assert answer.status == 206, asked
        assert answer.body == CONTENT[first:end]
        assert answer.headers["Content-Range"] == f"bytes {first}-{end - 1}/{len(CONTENT)}"
        assert answer.headers["Content-Length"] == str(end - first)


BEYOND = [f"bytes={len(CONTENT)}-", "bytes=9999999-99999999", "bytes=-0"]


async def test_a_part_beyond_the_file_is_416(ready: Any) -> None:
    for asked in BEYOND:
        answer = await ready.get(FILE, headers={"Range": asked})
        assert answer.status == 416, asked
        assert answer.headers["Content-Range"] == f"bytes */{len(CONTENT)}"
        assert answer.body == b""


NONSENSE = [
    "bytes=9-5",
    "bytes=-",
    "bytes=a-b",
    "lines=1-2",
    "bytes=1-2,5-6",
    "5-9",
    f"bytes={10**30}-",
]


async def test_a_range_that_makes_no_sense_is_ignored(ready: Any) -> None:
    for asked in NONSENSE:
        answer = await ready.get(FILE, headers={"Range": asked})
        assert (answer.status, answer.body) == (200, CONTENT), asked


async def test_a_part_of_another_version_of_the_file_is_not_mixed_in(ready: Any) -> None:
    whole = await ready.get(FILE)
    for known in (whole.headers["ETag"], whole.headers["Last-Modified"]):
        part = await ready.get(FILE, headers={"Range": "bytes=1-2", "If-Range": known})
        assert part.status == 206
    other = await ready.get(FILE, headers={"Range": "bytes=1-2", "If-Range": '"other"'})
    assert (other.status, other.body) == (200, CONTENT)


FORBIDDEN = [
    "salon/.recording.salon",
    "salon/..",
    "salon/.",
    "salon/../secret.txt",
    "salon/..%2Fsecret.txt",
    "salon/%2e%2e/secret.txt",
    "salon/%2e%2e%2fsecret.txt",
    "../recordings/secret.txt",
    "%2e%2e/secret.txt",
    "..%2fsecret.txt",
    "./secret.txt",
    "salon/inner",
    "salon/inner/file",
    "salon/inner%2ffile",
    "salon/%00",
    "salon/salon.zip%00.jpg",
    "salon/link",
    "salon/pipe",
    "salon/" + "a" * 1000,
    "salon/%ff",
    "salon/no.zip",
    "other/salon.zip",
    "salon~1/salon.zip",
    "salon",
    "salon/",
    "",
]


async def test_nothing_but_files_of_the_folder_is_served(ready: Any, folder: Path) -> None:
    (folder / "link").symlink_to(folder.parent / "secret.txt")
    os.mkfifo(folder / "pipe")
    for path in FORBIDDEN:
        answer = await ready.raw("GET", f"/openvidu/recordings/{path}")
        assert answer.status == 404, path
        assert b"NOBODY" not in answer.body


async def test_files_are_gone_with_their_recording(ready: Any) -> None:
    assert (await ready.delete("/recordings/salon")).status == 204
    assert (await ready.get(FILE)).status == 404


async def test_files_need_the_secret_unless_they_are_public(
    start: Any, settings: Any, room: Any, folder: Path
) -> None:
    async with start() as api:
        await make_recording(api, room)
        assert (await api.get(FILE, auth=None)).status == 401
        assert (await api.call("HEAD", FILE, auth=None)).status == 401
    public = replace(settings, recording=replace(settings.recording, public_access=True))
    async with start(public) as api:
        assert (await api.get(FILE, auth=None)).body == CONTENT
        dot = "/openvidu/recordings/salon/.recording.salon"
        assert (await api.get(dot, auth=None)).status in {401, 404}
        assert (await api.get("/recordings/salon", auth=None)).status == 401


async def test_many_broken_downloads_leave_no_open_file(ready: Any) -> None:
    def held() -> int:
        names = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                 if os.path.exists(f"/proc/self/fd/{fd}")]  # fmt: skip
        return sum(name.endswith("salon.zip") for name in names)

    for _ in range(20):
        await ready.begin_download(FILE)

    async def released() -> bool:
        return held() == 0

    await ready.eventually(released)
