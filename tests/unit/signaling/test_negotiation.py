"""Subscriptions made anew and `reconnectStream` (`signaling.md` 3.5 to 3.7 and 3.17)."""

from __future__ import annotations

import asyncio

import pytest

from services.api.nodes import NodeUnavailable
from services.conference.calls import AcceptAnswer, Discard
from services.eventlog.log import LogUnavailable
from tests.unit.signaling.harness import PUBLISH, FakeNodes, World, until


async def test_what_cannot_be_reconnected_is_refused(world: World) -> None:
    a, b = await world.user(), await world.user()
    stream = await a.publish()
    sdp = {"sdpString": "v=0"}
    assert await b.code("reconnectStream", {"stream": stream, **sdp}) == 105, "not subscribed"
    assert await b.code("reconnectStream", {"stream": "str_no", **sdp}) == 105
    assert await a.code("reconnectStream", {"stream": stream}) == -32602
    await b.subscribe(stream)
    assert await b.code("reconnectStream", {"stream": stream}) == -32602
    await a.result("unpublishVideo", {})
    assert await a.code("reconnectStream", {"stream": stream, **sdp}) == 105
    assert await b.code("reconnectStream", {"stream": stream, **sdp}) == 105


async def test_subscribing_again_replaces_the_media_in_silence(
    world: World, nodes: FakeNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = await world.user(), await world.user()
    stream = await a.publish()
    await b.subscribe(stream)
    commits, asked = await world.commits(), len(nodes.calls)

    async def unavailable(*_: object, **__: object) -> None:
        raise LogUnavailable("not needed")

    monkeypatch.setattr(world.bus, "execute", unavailable)
    await b.subscribe(stream)
    assert await world.commits() == commits
    assert len(nodes.calls) == asked + 2


async def test_a_subscription_dates_from_its_offer(world: World, nodes: FakeNodes) -> None:
    a, b = await world.user(), await world.user()
    stream = await a.publish()
    await b.result("prepareReceiveVideoFrom", {"sender": stream, "reconnect": False})
    between = world.gateway._services.clock()
    await until(lambda: world.gateway._services.clock() > between)
    await b.result("receiveVideoFrom", {"sender": stream, "sdpAnswer": "v=0"})
    subscription = (await world.state()).session.connections[b.id].subscriptions[stream]
    assert subscription.created_at <= between


async def test_unsubscribing_ends_the_subscription_to_that_connection(world: World) -> None:
    a, b = await world.user(), await world.user()
    stream = await a.publish()
    await b.subscribe(stream)
    assert await b.result("unsubscribeFromVideo", {"sender": a.id}) == {"sessionId": b.rpc_id}
    assert not (await world.state()).session.connections[b.id].subscriptions
    await b.subscribe(stream)


async def test_a_publisher_that_left_during_the_negotiation_is_told(
    world: World, nodes: FakeNodes
) -> None:
    a, b = await world.user(), await world.user()
    stream = await a.publish()
    nodes.hold[AcceptAnswer] = asyncio.Event()
    await b.result("prepareReceiveVideoFrom", {"sender": stream, "reconnect": False})
    number = await b.send("receiveVideoFrom", {"sender": stream, "sdpAnswer": "v=0"})
    await a.result("unpublishVideo", {})
    nodes.hold[AcceptAnswer].set()
    frame = await b.response(number)
    assert frame["error"]["code"] == 105
    await b.settle()
    assert Discard(b.id, stream) in nodes.calls


async def test_a_stream_that_turns_up_after_its_failure_was_told_is_undone(
    world: World, monkeypatch
) -> None:
    """The log took the commit but never answered: the client was told of a failure."""
    a, b = await world.user(), await world.user()
    execute = world.bus.execute

    async def unanswered(session_id, command, **others):
        world.gateway._ledger.waiting.pop(others["command_id"], None)
        await execute(session_id, command, **others)
        raise LogUnavailable("no answer")

    monkeypatch.setattr(world.bus, "execute", unanswered)
    # The feed is slower than the failure: hold its commits back meanwhile.
    dispatch, held = world.gateway.dispatch, []
    monkeypatch.setattr(world.gateway, "dispatch", held.extend)
    assert await a.code("publishVideo", PUBLISH) == 999
    monkeypatch.setattr(world.bus, "execute", execute)
    assert (await world.state()).session.connections[a.id].stream is not None
    await until(lambda: bool(held))
    monkeypatch.setattr(world.gateway, "dispatch", dispatch)
    dispatch(held)
    await world.eventually(lambda state: state.session.connections[a.id].stream is None)
    await b.note("participantUnpublished")
    await a.publish()


async def test_a_transport_whose_node_did_not_answer_is_let_go(
    world: World, nodes: FakeNodes
) -> None:
    a, b = await world.user(), await world.user()
    stream = await a.publish()
    await b.result("prepareReceiveVideoFrom", {"sender": stream})
    nodes.replies[AcceptAnswer] = NodeUnavailable("the answer is lost")
    params = {"sender": stream, "sdpAnswer": "v=0"}
    assert await b.code("receiveVideoFrom", params) == 303
    await until(lambda: Discard(b.id, stream) in nodes.calls)
