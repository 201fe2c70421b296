"""What time, silence or the log itself makes due."""

from __future__ import annotations

from typing import Any

import pytest

from services.api.reactors.garbage import GarbageCollector
from services.api.reactors.recordings import START_MS, RecordingTimers
from services.conference.commands import (
    AutostopRecording,
    CloseSession,
    LeaveSession,
    ReportRecordingFailed,
    ReportRecordingStarted,
    StartRecording,
    StopRecording,
    UnpublishStream,
)
from services.conference.model import (
    MediaMode,
    OutputMode,
    Reason,
    RecordingMode,
    RecordingOptions,
    RecordingProperties,
)
from services.settings import Recording, Sessions

INDIVIDUAL = RecordingProperties(output_mode=OutputMode.INDIVIDUAL)
ALWAYS = {"recording_mode": RecordingMode.ALWAYS, "default_recording_properties": INDIVIDUAL}
RECORD = StartRecording(RecordingOptions(output_mode=OutputMode.INDIVIDUAL))


async def tell(story: Any, reactor: Any, after: int = 0) -> list[bool]:
    return [
        reactor.see(step.session_id, step.before, step.after) for step in await story.steps(after)
    ]


# Garbage


async def test_garbage_is_collected_at_intervals_when_it_is_old_enough(story: Any) -> None:
    await story.open()
    born = story.now
    collector = GarbageCollector(Sessions(garbage_interval=10, garbage_threshold=25), born)
    await tell(story, collector)
    due = {at: [a.session_id for a in collector.due(born + at)] for at in range(0, 50_000, 1000)}
    assert [at for at, found in due.items() if found] == [30_000, 40_000]
    assert due[30_000] == ["salon"]


async def test_a_joined_session_is_no_garbage_and_an_ended_one_neither(story: Any) -> None:
    collector = GarbageCollector(Sessions(garbage_interval=1, garbage_threshold=0), story.now)
    await story.open("joined")
    await story.join("ana", "joined")
    await story.open("closed")
    await story.do(CloseSession(Reason.SESSION_CLOSED_BY_SERVER), "closed")
    await story.open("pending")
    await story.connect("bob", "pending")
    await tell(story, collector)
    assert [a.session_id for a in collector.due(story.now + 5000)] == ["pending"]


async def test_an_interval_of_zero_collects_nothing(story: Any) -> None:
    collector = GarbageCollector(Sessions(garbage_interval=0, garbage_threshold=0), story.now)
    await story.open()
    await tell(story, collector)
    assert not list(collector.due(story.now + 10**9))


async def test_garbage_that_was_joined_or_replaced_meanwhile_is_spared(story: Any) -> None:
    collector = GarbageCollector(Sessions(garbage_interval=1, garbage_threshold=0), story.now)
    opened = await story.open()
    await tell(story, collector)
    (action,) = collector.due(story.now + 5000)
    assert action.applies(opened)
    assert not action.applies(await story.join("ana"))
    assert not action.applies(await story.do(CloseSession(Reason.SESSION_CLOSED_BY_SERVER)))
    assert not action.applies(await story.open()), "another session with the same id"


# Recordings


async def test_the_countdown_starts_when_the_last_one_left_and_ends_the_recording(
    story: Any,
) -> None:
    timers = RecordingTimers(Recording(autostop_timeout=60))
    await story.open()
    await story.join("ana")
    await story.publish("ana")
    await story.do(RECORD)
    await story.do(ReportRecordingStarted("salon"))
    await tell(story, timers)
    assert not list(timers.due(story.now + 10**7))
    position = len(await story.steps())
    state = await story.do(LeaveSession("con_ana"))
    await tell(story, timers, position)
    assert not list(timers.due(story.now + 59_999))
    (action,) = timers.due(story.now + 60_000)
    assert action.command == AutostopRecording("salon", immediate=False)
    assert action.applies(state)
    await story.join("bob")
    rescued = await story.publish("bob")
    assert not action.applies(rescued)
    await tell(story, timers, position + 1)
    assert not list(timers.due(story.now + 10**7))


async def test_a_countdown_of_zero_is_due_at_once(story: Any) -> None:
    timers = RecordingTimers(Recording(autostop_timeout=0))
    await story.open()
    await story.join("ana")
    await story.publish("ana")
    await story.do(RECORD)
    await story.do(ReportRecordingStarted("salon"))
    await story.do(LeaveSession("con_ana"))
    assert (await tell(story, timers))[-1] is True
    (action,) = timers.due(story.now)
    assert action.command == AutostopRecording("salon", immediate=True)


async def test_the_countdown_is_known_from_the_state_alone(story: Any) -> None:
    await story.open()
    await story.join("ana")
    await story.do(RECORD)
    state = await story.do(ReportRecordingStarted("salon"))
    timers = RecordingTimers(Recording(autostop_timeout=60))
    timers.see("salon", None, state)
    assert not list(timers.due(story.now + 59_000))
    (action,) = timers.due(story.now + 60_000)
    assert action.command == AutostopRecording("salon", immediate=False)


async def test_a_recording_that_never_starts_fails_after_a_while(story: Any) -> None:
    timers = RecordingTimers(Recording())
    await story.open()
    await story.join("ana")
    state = await story.do(RECORD)
    timers.see("salon", None, state)
    assert not list(timers.due(story.now + START_MS - 1))
    (action,) = timers.due(story.now + START_MS)
    assert isinstance(action.command, ReportRecordingFailed)
    started = await story.do(ReportRecordingStarted("salon"))
    assert not action.applies(started)
    timers.see("salon", state, started)
    assert not any(
        isinstance(a.command, ReportRecordingFailed) for a in timers.due(story.now + 10**9)
    )


async def test_the_first_publication_starts_a_recording_others_do_not(story: Any) -> None:
    timers = RecordingTimers(Recording())
    await story.open(**ALWAYS)
    for name in ("ana", "bob"):
        await story.join(name)
    await story.publish("ana")
    assert (await tell(story, timers))[-1] is True
    (action,) = timers.due(story.now)
    assert action.command == StartRecording(RecordingOptions(), automatic=True)
    assert action.command_id == "autostart-str_ana"
    position = len(await story.steps())
    await story.do(action.command)
    await tell(story, timers, position)
    assert not list(timers.due(story.now))
    await story.do(ReportRecordingFailed("salon", "no disk"))
    await story.publish("bob")
    await tell(story, timers, position + 1)
    assert not list(timers.due(story.now)), "somebody published all the time"
    await story.do(UnpublishStream("str_ana"))
    await story.do(UnpublishStream("str_bob"))
    await story.publish("ana")
    await tell(story, timers, position + 3)
    assert [a.timer for a in timers.due(story.now)] == ["autostart"]


async def test_a_recording_stopped_by_rest_does_not_start_again(story: Any) -> None:
    timers = RecordingTimers(Recording())
    await story.open(**ALWAYS)
    await story.join("ana")
    await story.publish("ana")
    await story.do(RECORD)
    await story.do(ReportRecordingStarted("salon"))
    await story.do(StopRecording("salon"))
    await story.do(UnpublishStream("str_ana"))
    await story.publish("ana")
    await tell(story, timers)
    assert not list(timers.due(story.now))


@pytest.mark.parametrize(
    ("properties", "settings"),
    [
        ({**ALWAYS, "recording_mode": RecordingMode.MANUAL}, Recording()),
        ({**ALWAYS, "media_mode": MediaMode.RELAYED}, Recording()),
        ({**ALWAYS, "default_recording_properties": RecordingProperties()}, Recording()),
        (ALWAYS, Recording(enabled=False)),
    ],
    ids=["manual", "relayed", "composed is not built", "module off"],
)
async def test_sessions_that_do_not_start_recording(
    story: Any, properties: dict[str, Any], settings: Recording
) -> None:
    timers = RecordingTimers(settings)
    await story.open(**properties)
    await story.join("ana")
    await story.publish("ana")
    await tell(story, timers)
    assert not list(timers.due(story.now))


async def test_a_start_that_the_process_before_missed_is_made_good(story: Any) -> None:
    await story.open(**ALWAYS)
    await story.join("ana")
    state = await story.publish("ana")
    timers = RecordingTimers(Recording())
    assert timers.see("salon", None, state) is True
    assert [a.timer for a in timers.due(story.now)] == ["autostart"]
    await story.do(RECORD)
    failed = await story.do(ReportRecordingFailed("salon", "no disk"))
    later = RecordingTimers(Recording())
    assert later.see("salon", None, failed) is False, "it was made, and failed"
    ended = await story.do(CloseSession(Reason.SESSION_CLOSED_BY_SERVER))
    assert timers.see("salon", failed, ended) is False
    assert not list(timers.due(story.now))
