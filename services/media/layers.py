"""Which layer of a track a subscriber gets, and how much its publisher may send. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

UNLIMITED = 2_500_000  # bit/s of the full layer of a publisher without a limit
LOWER_LAYERS = (0, 250_000, 900_000)  # bit/s on top with one, two, three layers
GROWTH = 1.1  # a layer's rate wanders: a higher one must fit with this much to spare
STARVED = 0.6  # a picture that gets less than this share of its rate is none
PATIENCE = 3.0  # seconds for a publisher to send less before a subscriber's picture pauses


class Layer(NamedTuple):
    """`rate` in bit/s as it comes from the publisher; not living: its encoder dropped it."""

    rate: int
    is_living: bool


def best_living(layers: Sequence[Layer]) -> int:
    """The highest living layer, else the lowest of all."""
    return max((n for n, layer in enumerate(layers) if layer.is_living), default=0)


def choose(layers: Sequence[Layer], estimate: int, limit: int, current: int) -> int:
    """The highest living layer that fits the estimate and the static limit (0 = none), at least
    the lowest living one. A higher one than `current` must fit with some room."""
    allowed = min(estimate or limit, limit or estimate)
    living = [n for n, layer in enumerate(layers) if layer.is_living]
    if not living or not allowed:
        return best_living(layers)
    fitting = [n for n in living if layers[n].rate * (GROWTH if n > current else 1.0) <= allowed]
    return max(fitting, default=living[0])


def wanted(layers: Sequence[Layer], estimate: int, limit: int, current: int) -> int:
    """Bits a second that the next better choice takes; 0 if there is none."""
    if not estimate:
        return 0
    if len(layers) == 1:
        rate = layers[0].rate
        most = limit or UNLIMITED
        # What the publisher sends follows the estimate, as long as that is what holds it back.
        return 0 if estimate > 2 * rate or estimate >= most else min(2 * estimate, most)
    higher = [layer.rate for n, layer in enumerate(layers) if layer.is_living and n > current]
    needed = int(higher[0] * GROWTH * GROWTH) if higher else 0
    return 0 if limit and needed > limit * GROWTH else needed


def cap(limit: int, floor: int, layers: int, allowed: Iterable[int]) -> int:
    """Bits a second a publisher may send with so many layers. `allowed` is what each subscriber
    can take (0 = anything): the best of them counts, and only where there is one layer."""
    most = limit or UNLIMITED
    takers = tuple(allowed)
    if layers == 1 and takers and all(takers):
        most = min(most, max(takers))
    return max(most, floor) + LOWER_LAYERS[min(max(layers, 1), len(LOWER_LAYERS)) - 1]


class Hunger:
    """Whether a subscriber's picture is to pause: even the lowest layer is far too much for it,
    and has been for long enough."""

    __slots__ = ("_since", "is_starved")

    def __init__(self) -> None:
        self.is_starved = False
        self._since: float | None = None

    def judge(self, estimate: int, rate: int, now: float) -> bool:
        """True if it changed. `rate` is that of the lowest living layer."""
        too_much = bool(estimate) and estimate < STARVED * rate
        if self.is_starved:
            if estimate and estimate < rate:
                return False
            self.is_starved, self._since = False, None
            return True
        if not too_much:
            self._since = None
        elif self._since is None:
            self._since = now
        elif now - self._since >= PATIENCE:
            self.is_starved = True
            return True
        return False
