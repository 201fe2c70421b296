"""What answers show of commits that the database does not have yet, and of those it has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.api.database import Database, DatabaseAway
from services.api.projections import Projector
from services.api.views import Views
from services.conference.commands import CloseSession, ModifyConnection, StartRecording
from services.conference.model import OutputMode, Reason, RecordingOptions
from services.eventlog.follower import Step
from services.settings import Access

INDIVIDUAL = RecordingOptions(output_mode=OutputMode.INDIVIDUAL)


class Shown:
    """Views over a real database that lags behind as much as the test wants."""

    def __init__(self, story: Any, database: Database, capacity: int) -> None:
        self.story = story
        self.database = database
        self.views = Views(database, Access(), capacity=capacity)
        self._projector = Projector(database)
        self._pending: list[Step] = []
        self._seen = 0

    async def open(self) -> None:
        await self._projector.open(self.story.log)
        await self.views.open(0)

    async def take(self) -> None:
        steps = await self.story.steps(after=self._seen)
        self._seen = steps[-1].recorded.sequence
        self._pending += steps
        self.views.take(steps)

    async def write(self) -> None:
        await self._projector.apply(self._pending)
        self.views.written(self._pending)
        self._pending = []

    async def session(self, name: str) -> Any:
        found = await self.views.session(name, pending=True)
        return found and msgspec.json.decode(found)

    async def listed(self) -> list[str]:
        page = msgspec.json.decode(await self.views.sessions())
        assert page["numberOfElements"] == len(page["content"])
        return [found["id"] for found in page["content"]]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/projection.db")
    try:
        yield database
    finally:
        await database.close()


@pytest.fixture
async def shown(story: Any, database: Database) -> Shown:
    shown = Shown(story, database, capacity=3)
    await shown.open()
    return shown


async def test_a_commit_is_shown_before_the_database_has_it(shown: Shown) -> None:
    await shown.story.open()
    await shown.story.connect("ana")
    await shown.take()
    before = await shown.session("salon")
    assert before["connections"]["numberOfElements"] == 1
    await shown.write()
    assert await shown.session("salon") == before


async def test_what_the_database_lacks_stays_in_memory_whatever_its_size(shown: Shown) -> None:
    for number in range(10):
        await shown.story.open(f"room-{number}")
    await shown.take()
    assert [await shown.session(f"room-{number}") is not None for number in range(10)] == [
        True
    ] * 10
    assert await shown.listed() == [f"room-{number}" for number in range(10)]


async def test_what_was_driven_out_of_memory_is_read_again(shown: Shown) -> None:
    for number in range(10):
        await shown.story.open(f"room-{number}")
    await shown.take()
    early = [await shown.session(f"room-{number}") for number in range(10)]
    await shown.write()
    assert [await shown.session(f"room-{number}") for number in range(10)] == early
    assert await shown.listed() == [f"room-{number}" for number in range(10)]


async def test_a_closed_session_is_gone_at_once(shown: Shown) -> None:
    await shown.story.open()
    await shown.take()
    await shown.write()
    assert await shown.listed() == ["salon"]
    await shown.story.do(CloseSession(Reason.SESSION_CLOSED_BY_SERVER))
    await shown.take()
    assert await shown.session("salon") is None
    assert await shown.listed() == []


async def test_a_session_opened_again_comes_last(shown: Shown) -> None:
    await shown.story.open("first")
    await shown.story.open("second")
    await shown.story.do(CloseSession(Reason.SESSION_CLOSED_BY_SERVER), "first")
    await shown.story.open("first")
    await shown.take()
    assert await shown.listed() == ["second", "first"]
    await shown.write()
    again = Views(shown.database, Access())
    await again.open(shown.story.now)
    page = msgspec.json.decode(await again.sessions())
    assert [found["id"] for found in page["content"]] == ["second", "first"]


async def test_what_changes_while_it_is_read_is_shown_as_it_is(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        await shown.story.open(f"room-{number}")
        await shown.story.connect("ana", f"room-{number}")
    await shown.take()
    await shown.write()  # room-0 is in the database only
    read = Database.read

    async def slowly(database: Database, statement: Any) -> Any:
        rows = await read(database, statement)
        if shown.story.now == before:
            await shown.story.do(ModifyConnection("con_ana", record=False), "room-0")
            await shown.take()
            await shown.write()
        return rows

    before = shown.story.now
    monkeypatch.setattr(Database, "read", slowly)
    for _ in range(2):
        found = await shown.session("room-0")
        assert found["connections"]["content"][0]["record"] is False


async def test_a_list_is_made_anew_after_every_change(shown: Shown) -> None:
    await shown.story.open("one")
    await shown.take()
    first = await shown.views.sessions()
    assert await shown.views.sessions() is first
    await shown.story.open("two")
    await shown.take()
    assert await shown.listed() == ["one", "two"]


async def test_a_recording_is_shown_before_the_database_has_it(shown: Shown) -> None:
    await shown.story.open()
    await shown.story.join("ana")
    await shown.story.do(StartRecording(INDIVIDUAL))
    await shown.take()
    assert (await shown.views.recording("salon"))["status"] == "starting"
    found = await shown.session("salon")
    assert found["recording"] is True
    listing = asyncio.create_task(shown.views.recordings())
    await asyncio.sleep(0)
    assert not listing.done(), "a list waits for the database"
    await shown.write()
    assert [found["id"] for found in await listing] == ["salon"]


async def test_a_database_that_lags_for_too_long_is_away(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.views.SETTLE_SECONDS", 0.05)
    await shown.story.open()
    await shown.take()
    with pytest.raises(DatabaseAway):
        await shown.views.recordings()


async def test_unknown_sessions_cost_no_read(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: Any) -> Any:
        raise AssertionError("the database was asked")

    monkeypatch.setattr(Database, "read", never)
    assert await shown.session("nobody") is None
    assert await shown.session("\x00\ud800") is None
