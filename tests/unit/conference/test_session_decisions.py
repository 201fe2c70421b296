"""Sessions begin, end, are collected, and survive the restart of their media process."""

from __future__ import annotations

import pytest

from services.conference import events as e
from services.conference.commands import (
    CloseSession,
    CollectSession,
    CreateConnection,
    InitializeSession,
    LeaveSession,
    ResetMedia,
    StartRecording,
)
from services.conference.decide import decide
from services.conference.errors import SessionExists, SessionInUse, SessionNotFound
from services.conference.model import (
    Reason,
    RecordingOptions,
    RecordingStatus,
    SessionProperties,
)
from services.conference.state import EMPTY

from .scenario import (
    NOW,
    SESSION,
    allocated,
    camera,
    created,
    destroyed,
    given,
    joined,
    left,
    pending,
    published,
    recording,
    requested,
    stopped,
    subscribed,
    unpublished,
    unsubscribed,
)

CLOSE = CloseSession(Reason.SESSION_CLOSED_BY_SERVER)
RESET = ResetMedia("media_1", "second")
RECONNECT = Reason.MEDIA_SERVER_RECONNECT
CLOSED = Reason.SESSION_CLOSED_BY_SERVER


def test_a_session_is_created_as_asked() -> None:
    properties = SessionProperties(custom_session_id=SESSION)
    state = (
        given()
        .when(InitializeSession(SESSION, properties))
        .then(e.SessionCreated(SESSION, properties, NOW))
    )
    assert state.session is not None
    assert (state.session.id, state.session.created_at) == (SESSION, NOW)
    assert state.session.properties is properties


def test_an_open_session_is_not_created_again() -> None:
    given(created()).when(InitializeSession(SESSION, SessionProperties())).is_refused(SessionExists)


def test_a_session_that_ended_can_be_created_anew_and_keeps_its_recordings() -> None:
    history = given(
        created(), allocated(), joined("A"), recording(), stopped(), left("A", Reason.DISCONNECT),
        destroyed(Reason.LAST_PARTICIPANT_LEFT),
    )  # fmt: skip
    state = history.when(InitializeSession(SESSION, SessionProperties())).then(
        e.SessionCreated(SESSION, SessionProperties(), NOW)
    )
    assert list(state.recordings) == [SESSION]
    assert state.session is not None
    assert state.session.connections == {}


@pytest.mark.parametrize("command", [CLOSE, CollectSession(), RESET, CreateConnection("A", "t")])
def test_without_a_session_nothing_can_happen_in_it(command: object) -> None:
    given().when(command).is_refused(SessionNotFound)
    ended = given(created(), destroyed(CLOSED))
    ended.when(command).is_refused(SessionNotFound)


def test_closing_ends_each_user_in_turn_and_then_the_session() -> None:
    """Two users publishing to each other: media, media, media, left, media, left."""
    given(
        created(), allocated(), joined("A"), joined("B"), published("A"), published("B"),
        subscribed("A", "B"), subscribed("B", "A"), pending("C"),
    ).when(CLOSE).then(
        unsubscribed("B", "A", CLOSED),
        unsubscribed("A", "B", CLOSED),
        unpublished("A", CLOSED),
        left("A", CLOSED),
        unpublished("B", CLOSED),
        left("B", CLOSED),
        destroyed(CLOSED),
    )  # fmt: skip


def test_closing_a_session_nobody_joined_only_ends_it() -> None:
    state = given(created(), pending("A")).when(CLOSE).then(destroyed(CLOSED))
    assert state.session is None


def test_closing_stops_the_recording_after_the_users_left() -> None:
    given(created(), allocated(), joined("A"), recording()).when(CLOSE).then(
        left("A", CLOSED), stopped(CLOSED), destroyed(CLOSED)
    )


def test_closing_stops_and_fails_a_recording_that_is_still_starting() -> None:
    outcome = given(created(), allocated(), joined("A"), requested()).when(CLOSE)
    events = decide(outcome.before, outcome.command, NOW)
    assert [type(event) for event in events] == [
        e.ParticipantLeft,
        e.RecordingStopped,
        e.RecordingFailed,
        e.SessionDestroyed,
    ]
    state = outcome.then(*events)
    assert state.recordings[SESSION].status is RecordingStatus.FAILED
    assert state.recordings[SESSION].reason is CLOSED


def test_a_crashed_node_closes_a_session_with_that_reason() -> None:
    crashed = Reason.NODE_CRASHED
    given(created(), allocated(), joined("A"), published("A"), recording()).when(
        CloseSession(crashed)
    ).then(unpublished("A", crashed), left("A", crashed), stopped(crashed), destroyed(crashed))


@pytest.mark.parametrize(
    "reason",
    [Reason.NODE_CRASHED, Reason.MEDIA_SERVER_DISCONNECT, Reason.OPENVIDU_SERVER_STOPPED],
)
def test_a_session_nobody_joined_vanishes_silently_with_its_node_or_server(reason: Reason) -> None:
    given(created(), pending("A")).when(CloseSession(reason)).then(e.SessionCollected(NOW))


@pytest.mark.parametrize("reason", [Reason.DISCONNECT, Reason.UNPUBLISH, Reason.AUTOMATIC_STOP])
def test_a_reason_that_does_not_close_sessions_is_a_defect_of_the_caller(reason: Reason) -> None:
    with pytest.raises(ValueError, match=reason.value):
        decide(given(created()).state, CloseSession(reason), NOW)


def test_a_session_nobody_joined_is_collected() -> None:
    state = given(created(), pending("A")).when(CollectSession()).then(e.SessionCollected(NOW))
    assert state == EMPTY


def test_a_session_somebody_joined_is_not_collected() -> None:
    given(created(), allocated(), joined("A")).when(CollectSession()).is_refused(SessionInUse)


def test_a_session_that_only_its_recording_keeps_open_is_not_collected() -> None:
    given(
        created(), allocated(), joined("A"), recording(), left("A", Reason.DISCONNECT)
    ).when(CollectSession()).is_refused(SessionInUse)  # fmt: skip


def test_a_restarted_media_process_ends_all_media_but_nobody_leaves() -> None:
    state = (
        given(
            created(), allocated(), joined("A"), joined("B"), published("A"), published("B"),
            subscribed("A", "B"), subscribed("B", "A"),
        )
        .when(RESET)
        .then(
            unsubscribed("A", "B", RECONNECT),
            unpublished("A", RECONNECT),
            unsubscribed("B", "A", RECONNECT),
            unpublished("B", RECONNECT),
            allocated("second", NOW),
        )
    )  # fmt: skip
    assert state.session is not None
    assert set(state.session.connections) == {"A", "B"}
    assert state.session.media_node is not None
    assert state.session.media_node.instance == "second"


def test_a_restarted_media_process_stops_the_recording_first() -> None:
    given(created(), allocated(), joined("A"), published("A"), recording()).when(RESET).then(
        stopped(RECONNECT), unpublished("A", RECONNECT), allocated("second", NOW)
    )


def test_a_restarted_media_process_ends_a_session_that_only_its_recording_kept_open() -> None:
    given(created(), allocated(), joined("A"), recording(), left("A", Reason.DISCONNECT)).when(
        RESET
    ).then(stopped(RECONNECT), allocated("second", NOW), destroyed(Reason.LAST_PARTICIPANT_LEFT))


@pytest.mark.parametrize("command", [ResetMedia("media_1", "first"), ResetMedia("media_2", "new")])
def test_the_same_instance_or_another_node_resets_nothing(command: ResetMedia) -> None:
    given(created(), allocated(), joined("A"), published("A")).when(command).nothing_happens()


def test_a_session_without_media_has_nothing_to_reset() -> None:
    given(created(), pending("A")).when(RESET).nothing_happens()


def test_a_session_with_a_camera_left_stays_open() -> None:
    given(created(), allocated(), camera("K"), joined("A")).when(LeaveSession("A")).then(
        left("A", Reason.DISCONNECT)
    )


def test_a_camera_counts_as_somebody_to_record() -> None:
    outcome = given(created(), allocated(), camera("K")).when(StartRecording(RecordingOptions()))
    outcome.then(requested(at=NOW))
