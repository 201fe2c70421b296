"""Hostile input for the signaling gateway: `python -m tests.fuzz_signaling --minutes 30`.

A tenth of the time mutated frames go to the parser alone; then intruders attack a living api over
real sockets, beside two clients who must go on being answered. Tells how many inputs were tried,
the longest stall of the api's loop, and the growth of its memory.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from pathlib import Path

from tests.fuzz.child import Died, child
from tests.fuzz.intruders import Unanswered, siege
from tests.fuzz.outcome import Outcome, campaign, show
from tests.fuzz.parsers import CRASHES, attack

GATEWAY = "tests.fuzz.living_gateway"


async def intrude(
    seed: int, seconds: float, *, rounds: int | None = None, keep: Path | None = CRASHES
) -> Outcome:
    """Intruders at a living gateway for that long, or so many rounds."""
    async with child(GATEWAY) as api, siege(api, seed) as stage:
        harm = (Died, Unanswered, TimeoutError, AssertionError)
        return await campaign(stage, str(seed), seconds, harm, every=20, rounds=rounds, keep=keep)


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz_signaling", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=random.randrange(10**9))
    given = parser.parse_args()
    seconds = given.minutes * 60
    print(f"seed {given.seed}")
    until = time.monotonic() + seconds / 10
    parsed = attack(("rpc",), given.seed, lambda _: time.monotonic() < until)
    parsed.show()
    outcome = await intrude(given.seed, seconds * 0.9)
    show(outcome, "gateway")
    problems = parsed.problems() + outcome.judged()
    print("\n" + ("\n".join(("FAILED", *problems)) if problems else "No harm done."))
    return bool(problems)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
