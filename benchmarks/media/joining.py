"""From the call to join until the first packet of a key frame, one subscriber after the other.

For Tertulia the call is that of the signaling gateway to the media node over NATS, for Janus the
attaching of a handle over its WebSocket; both end with ICE, DTLS and a request for a key frame.
"""

from __future__ import annotations

import asyncio
from time import perf_counter

from .client import Publisher, Subscriber
from .contenders import Contender, rows, started
from .pace import STREAM
from .table import Table, percentile

JOINS = 50
FRAMES = 30  # a second
SIZE, DELTA, KEY = 1100, 2, 12  # bytes of a packet, packets of a frame and of a key frame
ENCODING = 0.02  # seconds from the request to a key frame, and then until the next frame is due
LIMIT = 10.0  # seconds of one join
PAUSE = 0.4  # seconds between joins: a server asks for key frames once in a while only


async def pictures(publisher: Publisher) -> None:
    """30 frames a second, a key frame when it was asked for."""
    loop = asyncio.get_running_loop()
    due, asked, reported = loop.time(), 0.0, 0.0
    while True:
        now = loop.time()
        if not publisher.key_wanted.is_set():
            asked = 0.0
        elif not asked:
            asked = now
        key = asked > 0 and now - asked >= ENCODING
        if key:
            publisher.key_wanted.clear()
        publisher.send(publisher.frame(KEY if key else DELTA, SIZE, key=key))
        if now - reported > 1:
            reported = now
            publisher.report()
        due += 1 / FRAMES
        await asyncio.sleep(max(0.0, due - loop.time()))


async def join(contender: Contender, name: str) -> float:
    """Milliseconds."""
    subscriber = Subscriber()
    try:
        seen = subscriber.first_key = asyncio.Event()
        async with asyncio.timeout(LIMIT):
            start = perf_counter()
            await contender.subscribe(subscriber, STREAM, name)
            await seen.wait()
            return (perf_counter() - start) * 1e3
    finally:
        await subscriber.close()


async def contest(name: str, joins: int) -> list[float]:
    async with started(name) as contender, asyncio.TaskGroup() as group:
        publisher = Publisher()
        try:
            await contender.publish(publisher, STREAM)
            sending = group.create_task(pictures(publisher))
            for number in range(3):  # the first ones load code
                await join(contender, f"warm{number}")
            took = []
            for number in range(joins):
                await asyncio.sleep(PAUSE)
                took.append(await join(contender, str(number)))
            sending.cancel()
            return took
        finally:
            await publisher.close()


async def joining(quick: bool) -> None:
    joins = 5 if quick else JOINS
    print("## From joining to the first packet of a key frame\n")
    print(
        f"{joins} joins one after the other; ms. The publisher sends {FRAMES} frames/s and answers "
        f"with a key frame at its first frame {ENCODING * 1e3:g} ms after the request.\n"
    )
    table = Table("", "p50", "p99", "slowest")
    for row in rows():
        if row.missing:
            table.add(row.title, f"not measured: {row.missing}")
            continue
        took = await contest(row.name, joins)
        shown = (percentile(took, 0.5), percentile(took, 0.99), max(took))
        table.add(row.title, *(f"{value:.0f}" for value in shown))
    table.print()
