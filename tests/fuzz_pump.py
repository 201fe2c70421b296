"""The packet path in C under the sanitizers: `python -m tests.fuzz_pump --minutes 30`.

Compiles it with AddressSanitizer and UndefinedBehaviorSanitizer in the place of the usual library,
and puts that back at the end. Half of the time random plans are followed by it and by its twin in
Python, which must tell the same story; half of it villains attack a living node.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import subprocess
import sys
import time

from hypothesis import HealthCheck, given, seed, settings

from hatch_build import SANITIZED, compile_pump
from services.media.pump import LIBRARY
from tests.contract.test_packet_paths import compare, plans
from tests.fuzz.outcome import show
from tests.fuzz_media import besiege

EXAMPLES = 100  # between two looks at the clock


def tell_stories(first: int, seconds: float) -> int:
    """How many were the same; raises at the first that was not."""
    until, told = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        follow = given(plans)(compare)
        follow = settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )(follow)
        seed(first + told)(follow)()
        told += EXAMPLES
    return told


async def attack(first: int, seconds: float) -> int:
    print(f"{tell_stories(first, seconds / 2)} plans, the same story each time", flush=True)
    outcome = await besiege(first, seconds / 2)
    show(outcome, "node")
    problems = outcome.judged()
    print("\n" + ("\n".join(("FAILED", *problems)) if problems else "No harm done."))
    return bool(problems)


def sanitized() -> int:
    """Run this again where the library finds its sanitizers."""
    compiler = os.environ.get("CC", "cc").split()
    libraries = [
        subprocess.check_output([*compiler, f"-print-file-name={name}"], text=True).strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    environment = os.environ | {
        "LD_PRELOAD": " ".join(libraries),
        "ASAN_OPTIONS": "detect_leaks=0:quarantine_size_mb=8",  # Python frees little at its end
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    compile_pump(LIBRARY, *SANITIZED)
    try:
        command = [sys.executable, "-m", "tests.fuzz_pump", "--inside", *sys.argv[1:]]
        return subprocess.run(command, env=environment, check=False).returncode
    finally:
        compile_pump(LIBRARY)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz_pump", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=random.randrange(10**9))
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given_ = parser.parse_args()
    if not given_.inside:
        return sanitized()
    print(f"seed {given_.seed}", flush=True)
    return asyncio.run(attack(given_.seed, given_.minutes * 60))


if __name__ == "__main__":
    sys.exit(main())
