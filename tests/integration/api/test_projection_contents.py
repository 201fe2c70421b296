"""Nothing that a user may say, and nothing that the log may hold, stops the projection."""

from __future__ import annotations

from typing import Any

import pytest

from services.api.projections import rebuild
from services.conference.commands import CreateConnection, InitializeSession
from services.conference.model import KurentoOptions, MediaMode, SessionProperties
from tests.integration.api.stores import Store

TEXTS = {
    "zero bytes": "\0 and \0",
    "four bytes a character": "😀𝕏\U0010ffff",
    "control characters": "".join(map(chr, range(1, 32))) + "\x7f\x80\x9f",
    "no characters": "\ufffe\uffff\ufeff\u2028\u202e",
    "quotes": "'; drop table sessions; -- \" \\ \\0 \\u0000 $$ %s :name ? {}",
    "half of JSON": '{"a": "\\ud83d',
    "not normalised": "e\u0301 ﬁ İ",
    "long": "ñ" * 10_000,
}


@pytest.fixture
def settings(settings: Any, store: Store) -> Any:
    return store.used_by(settings)


async def test_what_a_body_may_say_is_kept_and_shown(
    api: Any, store: Store, event_log: Any
) -> None:
    session = "s" * 255
    await api.new_session(customSessionId=session)
    made = {kind: await api.new_connection(session, data=text) for kind, text in TEXTS.items()}
    for kind, text in TEXTS.items():
        path = f"/sessions/{session}/connection/{made[kind]['id']}"
        changed = await api.call("PATCH", path, {"record": False})
        assert changed.json["serverData"] == text, kind
        assert (await api.get(path)).json == changed.json
    listed = (await api.get(f"/sessions/{session}/connection")).json["content"]
    assert [found["serverData"] for found in listed] == [*TEXTS.values()]
    await store.reach(await event_log.last_sequence())
    elsewhere = await store.another()
    await rebuild(event_log, elsewhere.url)
    assert await elsewhere.rows() == await store.rows()


@pytest.mark.parametrize("half", [b"\\ud800", b"\\udfff", b"\\ude00\\ud83d", b"\xed\xa0\x80"])
async def test_half_a_character_does_not_come_in(api: Any, half: bytes) -> None:
    await api.new_session(customSessionId="salon")
    for path, field in (
        ("/sessions", b"customSessionId"),
        ("/sessions/salon/connection", b"data"),
        ("/signal", b"data"),
    ):
        body = b'{"session": "salon", "%s": "%s"}' % (field, half)
        answer = await api.call(
            "POST", path, data=body, headers={"Content-Type": "application/json"}
        )
        assert answer.status == 400, (path, answer.body)
    assert (await api.new_connection("salon"))["id"]


@pytest.mark.parametrize("name", ["\0", "%00", "%ED%A0%80", "%F0%9F%98%80", "x" * 3000, "'"])
async def test_an_id_that_no_database_could_hold_is_of_nothing(api: Any, name: str) -> None:
    quoted = name.replace("\0", "%00")
    for path in (f"/sessions/{quoted}", f"/recordings/{quoted}"):
        assert (await api.raw("GET", f"/openvidu/api{path}")).status in {400, 404}
    assert (await api.get("/sessions")).status == 200


async def test_whatever_the_log_holds_is_taken(
    api: Any, room: Any, store: Store, event_log: Any
) -> None:
    """As other programs may have written it, or a version that checked less."""
    odd = SessionProperties(media_mode=MediaMode.RELAYED, custom_session_id=TEXTS["zero bytes"])
    await room.act("salon", InitializeSession("salon", odd))
    for number, text in enumerate(TEXTS.values()):
        filters = KurentoOptions(allowed_filters=(text,) * 3)
        name = f"con_{number}_{text[:40]}".replace("\0", "")
        await room.act(
            "salon",
            CreateConnection(name, f"tok_{number}", server_data=text * 10, kurento_options=filters),
        )
    large = CreateConnection("con_large", "tok_large", server_data="\0😀" * 50_000)
    await room.act("salon", large)
    await api.new_session(customSessionId="after")
    assert (await api.get("/sessions/after")).status == 200
    listed = await api.get("/sessions/salon/connection")
    assert listed.json["numberOfElements"] == len(TEXTS) + 1
    assert listed.json["content"][-1]["serverData"] == large.server_data
    await store.reach(await event_log.last_sequence())
