"""Hostile input for the media node: `python -m tests.fuzz_media --minutes 30`.

Half of the time the parsers alone get mutated descriptions and datagrams; half of it villains
attack a living node over UDP, beside a conference that must go on without loss. Tells how many
inputs were tried, the longest stall of the node's loop, and the growth of its memory. Inputs that
do harm are kept in `tests/fuzz/crashes`, which the suite replays.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fuzz.child import Died, child
from tests.fuzz.measure import GROWTH_LIMIT, STALL_LIMIT
from tests.fuzz.parsers import CRASHES, MEDIA, attack
from tests.fuzz.villains import Lost, Scene, scene

NODE = "tests.fuzz.living_node"
WARM_UP = 0.2  # share of the time after which memory is taken as warm


@dataclass(slots=True)
class Outcome:
    """Of a living node. `stall` and `wall` in ms, memory in KiB."""

    tried: dict[str, int] = field(default_factory=dict)
    rounds: int = 0
    stall: float = 0.0
    wall: float = 0.0
    warm: int = 0
    end: int = 0
    state: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def take(self, report: dict[str, Any]) -> int:
        """Note a report of the node; gives its memory."""
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


async def besiege(
    seed: int, seconds: float, kind: str, *, rounds: int | None = None, keep: Path | None = CRASHES
) -> Outcome:
    """Villains at a node with packet path `kind`, for that long or so many rounds."""
    outcome = Outcome()
    started = time.monotonic()
    async with child(NODE, kind) as node, scene(node, seed) as stage:
        try:
            while stage.rounds != rounds and time.monotonic() < started + seconds:
                await stage.round()
                if not outcome.warm and time.monotonic() > started + WARM_UP * seconds:
                    outcome.warm = await _rest(stage, outcome)
                elif stage.rounds % 200 == 0:
                    outcome.take(await node.ask("report"))
                if outcome.problems:
                    break
            outcome.end = await _rest(stage, outcome)
            outcome.state = await node.ask("state")
        except (Died, Lost, TimeoutError) as error:
            outcome.problems.append(f"{type(error).__name__}: {error}")
        outcome.tried, outcome.rounds = dict(stage.tried), stage.rounds
        if outcome.problems and keep is not None:
            outcome.problems.append(f"kept in {stage.keep(keep, f'{kind}-{seed}')}")
    return outcome


async def _rest(stage: Scene, outcome: Outcome) -> int:
    """Only the conference is left: its memory."""
    outcome.take(await stage.child.ask("report"))
    await stage.leave()
    memory = outcome.take(await stage.child.ask("report"))
    await stage.enter()
    return memory


def show(outcome: Outcome, kind: str) -> None:
    total = sum(outcome.tried.values())
    print(f"\nLiving node, packet path {kind}: {total} inputs in {outcome.rounds} rounds")
    for name, count in sorted(outcome.tried.items()):
        print(f"  {name:24} {count:>10}")
    print(f"  longest stall   {outcome.stall:8.1f} ms of CPU (limit {STALL_LIMIT:.0f});", end=" ")
    print(f"{outcome.wall:.0f} ms on the clock, other processes included")
    print(f"  memory          {outcome.warm} KiB warm, {outcome.end} KiB at the end")
    print(f"  node            {outcome.state}")


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz_media", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=random.randrange(10**9))
    parser.add_argument("--kinds", default="python", help="packet paths, with commas between")
    given = parser.parse_args()
    seconds = given.minutes * 60
    print(f"seed {given.seed}")
    until = time.monotonic() + seconds / 2
    parsed = attack(MEDIA, given.seed, lambda _: time.monotonic() < until)
    print(f"Parsers: {sum(parsed.tried.values())} inputs; memory grew by {parsed.growth} KiB")
    for name, count in parsed.tried.items():
        print(f"  {name:24} {count:>10}   slowest {parsed.slowest.get(name, 0):6.1f} ms of CPU")
    problems = parsed.problems()
    kinds = given.kinds.split(",")
    for kind in kinds:
        outcome = await besiege(given.seed, seconds / 2 / len(kinds), kind)
        show(outcome, kind)
        problems += outcome.judged()
    print("\n" + ("\n".join(("FAILED", *problems)) if problems else "No harm done."))
    return bool(problems)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
