"""`python -m tests.soak --minutes 60`: rooms open and close, people come, publish, mute, lose their
sockets and their media, vanish, are evicted, are recorded. Every half minute what each process
holds is noted. Exit code 1 if something grows after the warm-up, or if a client met with anything
it did not expect.

Figures are told per hour. Caches are full after some 20 minutes of this, so a run of less tells
little of memory. Nothing is collected or trimmed for the measurement: garbage that waits is memory,
too. Tasks of asyncio are not told by the services; a leak of them shows as memory.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import sys
import tempfile
import time
from pathlib import Path

from tests.e2e.server_under_test import Server, free_port
from tests.e2e.webhook_sink import WebhookSink
from tests.soak.churn import Churn
from tests.soak.watch import ALLOWED, MOST_OF_BROKER, PROCESSES, Sample, sample, trend

WARM_UP = 0.25  # share of the time
GRACE = 4  # seconds for a client that lost its socket
LEVEL = re.compile(r"^\S+Z (ERROR|CRITICAL)|^Traceback")


async def soak(minutes: float, rooms: int, every: float, seed: int) -> int:
    sink = WebhookSink(free_port())
    await sink.up()
    with tempfile.TemporaryDirectory() as name:
        server = Server(
            Path(name),
            OPENVIDU_WEBHOOK="true",
            OPENVIDU_WEBHOOK_ENDPOINT=sink.url,
            TERTULIA_RECONNECTION_GRACE=str(GRACE),
            TERTULIA_METRICS="true",  # which nobody reads: they must not grow either
        )
        await server.start()
        try:
            churn = Churn(server, seed)
            samples = await _run(churn, sink, minutes * 60, rooms, every)
            left = (await server.get("/openvidu/api/sessions"))["numberOfElements"]
        finally:
            await server.stop()
            await sink.down()
        errors = [line for line in server.log().splitlines() if LEVEL.search(line)]
    return _judge(churn, samples, left, errors, minutes * 60)


async def _run(
    churn: Churn, sink: WebhookSink, seconds: float, rooms: int, every: float
) -> dict[str, list[Sample]]:
    pids = {process: churn.server.pid_of(process) for process in PROCESSES}
    samples: dict[str, list[Sample]] = {process: [] for process in PROCESSES}
    started = time.monotonic()
    print(f"{'min':>6} " + " ".join(f"{s:>26}" for s in PROCESSES))
    print(
        f"{'':>6} " + " ".join(f"{'KiB':>10}{'files':>6}{'thr.':>5}{'CPU%':>5}" for _ in PROCESSES)
    )
    async with asyncio.TaskGroup() as tasks:
        for number in range(rooms):
            tasks.create_task(churn.rooms(number, started + seconds))
        while time.monotonic() < started + seconds:
            await asyncio.sleep(every)
            at = time.monotonic() - started
            sink.received.clear()
            sink.ids.clear()
            for process, pid in pids.items():
                samples[process].append(sample(pid, at))
            print(f"{at / 60:6.1f} " + " ".join(map(_shown, samples.values())), flush=True)
    return samples


def _shown(samples: list[Sample]) -> str:
    now = samples[-1]
    before = samples[-2] if len(samples) > 1 else None
    load = (now.cpu - before.cpu) / (now.at - before.at) * 100 if before else 0.0
    return f"{now.memory:10}{now.files:6}{now.threads:5}{load:5.0f}"


def _judge(
    churn: Churn, samples: dict[str, list[Sample]], left: int, errors: list[str], seconds: float
) -> int:
    problems = [f"unexpected: {fault}" for fault in churn.faults]
    problems += [f"in the log: {line}" for line in errors[:20]]
    if left:
        problems.append(f"{left} sessions are left")
    print("\nDone: " + ", ".join(f"{count} {name}" for name, count in sorted(churn.done.items())))
    print(f"{churn.packets} ticks of media sent; {len(churn.faults)} unexpected client errors\n")
    print(f"{'':20}{'warm':>10}{'end':>10}{'per hour':>12}{'+-':>10}{'allowed':>9}   verdict")
    for process, found in samples.items():
        warm = [one for one in found if one.at >= WARM_UP * seconds]
        if len(warm) < 4:
            problems.append(f"too few samples of {process}")
            continue
        for figure, allowed in ALLOWED.items():
            values = [getattr(one, figure) for one in warm]
            line = trend([(one.at, value) for one, value in zip(warm, values, strict=True)])
            limit, flat = allowed, line.is_flat(allowed)
            if (process, figure) == ("nats-server", "memory"):
                limit, flat = MOST_OF_BROKER, max(values) <= MOST_OF_BROKER
            print(
                f"{process:12}{figure:8}{line.first:10.0f}{line.last:10.0f}{line.per_hour:+12.1f}"
                f"{line.error:10.1f}{limit:9}   {'flat' if flat else 'GROWS'}"
            )
            if not flat:
                problems.append(f"{process}: {figure} rises by {line.per_hour:.1f} an hour")
    print("\n" + ("\n".join(("FAILED", *problems)) if problems else "All flat."))
    return int(bool(problems))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rooms", type=int, default=6, help="at a time")
    parser.add_argument("--every", type=float, default=30, help="seconds between samples")
    parser.add_argument("--seed", type=int, default=random.randrange(10**9))
    given = parser.parse_args()
    print(f"seed {given.seed}")
    return asyncio.run(soak(given.minutes, given.rooms, given.every, given.seed))


if __name__ == "__main__":
    sys.exit(main())
