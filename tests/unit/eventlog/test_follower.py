"""Following and replaying the log with states."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import msgspec
import pytest

from services.conference.commands import (
    AdmitNode,
    CloseSession,
    CreateConnection,
    InitializeSession,
    RemoveNode,
)
from services.conference.model import DeletionStrategy, NodeStatus, Reason, SessionProperties
from services.conference.state import EMPTY
from services.eventlog import follower
from services.eventlog.bus import CommandBus
from services.eventlog.commit import Actor, ActorKind
from services.eventlog.follower import Folder, follow, nodes_at, replay
from services.eventlog.log import LogDamaged, LogUnavailable
from services.eventlog.memory import MemoryLog

REST = Actor(ActorKind.REST)
PATIENCE = 30


class CountingLog(MemoryLog):
    reads = 0
    unreadable = 0  # reads that fail

    async def read(self, session_id, *, after=0, up_to=None):
        self.reads += 1
        if self.unreadable:
            self.unreadable -= 1
            raise LogUnavailable("away")
        async for recorded in MemoryLog.read(self, session_id, after=after, up_to=up_to):
            yield recorded


@pytest.fixture
def log() -> CountingLog:
    return CountingLog()


@pytest.fixture
def bus(log) -> CommandBus:
    return CommandBus(log)


async def create(bus, session_id):
    command = InitializeSession(session_id=session_id, properties=SessionProperties())
    return await bus.execute(session_id, command, actor=REST)


async def connect(bus, session_id, number):
    command = CreateConnection(connection_id=f"con_{number}", token=f"tok_{number}")
    return await bus.execute(session_id, command, actor=REST)


async def close(bus, session_id):
    command = CloseSession(reason=Reason.SESSION_CLOSED_BY_SERVER)
    return await bus.execute(session_id, command, actor=REST)


async def three_rooms(bus):
    """Commits of three sessions in turn, one of them closed and made again."""
    outcomes = [await create(bus, room) for room in ("ses_A", "ses_B", "ses_C")]
    for number in range(4):
        outcomes += [await connect(bus, room, number) for room in ("ses_A", "ses_B", "ses_C")]
    outcomes += [await close(bus, "ses_B"), await create(bus, "ses_B")]
    outcomes.append(await connect(bus, "ses_B", 9))
    return outcomes


def as_steps(outcomes):
    return [(o.recorded, o.before, o.after) for o in outcomes]


async def replayed(log, **options):
    batches = [batch async for batch in replay(log, **options)]
    assert all(batches)
    return [(s.recorded, s.before, s.after) for batch in batches for s in batch]


@pytest.mark.parametrize("capacity", [1, 2, 1000])
async def test_a_replay_gives_the_states_that_the_commands_saw(log, bus, capacity):
    outcomes = await three_rooms(bus)
    assert await replayed(log, capacity=capacity) == as_steps(outcomes)


@pytest.mark.parametrize("capacity", [1, 1000])
async def test_a_replay_may_begin_and_end_anywhere(log, bus, capacity):
    outcomes = await three_rooms(bus)
    for after in range(len(outcomes) + 1):
        assert await replayed(log, after=after, capacity=capacity) == as_steps(outcomes)[after:]
    assert await replayed(log, after=5, up_to=7) == as_steps(outcomes)[5:7]


async def test_following_catches_up_and_goes_on(log, bus):
    outcomes = await three_rooms(bus)
    seen = []
    async with asyncio.timeout(PATIENCE), aclosing(follow(log, after=4)) as batches:
        async for batch in batches:
            seen += batch
            if len(outcomes) < 25:
                outcomes.append(await connect(bus, "ses_C", len(outcomes) + 100))
            if len(seen) == len(outcomes) - 4 == 21:
                break
    assert [(s.recorded, s.before, s.after) for s in seen] == as_steps(outcomes)[4:]
    assert {step.session_id for step in seen} == {"ses_A", "ses_B", "ses_C"}


async def test_a_replay_from_the_beginning_reads_no_session(log, bus):
    await three_rooms(bus)
    log.reads = 0
    await replayed(log)
    assert log.reads == 0


async def test_a_session_that_left_nothing_takes_no_place_of_others(log, bus):
    outcomes = [await create(bus, "ses_A")]
    for number in range(8):
        outcomes += [await create(bus, f"ses_{number}"), await close(bus, f"ses_{number}")]
    assert outcomes[-1].after == EMPTY
    outcomes += [await connect(bus, "ses_A", 1), await create(bus, "ses_0")]
    folder = Folder(log, capacity=2)
    log.reads = 0
    steps = [await folder.fold(outcome.recorded) for outcome in outcomes]
    assert log.reads == 0
    assert [(step.recorded, step.before, step.after) for step in steps] == as_steps(outcomes)


async def test_the_memory_of_a_follower_is_bounded(log, bus):
    folder = Folder(log, capacity=2)
    for number in range(30):
        await folder.fold((await create(bus, f"ses_{number}")).recorded)
        if number < 25:
            await folder.fold((await close(bus, f"ses_{number}")).recorded)
    assert (len(folder._folded), len(folder._ended)) == (2, 20)


async def test_a_log_that_is_away_for_a_while_delays_a_follower_only(log, bus, monkeypatch):
    monkeypatch.setattr(follower, "RETRY", 0.01)
    outcomes = await three_rooms(bus)
    log.unreadable = 3
    assert await replayed(log, after=7) == as_steps(outcomes)[7:]
    assert log.unreadable == 0


async def test_a_log_that_stays_away_ends_a_follower(log, bus, monkeypatch):
    monkeypatch.setattr(follower, "RETRY", 0.01)
    monkeypatch.setattr(follower, "PATIENCE", 0.05)
    await three_rooms(bus)
    log.unreadable = 1_000_000
    with pytest.raises(LogUnavailable):
        await replayed(log, after=7)


@pytest.mark.parametrize("change", [{"version": 9}, {"version": 2}, {"previous": "0" * 64}])
@pytest.mark.parametrize("known", [True, False])
async def test_a_broken_chain_stops_the_follower_at_the_broken_commit(log, bus, change, known):
    await create(bus, "ses_A")
    last = await connect(bus, "ses_A", 1)
    commit = msgspec.structs.replace(
        last.recorded.commit, id="forged", version=3, previous=last.recorded.digest
    )
    forged = await log.append(
        msgspec.structs.replace(commit, **change), expected=last.recorded.sequence
    )
    with pytest.raises(LogDamaged, match=f"sequence {forged.sequence} "):
        await replayed(log, after=0 if known else 2)
    with pytest.raises(LogDamaged, match=f"sequence {forged.sequence} "):
        await CommandBus(log).load("ses_A")


async def test_media_nodes_as_they_were_at_some_commit(log, bus):
    facts = {"environment_id": "e", "ip": "i", "uri": "u", "cluster_id": "c"}
    for node in ("one", "two"):
        command = AdmitNode(node_id=node, connected=True, **facts)
        await bus.execute(f"node:{node}", command, actor=REST)
    await create(bus, "ses_A")
    gone = RemoveNode(DeletionStrategy.NOW, busy=False)
    end = (await bus.execute("node:one", gone, actor=REST)).recorded.sequence

    async def statuses(sequence):
        return {state.node.id: state.node.status for state in await nodes_at(log, sequence)}

    assert await statuses(0) == {}
    assert await statuses(1) == {"one": NodeStatus.RUNNING}
    assert await statuses(end - 1) == {"one": NodeStatus.RUNNING, "two": NodeStatus.RUNNING}
    assert await statuses(end) == {"one": NodeStatus.TERMINATING, "two": NodeStatus.RUNNING}
