"""ICE of a living connection: a client that restarts it, and the addresses it is told."""

from __future__ import annotations

import asyncio
import re

import pytest

from services.media.leg import Leg
from services.media.node import Node
from tests.integration.media.peer import Peer
from tests.integration.media.stage import STREAM, Stage, until, video
from tests.integration.media.wire import bound


def payloads(peer: Peer) -> set[bytes]:
    return {packet[12:] for packet in peer.rtp}


def publisher_leg(node: Node) -> Leg:
    leg = node.publications[STREAM].leg
    assert leg is not None
    return leg


async def checked(peer: Peer) -> None:
    peer.checked.clear()
    peer.check()
    async with asyncio.timeout(10):
        await peer.checked.wait()


async def test_media_flows_while_ice_restarts_and_from_the_new_address_on(
    stage: Stage, node: Node
) -> None:
    publisher = await stage.publish()
    subscriber = await stage.subscribe()
    leg = publisher_leg(node)
    before = leg.ice
    publisher.send_rtp(video(1))
    await until(lambda: b"video 1" in payloads(subscriber), "media before")

    ice = node.legs.restart(leg)
    assert ice.ufrag != before.ufrag
    assert ice.password != before.password
    assert ice[2:] == before[2:]  # hosts, port and certificate
    publisher.send_rtp(video(2))
    await until(lambda: b"video 2" in payloads(subscriber), "media during the restart")
    await checked(publisher)  # the old credentials are still good

    old_socket, publisher.socket = publisher.socket, bound()
    publisher._loop.remove_reader(old_socket.fileno())
    publisher._loop.add_reader(publisher.socket.fileno(), publisher._readable)
    publisher.remote_ufrag, publisher.remote_password = ice.ufrag, ice.password
    await checked(publisher)
    old_socket.close()
    assert leg.endpoint.address == publisher.socket.getsockname()
    publisher.send_rtp(video(3))
    await until(lambda: b"video 3" in payloads(subscriber), "media after the restart")
    assert publisher_leg(node) is leg

    publisher.rtcp.clear()
    await until(lambda: publisher.rtcp, "reports at the new address")


async def test_old_credentials_end_with_the_first_check_of_the_new_ones(
    stage: Stage, node: Node
) -> None:
    publisher = await stage.publish()
    leg = publisher_leg(node)
    old = publisher.binding_request()
    ice = node.legs.restart(leg)
    publisher.remote_ufrag, publisher.remote_password = ice.ufrag, ice.password
    await checked(publisher)
    dropped = node.port.counters["STUN for nobody"]
    publisher.checked.clear()
    publisher.raw(old)
    await until(lambda: node.port.counters["STUN for nobody"] > dropped, "the old check is dropped")
    assert not publisher.checked.is_set()


async def test_credentials_that_were_never_used_end_with_the_next_restart(
    stage: Stage, node: Node
) -> None:
    publisher = await stage.publish()
    leg = publisher_leg(node)
    unused = node.legs.restart(leg)
    ice = node.legs.restart(leg)
    assert len(leg.ufrags) == 2
    assert unused.ufrag not in leg.ufrags
    assert len(node.legs) == 1
    await checked(publisher)  # those of the connection
    publisher.remote_ufrag, publisher.remote_password = ice.ufrag, ice.password
    await checked(publisher)
    node.legs.drop(leg)
    assert len(node.legs) == 0


async def test_a_forged_check_of_the_new_ufrag_ends_nothing(stage: Stage, node: Node) -> None:
    publisher = await stage.publish()
    leg = publisher_leg(node)
    ice = node.legs.restart(leg)
    stranger = stage.peer()
    stranger.server, stranger.remote_ufrag = publisher.server, ice.ufrag
    stranger.remote_password = publisher.remote_password  # the old one
    stranger.check()
    await checked(publisher)
    assert len(leg.ufrags) == 2
    assert not stranger.checked.is_set()


@pytest.mark.parametrize(
    ("public", "hosts"),
    [
        ("", ["127.0.0.1"]),
        ("192.0.2.9", ["192.0.2.9"]),
        ("192.0.2.9, 2001:DB8::7,192.0.2.9", ["192.0.2.9", "2001:db8::7"]),
    ],
)
async def test_clients_are_told_all_public_addresses(public: str, hosts: list[str]) -> None:
    node = Node("127.0.0.1", range(1), public)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(node.run())
        await until(lambda: node.serving, "the node serves")
        assert list(node.legs.make().ice.hosts) == hosts
        running.cancel()


@pytest.mark.parametrize("public", ["0.0.0.0", "::", "192.0.2.1,::", "nonsense", "192.0.2.1,"])
def test_addresses_that_nobody_can_send_to_are_refused(public: str) -> None:
    with pytest.raises(ValueError, match=re.compile("PUBLIC_IP|address")):
        Node("127.0.0.1", range(1), public)
