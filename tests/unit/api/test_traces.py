"""`traceparent` as W3C Trace Context has it; anything else is as if it were not there."""

from __future__ import annotations

import pytest

from services.api.rest.tracing import trace_id, traceparent

TRACE = "0af7651916cd43dd8448eb211c80319c"
GOOD = f"00-{TRACE}-b7ad6b7169203331-01"


def read(*values: str) -> str | None:
    given = [(b"traceparent", value.encode("latin-1")) for value in values]
    return traceparent([(b"host", b"a"), *given])


def test_a_valid_one_is_taken_as_it_is() -> None:
    assert read(GOOD) == GOOD
    assert read(GOOD[:-2] + "00") == GOOD[:-2] + "00"
    assert trace_id(GOOD) == TRACE


def test_of_later_versions_the_known_parts_are_taken() -> None:
    later = "cc" + GOOD[2:]
    assert read(later) == later
    assert read(later + "-what-comes") == later
    assert read(later + ".what-comes") is None


@pytest.mark.parametrize(
    "value",
    [
        "",
        "ff" + GOOD[2:],
        "0" * 55,
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-{TRACE}-{'0' * 16}-01",
        GOOD.upper(),
        GOOD + "-more",
        GOOD + "-",
        GOOD[:-1],
        GOOD + "1",
        " " + GOOD,
        GOOD + "\n",
        GOOD.replace("-", "_"),
        f"00-{TRACE[:-1]}g-b7ad6b7169203331-01",
        "\u00b2" * 55,
        "x" * 60_000,
    ],
)
def test_an_invalid_one_is_ignored(value: str) -> None:
    assert read(value) is None


def test_none_and_two_are_ignored() -> None:
    assert read() is None
    assert read(GOOD, GOOD) is None
