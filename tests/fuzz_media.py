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
from pathlib import Path

from tests.fuzz.child import Died, child
from tests.fuzz.outcome import WARM_UP, Outcome, show
from tests.fuzz.parsers import CRASHES, MEDIA, attack
from tests.fuzz.villains import Lost, Scene, scene

NODE = "tests.fuzz.living_node"


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
    parsed.show()
    problems = parsed.problems()
    kinds = given.kinds.split(",")
    for kind in kinds:
        outcome = await besiege(given.seed, seconds / 2 / len(kinds), kind)
        show(outcome, f"node, packet path {kind}")
        problems += outcome.judged()
    print("\n" + ("\n".join(("FAILED", *problems)) if problems else "No harm done."))
    return bool(problems)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
