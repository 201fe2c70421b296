"""What a receiver gets of a whole conference: bodies, order, headers, filter, CDR file."""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from services.eventlog.jetstream import JetStreamLog
from tests.integration.webhooks.helpers import (
    Conference,
    Receiver,
    Service,
    by_session,
    cdr_events,
    eventually,
    settings,
)

Event = dict[str, Any]


async def test_a_whole_conference_arrives_in_order(
    receiver: Receiver, conference: Conference, service: Service
) -> None:
    async with service.running(settings(url=receiver.url)):
        await conference.whole("S")
        events = await receiver.until(Conference.EVENTS)
    assert receiver.repeated == []

    def brief(event: Event) -> tuple[str, ...]:
        keys = ("event", "connectionId", "connection", "status", "reason")
        return tuple(event[key] for key in keys if key in event)

    created, destroyed = "webrtcConnectionCreated", "webrtcConnectionDestroyed"
    status = "recordingStatusChanged"
    ana, ben = "con_AnaS", "con_BenS"
    stop, force, leave = "recordingStoppedByServer", "unpublish", "disconnect"
    assert [brief(event) for event in events] == [
        ("sessionCreated",),
        ("participantJoined", ana),
        (created, ana, "OUTBOUND"),
        ("participantJoined", ben),
        (created, ben, "INBOUND"),
        (created, ben, "OUTBOUND"),
        (created, ana, "INBOUND"),
        (status, "started"),
        ("signalSent",),
        (status, "stopped", stop),
        (status, "ready", stop),
        (destroyed, ben, "OUTBOUND", force),
        (destroyed, ana, "INBOUND", force),
        (created, ben, "OUTBOUND"),
        (destroyed, ben, "INBOUND", leave),
        (destroyed, ben, "OUTBOUND", leave),
        ("participantLeft", ben, leave),
        (destroyed, ana, "OUTBOUND", leave),
        ("participantLeft", ana, leave),
        ("sessionDestroyed", "lastParticipantLeft"),
    ]


async def test_many_conferences_pass_the_checks_of_the_contract(
    receiver: Receiver, conference: Conference, service: Service
) -> None:
    names = [f"S{number}" for number in range(6)]
    async with service.running(settings(url=receiver.url)):
        for name in names:
            await conference.whole(name)
        await conference.whole(names[0])  # a second life of the same id
        events = await receiver.until(Conference.EVENTS * 7)
    assert receiver.repeated == []
    for session in by_session(events).values():
        check_order(session)


def check_order(events: list[Event]) -> None:
    """`events.md` section 10, on the events of one session id."""
    begun: dict[Any, Event] = {}
    keys = {
        "sessionCreated": 4,
        "sessionDestroyed": 7,
        "participantJoined": 11,
        "participantLeft": 14,
        "signalSent": 8,
    }
    lives: dict[str, list[str]] = defaultdict(list)
    for event in events:
        name, life = event["event"], event["uniqueSessionId"]
        lives[life].append(name)
        if name in keys:
            assert len(event) == keys[name], event
        assert lives[life][0] == "sessionCreated"
        if name == "sessionCreated":
            begun[life] = event
        if name == "participantJoined":
            begun[life, event["connectionId"]] = event
        if name == "webrtcConnectionCreated":
            outbound = event["connection"] == "OUTBOUND"
            assert len(event) == (13 if outbound else 14)
            assert (life, event["connectionId"]) in begun
            if not outbound:
                assert (life, event["receivingFrom"], event["streamId"]) in begun
            begun[life, event["connectionId"], event["streamId"]] = event
        if name == "recordingStatusChanged":
            assert len(event) == (13 if event["status"] == "started" else 14)
            begun[life, event["id"]] = begun.get((life, event["id"]), event)
        ended = {
            "sessionDestroyed": life,
            "participantLeft": (life, event.get("connectionId")),
            "webrtcConnectionDestroyed": (life, event.get("connectionId"), event.get("streamId")),
        }
        if name in ended:
            assert begun.pop(ended[name])["timestamp"] == event["startTime"]
        if name == "participantLeft":
            assert not any(key[1] == event["connectionId"] for key in begun if len(key) == 3)
        if name == "sessionDestroyed":
            assert not any(key[0] == life and key[1].startswith("con_") for key in begun)
    assert all(names[-1] == "sessionDestroyed" for names in lives.values())


async def test_bodies_and_cdr_lines_are_the_same_events(
    receiver: Receiver, conference: Conference, service: Service, tmp_path: Path
) -> None:
    async with service.running(settings(url=receiver.url, cdr=tmp_path / "cdr")):
        await conference.whole("S")
        events = await receiver.until(Conference.EVENTS)
        await eventually(lambda: len(cdr_events(tmp_path / "cdr")) == Conference.EVENTS)
    assert cdr_events(tmp_path / "cdr") == events
    lines = [
        line for path in (tmp_path / "cdr").iterdir() for line in path.read_bytes().splitlines()
    ]
    for line, post in zip(lines, receiver.posts, strict=True):
        head = b'{"%s":' % post.event["event"].encode()
        tail = b',"event":"%s"}' % post.event["event"].encode()
        assert line.startswith(head)
        assert post.body.endswith(tail)
        assert line[len(head) : -2] == post.body[: -len(tail)]


async def test_a_body_is_byte_for_byte_the_contract_s(
    receiver: Receiver, conference: Conference, service: Service
) -> None:
    async with service.running(settings(url=receiver.url)):
        await conference.begin("ses_Qp7LmZx3Kd")
        await conference.join("ses_Qp7LmZx3Kd", "con_R4tWbY9sEu")
        created, joined = await receiver.until(2)
    at, active = created["timestamp"], joined["timestamp"]
    assert [post.body.decode() for post in receiver.posts] == [
        f'{{"sessionId":"ses_Qp7LmZx3Kd","uniqueSessionId":"ses_Qp7LmZx3Kd_{at}",'
        f'"timestamp":{at},"event":"sessionCreated"}}',
        f'{{"sessionId":"ses_Qp7LmZx3Kd","uniqueSessionId":"ses_Qp7LmZx3Kd_{at}",'
        f'"timestamp":{active},"participantId":"con_R4tWbY9sEu","connectionId":"con_R4tWbY9sEu",'
        '"location":"unknown","ip":"203.0.113.77","platform":"Firefox 124.0 on Windows 64-bit",'
        r'"clientData":"{\"nick\":\"Ángel 東京 <b>&'
        "'"
        r'\"}","serverData":"teacher-17",'
        '"event":"participantJoined"}',
    ]


async def test_the_headers_are_those_configured_and_ours(
    receiver: Receiver, conference: Conference, service: Service, event_log: JetStreamLog
) -> None:
    headers = (
        ("Authorization", "Basic Zm9v"),
        ("authorization", "Bearer the-last-one-wins"),
        ("Content-Type", "text/plain; charset=latin1"),
        ("Content-Length", "1"),
        ("Transfer-Encoding", "chunked"),
        ("Webhook-Id", "mine"),
        ("X-Name", "with: colon, ünïcode"),
    )
    before = int(time.time())
    async with service.running(settings(url=f"{receiver.url}?a=b%20c", headers=headers)):
        await conference.short("S")
        await receiver.until(2)
    first, second = receiver.posts
    recorded = await event_log.get(1)
    assert recorded is not None
    assert first.path == "/hook?a=b%20c"
    assert first.headers.getall("Authorization") == ["Bearer the-last-one-wins"]
    assert first.headers.getall("Content-Type") == ["application/json"]
    assert first.headers.getall("Content-Length") == [str(len(first.body))]
    assert "Transfer-Encoding" not in first.headers
    assert first.headers["X-Name"] == "with: colon, ünïcode"
    assert first.headers.getall("webhook-id") == [f"evt_1_0_{recorded.digest[:16]}"]
    assert first.headers["webhook-sequence"] == "1.0"
    assert "webhook-previous-sequence" not in first.headers
    assert second.headers["webhook-sequence"] == "2.0"
    assert second.headers["webhook-previous-sequence"] == "1.0"
    assert before <= int(first.headers["webhook-timestamp"]) <= time.time()


async def test_credentials_in_the_url_become_basic_authentication(
    receiver: Receiver, conference: Conference, service: Service
) -> None:
    url = receiver.url.replace("//", "//us%40er:pa%3Ass@")
    async with service.running(settings(url=url)):
        await conference.begin("S")
        await receiver.until(1)
    assert receiver.posts[0].headers["Authorization"] == "Basic dXNAZXI6cGE6c3M="
    assert "us" not in receiver.posts[0].headers["Host"]


async def test_only_the_wanted_events_are_sent_and_their_chain_has_no_gap(
    receiver: Receiver, conference: Conference, service: Service, tmp_path: Path
) -> None:
    wanted = {"participantJoined", "participantLeft"}
    async with service.running(settings(url=receiver.url, events=wanted, cdr=tmp_path / "cdr")):
        await conference.whole("S")
        events = await receiver.until(4)
        await eventually(lambda: len(cdr_events(tmp_path / "cdr")) == Conference.EVENTS)
    assert {event["event"] for event in events} == wanted
    chain = [
        (post.headers.get("webhook-previous-sequence"), post.headers["webhook-sequence"])
        for post in receiver.posts
    ]
    assert [previous for previous, _ in chain] == [None, *(own for _, own in chain[:-1])]


async def test_an_empty_filter_sends_nothing(
    receiver: Receiver, conference: Conference, service: Service, tmp_path: Path
) -> None:
    async with service.running(settings(url=receiver.url, events=(), cdr=tmp_path / "cdr")):
        await conference.whole("S")
        await eventually(lambda: len(cdr_events(tmp_path / "cdr")) == Conference.EVENTS)
    assert receiver.posts == []


async def test_the_very_first_event_of_an_empty_log_is_sent(
    receiver: Receiver, conference: Conference, service: Service
) -> None:
    async with service.running(settings(url=receiver.url)):
        await conference.begin("S")
        (event,) = await receiver.until(1)
    assert event["event"] == "sessionCreated"


async def test_what_happened_before_the_first_start_of_a_new_installation_is_sent(
    receiver: Receiver, conference: Conference, service: Service
) -> None:
    await conference.whole("S")
    async with service.running(settings(url=receiver.url)):
        await receiver.until(Conference.EVENTS)


async def test_a_first_start_on_an_old_log_begins_at_its_end(
    receiver: Receiver,
    conference: Conference,
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from services.webhooks import service as module

    await conference.whole("old")
    monkeypatch.setattr(module, "YOUNG", -1)
    async with service.running(settings(url=receiver.url)):
        await service.until_end()
        await conference.short("new")
        events = await receiver.until(2)
    assert {event["sessionId"] for event in events} == {"new"}


async def test_what_happens_while_webhooks_are_off_is_never_sent(
    receiver: Receiver, conference: Conference, service: Service
) -> None:
    async with service.running(settings()):
        await conference.whole("off")
        await service.until_end()
    async with service.running(settings(url=receiver.url)):
        await conference.short("on")
        events = await receiver.until(2)
    assert {event["sessionId"] for event in events} == {"on"}


async def test_what_happens_while_the_process_is_stopped_is_sent_later(
    receiver: Receiver, conference: Conference, service: Service, tmp_path: Path
) -> None:
    config = settings(url=receiver.url, cdr=tmp_path / "cdr")
    async with service.running(config):
        await conference.short("before")
        await receiver.until(2)
    await conference.whole("between")
    async with service.running(config):
        await receiver.until(2 + Conference.EVENTS)
        await eventually(lambda: len(cdr_events(tmp_path / "cdr")) == 2 + Conference.EVENTS)
    assert receiver.repeated == []
    assert cdr_events(tmp_path / "cdr") == receiver.events


async def test_a_changed_address_gets_what_is_left_and_no_history(
    receiver: Receiver, conference: Conference, service: Service
) -> None:
    other = Receiver()
    await other.up()
    async with service.running(settings(url=receiver.url)):
        await conference.short("told")
        await receiver.until(2)
        await receiver.down()
        await conference.short("waiting")
        await service.until_end()
    async with service.running(settings(url=other.url)):
        await conference.short("new")
        events = await other.until(4)
    await other.down()
    assert {event["sessionId"] for event in events} == {"waiting", "new"}


async def test_cdr_that_is_switched_on_later_begins_there(
    receiver: Receiver, conference: Conference, service: Service, tmp_path: Path
) -> None:
    off, on = settings(url=receiver.url), settings(url=receiver.url, cdr=tmp_path / "cdr")
    async with service.running(off):
        await conference.short("one")
        await receiver.until(2)
    async with service.running(on):
        await conference.short("two")
        await eventually(lambda: len(cdr_events(tmp_path / "cdr")) == 2)
    async with service.running(off):
        await conference.short("three")
        await receiver.until(6)
    async with service.running(on):
        await conference.short("four")
        await eventually(lambda: len(cdr_events(tmp_path / "cdr")) == 4)
    assert [event["sessionId"] for event in cdr_events(tmp_path / "cdr")] == [
        "two", "two", "four", "four",
    ]  # fmt: skip
