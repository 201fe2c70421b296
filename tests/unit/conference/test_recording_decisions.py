"""Recordings are asked for, start, stop, become ready or fail, and are deleted."""

from __future__ import annotations

import itertools

import pytest

from services.conference import events as e
from services.conference.commands import (
    AutostopRecording,
    Command,
    DeleteRecording,
    ReportRecordingFailed,
    ReportRecordingReady,
    ReportRecordingStarted,
    StartRecording,
    StopRecording,
)
from services.conference.decide import decide
from services.conference.errors import (
    NoParticipants,
    NothingToRecord,
    NotRouted,
    RecordingInProgress,
    RecordingNotFound,
    RecordingStarting,
    SessionNotFound,
)
from services.conference.model import (
    OutputMode,
    Reason,
    RecordingLayout,
    RecordingOptions,
    RecordingProperties,
    RecordingStatus,
    SessionProperties,
)

from .scenario import (
    COMPOSED,
    NOW,
    SESSION,
    THEN,
    UNIQUE,
    allocated,
    always,
    created,
    destroyed,
    given,
    joined,
    left,
    pending,
    published,
    recording,
    relayed,
    requested,
    stopped,
    unpublished,
)

START = StartRecording(RecordingOptions())
AUTOMATIC = StartRecording(RecordingOptions(), automatic=True)
STOP = StopRecording(SESSION)
READY = ReportRecordingReady(SESSION, 1024, 12.5)
FAILED = ReportRecordingFailed(SESSION, "no media")
ALONE = (created(), allocated(), joined("A"))


# Start


def test_a_recording_is_asked_for_and_starting_then() -> None:
    state = given(*ALONE).when(START).then(requested(at=NOW))
    found = state.recordings[SESSION]
    assert found.status is RecordingStatus.STARTING
    assert (found.session_id, found.unique_session_id) == (SESSION, UNIQUE)
    assert (found.created_at, found.size, found.duration) == (NOW, 0, 0.0)
    assert state.active_recording is found


def test_without_a_session_nothing_is_recorded() -> None:
    given().when(START).is_refused(SessionNotFound)
    given(*ALONE, left("A", Reason.DISCONNECT), destroyed(Reason.LAST_PARTICIPANT_LEFT)).when(
        START
    ).is_refused(SessionNotFound)


def test_only_a_routed_session_is_recorded_whoever_is_in_it() -> None:
    given(relayed()).when(START).is_refused(NotRouted)
    given(relayed(), allocated(), joined("A")).when(START).is_refused(NotRouted)


def test_a_session_without_users_is_not_recorded() -> None:
    given(created(), pending("A")).when(START).is_refused(NoParticipants)


def test_a_session_is_recorded_once_at_a_time() -> None:
    given(*ALONE, requested()).when(START).is_refused(RecordingInProgress)
    given(*ALONE, recording()).when(START).is_refused(RecordingInProgress)
    given(*ALONE, recording(), left("A", Reason.DISCONNECT)).when(START).is_refused(
        RecordingInProgress
    )


def test_the_next_recording_may_start_while_the_last_is_processed() -> None:
    given(*ALONE, recording(), stopped(at=THEN)).when(START).then(requested(f"{SESSION}~1", at=NOW))


def test_a_recording_of_neither_sound_nor_picture_is_refused() -> None:
    neither = RecordingOptions(has_audio=False, has_video=False)
    given(*ALONE).when(StartRecording(neither)).is_refused(NothingToRecord)
    silent = created(
        SessionProperties(default_recording_properties=RecordingProperties(has_audio=False))
    )
    given(silent, allocated(), joined("A")).when(
        StartRecording(RecordingOptions(has_video=False))
    ).is_refused(NothingToRecord)


def test_the_lowest_free_number_names_a_recording() -> None:
    def kept(*names: str) -> list[e.Event]:
        return list(
            itertools.chain.from_iterable(
                [*recording(name), stopped(name=name, at=THEN)] for name in names
            )
        )

    first, second, third = SESSION, f"{SESSION}~1", f"{SESSION}~2"
    history = [*ALONE, kept(first, second, third)]
    given(*history).when(START).then(requested(f"{SESSION}~3", at=NOW))
    history.append(e.RecordingDeleted(second, THEN))
    given(*history).when(START).then(requested(second, at=NOW))
    history.append(e.RecordingDeleted(first, THEN))
    given(*history).when(START).then(requested(first, at=NOW))


def test_recordings_of_earlier_lives_keep_their_ids() -> None:
    given(
        *ALONE, recording(), stopped(at=THEN), left("A", Reason.DISCONNECT),
        destroyed(Reason.LAST_PARTICIPANT_LEFT), *ALONE,
    ).when(START).then(requested(f"{SESSION}~1", at=NOW))  # fmt: skip


def test_what_is_asked_for_goes_before_the_defaults_of_the_session() -> None:
    defaults = RecordingProperties(
        name="Lesson",
        has_audio=True,
        has_video=True,
        recording_layout=RecordingLayout.CUSTOM,
        custom_layout="grid",
        resolution="640x480",
        frame_rate=10,
        shm_size=134217728,
        ignore_failed_streams=True,
        media_node="media_7",
    )
    session = given(
        created(SessionProperties(default_recording_properties=defaults)), allocated(), joined("A")
    )
    session.when(START).then(requested(properties=defaults, at=NOW))
    asked = RecordingOptions(
        name="Other",
        has_audio=False,
        recording_layout=RecordingLayout.BEST_FIT,
        custom_layout="",
        resolution="320x240",
        frame_rate=1,
        shm_size=536870912,
        ignore_failed_streams=False,
        media_node="media_8",
    )
    session.when(StartRecording(asked)).then(
        requested(
            properties=RecordingProperties(
                name="Other",
                has_audio=False,
                resolution="320x240",
                frame_rate=1,
                media_node="media_8",
            ),
            at=NOW,
        )
    )


def test_an_empty_name_is_none() -> None:
    state = given(*ALONE).when(StartRecording(RecordingOptions(name=""))).then(requested(at=NOW))
    assert state.recordings[SESSION].name == SESSION
    named = created(SessionProperties(default_recording_properties=RecordingProperties("Lesson")))
    given(named, allocated(), joined("A")).when(StartRecording(RecordingOptions(name=""))).then(
        requested(properties=RecordingProperties("Lesson"), at=NOW)
    )


QUICK, SLOW, EACH = OutputMode.COMPOSED_QUICK_START, OutputMode.COMPOSED, OutputMode.INDIVIDUAL


@pytest.mark.parametrize(
    ("default", "asked", "effective"),
    [
        (QUICK, SLOW, QUICK),
        (QUICK, None, QUICK),
        (QUICK, QUICK, QUICK),
        (QUICK, EACH, EACH),
        (SLOW, QUICK, SLOW),
        (SLOW, None, SLOW),
        (SLOW, SLOW, SLOW),
        (SLOW, EACH, EACH),
        (EACH, None, EACH),
        (EACH, EACH, EACH),
        (EACH, SLOW, SLOW),
        (EACH, QUICK, SLOW),
    ],
)
def test_the_output_mode_depends_on_what_the_session_was_made_for(
    default: OutputMode, asked: OutputMode | None, effective: OutputMode
) -> None:
    properties = RecordingProperties(output_mode=default)
    given(
        created(SessionProperties(default_recording_properties=properties)),
        allocated(),
        joined("A"),
    ).when(StartRecording(RecordingOptions(output_mode=asked))).then(
        requested(properties=RecordingProperties(output_mode=effective), at=NOW)
    )


# Automatic start


def test_the_first_publication_lets_an_always_recorded_session_be_recorded() -> None:
    properties = RecordingProperties(name="Lesson")
    given(always(properties), allocated(), joined("A"), published("A")).when(AUTOMATIC).then(
        requested(properties=properties, automatic=True, at=NOW)
    )


@pytest.mark.parametrize(
    "history",
    [
        [created(), allocated(), joined("A"), published("A")],
        [relayed(), allocated(), joined("A"), published("A")],
        [always(), allocated(), joined("A")],
        [always(), allocated(), joined("A"), published("A"), requested()],
        [always(), allocated(), joined("A"), published("A"), recording()],
        [always(), allocated(), joined("A"), published("A"), recording(), stopped()],
    ],
    ids=["manual", "relayed", "nobody publishes", "starting", "started", "stopped by REST"],
)
def test_an_automatic_start_without_cause_does_nothing(history: list[e.Event]) -> None:
    given(*history).when(AUTOMATIC).nothing_happens()


def test_after_an_automatic_stop_the_next_publication_is_recorded_again() -> None:
    given(
        always(), allocated(), joined("A"), recording(), stopped(Reason.AUTOMATIC_STOP),
        published("A"),
    ).when(AUTOMATIC).then(requested(f"{SESSION}~1", automatic=True, at=NOW))  # fmt: skip


def test_a_stop_by_rest_holds_for_this_life_of_the_session_only() -> None:
    life = [always(), allocated(), joined("A"), published("A")]
    given(
        *life, recording(), stopped(), unpublished("A", Reason.DISCONNECT),
        left("A", Reason.DISCONNECT), destroyed(Reason.LAST_PARTICIPANT_LEFT), *life,
    ).when(AUTOMATIC).then(requested(f"{SESSION}~1", automatic=True, at=NOW))  # fmt: skip


# Reports of the recorder


def test_a_starting_recording_is_reported_started() -> None:
    state = (
        given(*ALONE, published("A"), requested())
        .when(ReportRecordingStarted(SESSION))
        .then(e.RecordingStarted(SESSION, NOW))
    )
    assert state.recordings[SESSION].status is RecordingStatus.STARTED


def test_a_stopped_recording_becomes_ready() -> None:
    state = (
        given(*ALONE, recording(), stopped(at=THEN))
        .when(READY)
        .then(e.RecordingReady(SESSION, 1024, 12.5, NOW))
    )
    found = state.recordings[SESSION]
    assert (found.status, found.size, found.duration) == (RecordingStatus.READY, 1024, 12.5)
    assert found.reason is Reason.RECORDING_STOPPED_BY_SERVER


def test_a_recording_becomes_ready_after_its_session_ended() -> None:
    given(
        *ALONE, recording(), left("A", Reason.SESSION_CLOSED_BY_SERVER),
        stopped(Reason.SESSION_CLOSED_BY_SERVER), destroyed(Reason.SESSION_CLOSED_BY_SERVER),
    ).when(READY).then(e.RecordingReady(SESSION, 1024, 12.5, NOW))  # fmt: skip


@pytest.mark.parametrize("history", [[requested()], [recording()]])
def test_only_a_stopped_recording_becomes_ready(history: list[e.Event]) -> None:
    given(*ALONE, *history).when(READY).is_refused(RecordingInProgress)


def test_a_failed_recording_stays_failed() -> None:
    failed = given(*ALONE, recording(), stopped(), e.RecordingFailed(SESSION, "disk", THEN))
    failed.when(READY).is_refused(RecordingNotFound)
    failed.when(FAILED).nothing_happens()
    failed.when(ReportRecordingStarted(SESSION)).is_refused(RecordingNotFound)
    failed.when(STOP).is_refused(RecordingNotFound)


def test_a_ready_recording_stays_ready() -> None:
    ready = given(*ALONE, recording(), stopped(), e.RecordingReady(SESSION, 1, 1.0, THEN))
    ready.when(READY).nothing_happens()
    ready.when(FAILED).is_refused(RecordingNotFound)
    ready.when(ReportRecordingStarted(SESSION)).is_refused(RecordingNotFound)
    ready.when(STOP).is_refused(RecordingNotFound)


def test_a_report_is_taken_once() -> None:
    given(*ALONE, recording()).when(ReportRecordingStarted(SESSION)).nothing_happens()


@pytest.mark.parametrize("history", [[requested()], [recording()], [recording(), stopped()]])
def test_a_recording_can_fail_until_it_is_ready(history: list[e.Event]) -> None:
    state = given(*ALONE, *history).when(FAILED).then(e.RecordingFailed(SESSION, "no media", NOW))
    assert state.recordings[SESSION].status is RecordingStatus.FAILED
    assert state.recordings[SESSION].message == "no media"
    assert state.session is not None


def test_a_failed_start_leaves_the_session_free_for_another() -> None:
    failed = given(*ALONE, requested(), e.RecordingFailed(SESSION, "no media", THEN))
    failed.when(START).then(requested(f"{SESSION}~1", at=NOW))


@pytest.mark.parametrize("history", [[requested()], [recording()]])
def test_a_failure_ends_the_session_that_only_the_recording_kept_open(
    history: list[e.Event],
) -> None:
    given(*ALONE, *history, left("A", Reason.DISCONNECT)).when(FAILED).then(
        e.RecordingFailed(SESSION, "no media", NOW), destroyed(Reason.LAST_PARTICIPANT_LEFT)
    )


# Stop


def test_a_running_recording_is_stopped() -> None:
    state = given(*ALONE, recording()).when(STOP).then(stopped())
    assert state.recordings[SESSION].status is RecordingStatus.STOPPED
    assert state.session is not None
    assert state.session.autostart_off


def test_a_starting_recording_is_not_stopped() -> None:
    given(*ALONE, requested()).when(STOP).is_refused(RecordingStarting)


def test_a_recording_is_stopped_once() -> None:
    given(*ALONE, recording(), stopped()).when(STOP).is_refused(RecordingNotFound)


def test_a_stop_with_nobody_connected_ends_the_session() -> None:
    given(*ALONE, recording(), left("A", Reason.DISCONNECT)).when(STOP).then(
        stopped(), destroyed(Reason.RECORDING_STOPPED_BY_SERVER)
    )


def test_a_lost_node_stops_a_recording_with_that_reason_and_not_for_good() -> None:
    state = (
        given(*ALONE, recording())
        .when(StopRecording(SESSION, Reason.NODE_CRASHED))
        .then(stopped(Reason.NODE_CRASHED))
    )
    assert state.session is not None
    assert not state.session.autostart_off


def test_a_reason_that_stops_no_recording_is_a_defect_of_the_caller() -> None:
    state = given(*ALONE, recording()).state
    with pytest.raises(ValueError, match="unpublish"):
        decide(state, StopRecording(SESSION, Reason.UNPUBLISH), NOW)


@pytest.mark.parametrize(
    "command",
    [STOP, READY, FAILED, ReportRecordingStarted(SESSION), AutostopRecording(SESSION),
     DeleteRecording(SESSION)],
)  # fmt: skip
def test_an_unknown_recording_is_not_found(command: Command) -> None:
    given().when(command).is_refused(RecordingNotFound)
    given(*ALONE, recording(f"{SESSION}~1")).when(command).is_refused(RecordingNotFound)


# Delete


@pytest.mark.parametrize(
    "history",
    [
        [recording(), stopped()],
        [recording(), stopped(), e.RecordingReady(SESSION, 1, 1.0, THEN)],
        [requested(), e.RecordingFailed(SESSION, "no media", THEN)],
    ],
)
def test_a_recording_that_has_ended_is_deleted(history: list[e.Event]) -> None:
    state = (
        given(*ALONE, *history)
        .when(DeleteRecording(SESSION))
        .then(e.RecordingDeleted(SESSION, NOW))
    )
    assert state.recordings == {}


def test_a_recording_is_deleted_after_its_session_ended() -> None:
    given(
        *ALONE, recording(), stopped(), left("A", Reason.DISCONNECT),
        destroyed(Reason.LAST_PARTICIPANT_LEFT),
    ).when(DeleteRecording(SESSION)).then(e.RecordingDeleted(SESSION, NOW))  # fmt: skip


@pytest.mark.parametrize("history", [[requested()], [recording()]])
def test_a_recording_that_runs_is_not_deleted(history: list[e.Event]) -> None:
    given(*ALONE, *history).when(DeleteRecording(SESSION)).is_refused(RecordingInProgress)


def test_a_deleted_recording_takes_no_more_reports() -> None:
    deleted = given(*ALONE, recording(), stopped(), e.RecordingDeleted(SESSION, THEN))
    for command in (READY, FAILED, STOP, DeleteRecording(SESSION)):
        deleted.when(command).is_refused(RecordingNotFound)


def test_the_defaults_of_the_format_are_those_of_the_contract() -> None:
    assert (
        RecordingProperties(
            name="",
            has_audio=True,
            has_video=True,
            output_mode=OutputMode.COMPOSED,
            recording_layout=RecordingLayout.BEST_FIT,
            custom_layout="",
            resolution="1280x720",
            frame_rate=25,
            shm_size=536870912,
            ignore_failed_streams=False,
            media_node=None,
        )
        == COMPOSED
    )
