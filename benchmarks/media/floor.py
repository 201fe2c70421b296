"""`benchmarks.udp_floor`, for orientation: no ICE, no DTLS, no reports, one key for all."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from secrets import token_bytes

import pylibsrtp

from benchmarks.udp_floor import session
from services.eventlog.server import die_with_parent

from .client import Publisher, Subscriber
from .native import available
from .pace import Pace

FLOORS = {  # kind -> what it does
    "srtp": "Python, recvfrom and sendto, AES-256-GCM",
    "python": "Python, recvfrom and sendto, no crypto",
    "c": "C, recvmmsg and sendmmsg, no crypto",
}
START_SECONDS = 20.0


def floors() -> dict[str, str]:
    return {kind: text for kind, text in FLOORS.items() if kind != "c" or available()}


@asynccontextmanager
async def floor(kind: str, count: int) -> AsyncIterator[tuple[int, Pace]]:
    """Its pid and a load for it."""
    key = token_bytes(44)
    subscribers = [Subscriber() for _ in range(count)]
    publisher = Publisher(plain=kind != "srtp")
    publisher._send_session = session(key, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    ports = [str(one.socket.getsockname()[1]) for one in subscribers]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.udp_floor", kind, key.hex(), *ports),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        preexec_fn=die_with_parent(),
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            line = await process.stdout.readline()
        publisher.server = ("127.0.0.1", int(line))
        pace = Pace(publisher, subscribers)
        pace.reporting = False
        yield process.pid, pace
    finally:
        process.kill()
        await process.wait()
        for peer in (publisher, *subscribers):
            await peer.close(silent=True)
