"""Whatever is sent as a body is answered with 400 or 413, never with 500."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import msgspec
import pytest

JSON = {"Content-Type": "application/json"}
PATHS = ["/sessions", "/sessions/salon/connection", "/tokens", "/signal", "/recordings/start"]

BODIES = {
    "not JSON": b"{",
    "words": b"mediaMode=ROUTED",
    "XML": b"<a/>",
    "two values": b"{} {}",
    "an array": b"[]",
    "a string": b'"session"',
    "a number": b"1",
    "null": b"null",
    "NaN": b'{"x": NaN}',
    "a lone surrogate": b'{"customSessionId": "\\ud800", "session": "\\udc00", "data": "\\udfff"}',
    "a surrogate in UTF-8": b'{"session": "\xed\xa0\x80"}',
    "Latin-1": '{"data": "ñ"}'.encode("latin-1"),
    "UTF-16": '{"session": "salon"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"session": "salon"}',
    "a zero byte": b'{"session": "salon"}\x00',
    "deep arrays": b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"x":' * 100_000 + b"1" + b"}" * 100_000,
    "never closed": b"[" * 500_000,
}


@pytest.fixture
async def salon(api: Any, room: Any) -> Any:
    await api.new_session(customSessionId="salon")
    await room.person(api, "salon")
    return api


async def test_a_hostile_body_is_refused_with_a_reason(salon: Any) -> None:
    for kind, body in BODIES.items():
        for path in PATHS:
            answer = await salon.call("POST", path, data=body, headers=JSON)
            assert answer.status == 400, (kind, path, answer.body)
            assert answer.json["message"]
        assert (await salon.get("/sessions")).json["numberOfElements"] == 1
        assert (await salon.get("/sessions/salon/connection")).json["numberOfElements"] == 1


async def test_a_body_over_the_limit_is_413(salon: Any) -> None:
    large = b'{"data": "' + b"x" * (1024 * 1024) + b'"}'

    async def chunks() -> Any:
        for start in range(0, len(large), 65536):
            yield large[start : start + 65536]

    for path in PATHS:
        for data in (BytesIO(large), chunks()):
            answer = await salon.call("POST", path, data=data, headers=JSON)
            assert answer.status == answer.json["status"] == 413
            assert set(answer.json) == {"timestamp", "status", "error", "message", "path"}
    assert (await salon.get("/sessions")).status == 200


async def test_a_large_value_within_the_limit_is_kept_whole(salon: Any) -> None:
    data = "😀" * 200_000
    body = BytesIO(msgspec.json.encode({"data": data}))
    made = await salon.call("POST", "/sessions/salon/connection", data=body, headers=JSON)
    shown = await salon.get(f"/sessions/salon/connection/{made.json['id']}")
    assert shown.json["serverData"] == data


async def test_strange_texts_come_back_unchanged(salon: Any) -> None:
    for data in ("\x00", "\u2028", "</script>", "'; drop table sessions; --", "\r\nX: y", "\ufeff"):
        made = await salon.new_connection("salon", data=data)
        shown = await salon.get(f"/sessions/salon/connection/{made['id']}")
        assert shown.json["serverData"] == data


async def test_unknown_fields_of_any_shape_are_tolerated(salon: Any) -> None:
    more = {"x" * 1000: [[{}]], "ip": None, "": 1, "😀": 10**400}
    assert (await salon.post("/sessions", more)).status == 200
    assert (await salon.post("/sessions/salon/connection", more)).status == 200
    assert (await salon.post("/signal", {"session": "salon", **more})).status == 200
    infinite = await salon.call("POST", "/sessions", data=b'{"x": 1e999}', headers=JSON)
    assert infinite.status == 200
