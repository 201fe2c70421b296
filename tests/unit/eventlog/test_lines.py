from __future__ import annotations

import msgspec
import pytest

from services.conference.commands import CreateConnection, JoinSession, SendSignal
from services.conference.events import ConnectionCreated, ParticipantJoined, SignalSent
from services.conference.model import ConnectionType, IceServer, Role
from services.eventlog.commit import Actor, ActorKind, Commit, Recorded
from services.eventlog.lines import json_line, render

SECRETS = ("tok_ABCDEF1234567890", "turn-password", "0f" * 32)


def recorded(command, *events, actor=None):
    return Recorded(
        7,
        Commit(
            id="abc",
            session_id="ses_A",
            version=3,
            time=1_700_000_000_123,
            actor=actor or Actor(ActorKind.REST),
            command=command,
            events=events,
            previous="d" * 64,
        ),
        "e" * 64,
    )


CREATED = recorded(
    CreateConnection(
        connection_id="con_A",
        token=SECRETS[0],
        server_data=f"a URL with token={SECRETS[0]} in it",
        custom_ice_servers=(IceServer("turn:a", "user", SECRETS[1]),),
    ),
    ConnectionCreated(
        connection_id="con_A",
        token=SECRETS[0],
        type=ConnectionType.WEBRTC,
        role=Role.PUBLISHER,
        record=True,
        server_data="",
        at=1_700_000_000_123,
        custom_ice_servers=(IceServer("turn:a", "user", SECRETS[1]),),
    ),
)
JOINED = recorded(
    JoinSession(
        token=SECRETS[0],
        platform="p",
        client_data="",
        rpc_digest=SECRETS[2],
        media_node_id="m",
        media_instance="i",
    ),
    ParticipantJoined(
        connection_id="con_A",
        at=1,
        platform="p",
        client_data="",
        location="unknown",
        rpc_digest=SECRETS[2],
    ),
)


@pytest.mark.parametrize("commit", [CREATED, JOINED])
@pytest.mark.parametrize("form", [render, json_line])
def test_no_form_shows_a_secret(commit, form):
    text = form(commit)
    assert "tok_***" in text
    for secret in SECRETS:
        assert secret not in text


def test_the_line_for_people_says_who_did_what_when_and_what_followed():
    line = recorded(
        SendSignal(data="hi"),
        SignalSent(to=("con_B",), at=1, data="hi"),
        actor=Actor(ActorKind.CONNECTION, "con_A"),
    )
    assert render(line) == (
        "7 2023-11-14T22:13:20.123+00:00 ses_A@3 connection:con_A: "
        'sendSignal(data="hi") -> signalSent(to=["con_B"] data="hi")'
    )


@pytest.mark.parametrize(
    "text", ["a\nb", "\x1b[31mred", "\u202eevil", "x" * 10_000, "\x00", "\u2028"]
)
def test_a_line_is_one_short_line_whatever_is_in_it(text):
    line = render(recorded(SendSignal(data=text), actor=Actor(ActorKind.TIMER, text[:50])))
    assert line.isprintable()
    assert len(line) < 500


def test_the_json_line_is_the_whole_commit_in_one_line():
    line = json_line(recorded(SendSignal(data="a\nb"), SignalSent(to=("x",), at=1, data="a\nb")))
    assert "\n" not in line
    assert msgspec.json.decode(line) == {
        "sequence": 7,
        "digest": "e" * 64,
        "id": "abc",
        "sessionId": "ses_A",
        "version": 3,
        "time": 1_700_000_000_123,
        "actor": {"kind": "rest"},
        "command": {"command": "sendSignal", "data": "a\nb"},
        "events": [{"event": "signalSent.1", "to": ["x"], "at": 1, "data": "a\nb"}],
        "previous": "d" * 64,
    }
