"""A crash between writing a line and recording it: the moment that decides about "exactly once"."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from services.webhooks import service as service_module
from services.webhooks.cdr import CdrFile
from services.webhooks.store import CdrPlace, Cursor, Store
from tests.integration.webhooks.helpers import (
    Conference,
    Service,
    cdr_events,
    eventually,
    settings,
)


class Crash(Exception):
    pass


class Time:
    def __init__(self) -> None:
        self.now = datetime(2024, 4, 2, 9, 26, 5, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(service_module, "CdrFile", partial(CdrFile, now=time))
    return time


@pytest.fixture
def crash_when(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[CdrPlace], bool]], None]:
    """Crash once instead of recording such a place."""
    keep = Store.keep_cdr
    conditions: list[Callable[[CdrPlace], bool]] = []

    async def keep_cdr(self: Store, follower: str, place: CdrPlace, cursor: Cursor) -> None:
        if conditions and conditions[-1](place):
            conditions.clear()
            raise Crash
        await keep(self, follower, place, cursor)

    monkeypatch.setattr(Store, "keep_cdr", keep_cdr)
    return conditions.append


async def _nothing() -> None:
    pass


async def _run_until_crash(
    service: Service, folder: Path, meanwhile: Callable[[], Awaitable[None]] = _nothing
) -> None:
    async def run() -> None:
        async with service.running(settings(cdr=folder)) as task:
            await meanwhile()
            await eventually(task.done)

    with pytest.raises(ExceptionGroup) as raised:
        await run()
    assert raised.group_contains(Crash)


@pytest.mark.parametrize("pause", [0, 1], ids=["within a second", "a second later"])
async def test_a_crash_after_the_first_lines_of_a_run(
    *,
    service: Service,
    conference: Conference,
    tmp_path: Path,
    time: Time,
    crash_when: Callable[[Callable[[CdrPlace], bool]], None],
    pause: int,
) -> None:
    folder = tmp_path / "cdr"
    await conference.whole("S")
    crash_when(lambda place: place.size > 0)
    await _run_until_crash(service, folder)
    assert cdr_events(folder)
    time.now += timedelta(seconds=pause)
    async with service.running(settings(cdr=folder)):
        await eventually(lambda: len(cdr_events(folder)) >= Conference.EVENTS)
        await service.until_cdr_end()
    assert len(cdr_events(folder)) == Conference.EVENTS


async def test_a_crash_after_the_first_lines_of_a_day(
    service: Service,
    conference: Conference,
    tmp_path: Path,
    time: Time,
    crash_when: Callable[[Callable[[CdrPlace], bool]], None],
) -> None:
    folder = tmp_path / "cdr"

    async def a_day_passes() -> None:
        await conference.whole("today")
        await eventually(lambda: len(cdr_events(folder)) == Conference.EVENTS)
        await service.until_cdr_end()
        crash_when(lambda place: "04-03" in place.path and place.size > 0)
        time.now += timedelta(days=1)
        await conference.whole("tomorrow")

    await _run_until_crash(service, folder, a_day_passes)
    assert len(cdr_events(folder)) > Conference.EVENTS
    time.now += timedelta(seconds=1)
    async with service.running(settings(cdr=folder)):
        await eventually(lambda: len(cdr_events(folder)) >= 2 * Conference.EVENTS)
        await service.until_cdr_end()
    events = cdr_events(folder)
    assert len(events) == 2 * Conference.EVENTS
    assert [event["event"] for event in events[20:]] == [event["event"] for event in events[:20]]
