"""Bare appends by nats-py: what a log of our kind can take, with nothing around it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple
from uuid import uuid4

import nats
from nats.js import JetStreamContext

from services.eventlog.commit import subject


class Appends(NamedTuple):
    """`clients` tasks append `size` bytes each to a subject of its own for `seconds`, with the
    expected last sequence, and wait for each acknowledgement."""

    url: str
    token: str
    clients: int
    size: int
    seconds: float


class Appended(NamedTuple):
    latencies: list[float]
    seconds: float
    cpu: float


async def append(job: Appends, gate: Callable[[], None]) -> Appended:
    client = await nats.connect(job.url, token=job.token)
    try:
        stream = client.jetstream()
        latencies: list[float] = []
        await _writer(stream, job, time.perf_counter() + 0.05, [])
        await asyncio.to_thread(gate)  # the client must go on answering pings
        cpu, began = time.process_time(), time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(job.clients):
                tasks.create_task(_writer(stream, job, began + job.seconds, latencies))
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        return Appended(latencies, seconds, cpu)
    finally:
        await client.close()


async def _writer(
    stream: JetStreamContext, job: Appends, end: float, latencies: list[float]
) -> None:
    where, payload, last = subject(uuid4().hex), b"x" * job.size, 0
    while (sent := time.perf_counter()) < end:
        expected = {"Nats-Expected-Last-Subject-Sequence": str(last)}
        last = (await stream.publish(where, payload, timeout=10, headers=expected)).seq
        latencies.append(time.perf_counter() - sent)
