"""The bad networks that are tried, and what one does to a call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from tests.e2e.server_under_test import eventually
from tests.media.network import CLEAR, Profile
from tests.media.room import Room
from tests.media.timeline import (
    back_after,
    between,
    first_calm,
    first_height,
    first_rate,
    frozen,
    grown,
    rate,
)

DROP = "200 kbit/s"
NETWORKS = {
    "clear": CLEAR,
    "5 % loss": Profile(loss=0.05),
    "10 % loss": Profile(loss=0.10),
    "20 % loss": Profile(loss=0.20),
    "10 % in bursts of 5": Profile(loss=0.10, burst=5),
    "100 ms jitter": Profile(jitter=0.1),
    "10 % reordered": Profile(reorder=0.10),
    "300 ms round trip": Profile(delay=0.15),
    DROP: Profile(rate=200_000),
    "nothing for 3 s": Profile(loss=1.0),
}
OUTAGE = "nothing for 3 s"
OUTAGE_LENGTH = 3.0
WAYS = ("viewer", "publisher", "both")
BACK_WITHIN = 5.0  # seconds
PATIENCE = 12.0  # seconds for the picture to be back, so that a miss is a figure as well
STEP_PATIENCE = 30.0
SETTLING = 2.5  # seconds after which what was lost is repaired or given up
USUAL = 5.0  # seconds before the change that tell of the usual
AS_BEFORE = 0.7  # of it


@dataclass(frozen=True, slots=True)
class Measured:
    """Shares from 0 to 1, times in seconds; none: there was nothing of it."""

    frozen_before: float  # on the clear network, as `frozen`
    frozen: float  # per minute without a new frame, in stretches of `timeline.FROZEN` or more
    freezes: float  # per minute, as Chromium counts
    repaired_down: float | None
    repaired_up: float | None
    key_frames: float  # asked of the publisher per minute
    step_down: float | None  # to the first second in which the narrow link lost nothing
    step_up: float | None  # to the rate of before, about
    full_size: float | None  # to the picture's height of before, if it got lower
    back: float | None
    lost_down: int  # video packets that the relays lost on the way to the viewer
    lost_up: int
    nacks: int  # packets the viewer asked for again
    repeats_up: int  # packets that the publisher sent again


async def measure(
    room: Room, name: str, way: str, seconds: float, *, await_step: bool = False
) -> Measured:
    """Impair the network for so long, make it clear, and wait for the picture."""
    bad = await _stretch(room, name, way, seconds)
    await asyncio.sleep(SETTLING)

    async def is_back() -> bool:
        return back_after(await room.watched(), bad.end) is not None

    await _patiently(is_back, PATIENCE)
    steps = await _steps(room, bad) if await_step else _Steps()
    watched = await room.watched()
    during = between(watched, bad.begin, bad.end)
    until_repaired = between(watched, bad.begin, bad.end + SETTLING)
    asked = between(await room.published(), bad.begin, bad.end + SETTLING)
    minutes = (bad.end - bad.begin) / 60
    missing = grown(until_repaired, "packetsLost")
    repeats_up = grown(asked, "retransmittedPacketsSent")
    return Measured(
        frozen_before=frozen(between(watched, bad.begin - USUAL, bad.begin)) / USUAL * 60,
        frozen=frozen(during) / minutes,
        freezes=grown(during, "totalFreezesDuration") / minutes,
        repaired_down=_share(grown(until_repaired, "retransmittedPacketsReceived"), missing),
        repaired_up=_share(repeats_up, bad.lost_up),
        key_frames=grown(asked, "pliCount") / minutes,
        step_down=steps.down,
        step_up=steps.up,
        full_size=steps.full_size,
        back=back_after(watched, bad.end),
        lost_down=bad.lost_down,
        lost_up=bad.lost_up,
        nacks=int(grown(until_repaired, "nackCount")),
        repeats_up=int(repeats_up),
    )


@dataclass(frozen=True, slots=True)
class _Stretch:
    """In which the network was bad."""

    begin: float
    end: float
    lost_down: int
    lost_up: int
    losses: list[tuple[float, int]]  # times and totals of both ways


async def _stretch(room: Room, name: str, way: str, seconds: float) -> _Stretch:
    profile = NETWORKS[name]
    down, up = room.viewer_relay.down, room.publisher_relay.up
    lost_down, lost_up = down.lost_video, up.lost_video
    losses: list[tuple[float, int]] = []
    begin = room.impair(
        publisher=profile if way in ("publisher", "both") else CLEAR,
        viewer=profile if way in ("viewer", "both") else CLEAR,
    )
    until = begin + (OUTAGE_LENGTH if name == OUTAGE else seconds)
    while (now := time.time()) < until:
        losses.append((now, down.lost + up.lost))
        await asyncio.sleep(0.1)
    end = room.impair()
    lost_down, lost_up = down.lost_video - lost_down, up.lost_video - lost_up
    return _Stretch(begin, end, lost_down, lost_up, losses)


@dataclass(frozen=True, slots=True)
class _Steps:
    down: float | None = None
    up: float | None = None
    full_size: float | None = None


async def _steps(room: Room, bad: _Stretch) -> _Steps:
    """Down at the begin of the stretch, and, waited for, up after its end."""
    before = between(await room.watched(), 0, bad.begin)
    height = before[-1].height
    usual = AS_BEFORE * rate(before, bad.begin - USUAL, bad.begin)
    lower = first_height(await room.watched(), bad.begin, below=height)

    async def is_up() -> bool:
        seen = await room.watched()
        is_full = lower is None or first_height(seen, bad.end, at_least=height) is not None
        return is_full and first_rate(seen, bad.end, usual) is not None

    await _patiently(is_up, STEP_PATIENCE)
    watched = await room.watched()
    return _Steps(
        first_calm(bad.losses, bad.begin),
        first_rate(watched, bad.end, usual),
        None if lower is None else first_height(watched, bad.end, at_least=height),
    )


async def settled(room: Room) -> None:
    """Until it is known how the call usually is."""

    async def is_known() -> bool:
        return (await room.watched())[0].at < time.time() - USUAL

    await _patiently(is_known, 2 * USUAL)


async def _patiently(condition: Callable[[], Coroutine[None, None, bool]], limit: float) -> None:
    try:
        await eventually(condition, limit=limit)
    except AssertionError:
        return  # what was seen until now is the result


def _share(part: float, whole: float) -> float | None:
    return min(1.0, part / whole) if whole > 0 else None
