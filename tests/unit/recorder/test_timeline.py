from __future__ import annotations

import pytest

from services.recorder.timeline import TrackTimeline


def test_time_runs_by_timestamps_not_by_arrival() -> None:
    timeline = TrackTimeline(90_000)
    assert timeline.place(1000, 50.0) == 50.0
    assert timeline.place(1000 + 3000, 130.0) == pytest.approx(50.0 + 100 / 3)
    assert timeline.place(1000 + 90_000, 1000.0) == pytest.approx(1050.0)


def test_timestamps_wrap_around_for_hours() -> None:
    timeline = TrackTimeline(90_000)
    timestamp, arrival = 0xFFFF_F000, 0.0
    for _ in range(15 * 3600):  # the clock wraps every 13 hours
        place = timeline.place(timestamp & 0xFFFFFFFF, arrival)
        assert place == pytest.approx(arrival, abs=0.01)
        timestamp += 90_000
        arrival += 1000.0


def test_a_pause_without_packets_stays_a_gap() -> None:
    timeline = TrackTimeline(48_000)
    timeline.place(0, 0.0)
    assert timeline.place(48_000 * 60, 60_010.0) == pytest.approx(60_000.0)


def test_a_clock_that_starts_anew_is_laid_down_by_arrival() -> None:
    timeline = TrackTimeline(48_000)
    timeline.place(5_000_000, 0.0)
    assert timeline.place(17, 3000.0) == 3000.0
    assert timeline.place(17 + 960, 3025.0) == pytest.approx(3020.0)


def test_after_a_restart_timestamps_have_nothing_to_do_with_earlier_ones() -> None:
    timeline = TrackTimeline(48_000)
    timeline.place(1000, 0.0)
    timeline.restart()
    assert timeline.place(1960, 500.0) == 500.0


def tracks() -> tuple[TrackTimeline, TrackTimeline]:
    """The video arrives 80 ms later than the sound it belongs to."""
    audio, video = TrackTimeline(48_000), TrackTimeline(90_000)
    audio.place(0, 0.0)
    video.place(9000, 80.0)
    return audio, video


def test_sender_reports_bring_video_to_its_sound() -> None:
    audio, video = tracks()
    audio.report(100.0, 0)
    video.follow(audio)
    assert video.place(9000, 80.0) == pytest.approx(80.0)  # half of what must be known
    video.report(100.0, 9000)
    video.follow(audio)
    assert video.place(9000 + 90, 81.0) == pytest.approx(1.0)


def test_a_report_beyond_reason_is_not_believed() -> None:
    audio, video = tracks()
    audio.report(100.0, 0)
    video.report(101.5, 9000)  # 1.5 s apart
    video.follow(audio)
    assert video.place(9000, 80.0) == pytest.approx(80.0)


def test_reports_of_an_earlier_source_are_forgotten() -> None:
    audio, video = tracks()
    audio.report(100.0, 0)
    video.report(100.0, 9000)
    video.restart()
    video.place(70_000, 200.0)
    video.follow(audio)
    assert video.place(70_000, 200.0) == pytest.approx(200.0)
