"""When a delivery is tried again."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Protocol

from msgspec import Struct

DAY = 24 * 3600


class RandomSource(Protocol):
    def uniform(self, a: float, b: float, /) -> float: ...


class Schedule(Struct, frozen=True):
    """Times in seconds.

    `delays` are the pauses after the first failure, the second and so on; the last one repeats. A
    delivery is given up at the first failure later than `give_up_after` its first attempt. An
    endpoint that nobody can reach is asked every `probe`, whatever its deliveries wait for.
    """

    delays: tuple[float, ...] = (1, 5, 30, 120, 600, 1800, 3600)
    jitter: float = 0.2  # of the delay, both ways
    give_up_after: float = 3 * DAY
    probe: float = 15
    longest_wait: float = DAY  # of what the receiver may ask for

    def delay(self, attempts: int, retry_after: float | None, rng: RandomSource) -> float:
        """The pause after `attempts` failures. `retry_after` makes it longer, never shorter."""
        base = self.delays[min(attempts, len(self.delays)) - 1]
        delay = base * rng.uniform(1 - self.jitter, 1 + self.jitter)
        if retry_after is None:
            return delay
        return max(delay, min(retry_after, self.longest_wait))


def parse_retry_after(value: str, now: float) -> float | None:
    """Seconds to wait by a `Retry-After` header (RFC 9110, 10.2.3), `None` if it makes no sense.

    `now` is the time in seconds.
    """
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - now)
