"""Which layer of a track a subscriber gets, and how much its publisher may send. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

UNLIMITED = 2_500_000  # bit/s of the full layer of a publisher without a limit
# Bit/s on top of a limit with one, two, three layers: libwebrtc's targets
LOWER_LAYERS = (0, 150_000, 650_000)
LOWEST_LAYER = 300_000  # bit/s with audio: with less for everybody there is one layer at most
GROWTH = 1.1  # a layer's rate wanders: a higher one must fit with this much to spare
STARVED = 0.7  # a picture that gets less than this share of its rate is none
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
    the lowest living one. A higher one than `current` must fit with some room, and it stays while
    it is not much too much."""
    living = [n for n, layer in enumerate(layers) if layer.is_living]
    if not living or not (estimate or limit):
        return best_living(layers)

    def fits(n: int) -> bool:
        rate = layers[n].rate
        room = GROWTH if n > current else 1 / GROWTH if n == current else 1.0
        # The limit is the publisher's as a rule, too, so the full layer is just about as much
        slack = GROWTH * GROWTH if n == current else GROWTH
        return (not estimate or rate * room <= estimate) and (not limit or rate <= limit * slack)

    return max(filter(fits, living), default=living[0])


def wanted(
    layers: Sequence[Layer], estimate: int, limit: int, current: int, ceiling: int = 0
) -> int:
    """Bits a second that the next better choice takes; 0 if there is none. `ceiling`: what the
    publisher may send in its only layer, 0 = anything."""
    if not estimate:
        return 0
    most = limit or UNLIMITED
    if len(layers) == 1:
        most = min(most, ceiling or most)
        return most if estimate < most else 0
    higher = (layer.rate for n, layer in enumerate(layers) if layer.is_living and n > current)
    next_rate = next(higher, 0)
    if limit and next_rate > limit * GROWTH:
        next_rate = 0
    if 0 <= current < len(layers):  # the rate of this one wanders
        next_rate = max(next_rate, min(layers[current].rate, limit or layers[current].rate))
    needed = int(next_rate * GROWTH * GROWTH)
    if estimate < LOWEST_LAYER:  # our own cap may be what keeps the others from living
        needed = max(needed, min(LOWEST_LAYER, most))
    return needed


def cap(limit: int, floor: int, layers: int, allowed: Iterable[int]) -> int:
    """Bits a second a publisher may send with so many layers. `allowed` is what each subscriber
    can take (0 = anything): the best of them counts, and only where there is one layer or even
    the lowest is too much. The floor is that of the limit: what a way carries is what it is."""
    most = max(limit or UNLIMITED, floor)
    takers = tuple(allowed)
    best = max(takers) if takers and all(takers) else 0
    if best and (layers == 1 or best < LOWEST_LAYER):
        return min(most, best)
    return most + LOWER_LAYERS[min(max(layers, 1), len(LOWER_LAYERS)) - 1]


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
