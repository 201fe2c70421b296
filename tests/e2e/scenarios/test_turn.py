"""Clients that know ICE servers: a TURN server that all media goes through, one that is silent."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio

from tests.coturn import SECRET, turn_server
from tests.e2e.page_client import NEWEST, Pages
from tests.e2e.server_under_test import Server
from tests.integration.media.wire import bound

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

SMALL = {"resolution": "320x240", "frameRate": 15}
OLDEST = "2.18.0"
TURN_PORT = 3478  # the oldest clients know no other
RELAYED_ONLY = """
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(configuration) { super({ ...configuration, iceTransportPolicy: "relay" }); }
};
"""
CANDIDATES_FIRST = """
let held = null, isKnown = false;
window.WebSocket = class extends WebSocket {
  send(data) {
    const { method } = JSON.parse(data);
    if (method === "publishVideo" && !isKnown) { held = data; return; }
    super.send(data);
    isKnown ||= method === "onIceCandidate";
    if (held && isKnown) { super.send(held); held = null; }
  }
};
"""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(folder: Path) -> AsyncIterator[Server]:
    """With a TURN server at an address that other runs do not use, as its port is a fixed one."""
    host = f"127.{os.getpid() >> 14 & 0x7F | 0x80}.{os.getpid() >> 7 & 0x7F}.{os.getpid() & 0x7F}"
    async with turn_server(folder, host, TURN_PORT):
        started = Server(
            folder,
            tls=True,  # the oldest clients know nothing else
            COTURN_IP=host,
            COTURN_SHARED_SECRET_KEY=SECRET,
        )
        await started.start()
        yield started
        await started.stop()


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
async def test_a_call_through_a_turn_server(server: Server, pages: Pages, version: str) -> None:
    session = await server.new_session()
    ana, ben = [await pages.open(version, RELAYED_ONLY) for _ in range(2)]
    await ana.join(await server.new_token(session), "ana")
    stream = await ana.publish(**SMALL)
    await ben.join(await server.new_token(session), "ben")
    await ben.plays(stream, frames=10)
    for client in (ana, ben):
        candidates = await client.statistics(stream, "local-candidate")
        assert {one["candidateType"] for one in candidates} == {"relay"}
        assert not await client.events("exception")
    await pages.leave(ana, ben)


async def test_candidates_before_the_stream_and_an_ice_server_that_never_answers(
    server: Server, pages: Pages
) -> None:
    session = await server.new_session()
    with closing(bound()) as silent:
        host, port = silent.getsockname()
        away = [{"url": f"turn:{host}:{port}", "username": "nobody", "credential": "nothing"}]
        ana, ben = await pages.open(script=CANDIDATES_FIRST), await pages.open()
        await ana.join(await server.new_token(session, customIceServers=away), "ana")
        stream = await ana.publish(**SMALL)
        await ben.join(await server.new_token(session, customIceServers=away), "ben")
        await ben.plays(stream, frames=10)
    answered = [frame["id"] for frame in await ana.frames() if not frame["sent"] and "id" in frame]
    (published,) = [frame["id"] for frame in await ana.frames("publishVideo")]
    first, *_ = [frame["id"] for frame in await ana.frames("onIceCandidate")]
    assert answered.index(first) < answered.index(published)
    for client in (ana, ben):
        assert not await client.events("exception")
    await pages.leave(ana, ben)
