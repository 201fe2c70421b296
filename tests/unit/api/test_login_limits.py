"""Wrong secrets are counted by address, exactly, and in bounded memory."""

from __future__ import annotations

import pytest

from services.api.rest import limits
from services.api.rest.limits import Logins, place


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def fail(logins: Logins, address: str | None, times: int) -> None:
    for _ in range(times):
        assert not logins.wait(address)
        logins.failure(address)


def test_an_address_is_locked_out_until_its_failures_left_the_window(clock: Clock) -> None:
    logins = Logins(3, 60, clock=clock)
    fail(logins, "192.0.2.1", 2)
    clock.now += 20
    fail(logins, "192.0.2.1", 1)
    assert logins.wait("192.0.2.1") == 60
    assert logins.wait("192.0.2.2") == 0
    clock.now += 59.5
    assert logins.wait("192.0.2.1") == 1, "never less than it takes"
    clock.now += 0.5
    fail(logins, "192.0.2.1", 3)
    assert logins.wait("192.0.2.1") == 60
    assert logins.failed == 6


def test_failures_far_between_lock_nobody_out(clock: Clock) -> None:
    logins = Logins(3, 60, clock=clock)
    for _ in range(50):
        fail(logins, "192.0.2.1", 1)
        clock.now += 31


def test_for_long_nobody_guesses_more_often_than_the_limit(clock: Clock) -> None:
    logins, guesses = Logins(10, 60, clock=clock), 0
    for _ in range(6000):  # ten minutes
        if not logins.wait("192.0.2.1"):
            logins.failure("192.0.2.1")
            guesses += 1
        clock.now += 0.1
    assert guesses <= 10 * 10


def test_without_a_limit_failures_are_only_counted(clock: Clock) -> None:
    logins = Logins(0, 60, clock=clock)
    fail(logins, "192.0.2.1", 1000)
    assert logins.failed == 1000


def test_clients_without_an_address_are_counted_as_one(clock: Clock) -> None:
    logins = Logins(1, 60, clock=clock)
    fail(logins, None, 1)
    assert logins.wait(None) == 60


def test_the_addresses_remembered_are_bounded(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ADDRESSES", 3)
    logins = Logins(1, 60, clock=clock)
    for last in range(4):
        fail(logins, f"192.0.2.{last}", 1)
    assert [logins.wait(f"192.0.2.{last}") for last in range(4)] == [0, 60, 60, 60]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("2001:db8::1", "2001:db8:0:0:ffff::", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2", True),
    ],
)
def test_what_counts_as_one_address(one: str, other: str, same: bool) -> None:
    assert (place(one) == place(other)) is same
