"""The gateway on a real log and broker; several replicas of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from services.api.signaling.peers import Key
from services.conference.calls import AcceptAnswer, PrepareOffer, Publish
from services.conference.commands import SendSignal
from services.eventlog.server import NatsServer
from services.settings import Sessions, Settings
from tests.unit.signaling.harness import SECONDS, World, come_back, until

SHORT = Settings(sessions=Sessions(reconnection_grace=0.3))
MakeReplica = Callable[..., AbstractAsyncContextManager[World]]


async def test_a_conference_over_the_real_log(media, make_replica: MakeReplica) -> None:
    async with make_replica() as world:
        await world.session("S1")
        a, b = await world.user(), await world.user()
        stream = await a.publish()
        await b.note("participantPublished", id=a.id)
        await b.subscribe(stream)
        assert [type(call) for call in media.calls] == [Publish, PrepareOffer, AcceptAnswer]
        seen = len(a.frames)
        await a.result("sendMessage", {"message": json.dumps({"to": [], "data": "x"})})
        await a.result("leaveRoom", {})
        assert a.story(seen) == ["sendMessage", "result", "result"]
        assert (await b.note("participantLeft"))["reason"] == "disconnect"


async def test_two_replicas_serve_one_session(media, make_replica: MakeReplica) -> None:
    async with make_replica() as one, make_replica() as two:
        await one.session("S1")
        a, b = await one.user(), await two.user()
        assert (await a.note("participantJoined"))["id"] == b.id
        await b.result("sendMessage", {"message": json.dumps({"to": [a.id], "data": "x"})})
        assert (await a.note("sendMessage"))["from"] == b.id


async def test_a_client_that_moves_to_another_replica_is_not_evicted(
    media, make_replica: MakeReplica
) -> None:
    async with make_replica(SHORT) as one, make_replica(SHORT) as two:
        await one.session("S1")
        a, b, c = await one.user(), await two.user(), await one.user()
        await b.note("participantJoined", id=c.id)
        await a.drop()
        moved = await come_back(two, a)
        await c.drop()  # lost later than `a`: when it is evicted, the time of `a` is over too
        await b.note("participantLeft", connectionId=c.id)
        assert (await moved.result("echo", {}))["sessionId"] == a.rpc_id
        assert (
            next(f for f in b.frames if f.get("method") == "participantLeft")["params"][
                "connectionId"
            ]
            == c.id
        )


async def test_a_replica_lets_go_of_a_socket_whose_client_is_elsewhere(
    media, make_replica: MakeReplica
) -> None:
    async with make_replica(SHORT) as one, make_replica(SHORT) as two:
        await one.session("S1")
        a, b = await one.user(), await two.user()
        await come_back(two, a)
        assert (await a.wait_closed())[0] == 1000
        await two.execute("S1", SendSignal(data="still here", to=(a.id,)))
        await b.settle()
        assert "participantLeft" not in b.story()


async def test_a_replica_does_not_evict_whom_another_one_serves(
    media, make_replica: MakeReplica
) -> None:
    """A replica that starts knows nobody, and takes all for absent."""
    async with make_replica(SHORT) as one:
        await one.session("S1")
        a, b = await one.user(), await one.user()
        state = await one.state()
        async with make_replica(SHORT, adopt=(state,)) as two:
            peers = two.gateway._peers
            await until(lambda: not peers._by_key)
            assert (await two.state()).session.connections.keys() >= {a.id, b.id}
            moved = await come_back(two, a)
            await moved.result("echo", {})
            assert "participantLeft" not in b.story()


async def test_clients_come_back_after_a_restart_and_absent_ones_are_evicted(
    media, make_replica: MakeReplica
) -> None:
    async with make_replica(SHORT) as first:
        await first.session("S1")
        a, b = await first.user(), await first.user()
        stream = await a.publish()
        state = await first.state()
    async with make_replica(SHORT, adopt=(state,)) as second:
        again = await come_back(second, a)
        await again.result("reconnectStream", {"stream": stream, "sdpString": "v=0"})
        await again.note("participantLeft", connectionId=b.id, reason="networkDisconnect")


async def test_nobody_is_evicted_because_the_broker_was_away(
    media, make_replica: MakeReplica, nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica that has just started knows clients of another one, and cannot ask it."""
    monkeypatch.setattr("services.api.signaling.gateway.RETRY_SECONDS", 0.2)
    settings = Settings(sessions=Sessions(reconnection_grace=1.0))
    async with make_replica(settings) as one:
        await one.session("S1")
        a = await one.user()
        async with make_replica(settings, adopt=(await one.state(),)) as two:
            await nats.stop()
            key = Key("S1", a.id)
            peers = two.gateway._peers
            unreachable = asyncio.Event()
            retry = peers.retry

            def retried(*arguments: Any) -> None:
                unreachable.set()
                retry(*arguments)

            monkeypatch.setattr(peers, "retry", retried)
            await asyncio.wait_for(unreachable.wait(), SECONDS)
            await nats.start()
            await until(lambda: key not in peers._by_key)  # `one` answered for it
            assert a.id in (await one.state()).session.connections
            assert a.closed is None
