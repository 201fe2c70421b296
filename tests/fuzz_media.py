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
from contextlib import suppress
from pathlib import Path

from tests.fuzz.child import Died, child
from tests.fuzz.outcome import Outcome, campaign, show
from tests.fuzz.parsers import CRASHES, MEDIA, attack
from tests.fuzz.villains import Lost, scene

NODE = "tests.fuzz.living_node"


async def besiege(
    seed: int, seconds: float, *, rounds: int | None = None, keep: Path | None = CRASHES
) -> Outcome:
    """Villains at a node for that long or so many rounds."""
    async with child(NODE) as node, scene(node, seed) as stage:
        harm = (Died, Lost, TimeoutError)
        outcome = await campaign(
            stage, str(seed), seconds, harm, every=200, rounds=rounds, keep=keep
        )
        with suppress(*harm):  # the node may be dead
            outcome.state = await node.ask("state")
    return outcome


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz_media", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=random.randrange(10**9))
    given = parser.parse_args()
    seconds = given.minutes * 60
    print(f"seed {given.seed}")
    until = time.monotonic() + seconds / 2
    parsed = attack(MEDIA, given.seed, lambda _: time.monotonic() < until)
    parsed.show()
    outcome = await besiege(given.seed, seconds / 2)
    show(outcome, "node")
    problems = parsed.problems() + outcome.judged()
    print("\n" + ("\n".join(("FAILED", *problems)) if problems else "No harm done."))
    return bool(problems)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
