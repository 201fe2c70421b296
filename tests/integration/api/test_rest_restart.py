"""POST /restart and GET /status at the edge; `tests/integration/launcher` restarts for real."""

from __future__ import annotations

import json
from typing import Any

import pytest
from nats.aio.client import Client

from services.conference.commands import ReportRecordingReady
from services.conference.events import RecordingStopped, SessionDestroyed
from services.conference.model import Reason
from services.eventlog.jetstream import JetStreamLog
from services.eventlog.restarts import Restart, Restarts
from tests.e2e.server_under_test import eventually


@pytest.fixture
def restarts(nats_client: Client) -> Restarts:
    return Restarts(nats_client)


async def until_begun(restarts: Restarts) -> Restart:
    async def begun() -> Restart | None:
        found = (await restarts.read()).restart
        return found if found.counter and not found.asked else None

    return await eventually(begun, limit=30)


async def last_event(event_log: JetStreamLog, session: str) -> Any:
    return [recorded async for recorded in event_log.read(session)][-1].commit.events[-1]


async def test_all_sessions_are_closed_before_it_begins(
    api: Any, room: Any, restarts: Restarts, event_log: JetStreamLog
) -> None:
    unjoined = await api.new_session()
    joined = [await api.new_session() for _ in range(20)]
    for session in joined:
        await room.person(api, session)
    answer = await api.post("/restart", {})
    assert (answer.status, answer.body) == (200, b"")
    begun = await until_begun(restarts)
    assert begun.counter == 1
    assert begun.time > 0
    assert (await api.get("/sessions")).json["numberOfElements"] == 0
    for session in joined:
        event = await last_event(event_log, session)
        assert isinstance(event, SessionDestroyed)
        assert event.reason is Reason.OPENVIDU_SERVER_STOPPED
    assert type(await last_event(event_log, unjoined)).__name__ == "SessionCollected"


async def test_recordings_are_complete_before_it_begins(
    api: Any, room: Any, restarts: Restarts, event_log: JetStreamLog
) -> None:
    session = await api.new_session()
    await room.publish(session, await room.person(api, session))
    recording = await room.record(session)
    assert (await api.post("/restart")).status == 200
    await api.until(f"/recordings/{recording}", lambda found: found["status"] == "stopped")
    assert (await restarts.read()).restart.asked
    events = [event async for it in event_log.read(session) for event in it.commit.events]
    (stopped,) = (event for event in events if isinstance(event, RecordingStopped))
    assert stopped.reason is Reason.OPENVIDU_SERVER_STOPPED
    await room.act(session, ReportRecordingReady(recording, size=1000, duration=1.5))
    await until_begun(restarts)
    assert (await api.get(f"/recordings/{recording}")).json["status"] == "ready"


async def test_the_status_is_that_of_this_process(api: Any, start: Any, restarts: Restarts) -> None:
    first = (await api.get("/status")).json
    assert first == {"startTime": first["startTime"], "restartCounter": 0, "lastRestartTime": 0}
    await api.post("/restart")
    begun = await until_begun(restarts)
    assert (await api.get("/status")).json == first  # it is what restarts
    async with start() as again:
        second = (await again.get("/status")).json
    assert second["restartCounter"] == 1
    assert first["startTime"] < begun.time == second["lastRestartTime"] <= second["startTime"]


async def test_the_secret_is_needed(api: Any, restarts: Restarts) -> None:
    assert (await api.post("/restart", auth=None)).status == 401
    assert (await api.get("/status", auth=None)).status == 401
    assert not (await restarts.read()).restart.asked


@pytest.mark.parametrize(
    "body",
    [
        b"[]", b"5", b"null", b'"OPENVIDU_CDR"', b"{", b'{"OPENVIDU_CDR":}', b"\xff\xfe",
        b'{"OPENVIDU_CDR": NaN}', b'{"a": ' + b"[" * 5000, b'{"OPENVIDU_CDR": 1e999}',
        b'{"OPENVIDU_CDR": "' + b"x" * 100_000 + b'"}',
        b'{"OPENVIDU_PRO_CLUSTER_ID": "\\ud800"}', b'{"OPENVIDU_PRO_CLUSTER_ID": "\\u0000"}',
        b'{"OPENVIDU_STREAMS_VIDEO_MAX_SEND_BANDWIDTH": ' + b"9" * 4000 + b"}",
        b'{"OPENVIDU_RECORDING_PATH": "' + b"x/" * 5000 + b'"}',
        b'{"OPENVIDU_RECORDING_PATH": "/dev/null/x"}',
    ],
)  # fmt: skip
async def test_hostile_bodies_are_refused(api: Any, restarts: Restarts, body: bytes) -> None:
    answer = await api.call("POST", "/restart", data=body)
    assert answer.status == 400, answer.body
    assert answer.json["message"]
    assert len(answer.body) < 5000
    assert not (await restarts.read()).restart.asked


async def test_of_very_many_problems_some_are_told(api: Any) -> None:
    answer = await api.post("/restart", {f"NAME_{number}": 1 for number in range(10_000)})
    assert answer.status == 400
    assert "NAME_0: there is no such setting" in answer.json["message"]
    assert answer.json["message"].endswith("and 9980 more")


async def test_without_a_file_new_settings_are_refused_honestly(
    api: Any, restarts: Restarts
) -> None:
    answer = await api.post("/restart", {"OPENVIDU_CDR": True})
    assert answer.status == 503
    assert answer.json["message"].startswith("Nothing was changed. There is no .env file")
    assert not (await restarts.read()).restart.asked


async def test_a_repeated_key_does_nothing_and_is_refused_with_another_body(
    api: Any, restarts: Restarts
) -> None:
    headers = {"Idempotency-Key": "4cf2c1e0"}
    assert (await api.post("/restart", headers=headers)).status == 200
    await until_begun(restarts)
    before = await restarts.read()
    for body, status in ((None, 200), ({}, 200), ({"OPENVIDU_CDR": True}, 422)):
        assert (await api.post("/restart", body, headers=headers)).status == status
    assert await restarts.read() == before


@pytest.mark.parametrize("key", ["", "two words", "x" * 201, "caf\u00e9"])
async def test_a_wrong_key_is_refused(api: Any, restarts: Restarts, key: str) -> None:
    answer = await api.post("/restart", headers={"Idempotency-Key": key})
    assert answer.status == 400
    assert "Idempotency-Key" in answer.json["message"]
    assert not (await restarts.read()).restart.asked


async def test_without_the_broker_nothing_is_changed(
    api: Any, nats: Any, nats_client: Client
) -> None:
    await nats.stop()
    answer = await api.post("/restart", {})
    assert answer.status == 503
    assert "kept" not in answer.json["message"]
    await nats.start()

    async def connected() -> bool:
        return nats_client.is_connected

    await eventually(connected)
    assert not (await Restarts(nats_client).read()).restart.asked


async def test_the_body_is_documented(api: Any) -> None:
    document = json.loads((await api.get("/docs/openapi.json", auth=None)).body)
    fields = document["components"]["schemas"]["RestartBody"]["properties"]
    assert len(fields) == 29
    assert '"boolean"' in json.dumps(fields["OPENVIDU_CDR"])
    assert '"array"' in json.dumps(fields["OPENVIDU_WEBHOOK_EVENTS"])
