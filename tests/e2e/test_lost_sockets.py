"""Clients that lose their socket, for a moment or for long (`signaling.md` 1.9, 7.13)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.page_client import Client, Pages
from tests.e2e.relay import Relay
from tests.e2e.server_under_test import Server

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(150)]

SMALL = {"resolution": "320x240", "frameRate": 15}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(folder: Path) -> AsyncIterator[Server]:
    started = Server(folder)
    await started.start()
    yield started
    await started.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def relay(server: Server) -> AsyncIterator[Relay]:
    started = Relay(server.port)
    await started.start()
    yield started
    await started.stop()


async def _two_in_a_call(
    server: Server, pages: Pages, relay: Relay, session: str
) -> tuple[Client, Client, str, str]:
    """Ana, whose socket goes through the relay, and Ben, with their streams."""
    await server.new_session(customSessionId=session)
    ana, ben = await pages.open(), await pages.open()
    token = await server.new_token(session)
    await ana.join(token.replace(f":{server.port}", f":{relay.port}"), "ana")
    of_ana = await ana.publish(**SMALL)
    await ben.join(await server.new_token(session), "ben")
    of_ben = await ben.publish(**SMALL)
    await ana.plays(of_ben, frames=10)
    await ben.plays(of_ana, frames=10)
    return ana, ben, of_ana, of_ben


async def test_a_socket_that_is_cut_comes_back_unnoticed(
    server: Server, pages: Pages, relay: Relay
) -> None:
    ana, ben, of_ana, of_ben = await _two_in_a_call(server, pages, relay, "cut")
    before, frames = await ben.events(), len(await ben.frames())
    ssrcs = [report["ssrc"] for report in await ben.statistics(of_ana, "inbound-rtp")]
    relay.cut()
    await ana.sees("reconnecting")
    await ana.sees("reconnected")
    await ana.plays(of_ben, frames=10)
    await ben.plays(of_ana, frames=10)
    assert await ben.events() == before
    assert not [f for f in (await ben.frames())[frames:] if not f["sent"] and "method" in f]
    assert [report["ssrc"] for report in await ben.statistics(of_ana, "inbound-rtp")] == ssrcs
    assert not await ana.frames("reconnectStream")
    assert not await ana.events("exception")
    await ana.call("signal", "still here", "greeting")
    await ben.sees("signal", data="still here", **{"from": ana.id})
    for client in (ana, ben):
        await client.call("leave")


async def test_a_client_silent_for_long_is_evicted_once(
    server: Server, pages: Pages, relay: Relay
) -> None:
    ana, ben, of_ana, _ = await _two_in_a_call(server, pages, relay, "silent")
    relay.hold()
    await ben.sees("streamDestroyed", stream=of_ana, reason="networkDisconnect", limit=60)
    await ben.sees("connectionDestroyed", connection=ana.id, reason="networkDisconnect")
    relay.release()
    await ana.sees("sessionDisconnected", reason="networkDisconnect", limit=30)
    assert len(await ben.frames("participantLeft")) == 1
    assert len(await ana.events("reconnecting")) == 1
    assert not await ana.events("reconnected")
    await ben.call("leave")
