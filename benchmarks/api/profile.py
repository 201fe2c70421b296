"""One api process under the sampler, and what it says of each of our workloads."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from . import servers
from .contenders import Entry, populate, reading, writing
from .load import Requests, Result

SECONDS = 2.0
WARM_SECONDS = 0.25
LEAST = 0.01  # of all CPU, to be a line
WRITTEN_SECONDS = 10.0

Run = Callable[..., Awaitable[tuple[Any, Result]]]


async def report(
    prepare: Callable[[list[Requests]], Awaitable[None]],
    run: Run,
    only: str,
    clients: Sequence[int],
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        output = folder / "profile.json"
        command = ("benchmarks.api.sampler", str(output))
        async with servers.tertulia(folder / "api", command) as server:
            await prepare(populate(server))
            for entry in (*reading(server), *writing(server)):
                if only in entry.workload:
                    await run(entry, 16, WARM_SECONDS)
                    for number in clients:
                        await _one(entry, number, run, output)


async def _one(entry: Entry, clients: int, run: Run, output: Path) -> None:
    pid = entry.server.pid
    _, result = await run(entry, clients, SECONDS, lambda: os.kill(pid, signal.SIGUSR1))
    os.kill(pid, signal.SIGUSR2)
    parts = await asyncio.to_thread(_taken, output)
    total = sum(parts.values())
    each = 1e6 / result.requests
    print(f"\n{entry.workload}, {clients} clients: {total * each:.0f} us of CPU for each request")
    for name, spent in sorted(parts.items(), key=lambda part: -part[1]):
        if spent >= LEAST * total:
            print(f"{spent / total:8.1%}{spent * each:9.1f} us  {name}")


def _taken(output: Path) -> dict[str, float]:
    end = time.monotonic() + WRITTEN_SECONDS
    while not output.exists():
        if time.monotonic() > end:
            raise SystemExit("the api process did not write its profile")
        time.sleep(0.02)
    parts = msgspec.json.decode(output.read_bytes(), type=dict[str, float])
    output.unlink()
    return parts
