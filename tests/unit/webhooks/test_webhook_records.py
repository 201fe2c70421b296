"""One event, two forms: the body of a POST and the line of a CDR file."""

from __future__ import annotations

import json

from services.conference.commands import Command, InitializeSession, SendSignal
from services.conference.decide import decide
from services.conference.events import Event, SignalSent
from services.conference.evolve import evolve_all
from services.conference.model import SessionProperties
from services.conference.state import EMPTY, State
from services.eventlog.commit import Actor, ActorKind, Commit, Recorded
from services.eventlog.follower import Step
from services.settings import Webhook
from services.webhooks.records import cdr_lines, end_of, outgoing

CREATED, SIGNAL = "sessionCreated", "signalSent"
AT = 1_712_050_000_123


def _step(sequence: int, before: State, command: Command, events: tuple[Event, ...]) -> Step:
    commit = Commit(
        id="c", session_id="ses_Qp7LmZx3Kd", version=sequence, time=AT,
        actor=Actor(ActorKind.REST), command=command, events=events,
    )  # fmt: skip
    return Step(Recorded(sequence, commit, f"{sequence:064x}"), before, evolve_all(before, events))


def _created() -> Step:
    command = InitializeSession("ses_Qp7LmZx3Kd", SessionProperties())
    return _step(1, EMPTY, command, decide(EMPTY, command, AT))


def _signals(*data: str | None) -> list[Step]:
    first = _created()
    signals = tuple(SignalSent(to=("con_A",), at=AT, type="chat", data=text) for text in data)
    return [first, _step(2, first.after, SendSignal(), signals)]


def test_the_body_is_the_compact_json_of_the_contract_with_the_name_at_the_end() -> None:
    (event,) = outgoing([_created()], {CREATED})
    assert event.body == (
        b'{"sessionId":"ses_Qp7LmZx3Kd","uniqueSessionId":"ses_Qp7LmZx3Kd_1712050000123",'
        b'"timestamp":1712050000123,"event":"sessionCreated"}'
    )


def test_the_cdr_line_has_the_name_as_its_root_and_no_event_field() -> None:
    assert cdr_lines([_created()]) == (
        b'{"sessionCreated":{"sessionId":"ses_Qp7LmZx3Kd",'
        b'"uniqueSessionId":"ses_Qp7LmZx3Kd_1712050000123","timestamp":1712050000123}}\n'
    )


def test_text_is_sent_as_utf_8_and_not_escaped() -> None:
    text = "Grüße, 東京 🎉 <b>&'\"\\\n\u2028\x00"
    _, event = outgoing(_signals(text), {CREATED, SIGNAL})
    assert "Grüße, 東京 🎉 <b>&'".encode() in event.body
    assert json.loads(event.body)["data"] == text
    lines = cdr_lines(_signals(text)).split(b"\n")
    assert [len(lines), lines[-1]] == [3, b""]
    assert json.loads(lines[1]) == {
        SIGNAL: {k: v for k, v in json.loads(event.body).items() if k != "event"}
    }


def test_nullable_fields_are_written_as_null() -> None:
    _, event = outgoing(_signals(None), {CREATED, SIGNAL})
    fields = json.loads(event.body)
    assert fields["from"] is None
    assert fields["data"] is None


def test_the_webhook_is_filtered_and_the_cdr_is_not() -> None:
    steps = _signals("a", "b")
    assert [event.event for event in outgoing(steps, {SIGNAL})] == [SIGNAL, SIGNAL]
    assert outgoing(steps, frozenset()) == []
    assert outgoing(steps, Webhook().events) == []
    assert cdr_lines(steps).count(b"\n") == 3


def test_an_event_is_known_by_its_place_in_the_log_whatever_is_filtered() -> None:
    steps = _signals("a", "b")
    everything = outgoing(steps, {CREATED, SIGNAL})
    assert [(event.sequence, event.position) for event in everything] == [(1, 0), (2, 0), (2, 1)]
    ids = [event.event_id for event in everything]
    assert len(set(ids)) == 3
    assert [event.event_id for event in outgoing(steps, {SIGNAL})] == ids[1:]
    assert [event.event_id for event in outgoing(steps[1:], {SIGNAL})] == ids[1:]


def test_two_logs_never_give_the_same_id() -> None:
    (event,) = outgoing([_created()], {CREATED})
    step = _created()
    other = Step(Recorded(1, step.recorded.commit, "f" * 64), step.before, step.after)
    assert outgoing([other], {CREATED})[0].event_id != event.event_id


def test_the_cursor_stands_behind_the_last_commit() -> None:
    assert end_of(_signals("a")) == (2, f"{2:064x}")
