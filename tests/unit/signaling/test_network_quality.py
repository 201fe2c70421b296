"""`networkQualityLevelChanged` (`signaling.md` 4.13) and the formula behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.api.signaling.quality import Change, NetworkQuality, Side, level
from services.conference.calls import Statistics, TrackStatistics
from services.conference.model import Direction
from services.eventlog.memory import MemoryLog
from services.settings import Sessions, Settings
from tests.unit.signaling.harness import Client, FakeNodes, World, replica

OUT, IN = Direction.OUTBOUND, Direction.INBOUND
CHANGED = "networkQualityLevelChanged"


def track(
    connection: str = "con_A",
    direction: Direction = OUT,
    *,
    loss: float = 0.0,
    trip: float | None = 20.0,
    jitter: float = 2.0,
    bitrate: int = 50_000,
    kind: str = "audio",
) -> TrackStatistics:
    return TrackStatistics(
        "S1",
        connection,
        "str_CAM_AAAA_con_A",
        direction,
        kind,
        bitrate=bitrate,
        fraction_lost=loss,
        round_trip=trip,
        jitter=jitter,
    )


def side(*tracks: TrackStatistics) -> Side:
    heard = Side()
    for one in tracks:
        heard.hear(one)
    return heard


SILENT = track(bitrate=0)


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        (track(), 5),
        (track(trip=None), 5),
        (track(trip=300, jitter=20), 5),
        (track(loss=0.03), 5),
        (track(loss=0.06), 4),
        (track(trip=600, jitter=20), 4),
        (track(loss=0.1), 3),
        (track(loss=0.15), 2),
        (track(loss=0.2), 1),
        (track(loss=1.0), 1),
        (track(trip=5000, jitter=500), 1),
        (SILENT, 0),
    ],
)
def test_the_level_of_a_track(published: TrackStatistics, expected: int) -> None:
    assert level(side(published), Side()) == expected
    assert level(Side(), side(published)) == expected


def test_the_worse_side_counts_and_of_each_the_mean() -> None:
    good, bad = track(), track(loss=0.2)
    assert level(side(good), side(bad)) == level(side(bad), side(good)) == 1
    assert level(side(good), side(good, bad)) == 3


def test_silence_of_one_track_among_others_does_not_count() -> None:
    assert level(side(track(), SILENT), Side()) == 5
    assert level(side(track()), side(SILENT)) == 5
    assert level(side(SILENT), side(track())) == 0, "nothing comes of what is published"
    assert level(Side(), Side()) is None


def changes(quality: NetworkQuality, now: float) -> list[tuple[str, int, int]]:
    return [(key.connection_id, old, new) for key, old, new in quality.changes(now)]


def test_only_changes_are_told_and_the_first_report_waits() -> None:
    quality = NetworkQuality()
    quality.hear(Statistics("media_a", 1, (SILENT,)), 0.0)
    assert changes(quality, 1.0) == [], "the first report knows no bit rate"
    quality.hear(Statistics("media_a", 1, (track(), track("con_B", IN, loss=0.1))), 2.0)
    quality.hear(Statistics("media_a", 1, (track(), track("con_B", IN, loss=0.1))), 4.0)
    assert changes(quality, 5.0) == [("con_A", 0, 5), ("con_B", 0, 3)]
    assert changes(quality, 5.5) == [], "nothing was heard meanwhile"
    for worse in (0.0, 0.1):
        quality.hear(Statistics("media_a", 1, (track(), track("con_B", IN, loss=worse))), 6.0)
    assert changes(quality, 7.0) == [("con_B", 3, 5)], "the mean of the interval"
    quality.hear(Statistics("media_a", 1, (SILENT,)), 8.0)
    assert changes(quality, 9.0) == [("con_A", 5, 0)]


def test_what_is_not_heard_of_any_more_is_forgotten() -> None:
    quality = NetworkQuality()
    quality.hear(Statistics("media_a", 1, (track(),)), 0.0)
    quality.hear(Statistics("media_a", 1, (track(),)), 2.0)
    assert changes(quality, 3.0) == [("con_A", 0, 5)]
    assert changes(quality, 20.0) == []
    assert not quality._rated


def test_recorders_stay_unseen_and_what_is_remembered_has_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.api.signaling.quality.MAX_CONNECTIONS", 2)
    quality = NetworkQuality()
    names = ("RECORDER", "SPEECH_TO_TEXT", "con_A", "con_B", "con_C")
    for now in (0.0, 2.0):
        quality.hear(Statistics("media_a", 1, tuple(track(name, IN) for name in names)), now)
    assert changes(quality, 3.0) == [("con_A", 0, 5), ("con_B", 0, 5)]


@pytest.fixture
async def rating(nodes: FakeNodes) -> AsyncIterator[World]:
    settings = Settings(sessions=Sessions(network_quality=True, network_quality_interval=0.05))
    async with replica(MemoryLog(), settings, nodes) as running:
        for session in ("S1", "S2"):
            await running.session(session)
        yield running


def change(client: Client, old: int, new: int) -> dict[str, object]:
    return {"connectionId": client.id, "oldValue": old, "newValue": new}


async def test_all_in_the_session_hear_of_a_change_the_one_concerned_too(
    rating: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.signaling.quality.STATISTICS_SECONDS", 0)
    a, b, other = await rating.user(), await rating.user(), await rating.user("S2")
    rating.gateway.hear(Statistics("media_a", 1, (track(a.id), track(b.id, IN, loss=0.2))))
    for client in (a, b):
        assert await client.note(CHANGED, connectionId=a.id) == change(a, 0, 5)
        assert await client.note(CHANGED, connectionId=b.id) == change(b, 0, 1)
    rating.gateway.hear(Statistics("media_a", 1, (track(a.id), track(b.id, IN))))
    for client in (a, b):
        await client.note(CHANGED, connectionId=b.id, oldValue=1, newValue=5)
        assert client.story().count(CHANGED) == 3
    await other.settle()
    assert CHANGED not in other.story()


async def test_nobody_hears_of_it_unless_it_is_wanted(world: World) -> None:
    assert not Settings().sessions.network_quality
    a = await world.user()
    for now in (0.0, 2.0):
        world.gateway._quality.hear(Statistics("media_a", 1, (track(a.id),)), now)
    assert list(world.gateway._quality.changes(3.0)) == [Change(("S1", a.id), 0, 5)]
    await a.settle()
    assert CHANGED not in a.story()
