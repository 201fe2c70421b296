"""Sockets and ways of media that are lost and made again, and how good a way is
(`signaling.md` 1.9, 3.17, 4.13, 4.15, 5.8, 7.13)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from tests.e2e.page_client import NEWEST, Client, Pages
from tests.e2e.scenarios.relay import Relay as SocketRelay
from tests.e2e.server_under_test import Server, eventually
from tests.media.network import CLEAR, Profile, Relay
from tests.media.room import OBSERVER

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

SMALL = {"resolution": "320x240", "frameRate": 15}
CUT = Profile(loss=1.0)


class Call(NamedTuple):
    ana: Client
    ben: Client
    of_ana: str
    of_ben: str


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(folder: Path) -> AsyncIterator[Server]:
    started = Server(
        folder,
        tls=True,  # the older clients know nothing else
        OPENVIDU_PRO_NETWORK_QUALITY="true",
        OPENVIDU_PRO_NETWORK_QUALITY_INTERVAL="1",
    )
    await started.start()
    yield started
    await started.stop()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def silenced(server: Server, pages: Pages) -> AsyncIterator[tuple[SocketRelay, Call]]:
    """A call in which nothing more comes through Ana's socket. It takes half a minute until she
    is gone, and other tests can use it."""
    relay = SocketRelay(server.port)
    await relay.start()
    call = await two_in_a_call(server, pages, socket_port=relay.port)
    relay.hold()
    yield relay, call
    await relay.stop()


async def two_in_a_call(
    server: Server,
    pages: Pages,
    *,
    socket_port: int = 0,
    media: Relay | None = None,
    version: str = NEWEST,
    **configuration: object,
) -> Call:
    """Ana, maybe with relays on her ways, and Ben, each with a stream; `configuration` is hers."""
    session = await server.new_session()
    ana, ben = await pages.open(version), await pages.open()
    if media is not None:
        await ana.page.evaluate(OBSERVER)
        await ana.page.evaluate("([host, port]) => lab.through(host, port)", media.address)
    token = await server.new_token(session)
    if socket_port:
        token = token.replace(f":{server.port}", f":{socket_port}")
    await ana.join(token, "ana", **configuration)
    of_ana = await ana.publish(**SMALL)
    await ben.join(await server.new_token(session), "ben")
    of_ben = await ben.publish(**SMALL)
    call = Call(ana, ben, of_ana, of_ben)
    await both_play(call)
    return call


async def both_play(call: Call) -> None:
    await call.ana.plays(call.of_ben, frames=10)
    await call.ben.plays(call.of_ana, frames=10)


async def ssrcs(client: Client, stream: str) -> list[int]:
    return [report["ssrc"] for report in await client.statistics(stream, "inbound-rtp")]


async def notices(client: Client) -> list[dict[str, Any]]:
    """What it was told by the server, but for the quality."""
    return [
        frame
        for frame in await client.frames()
        if not frame["sent"] and "method" in frame and "QualityLevel" not in frame["method"]
    ]


@pytest.mark.usefixtures("silenced")
async def test_a_socket_that_is_cut_comes_back_unnoticed(
    server: Server, pages: Pages, sockets: SocketRelay
) -> None:
    call = ana, ben, of_ana, _ = await two_in_a_call(server, pages, socket_port=sockets.port)
    before, known = await notices(ben), await ssrcs(ben, of_ana)
    sockets.cut()
    await ana.sees("reconnecting")
    await ana.sees("reconnected")
    await both_play(call)
    assert await notices(ben) == before
    assert await ssrcs(ben, of_ana) == known
    assert not await ana.frames("reconnectStream")
    assert not await ana.events("exception")
    await ana.call("signal", "still here", "greeting")
    await ben.sees("signal", data="still here", **{"from": ana.id})
    await pages.leave(ana, ben)


async def test_both_directions_of_a_lost_way_are_made_again_by_the_client(
    server: Server, pages: Pages
) -> None:
    with closing(relay_to(server)) as relay:
        impatient = {"iceConnectionDisconnectedExceptionTimeout": 1000}
        call = await two_in_a_call(server, pages, media=relay, **impatient)
        ana, ben, of_ana, of_ben = call
        known = await ssrcs(ben, of_ana)
        relay.impair(up=CUT, down=CUT)

        async def both_try() -> bool:
            tried = {frame["params"]["stream"] for frame in await ana.frames("reconnectStream")}
            return tried == {of_ana, of_ben}

        await eventually(both_try, limit=40, what="both streams are reconnected")
        relay.impair(up=CLEAR, down=CLEAR)
        await both_play(call)
        methods = [frame.get("method") for frame in await ana.frames() if frame["sent"]]
        assert methods.index("echo") < methods.index("reconnectStream")
        assert await ssrcs(ben, of_ana) == known
        assert not await ben.frames("reconnectStream")
        for client in (ana, ben):
            assert not await client.events("streamDestroyed")
            assert len(await client.events("streamCreated")) == 1
            assert not await client.events("reconnecting")
        await pages.leave(ana, ben)


@pytest.mark.parametrize("version", ["2.20.0", NEWEST])
async def test_a_lost_subscription_is_made_again_by_the_server(
    server: Server, pages: Pages, version: str
) -> None:
    call = ana, ben, _, of_ben = await two_in_a_call(server, pages, version=version)
    before = [len(await client.events()) for client in (ana, ben)]
    await ana.call("drop", of_ben)
    await eventually(lambda: ana.frames("forciblyReconnectSubscriber"), what="the server's offer")
    await both_play(call)
    (again,) = await ana.frames("reconnectStream")
    assert again["params"]["forciblyReconnect"] is True
    assert not await ana.frames("echo"), "the client did not notice by itself"
    for client, count in zip((ana, ben), before, strict=True):
        heard = {event["type"] for event in (await client.events())[count:]}
        assert heard <= {"streamPlaying", "networkQualityLevelChanged"}
    await pages.leave(ana, ben)


async def test_everybody_is_told_how_good_a_way_is(server: Server, pages: Pages) -> None:
    with closing(relay_to(server)) as relay:
        ana, ben, *_ = await two_in_a_call(server, pages, media=relay)
        quality = "networkQualityLevelChanged"
        for client in (ana, ben):
            first = await client.sees(quality, connection=ana.id, oldValue=0)
            assert first["newValue"] in range(1, 6)
        relay.impair(up=Profile(loss=0.4))
        for client in (ana, ben):
            await client.sees(quality, connection=ana.id, newValue=1)
        await pages.leave(ana, ben)


async def test_a_client_silent_for_long_is_evicted_once(
    pages: Pages, silenced: tuple[SocketRelay, Call]
) -> None:
    relay, (ana, ben, of_ana, _) = silenced
    await ben.sees("streamDestroyed", stream=of_ana, reason="networkDisconnect", limit=60)
    await ben.sees("connectionDestroyed", connection=ana.id, reason="networkDisconnect")
    relay.release()
    await ana.sees("sessionDisconnected", reason="networkDisconnect", limit=30)
    assert len(await ben.frames("participantLeft")) == 1
    assert len(await ana.events("reconnecting")) == 1
    assert not await ana.events("reconnected")
    await pages.leave(ben)


def relay_to(server: Server) -> Relay:
    return Relay(("127.0.0.1", int(server.environ["TERTULIA_MEDIA_PORT"])), seed=1)
