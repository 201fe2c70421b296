"""The countdown that stops a recording nobody publishes in (`events.md` 5.7)."""

from __future__ import annotations

import pytest

from services.conference import events as e
from services.conference.commands import AutostopRecording, LeaveSession
from services.conference.errors import RecordingNotFound
from services.conference.model import Reason

from .scenario import (
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
    unpublished,
)

ALONE = (created(), allocated(), joined("A"))


def test_the_countdown_runs_from_the_last_user_on_and_ends_recording_and_session() -> None:
    empty = given(*ALONE, published("A"), recording(), unpublished("A", Reason.DISCONNECT, THEN),
                  left("A", Reason.DISCONNECT, THEN))  # fmt: skip
    assert empty.state.session is not None
    assert empty.state.session.empty_since == THEN
    empty.when(AutostopRecording(SESSION)).then(
        stopped(Reason.AUTOMATIC_STOP), destroyed(Reason.AUTOMATIC_STOP)
    )


def test_without_a_countdown_the_last_user_is_the_reason() -> None:
    given(*ALONE, recording(), left("A", Reason.DISCONNECT)).when(
        AutostopRecording(SESSION, immediate=True)
    ).then(stopped(Reason.LAST_PARTICIPANT_LEFT), destroyed(Reason.LAST_PARTICIPANT_LEFT))


@pytest.mark.parametrize("immediate", [False, True])
def test_a_recording_nobody_publishes_in_stops_and_the_session_lives_on(immediate: bool) -> None:
    silent = given(*ALONE, recording())
    assert silent.state.session is not None
    assert silent.state.session.empty_since == THEN
    state = silent.when(AutostopRecording(SESSION, immediate)).then(stopped(Reason.AUTOMATIC_STOP))
    assert state.session is not None
    assert state.session.empty_since is None


def test_a_publication_ends_the_countdown() -> None:
    rescued = given(*ALONE, recording(), published("A"))
    rescued.when(AutostopRecording(SESSION)).nothing_happens()
    stopped_publishing = given(*rescued.events, unpublished("A", Reason.UNPUBLISH, THEN))
    stopped_publishing.when(AutostopRecording(SESSION)).nothing_happens()


def test_a_mere_join_does_not_end_the_countdown() -> None:
    visited = given(
        *ALONE, published("A"), recording(), unpublished("A", Reason.DISCONNECT, THEN),
        left("A", Reason.DISCONNECT, THEN), pending("B"), entered("B", THEN + 5),
    )  # fmt: skip
    visited.when(AutostopRecording(SESSION)).then(stopped(Reason.AUTOMATIC_STOP))
    deserted = given(*visited.events, left("B", Reason.DISCONNECT, THEN + 9))
    assert deserted.state.session is not None
    assert deserted.state.session.empty_since == THEN


def test_the_countdown_of_a_starting_recording_waits_for_its_start() -> None:
    empty = given(*ALONE, requested(), left("A", Reason.DISCONNECT, THEN))
    empty.when(AutostopRecording(SESSION)).nothing_happens()
    started = given(*empty.events, e.RecordingStarted(SESSION, THEN + 7))
    assert started.state.session is not None
    assert started.state.session.empty_since == THEN + 7


def test_a_recording_that_has_ended_is_not_stopped_by_the_countdown() -> None:
    given(*ALONE, recording(), stopped()).when(AutostopRecording(SESSION)).is_refused(
        RecordingNotFound
    )


def test_users_may_come_back_during_the_countdown() -> None:
    given(
        *ALONE, recording(), left("A", Reason.DISCONNECT), pending("B"), entered("B"),
        published("B"),
    ).when(LeaveSession("B")).then(
        unpublished("B", Reason.DISCONNECT), left("B", Reason.DISCONNECT)
    )  # fmt: skip
