"""All operations answer 401 to whoever does not show the secret."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from io import BytesIO
from typing import Any

OPERATIONS = [
    ("POST", "/openvidu/api/sessions"),
    ("GET", "/openvidu/api/sessions"),
    ("GET", "/openvidu/api/sessions/a"),
    ("DELETE", "/openvidu/api/sessions/a"),
    ("POST", "/openvidu/api/sessions/a/connection"),
    ("GET", "/openvidu/api/sessions/a/connection"),
    ("GET", "/openvidu/api/sessions/a/connection/b"),
    ("PATCH", "/openvidu/api/sessions/a/connection/b"),
    ("DELETE", "/openvidu/api/sessions/a/connection/b"),
    ("DELETE", "/openvidu/api/sessions/a/stream/b"),
    ("POST", "/openvidu/api/tokens"),
    ("POST", "/openvidu/api/signal"),
    ("GET", "/openvidu/api/config"),
    ("GET", "/openvidu/api/health"),
    ("POST", "/openvidu/api/recordings/start"),
    ("POST", "/openvidu/api/recordings/stop/a"),
    ("GET", "/openvidu/api/recordings"),
    ("GET", "/openvidu/api/recordings/a"),
    ("DELETE", "/openvidu/api/recordings/a"),
    ("GET", "/openvidu/recordings/a/a.zip"),
    ("GET", "/openvidu/api/nowhere"),
    ("DELETE", "/openvidu/api/sessions"),
    ("OPTIONS", "/openvidu/api/sessions"),
    ("GET", "/openvidu/api"),
    ("GET", "/openvidu/recordings/a"),
    ("HEAD", "/openvidu/api/sessions"),
    ("TRACE", "/openvidu/api/sessions"),
    ("PROPFIND", "/openvidu/api/sessions/a"),
]


def basic(pair: bytes) -> str:
    return "Basic " + b64encode(pair).decode()


async def test_nothing_is_told_without_the_secret(api: Any) -> None:
    for method, path in OPERATIONS:
        answer = await api.call(method, path, auth=None)
        assert answer.status == 401, (method, path)
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
        if method == "HEAD":
            continue
        assert set(answer.json) == {"timestamp", "status", "error", "message", "path"}


async def test_only_the_right_user_and_secret_are_let_in(api: Any) -> None:
    secret = api.settings.access.secret.encode()
    right = basic(b"OPENVIDUAPP:" + secret)
    wrong = [
        "",
        "Basic",
        "Basic ",
        "Basic ====",
        "Basic \u00f1\u00f1",
        "Basic " + "A" * 60_000,
        basic(b"OPENVIDUAPP:"),
        basic(b"OPENVIDUAPP:" + secret + b"x"),
        basic(b"OPENVIDUAPP:" + secret[:-1]),
        basic(b"OPENVIDUAPP:" + secret.lower()),
        basic(b"openviduapp:" + secret),
        basic(b":" + secret),
        basic(secret),
        right.replace("Basic", "Bearer"),
        right.replace("Basic", "Digest"),
        right.replace("Basic ", "Basic:"),
        right.replace("Basic ", "Basic"),
        right.replace("Basic ", ""),
        "OPENVIDUAPP:" + secret.decode(),
        right + " " + right,
        right + "," + right,
        right + "\u00b2",
        right[:-1] + "\u00e9",
        right[:10] + "\t" + right[10:],
    ]
    assert secret.lower() != secret
    for header in wrong:
        answer = await api.get("/sessions", auth=header)
        assert answer.status in {400, 401, 431}, header  # a monstrous header may not get that far
    for header in (right, right.replace("Basic", "basic"), right.rstrip("=")):
        assert (await api.get("/sessions", auth=header)).status == 200


async def sent(api: Any, path: str, *headers: str) -> bytes:
    """The status line of an answer to what is sent as it is."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    try:
        lines = [f"GET {path} HTTP/1.1", "Host: a", "Connection: close", *headers, "", ""]
        writer.write("\r\n".join(lines).encode("latin-1"))
        async with asyncio.timeout(20):
            return (await reader.read(-1)).partition(b"\r\n")[0]
    finally:
        writer.close()


async def test_a_header_given_twice_is_none(api: Any) -> None:
    right = basic(b"OPENVIDUAPP:" + api.settings.access.secret.encode())
    wrong = basic(b"a:b")
    one = [f"Authorization: {right}"]
    assert b" 200 " in await sent(api, "/openvidu/api/sessions", *one)
    for pair in ((right, right), (right, wrong), (wrong, right), ("", right)):
        headers = [f"Authorization: {value}" for value in pair]
        assert b" 401 " in await sent(api, "/openvidu/api/sessions", *headers), pair


async def test_other_ways_to_write_a_path_lead_to_the_same_door(api: Any) -> None:
    for path in (
        "//openvidu/api/nowhere",
        "/openvidu//api//sessions/",
        "/openvidu/%61pi/nowhere",
        "/openvidu/api%2Fsessions",
        "/openvidu/api/?x=y",
        "/openvidu/api/../nowhere",
    ):
        assert b" 401 " in await sent(api, path), path


async def test_paths_that_only_look_alike_are_as_unknown_as_others(api: Any) -> None:
    for path in ("/openvidu/apis", "/openvidu/recording", "/openvidu"):
        assert (await api.get(path, auth=None)).status in {400, 404, 405}, path


async def test_a_browser_may_ask_before_it_has_the_secret(api: Any) -> None:
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "DELETE"}
    answer = await api.call("OPTIONS", "/sessions/a", auth=None, headers=asked)
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


async def test_a_body_is_not_read_before_the_secret_is_known(api: Any) -> None:
    answer = await api.call("POST", "/sessions", auth=None, data=BytesIO(b"x" * 5_000_000))
    assert answer.status == 401
