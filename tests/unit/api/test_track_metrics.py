"""Metrics of every track, and their bounds."""

from __future__ import annotations

import pytest

from services.api.tracks import FIGURES, Tracks
from services.conference.calls import Statistics, TrackStatistics
from services.conference.model import Direction


def track(stream: str = "str_A", **figures: object) -> TrackStatistics:
    return TrackStatistics("S1", "con_A", stream, Direction.INBOUND, "video", **figures)


def values(tracks: Tracks) -> dict[str, list[float]]:
    """By name of the sample."""
    found: dict[str, list[float]] = {}
    for family in tracks.collect():
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.value)
    return found


def test_every_figure_of_a_track_is_told_with_its_labels() -> None:
    tracks = Tracks(limit=10)
    figures = {
        "packets": 1000,
        "bytes": 500_000,
        "lost": 30,
        "repaired": 25,
        "nacks": 28,
        "key_frame_requests": 2,
        "bitrate": 800_000,
        "fraction_lost": 0.03,
        "jitter": 12.5,
        "round_trip": 80.0,
    }
    tracks.hear(Statistics("media_a", 1, (track(**figures),)))
    assert values(tracks) == {
        "tertulia_media_node_tracks": [1],
        "tertulia_media_node_bits_per_second": [800_000],
        "tertulia_stream_packets_total": [1000],
        "tertulia_stream_bytes_total": [500_000],
        "tertulia_stream_packets_lost_total": [30],
        "tertulia_stream_packets_repaired_total": [25],
        "tertulia_stream_nacks_total": [28],
        "tertulia_stream_key_frame_requests_total": [2],
        "tertulia_stream_bits_per_second": [800_000],
        "tertulia_stream_loss_ratio": [0.03],
        "tertulia_stream_jitter_seconds": [0.0125],
        "tertulia_stream_round_trip_seconds": [0.08],
    }
    *_, last = tracks.collect()
    assert last.samples[0].labels == {
        "session": "S1",
        "connection": "con_A",
        "stream": "str_A",
        "direction": "INBOUND",
        "kind": "video",
        "node": "media_a",
    }


def test_what_is_unknown_is_left_out_and_nothing_lost_is_negative() -> None:
    tracks = Tracks(limit=10)
    tracks.hear(Statistics("media_a", 1, (track(lost=-3),)))
    found = values(tracks)
    assert "tertulia_stream_round_trip_seconds" not in found
    assert found["tertulia_stream_packets_lost_total"] == [0]


def test_a_track_that_is_not_heard_of_for_three_periods_is_gone() -> None:
    now = 0.0
    tracks = Tracks(limit=10, clock=lambda: now)
    tracks.hear(Statistics("media_a", 1, (track("str_A"), track("str_B"))))
    now = 4.0
    tracks.hear(Statistics("media_a", 1, (track("str_B"),)))
    now = 6.0
    assert len(values(tracks)["tertulia_stream_packets_total"]) == 2
    now = 6.1
    assert len(values(tracks)["tertulia_stream_packets_total"]) == 1
    now = 10.1
    assert values(tracks) == {}


@pytest.mark.parametrize(("limit", "told"), [(3, True), (2, False), (0, False)])
def test_of_more_tracks_than_are_wanted_only_sums_are_told(limit: int, *, told: bool) -> None:
    tracks = Tracks(limit)
    streams = ("str_A", "str_B", "str_C")
    tracks.hear(Statistics("media_a", 1, tuple(track(one, bitrate=10) for one in streams)))
    found = values(tracks)
    assert found["tertulia_media_node_tracks"] == [3]
    assert found["tertulia_media_node_bits_per_second"] == [30]
    assert ("tertulia_stream_packets_total" in found) is told
    assert len(list(tracks.collect())) == (2 + len(FIGURES) if told else 2)


def test_what_is_remembered_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.api.tracks.MAX_TRACKS", 2)
    now = 0.0
    tracks = Tracks(limit=10, clock=lambda: now)
    tracks.hear(Statistics("media_a", 1, tuple(track(f"str_{n}") for n in range(5))))
    assert values(tracks)["tertulia_media_node_tracks"] == [2]
    now = 7.0
    tracks.hear(Statistics("media_a", 1, (track("str_new"),)))
    assert values(tracks)["tertulia_media_node_tracks"] == [1]


def test_ended_tracks_are_forgotten_though_nobody_reads_the_metrics() -> None:
    now = 0.0
    tracks = Tracks(limit=10, clock=lambda: now)
    tracks.hear(Statistics("media_a", 1, (track("str_ended"),)))
    for now in (2.0, 4.0, 6.0, 8.0, 10.0):  # noqa: B007
        tracks.hear(Statistics("media_a", 1, (track("str_goes_on"),)))
    now = 0.0  # when nothing is old, reading shows all that is kept
    assert values(tracks)["tertulia_media_node_tracks"] == [1]
