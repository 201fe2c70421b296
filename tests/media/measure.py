"""The bad networks that are tried, and what one does to a call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from tests.e2e.server_under_test import eventually
from tests.media.network import CLEAR, Profile
from tests.media.room import Room
from tests.media.timeline import back_after, between, first_height, frozen, grown

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
SETTLING = 1.5  # seconds after which what was lost is repaired or given up


@dataclass(frozen=True, slots=True)
class Measured:
    """Shares from 0 to 1, times in seconds; none: there was nothing of it."""

    frozen: float  # per minute without a new frame, in stretches of `timeline.FROZEN` or more
    freezes: float  # per minute, as Chromium counts
    repaired_down: float | None
    repaired_up: float | None
    key_frames: float  # asked of the publisher per minute
    step_down: float | None
    step_up: float | None
    back: float | None
    lost_down: int  # video packets that the relays lost on the way to the viewer
    lost_up: int
    nacks: int  # packets the viewer asked for again
    repeats_up: int  # packets that the publisher sent again


async def measure(
    room: Room, name: str, way: str, seconds: float, *, await_step: bool = False
) -> Measured:
    """Impair the network for so long, make it clear, and wait for the picture."""
    profile = NETWORKS[name]
    down, up = room.viewer_relay.down, room.publisher_relay.up
    lost_down, lost_up = down.lost_video, up.lost_video
    begin = room.impair(
        publisher=profile if way in ("publisher", "both") else CLEAR,
        viewer=profile if way in ("viewer", "both") else CLEAR,
    )
    await asyncio.sleep(OUTAGE_LENGTH if name == OUTAGE else seconds)
    end = room.impair()
    lost_down, lost_up = down.lost_video - lost_down, up.lost_video - lost_up
    await asyncio.sleep(SETTLING)

    async def is_back() -> bool:
        return back_after(await room.watched(), end) is not None

    await _patiently(is_back, PATIENCE)
    watched = await room.watched()
    height = between(watched, 0, begin)[-1].height
    step_down = first_height(between(watched, begin, end), begin, below=height)

    async def is_up() -> bool:
        return first_height(await room.watched(), end, at_least=height) is not None

    if await_step and step_down is not None:
        await _patiently(is_up, STEP_PATIENCE)
    watched = await room.watched()
    during = between(watched, begin, end)
    settled = between(watched, begin, end + SETTLING)
    asked = between(await room.published(), begin, end + SETTLING)
    minutes = (end - begin) / 60
    missing = grown(settled, "packetsLost")
    repeats_up = grown(asked, "retransmittedPacketsSent")
    return Measured(
        frozen=frozen(during) / minutes,
        freezes=grown(during, "totalFreezesDuration") / minutes,
        repaired_down=_share(grown(settled, "retransmittedPacketsReceived"), missing),
        repaired_up=_share(repeats_up, lost_up),
        key_frames=grown(asked, "pliCount") / minutes,
        step_down=step_down,
        step_up=None if step_down is None else first_height(watched, end, at_least=height),
        back=back_after(watched, end),
        lost_down=lost_down,
        lost_up=lost_up,
        nacks=int(grown(settled, "nackCount")),
        repeats_up=int(repeats_up),
    )


async def _patiently(condition: Callable[[], Coroutine[None, None, bool]], limit: float) -> None:
    try:
        await eventually(condition, limit=limit)
    except AssertionError:
        return  # what was seen until now is the result


def _share(part: float, whole: float) -> float | None:
    return min(1.0, part / whole) if whole > 0 else None
