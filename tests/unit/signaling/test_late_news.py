"""Commits that are told late, as while the database is away, and what became of them meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from services.api.signaling.watchers import RECORDER
from services.conference.calls import Discard
from services.conference.commands import (
    RemoveConnection,
    ReportRecordingStarted,
    SendSignal,
    StartRecording,
    StopRecording,
)
from services.conference.model import Reason, RecordingOptions
from services.eventlog.log import LogFull
from services.eventlog.memory import MemoryLog
from services.settings import Sessions, Settings
from tests.unit.signaling.harness import (
    PUBLISH,
    Client,
    FakeNodes,
    World,
    come_back,
    join_params,
    replica,
    until,
)

SHORT = Settings(sessions=Sessions(reconnection_grace=0.3))


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.api.signaling.gateway.REQUEST_SECONDS", 0.5)
    monkeypatch.setattr("services.api.signaling.gateway.RETRY_SECONDS", 0.05)


def stall(world: World) -> Callable[[], None]:
    """Nothing is told until the result is called."""
    dispatch, held = world.gateway.dispatch, list[Any]()
    world.gateway.dispatch = held.append  # type: ignore[method-assign]

    def go_on() -> None:
        world.gateway.dispatch = dispatch  # type: ignore[method-assign]
        for steps in held:
            dispatch(steps)

    return go_on


async def refused_join(world: World) -> None:
    """Somebody joins and is told that it failed."""
    client = await world.client()
    token = await world.token("S1")
    assert await client.code("joinRoom", join_params("S1", token)) == 999
    await client.close()


async def test_a_join_that_was_told_to_have_failed_is_undone(world: World) -> None:
    a = await world.user()
    go_on = stall(world)
    await refused_join(world)
    go_on()
    assert (await a.note("participantLeft"))["reason"] == "networkDisconnect"
    assert (await world.commits())[-1] == "LeaveSession"


async def test_what_is_to_be_undone_is_tried_until_the_log_takes_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = await world.user()
    go_on = stall(world)
    await refused_join(world)
    execute, refused = world.bus.execute, []

    async def full(session_id: str, command: Any, **others: Any) -> Any:
        refused.append(command)
        if len(refused) < 3:
            raise LogFull("no room")
        return await execute(session_id, command, **others)

    monkeypatch.setattr(world.bus, "execute", full)
    go_on()
    await a.note("participantLeft")
    assert len(refused) == 3


async def test_a_stream_that_was_told_to_have_failed_is_undone(
    world: World, nodes: FakeNodes
) -> None:
    a, b = await world.user(), await world.user()
    go_on = stall(world)
    assert await a.code("publishVideo", PUBLISH) == 999
    await until(lambda: any(isinstance(call, Discard) for call in nodes.calls))
    go_on()
    await b.note("participantUnpublished")
    assert (await world.commits())[-1] == "UnpublishStream"
    await a.publish()


async def test_a_subscription_that_the_client_asked_for_again_is_not_undone(world: World) -> None:
    a, b = await world.user(), await world.user()
    stream = await a.publish()
    await b.note("participantPublished")
    go_on = stall(world)
    answer = {"sender": stream, "sdpAnswer": "v=0"}
    await b.result("prepareReceiveVideoFrom", {"sender": stream})
    assert await b.code("receiveVideoFrom", answer) == 999
    await b.subscribe(stream)
    go_on()
    await world.execute("S1", SendSignal(data="x"))
    await b.note("sendMessage", data="x")
    assert "UnsubscribeFromStream" not in await world.commits()
    assert "result" in await b.call("reconnectStream", {"stream": stream, "sdpString": "v=0"})


async def test_who_joined_an_api_that_died_before_its_database_knew_is_evicted(
    nodes: FakeNodes,
) -> None:
    log = MemoryLog()
    async with replica(log, SHORT, nodes) as first:
        await first.session("S1")
        b = await first.user()
        state, position = await first.state(), await log.last_sequence()
        a = await first.user()
    async with replica(log, SHORT, nodes, adopt=(state,), after=position) as second:
        again = await come_back(second, b)
        left = await again.note("participantLeft", connectionId=a.id)
        assert left["reason"] == "networkDisconnect"


async def asked_about(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch, *, is_held: bool
) -> asyncio.Event:
    """The client loses its socket, its grace is over, and the other gateways are asked; they answer
    when the event is set."""
    asked, answer = asyncio.Event(), asyncio.Event()

    async def holds(_: object) -> bool:
        asked.set()
        await answer.wait()
        return is_held

    monkeypatch.setattr(world.gateway._gateways, "holds", holds)
    await client.drop()
    await asyncio.wait_for(asked.wait(), 5)
    return answer


async def test_who_is_sent_away_while_its_eviction_is_asked_about_is_forgotten(
    nodes: FakeNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replica(MemoryLog(), SHORT, nodes) as world:
        await world.session("S1")
        await world.user()
        a = await world.user()
        answer = await asked_about(world, a, monkeypatch, is_held=False)
        await world.execute("S1", RemoveConnection(a.id))
        peers = world.gateway._peers._by_digest
        await until(lambda: any(peer.left for peer in peers.values()))
        answer.set()
        await until(lambda: len(peers) == 1)


async def test_who_comes_back_while_its_eviction_is_asked_about_stays(
    nodes: FakeNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replica(MemoryLog(), SHORT, nodes) as world:
        await world.session("S1")
        a = await world.user()
        answer = await asked_about(
            world, a, monkeypatch, is_held=True
        )  # by its old socket, elsewhere
        again = await come_back(world, a)
        answer.set()
        await again.settle()
        await world.execute("S1", SendSignal(data="x"))
        await again.note("sendMessage", data="x")


async def test_the_end_of_a_recording_lets_the_recorder_of_the_next_one_be(
    world: World,
) -> None:
    await world.user()
    await world.execute("S1", StartRecording(RecordingOptions()))
    await world.execute("S1", ReportRecordingStarted("S1"))
    go_on = stall(world)
    await world.execute("S1", StopRecording("S1", Reason.RECORDING_STOPPED_BY_SERVER))
    await world.execute("S1", StartRecording(RecordingOptions()))
    recorder = await world.client()
    params = join_params("S1", "") | {"secret": "MY_SECRET", "recorder": True}
    assert (await recorder.result("joinRoom", params))["id"] == RECORDER
    go_on()
    await recorder.settle()
    assert recorder.closed is None
