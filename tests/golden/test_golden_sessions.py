"""What was once written can be read for ever.

Each `<name>.commits.jsonl` is the log of a session or media node as some version of the code wrote
it, byte for byte; beside it lie the state and the webhook records it led to. These files are never
edited: a new version of an event comes with a new file that holds it.
"""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import msgspec
import pytest

from services.conference.cdr import records
from services.conference.commands import Command
from services.conference.events import Event
from services.conference.evolve import evolve_all
from services.conference.state import EMPTY, State
from services.eventlog.commit import GENESIS, Commit, decode, digest, encode

HERE = Path(__file__).parent
SESSIONS = sorted(path.name.removesuffix(".commits.jsonl") for path in HERE.glob("*.commits.jsonl"))


def lines(name: str) -> list[bytes]:
    return (HERE / name).read_bytes().splitlines()


def commits(session: str) -> list[Commit]:
    return [decode(line) for line in lines(f"{session}.commits.jsonl")]


def tag(kind: type[msgspec.Struct]) -> str:
    return str(kind.__struct_config__.tag)


@pytest.mark.parametrize("session", SESSIONS)
def test_every_commit_is_read_and_written_as_the_same_bytes(session: str) -> None:
    for line in lines(f"{session}.commits.jsonl"):
        assert encode(decode(line)) == line


@pytest.mark.parametrize("session", SESSIONS)
def test_the_hash_chain_holds(session: str) -> None:
    previous = GENESIS
    for version, line in enumerate(lines(f"{session}.commits.jsonl"), start=1):
        commit = decode(line)
        assert (commit.version, commit.previous) == (version, previous)
        previous = digest(line)


@pytest.mark.parametrize("session", SESSIONS)
def test_the_events_lead_to_the_same_state(session: str) -> None:
    state = EMPTY
    for commit in commits(session):
        state = evolve_all(state, commit.events)
    assert state == msgspec.json.decode((HERE / f"{session}.state.json").read_bytes(), type=State)


@pytest.mark.parametrize("session", SESSIONS)
def test_the_events_lead_to_the_same_webhook_records(session: str) -> None:
    state, found = EMPTY, []
    for commit in commits(session):
        found += records(state, commit.events)
        state = evolve_all(state, commit.events)
    texts = [msgspec.json.encode({record.name: record.fields}) for record in found]
    assert texts == lines(f"{session}.records.jsonl")


def test_every_version_of_every_event_and_command_has_been_kept() -> None:
    kept = [commit for session in SESSIONS for commit in commits(session)]
    events = {tag(type(event)) for commit in kept for event in commit.events}
    assert events == {tag(kind) for kind in get_args(Event)}
    assert {tag(type(commit.command)) for commit in kept} == {
        tag(kind) for kind in get_args(Command)
    }


def test_an_event_of_an_unknown_version_is_not_read() -> None:
    line = lines("session-1.commits.jsonl")[0]
    with pytest.raises(msgspec.DecodeError):
        decode(line.replace(b"sessionCreated.1", b"sessionCreated.99"))
