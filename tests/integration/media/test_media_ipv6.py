"""IPv6 and IPv4 on one socket, and IPv6 alone."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator

import pytest
from aioice import stun

from services.conference.calls import Done, Offer, PrepareOffer, Tap, Tapped
from services.media.node import Node
from tests.integration.media.stage import SESSION, STREAM, Stage, audio, until, video
from tests.integration.media.wire import Collector


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp:
            udp.bind(("::1", 0))
    except OSError:
        return False
    return True


pytestmark = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


both = pytest.mark.parametrize("node", ["::"], indirect=True)


@pytest.fixture(params=["::", "::1"])
async def node(request: pytest.FixtureRequest, pump: str) -> AsyncIterator[Node]:
    node = Node(request.param, range(1), "::1,127.0.0.1", pump=pump)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(node.run())
        await until(lambda: node.serving, "the node serves")
        yield node
        running.cancel()


@pytest.fixture
async def dual(node: Node) -> AsyncIterator[tuple[Stage, Stage]]:
    """Clients with IPv6, and clients with IPv4."""
    stages = Stage(node, "::1"), Stage(node)
    yield stages
    for stage in stages:
        for peer in stage.peers:
            await peer.close()


async def test_media_over_ipv6(node: Node) -> None:
    stage = Stage(node, "::1")
    publisher, subscriber = await stage.publish(), await stage.subscribe()
    sent = [packet for n in range(20) for packet in (video(n), audio(n))]
    for packet in sent:
        publisher.send_rtp(packet)
    await until(lambda: len(subscriber.rtp) == len(sent), "all packets came")
    assert subscriber.rtp == sent
    assert "c=IN IP6 ::1\r\n" in subscriber.description
    assert re.search(r"a=candidate:1 1 udp \d+ ::1 \d+ typ host", subscriber.description)
    addresses = {leg.endpoint.address for leg in node.legs}
    assert addresses == {peer.socket.getsockname()[:2] for peer in stage.peers}
    for peer in stage.peers:
        await peer.close()


@both
async def test_ipv4_on_the_socket_of_both(dual: tuple[Stage, Stage]) -> None:
    six, four = dual
    publisher = await six.publish()
    server = ("127.0.0.1", six.node.port.address[1])
    subscriber = await four.subscribe(relay=server)
    leg = six.node.publications[STREAM].subscriptions["con_S"].leg
    assert leg.endpoint.address == subscriber.socket.getsockname()
    publisher.send_rtp(video(1))
    await until(lambda: subscriber.rtp, "it came")
    assert subscriber.rtp == [video(1)]


@both
async def test_a_client_with_ipv4_is_told_its_ipv4_address(dual: tuple[Stage, Stage]) -> None:
    six, four = dual
    await six.publish()
    offer = six.node.handle(PrepareOffer(SESSION, "con_S", STREAM))
    assert isinstance(offer, Offer)
    answers: list[bytes] = []
    peer = four.peer()
    peer._take = answers.append  # type: ignore[method-assign]
    peer.aim(offer.sdp_offer, ("127.0.0.1", six.node.port.address[1]))
    peer.check()
    await until(lambda: answers, "the check is answered")
    mapped = stun.parse_message(answers[0]).attributes["XOR-MAPPED-ADDRESS"]
    assert mapped == peer.socket.getsockname()


@both
async def test_taps_get_ipv4_from_the_socket_of_both(dual: tuple[Stage, Stage]) -> None:
    publisher = await dual[0].publish()
    publisher.send_rtp(video(1))
    node, collector = dual[0].node, Collector()
    source = node.publications[STREAM].tracks["video"].source
    assert source is not None
    await until(lambda: source.packets, "the track has begun")
    assert isinstance(node.handle(Tap("t", STREAM, *collector.address)), Tapped | Done)
    publisher.send_rtp(video(2))
    await until(lambda: collector.datagrams, "it is copied")
    assert collector.datagrams[-1] == video(2)
    collector.close()
