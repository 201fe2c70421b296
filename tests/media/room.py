"""Two pages in a call, each behind a relay: one publishes, one watches."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.page_client import Client, Pages
from tests.e2e.server_under_test import Server, eventually
from tests.media.network import CLEAR, Profile, Relay
from tests.media.timeline import Sample

OPENING = 60.0  # seconds for the first picture, on a busy machine as well
OBSERVER = Path(__file__).with_name("observer.js").read_text()


@dataclass
class Room:
    publisher: Client
    viewer: Client
    stream: str
    publisher_relay: Relay
    viewer_relay: Relay

    def impair(self, *, publisher: Profile = CLEAR, viewer: Profile = CLEAR) -> float:
        """Both directions of each one's way; the time of the change."""
        self.publisher_relay.impair(up=publisher, down=publisher)
        self.viewer_relay.impair(up=viewer, down=viewer)
        return time.time()

    async def watched(self) -> list[Sample]:
        return [Sample.of(one) for one in await self.viewer.page.evaluate("lab.samples")]

    async def published(self) -> list[Sample]:
        return [Sample.of(one) for one in await self.publisher.page.evaluate("lab.samples")]


@asynccontextmanager
async def open_room(
    server: Server, pages: Pages, *, seed: int, simulcast: bool = False
) -> AsyncIterator[Room]:
    """A call with a picture that has settled on a clear network."""
    media = ("127.0.0.1", int(server.environ["TERTULIA_MEDIA_PORT"]))
    relays = [Relay(media, seed=seed), Relay(media, seed=seed + 1)]
    session = await server.new_session()
    clients = []
    try:
        for relay in relays:
            client = await pages.open()
            clients.append(client)
            await client.page.evaluate(OBSERVER)
            await client.page.evaluate("([host, port]) => lab.through(host, port)", relay.address)
            await client.join(await server.new_token(session))
        publisher, viewer = clients
        stream = await publisher.publish(videoSimulcast=simulcast)
        await viewer.sees("streamPlaying", stream=stream, limit=OPENING)
        await viewer.plays(stream, limit=OPENING)
        await publisher.page.evaluate("lab.observe()")
        await viewer.page.evaluate("stream => lab.observe(stream)", stream)
        await eventually(lambda: viewer.page.evaluate("lab.samples.length"), what="a sample")
        yield Room(publisher, viewer, stream, *relays)
    finally:
        for client in clients:
            await client.context.close()
        for relay in relays:
            relay.close()
