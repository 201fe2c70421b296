"""Delay that a server adds: the kernel's time of arrival at a subscriber less the time of sending.

The same over bare loopback, measured just before, is taken off. The subscribers' own slowness does
not count, as the kernel notes the time when a packet arrives at their socket.
"""

from __future__ import annotations

from secrets import token_bytes
from typing import NamedTuple

import pylibsrtp

from benchmarks.udp_floor import session

from .client import STAMP, Publisher, Subscriber, payload
from .contenders import rows, started
from .pace import RATE, SIZE, Pace, complaints, stage
from .table import Table, percentile

COUNTS = (10, 50)
BURST = 4
WATCHED = 10  # subscribers whose packets are kept


class Delay(NamedTuple):
    """Milliseconds."""

    p50: float
    p99: float

    @classmethod
    def of(cls, delays: list[float]) -> Delay:
        return cls(percentile(delays, 0.5), percentile(delays, 0.99))


def opened(subscriber: Subscriber) -> list[float]:
    delays = []
    for packet, at in subscriber.stamped():
        try:
            sent = STAMP.unpack_from(payload(subscriber.decrypted(packet)), 4)[0]
        except pylibsrtp.Error:  # came twice
            continue
        delays.append((at - sent) / 1e6)
    return delays


async def bare(seconds: float) -> Delay:
    publisher, subscriber = Publisher(), Subscriber()
    try:
        key = token_bytes(44)
        publisher._send_session = session(key, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
        subscriber._receive = session(key, pylibsrtp.Policy.SSRC_ANY_INBOUND)
        publisher.server = subscriber.socket.getsockname()
        pace = Pace(publisher, [subscriber])
        pace.reporting = False
        subscriber.stamp()
        await pace.send(seconds, BURST)
        await pace.settled()
        return Delay.of(opened(subscriber))
    finally:
        await publisher.close(silent=True)
        await subscriber.close(silent=True)


async def contest(name: str, count: int, seconds: float) -> tuple[Delay, tuple[str, ...]]:
    async with started(name) as contender, stage(contender, count) as pace:
        watched = pace.subscribers[:: count // WATCHED]
        for one in watched:
            one.stamp()
        before = await pace.settled()
        sent = await pace.send(seconds, BURST)
        share = (await pace.settled(before + sent * count) - before) / (sent * count)
        delays = [delay for one in watched for delay in opened(one)]
        return Delay.of(delays), await complaints(pace, share)


async def delay(quick: bool) -> None:
    seconds = 1.0 if quick else 5.0
    print("## Delay that the server adds\n")
    print(
        f"{RATE} packets/s of {SIZE} B in bursts of {BURST}, {seconds:g} s; ms, less what bare "
        f"loopback takes. {WATCHED} of the subscribers are watched.\n"
    )
    table = Table("", "load", "p50", "p99", "bare loopback p50, p99", "remarks")
    for count in COUNTS:
        for row in rows():
            if row.missing:
                table.add(row.title, f"1 to {count}", "-", "-", "-", f"not measured: {row.missing}")
                continue
            floor = await bare(seconds / 2)
            found, wrong = await contest(row.name, count, seconds)
            shown = [f"{mine - its:.3f}" for mine, its in zip(found, floor, strict=True)]
            remark = f"NOT VALID: {' and '.join(wrong)}" if wrong else ""
            table.add(
                row.title, f"1 to {count}", *shown, f"{floor.p50:.3f}, {floor.p99:.3f}", remark
            )
    table.print()
