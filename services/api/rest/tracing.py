"""The caller's trace: header `traceparent` of W3C Trace Context."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Version, trace, parent, flags, and what versions to come may add. Zeros stand for no id.
_FORM = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)
_LENGTH = 55  # of the parts that every version has


def traceparent(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Of the headers as ASGI has them. `None` for one that is invalid or given twice, which the
    standard has us ignore. Of a later version, the parts that we know."""
    given = [value for name, value in headers if name == b"traceparent"]
    found = _FORM.fullmatch(given[0]) if len(given) == 1 else None
    if found is None or (found[1] == b"00" and found[2]):
        return None
    return given[0][:_LENGTH].decode("ascii")


def trace_id(parent: str) -> str:
    """Of a valid `traceparent`."""
    return parent[3:35]
