"""What a batch of commits leaves to be written."""

from __future__ import annotations

from typing import Any

from services.api.projections import Changes, Row
from services.conference.commands import (
    CloseSession,
    DeleteRecording,
    ModifyConnection,
    RemoveConnection,
    ReportRecordingFailed,
    SendSignal,
    StartRecording,
)
from services.conference.model import Reason, RecordingOptions


async def test_a_batch_writes_each_row_once_with_its_last_value(story: Any) -> None:
    await story.open()
    await story.connect("ana")
    for record in (False, True, False):
        await story.do(ModifyConnection("con_ana", record=record))
    changes = Changes(await story.steps())
    assert set(changes.sessions) == {("salon",)}
    (row,) = changes.connections.values()
    assert isinstance(row, Row)
    assert row.value.record is False
    assert row.ordinal == 2, "the commit that made it, whatever came later"
    assert not changes.recordings


async def test_a_change_of_an_earlier_row_keeps_its_place(story: Any) -> None:
    await story.open()
    await story.connect("ana")
    await story.do(ModifyConnection("con_ana", record=False))
    changes = Changes(await story.steps(after=2))
    assert changes.connections[("salon", "con_ana")].ordinal is None
    assert not changes.sessions, "a connection is no column of its session"


async def test_what_came_and_went_in_one_batch_is_removed(story: Any) -> None:
    await story.open()
    await story.connect("ana")
    await story.do(RemoveConnection("con_ana"))
    assert Changes(await story.steps()).connections == {("salon", "con_ana"): None}


async def test_the_end_of_a_session_removes_all_its_connections(story: Any) -> None:
    await story.open()
    await story.join("ana")
    await story.connect("bob")
    await story.do(CloseSession(Reason.SESSION_CLOSED_BY_SERVER))
    changes = Changes(await story.steps(after=4))
    assert changes.sessions == {("salon",): None}
    assert changes.connections == {("salon", "con_ana"): None, ("salon", "con_bob"): None}


async def test_a_session_that_takes_a_freed_id_is_a_new_row(story: Any) -> None:
    await story.open()
    await story.do(CloseSession(Reason.SESSION_CLOSED_BY_SERVER))
    await story.open()
    await story.connect("ana")
    changes = Changes(await story.steps(after=1))
    assert changes.sessions[("salon",)].ordinal == 3


async def test_recordings_mark_their_session_and_outlive_it(story: Any) -> None:
    await story.open()
    await story.join("ana")
    await story.do(StartRecording(RecordingOptions()))
    changes = Changes(await story.steps(after=3))
    assert changes.sessions[("salon",)].recording is True
    assert changes.recordings[("salon",)].ordinal == 4
    await story.do(CloseSession(Reason.SESSION_CLOSED_BY_SERVER))
    changes = Changes(await story.steps(after=4))
    assert changes.sessions == {("salon",): None}
    assert changes.recordings[("salon",)].ordinal is None
    await story.do(DeleteRecording("salon"))
    changes = Changes(await story.steps(after=5))
    assert changes.recordings == {("salon",): None}


async def test_the_mark_of_a_recording_goes_with_it(story: Any) -> None:
    await story.open()
    await story.join("ana")
    await story.do(StartRecording(RecordingOptions()))
    await story.do(ReportRecordingFailed("salon", "no recorder"))
    changes = Changes(await story.steps(after=4))
    assert changes.sessions[("salon",)].recording is False


async def test_commits_that_no_answer_shows_write_nothing(story: Any) -> None:
    await story.open()
    await story.join("ana")
    await story.do(SendSignal(data="hola"))
    changes = Changes(await story.steps(after=3))
    assert not changes.sessions
    assert not changes.connections
    assert not changes.recordings


async def test_sessions_do_not_mix(story: Any) -> None:
    await story.open("one")
    await story.open("two")
    await story.connect("ana", "one")
    await story.connect("ana", "two")
    changes = Changes(await story.steps())
    assert set(changes.connections) == {("one", "con_ana"), ("two", "con_ana")}
    assert [row.ordinal for row in changes.connections.values()] == [3, 4]
