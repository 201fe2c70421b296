"""When a delivery is tried again, and how long a receiver may make us wait."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.webhooks.schedule import DAY, Schedule, parse_retry_after
from tests.unit.webhooks.harness import Middle

NOW = 1_700_000_000.0


def test_pauses_grow_to_an_hour_and_stay_there() -> None:
    delays = [Schedule().delay(attempts, None, Middle()) for attempts in range(1, 10)]
    assert delays == [1, 5, 30, 120, 600, 1800, 3600, 3600, 3600]


def test_nothing_is_given_up_within_three_days() -> None:
    assert Schedule().give_up_after >= 3 * DAY


def test_pauses_are_spread_so_that_sessions_do_not_come_all_at_once() -> None:
    rng = random.Random(7)
    delays = {Schedule().delay(7, None, rng) for _ in range(100)}
    assert len(delays) > 90
    assert 3600 * 0.8 <= min(delays) < 3600 * 0.85
    assert 3600 * 1.15 < max(delays) <= 3600 * 1.2


@pytest.mark.parametrize(
    ("attempts", "asked", "pause"),
    [
        (1, 60, 60),
        (5, 60, 600),  # it was more patient than it asked for
        (1, 0, 1),
        (1, 10 * DAY, DAY),  # nobody stops us for ever
    ],
)
def test_a_receiver_may_ask_for_a_longer_pause(attempts: int, asked: float, pause: float) -> None:
    assert Schedule().delay(attempts, asked, Middle()) == pause


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        (format_datetime(datetime.fromtimestamp(NOW + 90, UTC), usegmt=True), 90.0),
        (format_datetime(datetime.fromtimestamp(NOW - 90, UTC), usegmt=True), 0.0),
        ("Wed, 21 Oct 2015 07:28:00", 0.0),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("١٢", None),
        ("Wed, 99 Foo 2015 99:99:99 GMT", None),
    ],
)
def test_retry_after_is_read_in_both_its_forms(value: str, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


@given(st.text() | st.from_regex(r"\d{1,400}", fullmatch=True))
def test_no_retry_after_breaks_the_schedule(value: str) -> None:
    seconds = parse_retry_after(value, NOW)
    assert seconds is None or seconds >= 0
    assert 0 < Schedule().delay(1, seconds, Middle()) <= DAY
