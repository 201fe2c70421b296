"""What came of an attack on a living server."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tests.fuzz.child import Child
from tests.fuzz.measure import GROWTH_LIMIT, STALL_LIMIT

WARM_UP = 0.2  # share of the time after which memory is taken as warm


@dataclass(slots=True)
class Outcome:
    """Of a living server. `stall` and `wall` in ms, memory in KiB."""

    tried: dict[str, int] = field(default_factory=dict)
    rounds: int = 0
    stall: float = 0.0
    wall: float = 0.0
    warm: int = 0
    end: int = 0
    state: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def take(self, report: dict[str, Any]) -> int:
        """Note a report of the server; gives its memory."""
        self.stall = max(self.stall, report["stall"])
        self.wall = max(self.wall, report["wall"])
        self.problems += report["problems"]
        return int(report["rss"])

    def judged(self) -> list[str]:
        found = list(self.problems)
        if self.stall > STALL_LIMIT:
            found.append(f"the loop stalled for {self.stall:.0f} ms of CPU")
        if self.warm and self.end - self.warm > GROWTH_LIMIT:
            found.append(f"memory grew by {self.end - self.warm} KiB")
        return found


class Stage(Protocol):
    """A living server, its well-behaved clients and those who attack it."""

    child: Child
    tried: Counter[str]
    rounds: int

    async def round(self) -> None: ...

    async def rest(self, outcome: Outcome) -> int:
        """Only the well-behaved are left: the server's memory."""
        ...

    def keep(self, folder: Path, name: str) -> Path: ...


async def campaign(
    stage: Stage,
    name: str,
    seconds: float,
    harm: tuple[type[Exception], ...],
    *,
    every: int,
    rounds: int | None,
    keep: Path | None,
) -> Outcome:
    """Attack for that long or so many rounds, with a report `every` so many; `harm` are errors
    that mean that the server did not stand it. What did harm is kept in folder `keep`."""
    outcome = Outcome()
    started = time.monotonic()
    try:
        while stage.rounds != rounds and time.monotonic() < started + seconds:
            await stage.round()
            if not outcome.warm and time.monotonic() > started + WARM_UP * seconds:
                outcome.warm = await stage.rest(outcome)
            elif stage.rounds % every == 0:
                outcome.take(await stage.child.ask("report"))
            if outcome.problems:
                break
        outcome.end = await stage.rest(outcome)
    except harm as error:
        outcome.problems.append(f"{type(error).__name__}: {error}")
    outcome.tried, outcome.rounds = dict(stage.tried), stage.rounds
    if outcome.problems and keep is not None:
        outcome.problems.append(f"kept in {stage.keep(keep, name)}")
    return outcome


def show(outcome: Outcome, what: str) -> None:
    total = sum(outcome.tried.values())
    print(f"\nLiving {what}: {total} inputs in {outcome.rounds} rounds")
    for name, count in sorted(outcome.tried.items()):
        print(f"  {name:24} {count:>10}")
    print(f"  longest stall   {outcome.stall:8.1f} ms of CPU (limit {STALL_LIMIT:.0f});", end=" ")
    print(f"{outcome.wall:.0f} ms on the clock, other processes included")
    print(f"  memory          {outcome.warm} KiB warm, {outcome.end} KiB at the end")
    if outcome.state:
        print(f"  state           {outcome.state}")
