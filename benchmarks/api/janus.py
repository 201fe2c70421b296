"""Janus as a peer: rooms made and destroyed over its HTTP API.

Compact JSON and no log of requests. A plain room is in memory only. A permanent one is written to
the configuration file, which is not synced: it survives the end of the process as our commit does,
but not a power cut. A higher durability Janus does not have.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp

from benchmarks import janus as peer

from .load import Step
from .rest import http
from .servers import Server


class Janus(NamedTuple):
    """`handle`: path of the one that all clients use."""

    server: Server
    handle: str

    def rooms(self, permanent: bool) -> tuple[Step, Step]:
        """Make one and destroy it."""
        room = {"room": "%d", "permanent": permanent}
        named = {"publishers": 6, "description": "A room of the benchmark"}
        return (
            self._step({"request": "create", **room, **named}, b'"videoroom":"created"'),
            self._step({"request": "destroy", **room}, b'"videoroom":"destroyed"'),
        )

    def _step(self, body: dict[str, object], piece: bytes) -> Step:
        message = {"janus": "message", "transaction": "bench", "body": body}
        return Step(http("POST", self.handle, message), b"200", piece)


@asynccontextmanager
async def janus(folder: Path) -> AsyncIterator[Janus]:
    async with peer.janus(folder, "http") as (process, port):
        yield Janus(Server("janus", port, process.pid), await _attach(port))


async def _attach(port: int) -> str:
    path = "/janus"
    async with aiohttp.ClientSession() as client:
        for body in ({"janus": "create"}, {"janus": "attach", "plugin": peer.PLUGIN}):
            url = f"http://127.0.0.1:{port}{path}"
            async with client.post(url, json={**body, "transaction": "bench"}) as answer:
                path += f"/{(await answer.json())['data']['id']}"
    return path
