"""What holds for every history, whatever the commands."""

from __future__ import annotations

from random import Random
from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from services.conference import events as e
from services.conference.cdr import Record, records
from services.conference.commands import Command
from services.conference.decide import decide
from services.conference.errors import ConferenceError
from services.conference.events import Event
from services.conference.evolve import evolve_all
from services.conference.ids import unique_session_id
from services.conference.model import NodeStatus, RecordingStatus, Role
from services.conference.notices import Notices, notices
from services.conference.state import EMPTY, Session, State
from services.conference.views import connection_object, recording_object, session_object
from services.eventlog.commit import Actor, ActorKind, Commit, decode, encode

from .ordering import check_order
from .random_commands import KINDS, Dice, NodeDice
from .scenario import SESSION, THEN

STEPS = 120


class History:
    """Runs commands as the command bus does, and looks at the state after each."""

    def __init__(self, rng: Random, dice: type[Dice] | type[NodeDice] = Dice) -> None:
        self.state = EMPTY
        self.commits: list[bytes] = []
        self.records: list[Record] = []
        self.refusals: set[type[ConferenceError]] = set()
        self.events: set[type[Event]] = set()
        self.used_tokens: set[str] = set()
        self.vanished: set[str] = set()
        self._rng = rng
        self._dice = dice(rng)
        self._time = THEN

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self._time += self._rng.randint(1, 5000)
            self._step(self._dice.command(self.state, self._time))

    def _step(self, command: Command) -> None:
        before = self.state
        try:
            events = decide(before, command, self._time)
        except ConferenceError as refusal:
            self.refusals.add(type(refusal))
            return
        assert decide(before, command, self._time) == events
        if not events:
            return
        self.state = evolve_all(before, events)
        self._commit(command, events)
        self._look_at_tokens(before, events)
        self.records += records(before, events)
        self.events.update(map(type, events))
        check_state(self.state)
        check_node(before, self.state)
        check_notices(
            before, self.state, notices(before, command, events, self.state, frozenset(Role))
        )

    def _commit(self, command: Command, events: tuple[Event, ...]) -> None:
        commit = Commit(
            id=f"command {len(self.commits)}",
            session_id=SESSION,
            version=len(self.commits) + 1,
            time=self._time,
            actor=Actor(ActorKind.SERVICE, "test"),
            command=command,
            events=events,
        )
        payload = encode(commit)
        assert decode(payload) == commit
        assert encode(decode(payload)) == payload
        self.commits.append(payload)

    def _look_at_tokens(self, before: State, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, e.ParticipantJoined):
                assert before.session is not None
                connection = before.session.connections[event.connection_id]
                assert not connection.active
                assert connection.token not in self.used_tokens
                self.used_tokens.add(connection.token)
            elif isinstance(event, e.SessionCollected):
                assert before.session is not None
                assert not before.session.joined
                self.vanished.add(unique_session_id(SESSION, before.session.created_at))


def check_state(state: State) -> None:
    active = [
        recording
        for recording in state.recordings.values()
        if recording.status in (RecordingStatus.STARTING, RecordingStatus.STARTED)
    ]
    assert len(active) <= 1
    assert state.active_recording is (active[0] if active else None)
    for recording in state.recordings.values():
        assert recording_object(recording, "https://host")["status"] == recording.status
    if state.session is None:
        assert not active
        return
    if active:
        unique = unique_session_id(state.session.id, state.session.created_at)
        assert active[0].unique_session_id == unique
    check_session(state.session, active[0].status if active else None)


def check_node(before: State, after: State) -> None:
    old, new = before.node, after.node
    if new is None:
        return
    assert after.session is None
    if new.status is NodeStatus.RUNNING:
        assert new.connected_at
        assert not new.removed
        assert not new.crashed
    if old is not None and old.registered:
        assert new.launched_at == old.launched_at
    if old is not None and old.status is NodeStatus.TERMINATING:
        assert new.status is NodeStatus.TERMINATED


def check_session(session: Session, recording: RecordingStatus | None) -> None:
    streams = {
        connection.stream.id: connection
        for connection in session.connections.values()
        if connection.stream is not None
    }
    present = [connection for connection in session.connections.values() if connection.active]
    for connection in session.connections.values():
        assert connection.active or (connection.stream is None and not connection.subscriptions)
        for subscription in connection.subscriptions.values():
            publisher = streams[subscription.stream_id]
            assert publisher.id == subscription.publisher_id != connection.id
            assert publisher.stream is not None
            assert subscription.published == publisher.stream.published
        connection_object(connection, session.id, "wss://host")
    assert session.joined == (session.media_node is not None)
    assert present or not session.joined or recording is not None, "a deserted session stays open"
    if session.empty_since is not None:
        assert recording is RecordingStatus.STARTED
        assert not streams
    view = session_object(session, recording=recording is not None, websocket_url="wss://host")
    assert view["connections"]["numberOfElements"] == len(present)


def check_notices(before: State, after: State, found: Notices) -> None:
    known = set()
    for session in (before.session, after.session):
        if session is not None:
            known |= {one.id for one in session.connections.values() if one.active}
    for notice in [*found.before_response, *found.after_response]:
        assert notice.to in known, "a notice to somebody who was never there"
        assert None not in notice.params.values()
        if notice.method in ("participantJoined", "participantPublished"):
            assert notice.params["id"] != notice.to
        elif notice.method == "participantLeft":
            assert notice.params["connectionId"] != notice.to


def replay(payloads: list[bytes]) -> tuple[State, list[Record]]:
    state, found = EMPTY, []
    for payload in payloads:
        events = decode(payload).events
        found += records(state, events)
        state = evolve_all(state, events)
    return state, found


@settings(max_examples=60, deadline=None, database=None)
@given(st.randoms(use_true_random=False))
def test_every_history_keeps_what_the_contract_promises(rng: Random) -> None:
    history = History(rng)
    history.run(STEPS)
    check_order(history.records, history.vanished)
    assert replay(history.commits) == (history.state, history.records)


def test_random_histories_meet_every_event_and_every_refusal() -> None:
    assert frozenset(get_args(Command)) == KINDS
    events: set[type[Event]] = set()
    refusals: set[type[ConferenceError]] = set()
    for seed in range(60):
        history = History(Random(seed))
        history.run(STEPS)
        check_order(history.records, history.vanished)
        nodes = History(Random(seed), NodeDice)
        nodes.run(STEPS)
        assert replay(nodes.commits) == (nodes.state, nodes.records)
        events |= history.events | nodes.events
        refusals |= history.refusals | nodes.refusals
    assert events == set(get_args(Event))
    assert refusals == set(ConferenceError.__subclasses__())
