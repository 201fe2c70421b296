"""Clients that lose their socket and come back, or do not (`signaling.md` 1.9 and 7.13)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.api.signaling.peers import Key
from services.conference.commands import RemoveConnection, SendSignal
from services.conference.model import Role
from services.eventlog.bus import CommandBus
from services.eventlog.log import LogUnavailable
from services.eventlog.memory import MemoryLog
from services.settings import Sessions, Settings
from tests.unit.signaling.harness import (
    REST,
    Client,
    FakeNodes,
    World,
    come_back,
    replica,
    until,
)

SHORT = Settings(sessions=Sessions(reconnection_grace=0.3))


@pytest.fixture
async def hasty(nodes: FakeNodes) -> AsyncIterator[World]:
    """A replica with a short grace time."""
    async with replica(MemoryLog(), SHORT, nodes) as running:
        await running.session("S1")
        yield running


async def signal(world: World, data: str) -> None:
    await world.execute("S1", SendSignal(data=data))


def signals(client: Client) -> list[str]:
    return [f["params"]["data"] for f in client.frames if f.get("method") == "sendMessage"]


async def test_a_client_that_comes_back_gets_what_it_missed_once_and_in_order(
    world: World,
) -> None:
    a, b = await world.user(), await world.user()
    await signal(world, "before")
    await a.note("sendMessage", data="before")
    await a.drop()
    for number in range(20):
        await signal(world, f"missed {number}")
    await b.publish()
    await b.note("sendMessage", data="missed 19")
    again = await come_back(world, a)
    await signal(world, "after")
    await again.note("sendMessage", data="after")
    assert again.story()[0] == "result"
    assert again.story()[-2:] == ["participantPublished", "sendMessage"]
    assert signals(again) == [*(f"missed {number}" for number in range(20)), "after"]
    assert "participantLeft" not in b.story()
    third = await come_back(world, again)
    await third.settle()
    assert third.story() == ["result", "result"], "nothing is sent twice"


async def test_a_newer_socket_takes_over_from_one_that_still_looks_open(world: World) -> None:
    a = await world.user()
    again = await come_back(world, a)
    code, _ = await a.wait_closed()
    assert code == 1000
    await signal(world, "now")
    await again.note("sendMessage", data="now")
    assert signals(a) == []
    await asyncio.sleep(0)  # the close of the old one means nothing
    assert (await again.result("echo", {}))["sessionId"] == a.rpc_id


@pytest.mark.parametrize("rpc_id", ["", "4aktv8cfkhe2ooksplqg0c8v80", "S1"])
async def test_an_unknown_client_cannot_come_back(world: World, rpc_id: str) -> None:
    client = await world.client()
    frame = await client.call("connect", {"sessionId": rpc_id})
    assert frame["error"] == {"code": 40007, "message": "reconnection error"}


async def test_a_connect_without_an_id_begins_a_client(world: World) -> None:
    client = await world.client()
    result = await client.result("connect", {})
    assert result["value"] == "OK"
    joined = await client.join("S1", await world.token("S1"))
    assert joined["sessionId"] == result["sessionId"]


async def test_a_participant_cannot_become_another_one(world: World) -> None:
    a, b = await world.user(), await world.user()
    assert await b.code("connect", {"sessionId": a.rpc_id}) == 40007
    assert (await a.result("connect", {"sessionId": a.rpc_id}))["sessionId"] == a.rpc_id
    assert (await b.result("echo", {}))["sessionId"] == b.rpc_id


async def test_who_does_not_come_back_is_evicted_and_unknown_then(hasty: World) -> None:
    a, b = await hasty.user(), await hasty.user()
    await a.drop()
    left = await b.note("participantLeft")
    assert left == {"connectionId": a.id, "reason": "networkDisconnect"}
    await b.note("participantEvicted", connectionId=a.id)
    assert b.story().count("participantLeft") == 1
    late = await hasty.client()
    assert await late.code("connect", {"sessionId": a.rpc_id}) == 40007


async def test_the_last_one_to_vanish_ends_the_session(hasty: World) -> None:
    a = await hasty.user()
    await a.drop()
    await hasty.eventually(lambda state: state.session is None)


async def test_a_client_that_comes_back_in_time_is_not_evicted_later(hasty: World) -> None:
    a, b = await hasty.user(), await hasty.user()
    await a.drop()
    again = await come_back(hasty, a)
    c = await hasty.user()
    await c.drop()
    await b.note("participantLeft", connectionId=c.id)  # lost later, evicted first
    assert (await again.result("echo", {}))["sessionId"] == a.rpc_id


@pytest.mark.parametrize("noticed", [True, False])
async def test_who_was_evicted_while_away_hears_the_reason_on_coming_back(
    world: World, *, noticed: bool
) -> None:
    """Also if the eviction went to a socket whose loss the server noticed only later."""
    a, _ = await world.user(), await world.user()
    if noticed:
        await a.drop()
        await until(lambda: not world.gateway._peers.held(Key("S1", a.id)))
    await world.execute("S1", RemoveConnection(a.id))
    await world.eventually(lambda state: a.id not in state.session.connections)
    if not noticed:
        await a.note("participantEvicted")  # as bytes that never reached the page
        await a.drop()
    again = await come_back(world, a)
    evicted = await again.note("participantEvicted")
    assert evicted == {"connectionId": a.id, "reason": "forceDisconnectByServer"}
    assert again.story() == ["result", "participantEvicted"]


async def test_a_client_that_leaves_and_closes_is_gone_for_good(world: World) -> None:
    a, b = await world.user(), await world.user()
    await a.result("leaveRoom", {})
    await a.close(4102)
    await b.note("participantLeft", reason="disconnect")
    late = await world.client()
    assert await late.code("connect", {"sessionId": a.rpc_id}) == 40007


async def test_a_leave_is_done_though_the_page_is_gone_at_once(world: World) -> None:
    a, b = await world.user(), await world.user()
    await a.send("leaveRoom", {})
    await a.close(1001)
    await b.note("participantLeft", reason="disconnect")


async def test_close_session_ends_the_client(world: World) -> None:
    a, b = await world.user(), await world.user()
    result = await a.result("closeSession", {})
    assert result == {"value": "bye", "sessionId": a.rpc_id}
    await b.note("participantLeft", reason="disconnect")
    late = await world.client()
    assert await late.code("connect", {"sessionId": a.rpc_id}) == 40007
    assert await late.result("closeSession", {}) == {"value": "bye"}


async def test_too_much_missed_means_no_way_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.signaling.peers.BACKLOG_FRAMES", 10)
    a, b = await world.user(), await world.user()
    await a.drop()
    for number in range(12):
        await signal(world, str(number))
    await b.note("participantLeft", connectionId=a.id, reason="networkDisconnect")
    late = await world.client()
    assert await late.code("connect", {"sessionId": a.rpc_id}) == 40007


async def test_clients_come_back_after_a_restart_of_the_api(nodes: FakeNodes) -> None:
    log = MemoryLog()
    async with replica(log, Settings(), nodes) as first:
        await first.session("S1")
        a, b = await first.user(), await first.user(role=Role.MODERATOR)
        stream = await a.publish()
        state = await first.state()
    async with replica(log, Settings(), nodes, adopt=(state,)) as second:
        await signal(second, "missed")
        a2, b2 = await come_back(second, a), await come_back(second, b)
        await a2.note("sendMessage", data="missed")
        await b2.note("sendMessage", data="missed")
        assert (await a2.result("echo", {}))["sessionId"] == a.rpc_id
        await b2.result("forceUnpublish", {"streamId": stream})
        await a2.note("participantUnpublished")


async def test_what_happened_while_the_api_was_away_is_told_to_who_comes_back(
    nodes: FakeNodes,
) -> None:
    """The feed dispatches what the log got meanwhile, on the states adopted before it."""
    log = MemoryLog()
    async with replica(log, SHORT, nodes) as first:
        await first.session("S1")
        a, b, c = [await first.user() for _ in range(3)]
        state, position = await first.state(), await log.last_sequence()
    other = CommandBus(log)
    for gone in (b, c):
        await other.execute("S1", RemoveConnection(gone.id), actor=REST)
    async with replica(log, SHORT, nodes, adopt=(state,), after=position) as second:
        again = await come_back(second, a)
        for gone in (b, c):
            await again.note("participantLeft", connectionId=gone.id)
        evicted = await come_back(second, b)
        await evicted.note("participantEvicted", connectionId=b.id)
        await until(lambda: second.gateway._peers.find(c.rpc_id) is None)


async def test_who_does_not_come_back_after_a_restart_is_evicted(nodes: FakeNodes) -> None:
    log = MemoryLog()
    async with replica(log, SHORT, nodes) as first:
        await first.session("S1")
        a, b = await first.user(), await first.user()
        state = await first.state()
    async with replica(log, SHORT, nodes, adopt=(state,)) as second:
        again = await come_back(second, a)
        await again.note("participantLeft", connectionId=b.id, reason="networkDisconnect")
        assert (await again.result("echo", {}))["sessionId"] == a.rpc_id


async def test_an_eviction_waits_for_a_log_that_is_away(
    hasty: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.signaling.gateway.RETRY_SECONDS", 0.1)
    a, b = await hasty.user(), await hasty.user()
    execute, tried = hasty.bus.execute, asyncio.Event()

    async def unavailable(*_: object, **__: object) -> None:
        tried.set()
        raise LogUnavailable("no broker")

    monkeypatch.setattr(hasty.bus, "execute", unavailable)
    await a.drop()
    async with asyncio.timeout(5):
        await tried.wait()
    monkeypatch.setattr(hasty.bus, "execute", execute)
    await b.note("participantLeft", connectionId=a.id, reason="networkDisconnect")


async def test_a_client_lost_while_joining_does_not_stay_for_ever(
    hasty: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    b = await hasty.user()
    execute, go_on = hasty.bus.execute, asyncio.Event()

    async def slow(*args, **others):
        await go_on.wait()
        return await execute(*args, **others)

    token = await hasty.token("S1")
    monkeypatch.setattr(hasty.bus, "execute", slow)
    a = await hasty.client()
    await a.send("joinRoom", {"token": token, "session": "S1"})
    await a.settle()
    await a.drop()
    go_on.set()
    joined = await b.note("participantJoined")
    await b.note("participantLeft", connectionId=joined["id"], reason="networkDisconnect")


async def test_a_socket_that_turns_to_another_client_leaves_its_join_behind(
    hasty: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = await hasty.user(), await hasty.user()
    execute, go_on = hasty.bus.execute, asyncio.Event()

    async def slow(*args, **others):
        await go_on.wait()
        return await execute(*args, **others)

    token = await hasty.token("S1")
    turning = await hasty.client()
    monkeypatch.setattr(hasty.bus, "execute", slow)
    joining = await turning.send("joinRoom", {"token": token, "session": "S1"})
    await turning.result("connect", {"sessionId": a.rpc_id})
    go_on.set()
    joined = await b.note("participantJoined")
    await b.note("participantLeft", connectionId=joined["id"], reason="networkDisconnect")
    assert (await turning.result("echo", {}))["sessionId"] == a.rpc_id
    assert joining not in [frame.get("id") for frame in turning.frames]
    assert turning.story().count("participantJoined") == 1
