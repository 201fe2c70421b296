"""`Idempotency-Key`: a POST that is repeated is done once, and answered as it was."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from services.conference.commands import ReportRecordingReady, ReportRecordingStarted

KEY = {"Idempotency-Key": "order-66/first"}
OTHER = {"Idempotency-Key": "order-66/second"}
INDIVIDUAL = {"outputMode": "INDIVIDUAL"}


async def commits(event_log: Any) -> int:
    return int(await event_log.last_sequence())


async def test_a_repeated_session_is_the_same_one(api: Any, event_log: Any) -> None:
    first = await api.post("/sessions", {"recordingMode": "ALWAYS"}, headers=KEY)
    again = await api.post("/sessions", {"recordingMode": "ALWAYS"}, headers=KEY)
    assert (first.status, again.status) == (200, 200)
    assert again.body == first.body
    assert (await api.get("/sessions")).json["numberOfElements"] == 1
    assert await commits(event_log) == 1


async def test_another_key_or_none_is_another_request(api: Any) -> None:
    ids = {
        (await api.post("/sessions", {}, headers=headers)).json["id"]
        for headers in (KEY, OTHER, {}, {})
    }
    assert len(ids) == 4


async def test_a_named_session_can_be_repeated_too_also_after_it_was_closed(api: Any) -> None:
    body = {"customSessionId": "salon"}
    first = await api.post("/sessions", body, headers=KEY)
    assert (await api.post("/sessions", body, headers=KEY)).body == first.body
    assert (await api.post("/sessions", body, headers=OTHER)).status == 409
    assert (await api.delete("/sessions/salon")).status == 204
    assert (await api.post("/sessions", body, headers=KEY)).body == first.body
    assert (await api.get("/sessions/salon")).status == 404, "it was not opened again"


async def test_a_repeated_connection_is_the_same_one_in_its_session(api: Any) -> None:
    one, two = await api.new_session(), await api.new_session()
    made = {}
    for session in (one, two):
        path = f"/sessions/{session}/connection"
        first = await api.post(path, {"data": "Ana"}, headers=KEY)
        again = await api.post(path, {"data": "Ana"}, headers=KEY)
        assert again.body == first.body
        assert (await api.get(path)).json["numberOfElements"] == 1
        made[session] = first.json
    assert made[one]["id"] != made[two]["id"]
    assert made[one]["token"].rpartition("=")[2] != made[two]["token"].rpartition("=")[2]


async def test_the_deprecated_token_too(api: Any) -> None:
    body = {"session": await api.new_session(), "role": "MODERATOR"}
    first = await api.post("/tokens", body, headers=KEY)
    assert (await api.post("/tokens", body, headers=KEY)).body == first.body


async def test_a_key_belongs_to_one_operation(api: Any) -> None:
    session = (await api.post("/sessions", {}, headers=KEY)).json["id"]
    assert (await api.post(f"/sessions/{session}/connection", {}, headers=KEY)).status == 200
    assert (await api.post("/tokens", {"session": session}, headers=KEY)).status == 200
    listed = await api.get(f"/sessions/{session}/connection")
    assert listed.json["numberOfElements"] == 2


async def test_a_key_that_was_used_for_something_else_is_422(api: Any, event_log: Any) -> None:
    session = (await api.post("/sessions", {}, headers=KEY)).json["id"]
    path = f"/sessions/{session}/connection"
    assert (await api.post(path, {"data": "Ana"}, headers=KEY)).status == 200
    before = await commits(event_log)
    for where, body in ((path, {"data": "Bea"}), ("/sessions", {"mediaMode": "RELAYED"})):
        answer = await api.post(where, body, headers=KEY)
        assert answer.status == 422
        assert "Idempotency-Key" in answer.json["message"]
    assert await commits(event_log) == before


async def test_what_was_refused_is_judged_anew(api: Any) -> None:
    body = {"session": "late"}
    assert (await api.post("/tokens", body, headers=KEY)).status == 404
    await api.new_session(customSessionId="late")
    assert (await api.post("/tokens", body, headers=KEY)).status == 200


async def test_ice_servers_with_fresh_credentials_are_no_other_request(api: Any) -> None:
    session = await api.new_session()
    server = {"url": "turn:turn.example.com", "staticAuthSecret": "a-shared-secret"}
    path, body = f"/sessions/{session}/connection", {"customIceServers": [server]}
    first = await api.post(path, body, headers=KEY)
    assert first.status == 200
    assert (await api.post(path, body, headers=KEY)).body == first.body


async def test_a_signal_is_sent_once(api: Any, room: Any, event_log: Any) -> None:
    session = await api.new_session()
    await room.person(api, session)
    body = {"session": session, "data": "hello"}
    assert (await api.post("/signal", body, headers=KEY)).status == 200
    before = await commits(event_log)
    assert (await api.post("/signal", body, headers=KEY)).status == 200
    assert await commits(event_log) == before
    assert (await api.post("/signal", body, headers=OTHER)).status == 200
    assert await commits(event_log) == before + 1


async def test_a_recording_is_started_once_and_stopped_once(api: Any, room: Any) -> None:
    await api.new_session(customSessionId="salon")
    await room.person(api, "salon")
    body = {"session": "salon", **INDIVIDUAL}
    starting = [
        asyncio.create_task(api.post("/recordings/start", body, headers=KEY)) for _ in range(3)
    ]
    await api.until("/recordings", lambda found: found["count"] == 1)
    await room.act("salon", ReportRecordingStarted("salon"))
    answers = [await task for task in starting]
    assert [answer.status for answer in answers] == [200] * 3
    assert {answer.json["status"] for answer in answers} == {"started"}
    assert (await api.post("/recordings/start", body)).status == 409
    assert (await api.post("/recordings/start", body, headers=KEY)).status == 200
    stopped = await api.post("/recordings/stop/salon", headers=KEY)
    assert stopped.status == 200
    await room.act("salon", ReportRecordingReady("salon", size=1, duration=1.0))
    assert (await api.post("/recordings/stop/salon")).status == 404
    assert (await api.post("/recordings/stop/salon", headers=KEY)).body == stopped.body


async def test_of_many_repetitions_at_once_on_two_processes_all_get_the_one_answer(
    start: Any, settings: Any, tmp_path: Path, event_log: Any
) -> None:
    (tmp_path / "other").mkdir()
    other = replace(settings, storage=replace(settings.storage, data_dir=tmp_path / "other"))
    async with start() as one, start(other) as two:
        answers = await asyncio.gather(
            *(api.post("/sessions", {}, headers=KEY) for _ in range(10) for api in (one, two))
        )
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert await commits(event_log) == 1


async def test_a_repetition_after_a_restart_finds_its_first(start: Any) -> None:
    async with start() as api:
        session = await api.new_session()
        first = await api.post(f"/sessions/{session}/connection", {}, headers=KEY)
    async with start() as api:
        again = await api.post(f"/sessions/{session}/connection", {}, headers=KEY)
    assert again.body == first.body


@pytest.mark.parametrize("key", ["", " ", "a b", "schlüssel", "k" * 201, "tab\there"])
async def test_what_is_no_key_is_400(api: Any, key: str) -> None:
    answer = await api.post("/sessions", {}, headers={"Idempotency-Key": key})
    assert answer.status == 400
    assert "Idempotency-Key" in answer.json["message"]


async def test_other_methods_have_no_use_for_it(api: Any) -> None:
    session = await api.new_session()
    assert (await api.get(f"/sessions/{session}", headers=KEY)).status == 200
    assert (await api.delete(f"/sessions/{session}", headers={"Idempotency-Key": ""})).status == 204
