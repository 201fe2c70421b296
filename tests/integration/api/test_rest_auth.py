"""All operations answer 401 to whoever does not show the secret."""

from __future__ import annotations

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
]


def basic(pair: bytes) -> str:
    return "Basic " + b64encode(pair).decode()


async def test_nothing_is_told_without_the_secret(api: Any) -> None:
    for method, path in OPERATIONS:
        answer = await api.call(method, path, auth=None)
        assert answer.status == 401, (method, path)
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
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
        "OPENVIDUAPP:" + secret.decode(),
        right + " " + right,
    ]
    assert secret.lower() != secret
    for header in wrong:
        answer = await api.get("/sessions", auth=header)
        assert answer.status in {400, 401, 431}, header  # a monstrous header may not get that far
    for header in (right, right.replace("Basic", "basic"), right.rstrip("=")):
        assert (await api.get("/sessions", auth=header)).status == 200


async def test_a_body_is_not_read_before_the_secret_is_known(api: Any) -> None:
    answer = await api.call("POST", "/sessions", auth=None, data=BytesIO(b"x" * 5_000_000))
    assert answer.status == 401
