"""Resident memory of a subscription that media flows over, history and reports on."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from pathlib import Path

from .client import Publisher, Subscriber
from .contenders import Contender, rows, started
from .pace import STREAM, Pace
from .table import Table

FIRST = 20  # subscriptions before the measurement begins: code is loaded, pools are made
MORE = 200
RATE, BURST, SIZE = 72, 2, 1100  # of 540x360 at 30 frames/s, as the grid has it
SETTLE = 5.0  # seconds of media


def resident(pid: int) -> int:
    """Bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


async def join(contender: Contender, names: Sequence[int]) -> list[Subscriber]:
    subscribers = []
    for name in names:
        subscribers.append(Subscriber())
        await contender.subscribe(subscribers[-1], STREAM, str(name))
    return subscribers


async def contest(name: str, more: int, seconds: float) -> tuple[int, float]:
    """Bytes of the process with one publisher, bytes of each subscription."""
    publisher, subscribers = Publisher(), list[Subscriber]()
    async with started(name) as contender:
        try:
            await contender.publish(publisher, STREAM)
            alone = resident(contender.pid)
            found = []
            for names in (range(FIRST), range(FIRST, FIRST + more)):
                subscribers += await join(contender, names)
                await Pace(publisher, subscribers).send(seconds, BURST, rate=RATE, size=SIZE)
                found.append(resident(contender.pid))
            return alone, (found[1] - found[0]) / more
        finally:
            for peer in (publisher, *subscribers):
                await peer.close()


async def memory(quick: bool) -> None:
    more, seconds = (40, 2.0) if quick else (MORE, SETTLE)
    print("## Memory of a subscription\n")
    print(
        f"Growth of the resident memory from {FIRST} to {FIRST + more} subscriptions to one video "
        f"of {RATE} packets/s, after {seconds:g} s of it.\n"
    )
    table = Table("", "process with a publisher, MB", "kB a subscription")
    for row in rows():
        if row.missing:
            table.add(row.title, f"not measured: {row.missing}")
            continue
        alone, each = await contest(row.name, more, seconds)
        table.add(row.title, f"{alone / 1e6:.0f}", f"{each / 1e3:.1f}")
    table.print()
