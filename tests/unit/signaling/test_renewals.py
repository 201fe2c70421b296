"""Subscriptions that lost their transport get an offer (`signaling.md` 4.15)."""

from __future__ import annotations

import asyncio

import pytest

from services.conference.calls import (
    AcceptAnswer,
    Failure,
    FailureCode,
    PrepareOffer,
    TransportLost,
)
from services.conference.model import Direction
from tests.unit.signaling.harness import Client, FakeNodes, World, until

PUSHED = "forciblyReconnectSubscriber"


def lost(
    client: Client, stream: str, *, direction: Direction = Direction.INBOUND, node: str = "media_a"
) -> TransportLost:
    return TransportLost(node, "S1", client.id, stream, direction, "silence")


async def answer(client: Client, stream: str) -> None:
    params = {"stream": stream, "sdpString": "v=0 answer", "forciblyReconnect": True}
    await client.result("reconnectStream", params)


def renewing(world: World) -> int:
    return len(world.gateway._renewals._running)


async def test_a_subscriber_gets_an_offer_and_answers_it(world: World, nodes: FakeNodes) -> None:
    a, b, c = [await world.user() for _ in range(3)]
    stream = await a.publish()
    for client in (b, c):
        await client.subscribe(stream)
    commits, asked = await world.commits(), len(nodes.calls)
    world.gateway.transport_lost(lost(b, stream))
    assert await b.note(PUSHED) == {
        "connectionId": a.id,
        "streamId": stream,
        "sdpOffer": f"offer of {stream}",
    }
    await answer(b, stream)
    assert nodes.calls[asked:] == [
        PrepareOffer("S1", b.id, stream, 1000, 300),
        AcceptAnswer(b.id, stream, "v=0 answer"),
    ]
    for client in (a, c):
        await client.settle()
        assert PUSHED not in client.story()
    assert await world.commits() == commits
    assert b.story().count(PUSHED) == 1


async def test_a_client_that_does_not_answer_is_asked_again_but_not_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.signaling.renewals.ANSWER_SECONDS", 0.05)
    a, b = await world.user(), await world.user()
    stream = await a.publish()
    await b.subscribe(stream)
    world.gateway.transport_lost(lost(b, stream))
    await until(lambda: renewing(world) == 0)
    await b.settle()
    assert b.story().count(PUSHED) == 3
    world.gateway.transport_lost(lost(b, stream))
    await until(lambda: b.story().count(PUSHED) == 4)


async def test_a_renewed_subscription_is_left_alone_for_a_while(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.signaling.renewals.REST_SECONDS", 0.3)
    a, b = await world.user(), await world.user()
    stream = await a.publish()
    await b.subscribe(stream)
    for _ in range(5):
        world.gateway.transport_lost(lost(b, stream))
    await b.note(PUSHED)
    await answer(b, stream)
    world.gateway.transport_lost(lost(b, stream))
    await until(lambda: renewing(world) == 0)
    await b.settle()
    assert b.story().count(PUSHED) == 1
    world.gateway.transport_lost(lost(b, stream))
    await until(lambda: b.story().count(PUSHED) == 2)


async def test_a_client_that_renews_by_itself_is_not_disturbed(
    world: World, nodes: FakeNodes
) -> None:
    a, b = await world.user(), await world.user()
    stream = await a.publish()
    await b.subscribe(stream)
    await b.result("prepareReceiveVideoFrom", {"sender": stream, "reconnect": True})
    world.gateway.transport_lost(lost(b, stream))
    await until(lambda: renewing(world) == 0)
    await answer(b, stream)
    # While our offer is made the client begins:
    nodes.hold[PrepareOffer] = asyncio.Event()
    asked = len(nodes.calls)
    world.gateway.transport_lost(lost(b, stream))
    await until(lambda: len(nodes.calls) == asked + 1)
    prepared = await b.send("prepareReceiveVideoFrom", {"sender": stream, "reconnect": True})
    await until(lambda: len(nodes.calls) == asked + 2)
    nodes.hold[PrepareOffer].set()
    await b.response(prepared)
    await until(lambda: renewing(world) == 0)
    await b.settle()
    assert PUSHED not in b.story()


async def test_nothing_is_renewed_that_is_no_subscription_of_a_client_here(
    world: World, nodes: FakeNodes
) -> None:
    a, b, c = [await world.user() for _ in range(3)]
    stream = await a.publish()
    for client in (b, c):
        await client.subscribe(stream)
    await c.drop()
    await until(lambda: world.gateway._peers.served(("S1", c.id)) is None)
    asked = len(nodes.calls)
    stranger = TransportLost("media_a", "S1", "con_Nobody12", stream, Direction.INBOUND, "")
    elsewhere = TransportLost("media_a", "S9", b.id, stream, Direction.INBOUND, "")
    for report in (
        lost(a, stream, direction=Direction.OUTBOUND),
        lost(a, stream),
        lost(b, stream, node="media_b"),
        lost(b, "str_CAM_AAAA_con_Nobody12"),
        lost(c, stream),
        stranger,
        elsewhere,
    ):
        world.gateway.transport_lost(report)
    await until(lambda: renewing(world) == 0)
    await a.result("unpublishVideo", {})
    world.gateway.transport_lost(lost(b, stream))
    await until(lambda: renewing(world) == 0)
    for client in (a, b):
        await client.settle()
        assert PUSHED not in client.story()
    assert len(nodes.calls) == asked


async def test_a_renewal_that_fails_is_left_to_the_client(world: World, nodes: FakeNodes) -> None:
    a, b = await world.user(), await world.user()
    stream = await a.publish()
    await b.subscribe(stream)
    nodes.replies[PrepareOffer] = Failure(FailureCode.OVERLOADED, "No.")
    world.gateway.transport_lost(lost(b, stream))
    await until(lambda: renewing(world) == 0)
    del nodes.replies[PrepareOffer]
    nodes.heartbeat = None
    world.gateway.transport_lost(lost(b, stream))
    await until(lambda: renewing(world) == 0)
    await b.settle()
    assert PUSHED not in b.story()
    assert not world.gateway._peers.served(("S1", b.id)).renewing


async def test_who_unsubscribes_while_an_offer_is_made_gets_none(
    world: World, nodes: FakeNodes
) -> None:
    a, b = await world.user(), await world.user()
    stream = await a.publish()
    await b.subscribe(stream)
    nodes.hold[PrepareOffer] = asyncio.Event()
    asked = len(nodes.calls)
    world.gateway.transport_lost(lost(b, stream))
    await until(lambda: len(nodes.calls) > asked)
    await b.result("unsubscribeFromVideo", {"sender": a.id})
    nodes.hold[PrepareOffer].set()
    await until(lambda: not renewing(world))
    await b.settle()
    assert PUSHED not in b.story()
