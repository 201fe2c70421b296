"""Choice of layers, the publisher's cap, pausing."""

from __future__ import annotations

import pytest

from services.media.layers import (
    LOWEST_LAYER,
    PATIENCE,
    UNLIMITED,
    Hunger,
    Layer,
    best_living,
    cap,
    choose,
)
from services.media.layers import wanted as next_wanted

THREE = (Layer(150_000, True), Layer(500_000, True), Layer(1_500_000, True))
TOP_DEAD = (*THREE[:2], Layer(0, False))


@pytest.mark.parametrize(
    ("estimate", "limit", "current", "chosen"),
    [
        (0, 0, 0, 2),
        (2_000_000, 0, 0, 2),
        (1_550_000, 0, 2, 2),
        (1_550_000, 0, 1, 1),  # up only with some room
        (1_400_000, 0, 2, 2),  # nor down for a little
        (600_000, 0, 2, 1),
        (0, 600_000, 2, 1),
        (2_000_000, 600_000, 2, 1),
        (160_000, 600_000, 2, 0),
        (1_000, 0, 2, 0),
        (0, 1_000, 0, 0),
    ],
)
def test_the_highest_layer_that_fits(estimate: int, limit: int, current: int, chosen: int) -> None:
    assert choose(THREE, estimate, limit, current) == chosen


@pytest.mark.parametrize("current", [-1, 0, 1, 2])
@pytest.mark.parametrize("full", [950_000, 1_050_000])
def test_the_full_layer_of_who_has_the_same_limit_is_not_too_much(full: int, current: int) -> None:
    layers = (*THREE[:2], Layer(full, True))
    assert choose(layers, 0, 1_000_000, current) == 2
    assert choose(layers, 5_000_000, 1_000_000, current) == 2
    assert choose(layers, 0, full * 3 // 4, current) == 1
    assert next_wanted(layers, 600_000, 1_000_000, 1) > full


def test_a_layer_that_stopped_is_not_chosen() -> None:
    assert choose(TOP_DEAD, 0, 0, 2) == 1
    assert choose((Layer(0, False), *THREE[1:]), 0, 1_000, 2) == 1
    assert best_living(TOP_DEAD) == 1
    assert best_living((Layer(0, False),) * 3) == 0


def test_what_is_probed_for() -> None:
    assert next_wanted(THREE, 0, 0, 0) == 0  # nothing speaks against the best
    assert next_wanted(THREE, 200_000, 0, 0) > 500_000
    assert next_wanted(THREE, 200_000, 0, -1) > 150_000  # of a paused picture
    assert next_wanted(THREE, 400_000, 450_000, 0) < 400_000
    assert next_wanted(THREE, 400_000, 560_000, 0) > 560_000  # a limit may be met a little above
    assert next_wanted(TOP_DEAD, 700_000, 0, 1) < 700_000
    assert next_wanted(TOP_DEAD, 500_000, 0, 1) > 500_000  # its rate wanders
    one = (Layer(300_000, True),)
    assert next_wanted(one, 300_000, 0, 0) == UNLIMITED
    assert next_wanted(one, 300_000, 400_000, 0) == 400_000
    assert next_wanted(one, 400_000, 400_000, 0) == 0
    assert next_wanted(one, 200_000, 0, 0, 300_000) == 300_000  # its publisher sends no more
    assert next_wanted(one, 300_000, 0, 0, 300_000) == 0
    assert next_wanted(one, 200_000, 250_000, 0, 300_000) == 250_000
    lowest = (Layer(100_000, True), Layer(0, False))  # all there is, by our own cap
    assert next_wanted(lowest, 200_000, 0, 0) == LOWEST_LAYER


@pytest.mark.parametrize(
    ("limit", "floor", "layers", "allowed", "expected"),
    [
        (0, 0, 1, (), UNLIMITED),
        (640_000, 0, 1, (), 640_000),
        (640_000, 0, 1, (0, 200_000), 640_000),  # one bad subscriber does not rule all
        (640_000, 0, 1, (300_000, 200_000), 300_000),
        (640_000, 400_000, 1, (300_000, 200_000), 300_000),  # no floor where it is too much
        (300_000, 400_000, 1, (), 400_000),
        (640_000, 0, 1, (900_000,), 640_000),
        (640_000, 0, 3, (400_000,), 1_290_000),  # lower layers come on top
        (640_000, 0, 3, (100_000,), 100_000),  # not even one of them fits
        (640_000, 0, 3, (100_000, 0), 1_290_000),
    ],
)
def test_the_cap_of_a_publisher(
    limit: int, floor: int, layers: int, allowed: tuple[int, ...], expected: int
) -> None:
    assert cap(limit, floor, layers, allowed) == expected


def test_a_picture_pauses_after_some_patience_and_comes_back_when_it_fits() -> None:
    hunger = Hunger()
    assert not hunger.judge(50_000, 200_000, 1.0)
    assert not hunger.judge(50_000, 200_000, 1.0 + PATIENCE / 2)
    assert not hunger.judge(150_000, 200_000, 1.0 + PATIENCE)  # recovered in time
    assert not hunger.judge(50_000, 200_000, 10.0)
    assert hunger.judge(50_000, 200_000, 10.0 + PATIENCE)
    assert hunger.is_starved
    assert not hunger.judge(150_000, 200_000, 20.0)
    assert hunger.judge(220_000, 200_000, 21.0)
    assert not hunger.is_starved
