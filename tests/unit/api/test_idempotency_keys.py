"""What an `Idempotency-Key` makes: the same ids again, which only the server can tell."""

from __future__ import annotations

from services.api.rest.idempotency import Drawn, command_id
from services.conference import ids


def test_the_same_key_draws_the_same_ids_again() -> None:
    one, again = Drawn("SECRET", "a key"), Drawn("SECRET", "a key")
    assert [ids.token(one), ids.token(one)] == [ids.token(again), ids.token(again)]
    assert ids.token(one) != ids.token(one)


def test_without_the_secret_nobody_can_tell_a_token() -> None:
    assert ids.token(Drawn("SECRET", "a key")) != ids.token(Drawn("ANOTHER", "a key"))


def test_the_log_does_not_show_the_key() -> None:
    assert "invoice-4711" not in command_id("initializeSession", "invoice-4711")


def test_drawn_numbers_spread_over_the_whole_range() -> None:
    source = Drawn("SECRET", "a key")
    assert {source.randrange(10) for _ in range(500)} == set(range(10))
