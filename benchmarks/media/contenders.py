"""Who is measured beside whom, each a process of its own, ended by its pid.

Each offers the same two steps: `publish` connects a publisher, `subscribe` a subscriber to it.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

from benchmarks import janus
from services.media.pump import PumpMissing, load

from .client import Publisher, Subscriber
from .tertulia import tertulia
from .videoroom import own_address, videoroom


class Contender(Protocol):
    @property
    def pid(self) -> int: ...

    async def publish(self, publisher: Publisher, stream: str) -> None: ...

    async def subscribe(self, subscriber: Subscriber, stream: str, name: str) -> None: ...


class Row(NamedTuple):
    """`missing`: why it is not measured here, "" if it is. `aims`: highest ratio to `JANUS`."""

    name: str
    title: str
    missing: str = ""
    aim: float | None = None


PUMP, TWIN, JANUS, THREADS = "c", "python", "janus1", "janus"


def _no_pump() -> str:
    try:
        load()
    except PumpMissing as error:
        return str(error)
    return ""


def rows() -> list[Row]:
    no_janus = "" if own_address() else "this machine has no address but 127.0.0.1"
    if not janus.installed():
        no_janus = "not installed (Debian's package `janus`)"
    return [
        Row(PUMP, "Tertulia, C pump", _no_pump(), 0.45),
        Row(TWIN, "Tertulia, Python twin", "", 1.2),
        Row(JANUS, "Janus, event_loops = 1", no_janus),
    ]


def threads() -> Row:
    """Janus as it comes: a thread for each handle."""
    return rows()[-1]._replace(name=THREADS, title="Janus, default")


def started(name: str) -> AbstractAsyncContextManager[Contender]:
    if name == JANUS:
        return videoroom(1)
    if name == THREADS:
        return videoroom(0)
    return tertulia(name)
