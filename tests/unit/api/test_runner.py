"""The runner sends what is due, once, and survives whatever goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

from services.api.reactors.action import Action
from services.api.reactors.runner import Reactors
from services.conference.commands import CloseSession
from services.conference.model import Reason
from services.conference.state import State
from services.eventlog.log import LogUnavailable

CLOSE = CloseSession(Reason.NODE_CRASHED)


class Scripted:
    """A reactor that wants the same thing again and again."""

    def __init__(self, *sessions: str, applies: Callable[[State], bool] = lambda _: True) -> None:
        self.sessions = sessions
        self.applies = applies

    def see(self, session_id: str, before: State | None, after: State) -> bool:
        return True

    def due(self, now: int) -> Iterable[Action]:
        return [Action("test", session, CLOSE, self.applies) for session in self.sessions]


class Broken:
    def see(self, session_id: str, before: State | None, after: State) -> bool:
        raise RuntimeError("broken")

    def due(self, now: int) -> Iterable[Action]:
        raise RuntimeError("broken")


async def run_until(reactors: Reactors, condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(reactors.run())
        while True:
            if condition():
                break
            await asyncio.sleep(0.001)
        running.cancel()


async def test_what_is_due_is_sent_by_the_timer_of_that_name(story: Any) -> None:
    for name in ("one", "two"):
        await story.open(name)
    reactors = Reactors(story.bus, [Broken(), Scripted("one", "two", "nobody")], tick=0.01)
    last = len(await story.steps())
    await run_until(reactors, lambda: story.bus.counters.commits == 4)
    steps = await story.steps(after=last)
    assert {step.session_id for step in steps} == {"one", "two"}
    assert {step.recorded.commit.actor.id for step in steps} == {"test"}


async def test_what_no_longer_applies_is_not_sent(story: Any) -> None:
    await story.open()
    asked: list[State] = []

    def applies(state: State) -> bool:
        asked.append(state)
        return False

    reactors = Reactors(story.bus, [Scripted("salon", applies=applies)], tick=0.01)
    await run_until(reactors, lambda: asked)
    assert asked[0].session is not None
    assert len(await story.steps()) == 1


async def test_an_action_that_stays_due_rests_between_two_sendings(story: Any) -> None:
    now = 0
    asked: list[int] = []

    def applies(_: State) -> bool:
        asked.append(now)
        return False

    def clock() -> int:
        nonlocal now
        now += 100  # a round of the runner, however long it takes
        return now

    scripted = Scripted("salon", applies=applies)
    reactors = Reactors(story.bus, [scripted], tick=0.001, clock=clock)
    await run_until(reactors, lambda: now > 10_000)
    assert 2 <= len(asked) <= 6
    assert all(late - early >= 2_000 for early, late in pairwise(asked))


async def test_a_log_that_is_away_is_tried_again(story: Any, monkeypatch: Any) -> None:
    await story.open()
    real, failures = story.bus.load, 0

    async def load(session_id: str) -> State:
        nonlocal failures
        if failures < 3:
            failures += 1
            raise LogUnavailable("away")
        return await real(session_id)

    monkeypatch.setattr(story.bus, "load", load)
    now = 0

    def clock() -> int:
        nonlocal now
        now += 2_000
        return now

    reactors = Reactors(story.bus, [Scripted("salon")], tick=0.001, clock=clock)
    await run_until(reactors, lambda: story.bus.counters.commits == 2)
    assert failures == 3


async def test_a_broken_reactor_does_not_keep_others_from_seeing(story: Any) -> None:
    await story.open()
    seen: list[str] = []

    class Seeing(Scripted):
        def see(self, session_id: str, before: State | None, after: State) -> bool:
            seen.append(session_id)
            return False

    reactors = Reactors(story.bus, [Broken(), Seeing()])
    reactors.adopt([State(), (await story.steps())[0].after])
    reactors.dispatch(await story.steps())
    assert seen == ["salon", "salon"]
