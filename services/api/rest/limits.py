"""Who sent too many wrong secrets is not listened to for a while."""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable

import structlog
from msgspec import Struct

ADDRESSES = 10_000  # remembered; the one that failed least recently is forgotten first

log = structlog.get_logger(__name__)


class _Failures(Struct):
    began: float  # the window in which they are counted, or the time locked out
    count: int = 0


class Logins:
    """Failed logins by address. With `limit` of them within `window` seconds, counted from the
    first, an address is locked out until the last is `window` seconds old. `limit` 0: never.

    `failed` counts wrong secrets, `refused` requests of those locked out, since the start.
    """

    def __init__(
        self, limit: int, window: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.failed = 0
        self.refused = 0
        self._limit = limit
        self._window = window
        self._clock = clock
        self._by_place: OrderedDict[str, _Failures] = OrderedDict()

    def wait(self, address: str | None) -> int:
        """Whole seconds for which the address is locked out yet; 0 if it is not."""
        known = self._by_place.get(place(address)) if self._by_place else None
        if known is None or known.count < self._limit:
            return 0
        return max(0, math.ceil(known.began + self._window - self._clock()))

    def failure(self, address: str | None) -> None:
        self.failed += 1
        if not self._limit:
            return
        now, where = self._clock(), place(address)
        known = self._by_place.get(where)
        if known is None or now - known.began >= self._window:
            known = self._by_place[where] = _Failures(now)
        known.count += 1
        if known.count >= self._limit:
            known.began = now
            log.warning("address locked out", address=where, seconds=self._window)
        self._by_place.move_to_end(where)
        if len(self._by_place) > ADDRESSES:
            self._by_place.popitem(last=False)


def place(address: str | None) -> str:
    """What is counted as one address: an IPv4 address, an IPv6 network of 64 bits, as that is
    what one customer gets."""
    if address is None or ":" not in address:
        return address or "unknown"
    try:
        found = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(found) >> 64 << 64, 64)))
