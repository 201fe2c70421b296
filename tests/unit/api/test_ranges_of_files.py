"""The `Range` header."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.rest.files import Span, Unsatisfiable, span_of

numbers = st.integers(0, 10**20).map(str) | st.just("")


@given(numbers, numbers, st.integers(0, 10**12))
def test_a_span_lies_within_its_file(first: str, last: str, size: int) -> None:
    try:
        span = span_of(f"bytes={first}-{last}", size)
    except Unsatisfiable:
        assert not first or int(first) >= size
        return
    if span is not None:
        assert 0 <= span.start < span.end <= size


@given(st.text(max_size=40))
def test_any_other_header_asks_for_everything(header: str) -> None:
    if not header.strip().startswith("bytes="):
        assert span_of(header, 100) is None


@pytest.mark.parametrize(
    ("header", "size", "span"),
    [
        ("bytes=0-0", 1, Span(0, 1)),
        ("bytes=0-", 10, Span(0, 10)),
        ("bytes=-1", 10, Span(9, 10)),
        ("bytes=5-100", 10, Span(5, 10)),
        (" bytes=1-1 ", 10, Span(1, 2)),
        ("bytes=5-4", 10, None),
        ("bytes=0-1,3-4", 10, None),
        ("bytes=１-2", 10, None),
    ],
)
def test_spans(header: str, size: int, span: Span | None) -> None:
    assert span_of(header, size) == span
