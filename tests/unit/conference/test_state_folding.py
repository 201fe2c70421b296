"""Folding shares what an event leaves alone, and refuses what cannot be in a log."""

from __future__ import annotations

from typing import get_args

import pytest

from services.conference import events as e
from services.conference.events import Event
from services.conference.evolve import _FOLDS, evolve, evolve_all
from services.conference.model import Direction, Reason, RecordingStatus, Role
from services.conference.state import EMPTY

from .scenario import (
    CAMERA,
    NOW,
    SESSION,
    THEN,
    allocated,
    created,
    destroyed,
    entered,
    given,
    joined,
    left,
    pending,
    published,
    recording,
    requested,
    stopped,
    stream,
    subscribed,
)

PAIR = (created(), allocated(), joined("A"), joined("B"), published("B"), recording(), stopped())


@pytest.mark.parametrize(
    "event",
    [
        e.ConnectionPropertyChanged("A", NOW, role=Role.MODERATOR),
        published("A"),
        subscribed("A", "B"),
        left("A", Reason.DISCONNECT),
        pending("P"),
    ],
)
def test_an_event_of_one_connection_leaves_the_others_the_same_objects(event: Event) -> None:
    before = given(*PAIR).state
    after = evolve(before, event)
    assert before.session is not None
    assert after.session is not None
    assert after.session.connections["B"] is before.session.connections["B"]
    assert after.session.properties is before.session.properties
    assert after.recordings is before.recordings
    assert "A" in before.session.connections, "the state before is untouched"


def test_an_event_of_a_recording_leaves_the_connections_the_same_objects() -> None:
    before = given(*PAIR).state
    after = evolve(before, e.RecordingReady(SESSION, 1, 1.0, NOW))
    assert after.session is before.session
    requested_again = evolve(before, requested(f"{SESSION}~1"))
    assert requested_again.session is before.session
    assert requested_again.recordings[SESSION] is before.recordings[SESSION]


def test_an_event_that_changes_nothing_gives_the_same_state() -> None:
    before = given(*PAIR).state
    for event in (
        e.SignalSent(("A",), NOW),
        e.StreamPropertyChanged("B", stream("B"), "videoTrack", '{"label":"x"}', "", NOW),
    ):
        assert evolve(before, event) is before
    assert evolve_all(before, ()) is before


def test_the_end_of_a_session_leaves_only_its_recordings() -> None:
    before = given(*PAIR).state
    for event in (destroyed(Reason.SESSION_CLOSED_BY_SERVER), e.SessionCollected(NOW)):
        after = evolve(before, event)
        assert after.session is None
        assert after.recordings is before.recordings


def test_a_failed_recording_ends_the_countdown() -> None:
    running = given(created(), allocated(), joined("A"), recording()).state
    assert running.session is not None
    assert running.session.empty_since == THEN
    after = evolve(running, e.RecordingFailed(SESSION, "disk", NOW))
    assert after.session is not None
    assert after.session.empty_since is None
    assert after.recordings[SESSION].status is RecordingStatus.FAILED


def test_connections_and_subscriptions_keep_the_order_of_their_creation() -> None:
    state = given(
        created(), allocated(), pending("C"), pending("A"), pending("B"), entered("B"),
        entered("A"), entered("C"), published("A"), published("B"), subscribed("C", "B"),
        subscribed("C", "A"), e.ConnectionPropertyChanged("C", NOW, record=False),
    ).state  # fmt: skip
    assert state.session is not None
    assert list(state.session.connections) == ["C", "A", "B"]
    assert list(state.session.connections["C"].subscriptions) == [stream("B"), stream("A")]


@pytest.mark.parametrize(
    "event",
    [
        allocated(),
        pending("A"),
        entered("A"),
        left("A", Reason.DISCONNECT),
        published("A"),
        requested(),
        e.StreamPropertyChanged("A", "s", "audioActive", "true", "", NOW),
    ],
)
def test_an_event_of_a_session_that_is_not_there_is_an_error(event: Event) -> None:
    with pytest.raises(ValueError, match="not in order"):
        evolve(EMPTY, event)


@pytest.mark.parametrize(
    "event",
    [
        subscribed("A", "C"),
        e.WebrtcConnectionCreated("A", "s", Direction.OUTBOUND, NOW),
        e.StreamPropertyChanged("A", "s", "audioActive", "true", "", NOW),
        e.WebrtcConnectionDestroyed("A", "s", Direction.INBOUND, Reason.UNPUBLISH, NOW),
        entered("X"),
    ],
)
def test_an_event_that_cannot_follow_is_an_error(event: Event) -> None:
    state = given(created(), allocated(), joined("A"), joined("C")).state
    with pytest.raises((ValueError, KeyError)):
        evolve(state, event)


def test_every_event_can_be_folded() -> None:
    assert set(_FOLDS) == set(get_args(Event))


def test_what_was_published_is_kept_with_the_subscription() -> None:
    state = given(*PAIR, subscribed("A", "B")).state
    assert state.session is not None
    assert state.session.connections["A"].subscriptions[stream("B")].published is CAMERA
