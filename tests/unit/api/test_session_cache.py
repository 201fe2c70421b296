"""Sessions kept decoded between reads."""

from __future__ import annotations

from services.api.views import Cache, Found
from services.conference.model import SessionProperties
from services.conference.state import Session


def found(name: str = "salon") -> Found:
    return Found(Session(name, 1, SessionProperties()), recording=False)


def test_what_was_read_is_kept() -> None:
    cache = Cache(10)
    mark = cache.loading("salon")
    cache.keep("salon", found(), mark)
    assert cache.get("salon") == found()


def test_what_changed_while_it_was_read_is_not_kept() -> None:
    cache = Cache(10)
    mark = cache.loading("salon")
    cache.forget(["salon"])
    cache.keep("salon", found(), mark)
    assert cache.get("salon") is None


def test_a_reader_that_came_after_the_change_is_not_confused_with_one_before() -> None:
    cache = Cache(10)
    early = cache.loading("salon")
    cache.forget(["salon"])
    late = cache.loading("salon")
    cache.keep("salon", Found(found().session, recording=True), early)
    assert cache.get("salon") is None
    cache.keep("salon", found(), late)
    assert cache.get("salon") == found()


def test_what_is_not_there_is_not_kept() -> None:
    cache = Cache(10)
    cache.keep("nobody", None, cache.loading("nobody"))
    assert cache.get("nobody") is None


def test_the_cache_is_bounded() -> None:
    cache = Cache(3)
    for number in range(10):
        name = f"room-{number}"
        cache.keep(name, found(name), cache.loading(name))
    kept = [number for number in range(10) if cache.get(f"room-{number}")]
    assert kept == [7, 8, 9]
