"""What forwarding costs the media process, beside Janus, and what a room gets of it.

    python -m benchmarks.bench_media [--quick] [--only NAME]

Starts each server as it runs in earnest and here, in another process, publishers and subscribers
with real ICE, DTLS and SRTP. Prints Markdown; `docs/media-speed.md` says how to read it. Everything
ends by itself, also after Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
from collections.abc import Awaitable, Callable

import structlog
import uvloop

from benchmarks.cpu import busy_share
from benchmarks.media.delay import delay
from benchmarks.media.forwarding import forwarding
from benchmarks.media.grid import grid
from benchmarks.media.joining import joining
from benchmarks.media.memory import memory

SECTIONS: dict[str, Callable[[bool], Awaitable[None]]] = {
    "forwarding": forwarding,
    "delay": delay,
    "join": joining,
    "memory": memory,
    "grid": grid,
}
QUIET = 0.05  # share of the machine's CPU
LIMIT = 1200.0  # seconds of one section


async def drive(names: list[str], quick: bool) -> None:
    busy = busy_share()
    if busy > QUIET:
        print(
            f"**This machine was {busy:.0%} busy before we began: figures and ratios are off.**\n"
        )
    for name in names:
        async with asyncio.timeout(LIMIT):
            await SECTIONS[name](quick)
        print(flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short: to see whether it works")
    parser.add_argument("--only", choices=SECTIONS, help="one section")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    names = [arguments.only] if arguments.only else list(SECTIONS)
    try:
        uvloop.run(drive(names, arguments.quick))
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
