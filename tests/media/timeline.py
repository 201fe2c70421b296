"""What a page noted, read: when the picture stood still, when it was back, how large it was. Pure.

Times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

FROZEN = 0.35  # seconds without a new frame; looked at each 0.1 s, so 0.25 s and more are
BACK = 5  # frames in so many seconds are a picture, on a busy machine as well
BACK_WINDOW = 2.0
RATE_WINDOW = 1.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Totals since the start, of the video at one end."""

    at: float
    height: int = 0
    framesDecoded: int = 0  # noqa: N815 - names of the W3C's statistics
    framesEncoded: int = 0  # noqa: N815
    bytesReceived: int = 0  # noqa: N815
    packetsReceived: int = 0  # noqa: N815
    packetsLost: int = 0  # noqa: N815
    retransmittedPacketsReceived: int = 0  # noqa: N815
    retransmittedPacketsSent: int = 0  # noqa: N815
    nackCount: int = 0  # noqa: N815
    pliCount: int = 0  # noqa: N815
    freezeCount: int = 0  # noqa: N815
    totalFreezesDuration: float = 0.0  # noqa: N815

    @classmethod
    def of(cls, noted: Mapping[str, float]) -> Sample:
        return cls(**{f.name: noted[f.name] for f in fields(cls) if f.name in noted})  # type: ignore[arg-type]


def between(samples: Sequence[Sample], begin: float, end: float) -> list[Sample]:
    return [one for one in samples if begin <= one.at <= end]


def grown(samples: Sequence[Sample], name: str) -> float:
    """By how much a total grew from the first to the last."""
    return float(getattr(samples[-1], name) - getattr(samples[0], name)) if samples else 0.0


def frozen(samples: Sequence[Sample]) -> float:
    """Seconds without a new frame, in stretches of `FROZEN` or more."""
    total, since = 0.0, None
    for before, now in pairwise(samples):
        if since is None:
            since = before.at
        if now.framesDecoded > before.framesDecoded:
            total += _if_long(now.at - since)
            since = now.at
    if samples and since is not None:
        total += _if_long(samples[-1].at - since)
    return total


def _if_long(seconds: float) -> float:
    return seconds if seconds >= FROZEN else 0.0


def back_after(samples: Sequence[Sample], moment: float) -> float | None:
    """Seconds from the moment to the first new frame from which on there is a picture; none:
    there was none yet."""
    later = [one for one in samples if one.at >= moment]
    for index, (before, now) in enumerate(pairwise(later)):
        if now.framesDecoded == before.framesDecoded:
            continue
        window = [one for one in later[index:] if one.at <= now.at + BACK_WINDOW]
        if window[-1].framesDecoded - before.framesDecoded >= BACK:
            return now.at - moment
    return None


def rate(samples: Sequence[Sample], begin: float, end: float) -> float:
    """Bit/s received."""
    return grown(between(samples, begin, end), "bytesReceived") * 8 / (end - begin)


def first_rate(samples: Sequence[Sample], moment: float, at_least: float) -> float | None:
    """Seconds from the moment to the end of the first second with that rate."""
    for one in samples:
        if one.at >= moment + RATE_WINDOW and (
            rate(samples, one.at - RATE_WINDOW, one.at) >= at_least
        ):
            return one.at - moment
    return None


def first_calm(losses: Sequence[tuple[float, int]], moment: float) -> float | None:
    """Seconds from the moment to the first second in which a total did not grow; the total is
    given with its times."""
    since, before = moment, None
    for at, total in losses:
        if before is not None and total != before:
            since = at
        before = total
        if at - since >= RATE_WINDOW:
            return since - moment
    return None


def first_height(
    samples: Sequence[Sample], moment: float, *, below: int = 0, at_least: int = 0
) -> float | None:
    """Seconds from the moment to a picture lower than `below`, or of `at_least` that height."""
    for one in samples:
        if one.at >= moment and ((one.height < below) if below else one.height >= at_least):
            return one.at - moment
    return None
