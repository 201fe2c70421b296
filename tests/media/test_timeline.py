"""What a page noted is read rightly."""

from __future__ import annotations

import pytest

from tests.media.timeline import (
    Sample,
    back_after,
    between,
    first_calm,
    first_height,
    first_rate,
    frozen,
    grown,
)


def noted(frames: list[int], *, heights: list[int] | None = None) -> list[Sample]:
    """One sample each 0.1 s from 100 on."""
    tall = heights or [480] * len(frames)
    return [
        Sample(at=100 + n / 10, framesDecoded=count, height=height)
        for n, (count, height) in enumerate(zip(frames, tall, strict=True))
    ]


def test_a_picture_that_moves_is_not_frozen() -> None:
    assert frozen(noted([3 * n for n in range(20)])) == 0


def test_short_pauses_are_no_freeze() -> None:
    assert frozen(noted([1, 1, 2, 2, 3, 3, 4])) == 0


def test_a_freeze_counts_from_the_last_frame_to_the_next() -> None:
    assert frozen(noted([1, 2, 2, 2, 2, 2, 3, 4])) == pytest.approx(0.5)


def test_a_freeze_that_has_not_ended_counts() -> None:
    assert frozen(noted([1, 2, 2, 2, 2, 2])) == pytest.approx(0.4)


def test_nothing_noted_is_no_freeze() -> None:
    assert frozen([]) == 0


def test_back_is_the_first_frame_with_more_to_come() -> None:
    frames = [7] * 10 + [8] + [8] * 22 + list(range(9, 40))
    assert back_after(noted(frames), 100.5) == pytest.approx(2.8)  # the lonely one is none


def test_a_picture_that_stays_away_is_not_back() -> None:
    assert back_after(noted([7] * 40), 100) is None


def test_heights() -> None:
    samples = noted([0] * 6, heights=[480, 480, 240, 240, 480, 480])
    assert first_height(samples, 100, below=480) == pytest.approx(0.2)
    assert first_height(samples, 100.2, at_least=480) == pytest.approx(0.2)
    assert first_height(samples, 100, below=240) is None


def test_a_rate_is_that_of_a_second() -> None:
    samples = [Sample(at=100 + n / 10, bytesReceived=max(0, n - 20) * 1000) for n in range(40)]
    assert first_rate(samples, 100, 40_000) == pytest.approx(2.5)
    assert first_rate(samples, 100, 100_000) is None


def test_calm_begins_with_the_last_loss() -> None:
    losses = [(100 + n / 10, min(n, 15)) for n in range(40)]
    assert first_calm(losses, 100) == pytest.approx(1.5)
    assert first_calm(losses[:20], 100) is None


def test_totals_grow_within_a_stretch() -> None:
    samples = noted([0, 5, 9, 20])
    assert grown(between(samples, 100.05, 100.25), "framesDecoded") == 4
