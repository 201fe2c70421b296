"""`python -m tests.media.report`: what bad networks do to a call, as a table.

Each row is a call of its own: two pages of a real Chromium, a real server, relays between them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from pathlib import Path

from playwright.async_api import async_playwright

from tests.e2e.conftest import CHROMIUM_FLAGS, find_chromium
from tests.e2e.page_client import Pages
from tests.e2e.server_under_test import Server
from tests.media.measure import DROP, NETWORKS, OUTAGE, WAYS, Measured, measure, settled
from tests.media.room import open_room

HEAD = (
    "Network",
    "Way",
    "Frozen before, s/min",
    "Frozen, s/min",
    "Freezes by Chromium, s/min",
    "Repaired to the viewer",
    "Repaired from the publisher",
    "Key frames asked for, /min",
    "Down after, s",
    "Up after, s",
    "Full size after, s",
    "Back after, s",
)


def row(name: str, way: str, result: Measured) -> str:
    return _line(
        name,
        way,
        f"{result.frozen_before:.1f}",
        f"{result.frozen:.1f}" if name != OUTAGE else "–",
        f"{result.freezes:.1f}" if name != OUTAGE else "–",
        _percent(result.repaired_down),
        _percent(result.repaired_up),
        f"{result.key_frames:.0f}",
        _seconds(result.step_down),
        _seconds(result.step_up),
        _seconds(result.full_size),
        _seconds(result.back) if result.back is not None else "**not in 12**",
    )


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


async def report(seed: int, seconds: float, names: list[str], ways: list[str]) -> None:
    path = find_chromium()
    if not path:
        raise SystemExit("no Chromium: install it or set CHROMIUM")
    print(f"Seed {seed}, {seconds:g} s each, {os.cpu_count()} cores\n")
    print(_line(*HEAD))
    print(_line(*("-" for _ in HEAD)))
    with tempfile.TemporaryDirectory() as folder:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
            pages = Pages(browser)
            await pages.start()
            server = Server(Path(folder))
            try:
                await server.start()
                for name in names:
                    for way in ways[:1] if name == "clear" else ways:
                        for simulcast in (False, True) if name == DROP else (False,):
                            async with open_room(
                                server, pages, seed=seed, simulcast=simulcast
                            ) as room:
                                await settled(room)
                                result = await measure(
                                    room, name, way, seconds, await_step=name == DROP
                                )
                            label = f"{name}, simulcast" if simulcast else name
                            print(row(label, way if name != "clear" else "–", result), flush=True)
            finally:
                await server.stop()
                await pages.stop()
                await browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60, help="of each bad network")
    parser.add_argument("--network", choices=NETWORKS, nargs="*", default=list(NETWORKS))
    parser.add_argument("--way", choices=WAYS, nargs="*", default=list(WAYS))
    chosen = parser.parse_args()
    asyncio.run(report(chosen.seed, chosen.seconds, chosen.network, chosen.way))


if __name__ == "__main__":
    main()
