"""The API's view of the media nodes, over a real nats-server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import msgspec
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.api.nodes import Nodes, NodeUnavailable
from services.conference.calls import Answer, Discard, Done, Heartbeat, Subscribe, call_subject
from tests.unit.signaling.harness import until

OFFER = Subscribe("S1", "con_A", "str_B", "v=0")
MakeResponder = Callable[..., AbstractAsyncContextManager]


@pytest.fixture
async def nodes(nats_client: Client) -> AsyncIterator[Nodes]:
    nodes = Nodes(nats_client, lambda _: True)
    await nodes.start()
    yield nodes
    await nodes.stop()


async def test_nodes_live_as_long_as_their_hearts_beat(
    nodes: Nodes, nats_client: Client, make_responder: MakeResponder
) -> None:
    assert nodes.choose() is None
    async with make_responder(nats_client, "media_a") as media:
        await until(lambda: nodes.get("media_a") is not None)
        assert nodes.alive() == [media.heartbeat]
    await until(lambda: nodes.get("media_a") is None)
    assert nodes.choose() is None


async def test_the_least_loaded_node_is_chosen(
    nodes: Nodes, nats_client: Client, make_responder: MakeResponder
) -> None:
    async with (
        make_responder(nats_client, "media_a", load=50),
        make_responder(nats_client, "media_b", load=10),
    ):
        await until(lambda: len(nodes.alive()) == 2)
        assert nodes.choose().node_id == "media_b"


async def test_only_usable_nodes_are_chosen(
    nats_client: Client, make_responder: MakeResponder
) -> None:
    usable = {"media_a", "media_b"}
    nodes = Nodes(nats_client, usable.__contains__)
    await nodes.start()
    async with (
        make_responder(nats_client, "media_a", load=50),
        make_responder(nats_client, "media_b", load=10),
        make_responder(nats_client, "media_c"),
    ):
        await until(lambda: len(nodes.alive()) == 3)
        assert [node.node_id for node in nodes.usable()] == ["media_a", "media_b"]
        assert nodes.choose().node_id == "media_b"
        assert nodes.choose("media_a").node_id == "media_a"
        assert nodes.choose("media_c") is None
        usable.clear()
        assert (nodes.usable(), nodes.choose()) == ([], None)
    await nodes.stop()


async def test_a_crowd_that_comes_between_two_heartbeats_is_spread(
    nodes: Nodes, nats_client: Client
) -> None:
    for node in ("media_a", "media_b", "media_busy"):
        load = 80.0 if node == "media_busy" else 1.0
        heartbeat = Heartbeat(node, "i1", "127.0.0.1", 1, load, 0, 0)
        await nats_client.publish(f"node.{node}.heartbeat", msgspec.json.encode(heartbeat))
    await until(lambda: len(nodes.alive()) == 3)
    chosen = [nodes.choose() for _ in range(6)]
    assert [node.node_id for node in chosen if node] == ["media_a", "media_b"] * 3


async def test_every_heartbeat_is_reported(
    nodes: Nodes, nats_client: Client, make_responder: MakeResponder
) -> None:
    seen: list[str] = []
    nodes.on_beat = lambda heartbeat: seen.append(heartbeat.instance)
    async with make_responder(nats_client, "media_a", instance="first"):
        await until(lambda: seen[:2] == ["first"] * 2)
    async with make_responder(nats_client, "media_a", instance="second"):
        await until(lambda: seen[-2:] == ["second"] * 2)
        assert nodes.get("media_a").instance == "second"


async def test_what_is_no_heartbeat_of_the_node_is_ignored(
    nodes: Nodes, nats_client: Client, make_responder: MakeResponder
) -> None:
    forged = msgspec.json.encode(Heartbeat("media_forged", "i", "127.0.0.1", 1, 0, 0, 0))
    for payload in (b"", b"{}", b"\xff", b"[" * 4000, b" " * 5000 + forged, forged):
        await nats_client.publish("node.media_b.heartbeat", payload)
    async with make_responder(nats_client, "media_a"):
        await until(lambda: bool(nodes.alive()))
        assert [node.node_id for node in nodes.alive()] == ["media_a"]


async def test_a_node_answers_calls(
    nodes: Nodes, nats_client: Client, make_responder: MakeResponder
) -> None:
    async with make_responder(nats_client, "media_a") as media:
        assert await nodes.call("media_a", OFFER) == Answer("answer to v=0")
        assert await nodes.call("media_a", Discard("con_A", "str_B")) == Done()
        assert media.calls == [OFFER, Discard("con_A", "str_B")]


async def test_a_node_that_is_not_there_is_unavailable_at_once(nodes: Nodes) -> None:
    async with asyncio.timeout(2):
        with pytest.raises(NodeUnavailable):
            await nodes.call("media_nowhere", OFFER, timeout=60)


@pytest.mark.parametrize("reply", [None, b"", b"nonsense", b'{"reply":"unheard-of"}'])
async def test_a_node_that_answers_nothing_sensible_is_unavailable(
    nodes: Nodes, nats_client: Client, reply: bytes | None
) -> None:
    async def answer(message: Msg) -> None:
        if reply is not None:
            await message.respond(reply)

    await nats_client.subscribe(call_subject("media_a", Subscribe), cb=answer)
    with pytest.raises(NodeUnavailable):
        await nodes.call("media_a", OFFER, timeout=0.2)


async def test_a_call_that_no_broker_takes_is_unavailable(nodes: Nodes) -> None:
    huge = Subscribe("S1", "con_A", "str_B", "v" * (9 * 1024 * 1024))
    with pytest.raises(NodeUnavailable):
        await nodes.call("media_a", huge)
