"""Commands become commits: in one order, once each, whatever the log does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from services.conference.commands import CloseSession, CreateConnection, InitializeSession
from services.conference.errors import SessionExists, SessionNotFound
from services.conference.events import ConnectionCreated, SessionCreated
from services.conference.model import Reason, SessionProperties
from services.conference.state import EMPTY
from services.eventlog import bus as bus_module
from services.eventlog.bus import CommandBus, SessionBusy
from services.eventlog.commit import Actor, ActorKind
from services.eventlog.follower import replay
from services.eventlog.log import CommitRefused, LogFull, LogUnavailable
from services.eventlog.memory import MemoryLog
from services.eventlog.verify import verify

REST = Actor(ActorKind.REST)
ROOM = "ses_A"


def create(session_id: str = ROOM) -> InitializeSession:
    return InitializeSession(session_id=session_id, properties=SessionProperties())


def connection(number: int) -> CreateConnection:
    return CreateConnection(connection_id=f"con_{number}", token=f"tok_{number}")


async def commits(log):
    return [recorded async for recorded in log.read_all()]


class TroubledLog(MemoryLog):
    """`troubles` are taken one for each append: called with the commit and the true append."""

    def __init__(self) -> None:
        super().__init__()
        self.troubles: list[Callable] = []
        self.appends = 0
        self.reads = 0
        self.unreadable = 0  # reads that fail

    async def append(self, commit, *, expected):
        self.appends += 1

        async def store():
            return await MemoryLog.append(self, commit, expected=expected)

        if self.troubles:
            return await self.troubles.pop(0)(store)
        return await store()

    async def read(self, session_id, *, after=0, up_to=None):
        self.reads += 1
        if self.unreadable:
            self.unreadable -= 1
            raise LogUnavailable("cannot be read")
        async for recorded in MemoryLog.read(self, session_id, after=after, up_to=up_to):
            yield recorded


async def answer_lost(store):
    await store()
    raise LogUnavailable("stored, but the answer was lost")


async def request_lost(store):
    raise LogUnavailable("never arrived")


async def full(store):
    raise LogFull("no room")


@pytest.fixture
def log() -> TroubledLog:
    return TroubledLog()


@pytest.fixture
def bus(log) -> CommandBus:
    return CommandBus(log)


async def test_a_command_becomes_one_commit_with_its_events(log, bus):
    outcome = await bus.execute(ROOM, create(), actor=REST, command_id="c1", traceparent="00-x")
    (recorded,) = await commits(log)
    assert outcome.recorded == recorded
    assert outcome.events == recorded.commit.events
    assert isinstance(outcome.events[0], SessionCreated)
    assert outcome.before == EMPTY
    assert outcome.after.session.id == ROOM
    assert recorded.commit.command == create()
    assert (recorded.commit.id, recorded.commit.actor) == ("c1", REST)
    assert (recorded.commit.version, recorded.commit.traceparent) == (1, "00-x")


async def test_each_commit_follows_the_one_before_it(log, bus):
    await bus.execute(ROOM, create(), actor=REST)
    for number in range(5):
        await bus.execute(ROOM, connection(number), actor=REST)
    await bus.execute("ses_B", create("ses_B"), actor=REST)
    assert [r.commit.version for r in await commits(log)] == [1, 2, 3, 4, 5, 6, 1]
    assert (await verify(log)).good
    assert set((await bus.load(ROOM)).session.connections) == {f"con_{n}" for n in range(5)}


async def test_a_refused_command_raises_its_error_and_leaves_no_trace(log, bus):
    with pytest.raises(SessionNotFound):
        await bus.execute(ROOM, connection(1), actor=REST)
    await bus.execute(ROOM, create(), actor=REST)
    with pytest.raises(SessionExists):
        await bus.execute(ROOM, create(), actor=REST)
    assert len(await commits(log)) == 1
    await bus.execute(ROOM, connection(1), actor=REST)


@pytest.mark.parametrize("session_id", ["", "*", "ses_A.>", "x" * 300, "ñ"])
async def test_a_session_that_cannot_exist_is_not_found(log, bus, session_id):
    with pytest.raises(SessionNotFound):
        await bus.execute(session_id, connection(1), actor=REST)
    assert await bus.load(session_id) == EMPTY


@pytest.mark.parametrize("command_id", ["", " ", "a b", "a\r\nb", "ñ", "x" * 201])
async def test_a_command_id_is_short_printable_ascii(log, bus, command_id):
    with pytest.raises(CommitRefused):
        await bus.execute(ROOM, create(), actor=REST, command_id=command_id)
    assert await commits(log) == []


async def test_the_time_of_a_session_never_goes_back(log):
    times = iter([1000, 900, 1100, 5])
    bus = CommandBus(log, clock=lambda: next(times))
    await bus.execute(ROOM, create(), actor=REST)
    for number in range(3):
        await bus.execute(ROOM, connection(number), actor=REST)
    written = await commits(log)
    assert [r.commit.time for r in written] == [1000, 1000, 1100, 1100]
    assert [r.commit.events[0].at for r in written] == [1000, 1000, 1100, 1100]


@pytest.mark.parametrize("memory", ["warm", "restarted", "evicted"])
async def test_a_repeated_command_gives_its_first_outcome_however_late(log, memory):
    bus = CommandBus(log, capacity=1)
    await bus.execute(ROOM, create(), actor=REST, command_id="make")
    first = await bus.execute(ROOM, connection(1), actor=REST, command_id="once")
    await bus.execute(ROOM, connection(2), actor=REST)
    await bus.execute(ROOM, CloseSession(reason=Reason.SESSION_CLOSED_BY_SERVER), actor=REST)
    if memory == "restarted":
        bus = CommandBus(log)
    if memory == "evicted":
        await bus.execute("ses_B", create("ses_B"), actor=REST)
    before = await commits(log)
    again = first._replace(repeated=True)
    assert await bus.execute(ROOM, connection(1), actor=REST, command_id="once") == again
    # Also if it was another command by mistake: the id decides.
    assert await bus.execute(ROOM, create(), actor=REST, command_id="once") == again
    assert await commits(log) == before
    assert bus.counters.repeated == 2


async def test_the_same_command_id_in_another_session_is_another_command(log, bus):
    await bus.execute(ROOM, create(), actor=REST, command_id="same")
    outcome = await bus.execute("ses_B", create("ses_B"), actor=REST, command_id="same")
    assert outcome.after.session.id == "ses_B"


async def test_a_refused_command_may_be_repeated_with_its_id(bus):
    with pytest.raises(SessionNotFound):
        await bus.execute(ROOM, connection(1), actor=REST, command_id="once")
    await bus.execute(ROOM, create(), actor=REST)
    outcome = await bus.execute(ROOM, connection(1), actor=REST, command_id="once")
    assert isinstance(outcome.events[0], ConnectionCreated)


async def test_two_buses_on_one_session_lose_no_command(log):
    """As two services do. Every commit of the one is news to the other."""
    buses = [CommandBus(log), CommandBus(log)]
    await buses[0].execute(ROOM, create(), actor=REST)
    for number in range(40):
        await buses[number % 2].execute(ROOM, connection(number), actor=REST)
    assert [len((await bus.load(ROOM)).session.connections) for bus in buses] == [40, 40]
    assert sum(bus.counters.conflicts for bus in buses) > 0
    assert (await verify(log)).good


async def test_a_refusal_is_given_on_the_latest_state_only(log):
    """The other service closed the session and made it anew meanwhile."""
    here, there = CommandBus(log), CommandBus(log)
    await here.execute(ROOM, create(), actor=REST)
    await there.execute(ROOM, CloseSession(reason=Reason.SESSION_CLOSED_BY_SERVER), actor=REST)
    outcome = await here.execute(ROOM, create(), actor=REST)
    assert outcome.recorded.commit.version == 3
    with pytest.raises(SessionExists):
        await there.execute(ROOM, create(), actor=REST)


async def test_a_command_that_is_always_late_gives_up_and_says_so(log):
    rival = CommandBus(log)
    bus = CommandBus(log)
    await rival.execute(ROOM, create(), actor=REST)
    numbers = iter(range(1000))

    async def overtake(store):
        log.troubles.insert(0, lambda inner: inner())
        await rival.execute(ROOM, connection(next(numbers)), actor=REST)
        log.troubles.append(overtake)
        return await store()

    log.troubles = [overtake]
    with pytest.raises(SessionBusy):
        await bus.execute(ROOM, connection(9999), actor=REST)
    log.troubles = []
    assert bus.counters.conflicts == bus_module.ATTEMPTS
    state = await bus.load(ROOM)
    assert len(state.session.connections) == bus_module.ATTEMPTS
    assert "con_9999" not in state.session.connections
    await bus.execute(ROOM, connection(9999), actor=REST)


async def test_a_commit_whose_answer_was_lost_is_found_and_not_written_twice(log, bus):
    await bus.execute(ROOM, create(), actor=REST)
    log.troubles = [answer_lost]
    outcome = await bus.execute(ROOM, connection(1), actor=REST)
    assert outcome.recorded.sequence == 2
    assert "con_1" in outcome.after.session.connections
    assert "con_1" not in outcome.before.session.connections
    assert len(await commits(log)) == 2
    assert bus.counters.unanswered == 1
    await bus.execute(ROOM, connection(2), actor=REST)
    assert (await verify(log)).good


async def test_a_commit_that_never_arrived_is_sent_again(log, bus):
    log.troubles = [request_lost, request_lost]
    outcome = await bus.execute(ROOM, create(), actor=REST)
    assert outcome.recorded.sequence == 1
    assert len(await commits(log)) == 1


async def test_a_lost_answer_and_a_rival_are_told_apart(log, bus):
    """Ours was stored, then somebody else's: both are there once."""
    rival = CommandBus(log)
    await bus.execute(ROOM, create(), actor=REST)

    async def stored_then_overtaken(store):
        await store()
        await rival.execute(ROOM, connection(2), actor=REST)
        raise LogUnavailable("the answer was lost")

    log.troubles = [stored_then_overtaken]
    outcome = await bus.execute(ROOM, connection(1), actor=REST)
    assert outcome.recorded.sequence == 2
    assert set(outcome.after.session.connections) == {"con_1"}
    assert set((await bus.load(ROOM)).session.connections) == {"con_1", "con_2"}


async def test_a_commit_that_arrives_late_is_not_written_twice(log, bus):
    """The request is on its way while the bus already sends it again."""
    await bus.execute(ROOM, create(), actor=REST)
    late = []

    async def delayed(store):
        late.append(store)
        raise LogUnavailable("no answer yet")

    async def overtaken_by_itself(store):
        await late[0]()
        return await store()

    log.troubles = [delayed, overtaken_by_itself]
    outcome = await bus.execute(ROOM, connection(1), actor=REST)
    assert outcome.recorded.sequence == 2
    assert len(await commits(log)) == 2


async def test_a_log_that_stays_away_is_reported_in_time_and_repeating_is_safe(log):
    bus = CommandBus(log, patience=0.2)

    async def stored_and_gone(store):
        await store()
        log.unreadable = 1_000_000
        raise LogUnavailable("gone")

    log.troubles = [stored_and_gone]
    async with asyncio.timeout(10):
        with pytest.raises(LogUnavailable):
            await bus.execute(ROOM, create(), actor=REST, command_id="once")
    log.unreadable = 0
    outcome = await bus.execute(ROOM, create(), actor=REST, command_id="once")
    assert await commits(log) == [outcome.recorded]


async def test_a_full_log_is_told_at_once_and_nothing_is_forgotten(log, bus):
    await bus.execute(ROOM, create(), actor=REST)
    log.troubles = [full]
    with pytest.raises(LogFull):
        await bus.execute(ROOM, connection(1), actor=REST)
    assert log.appends == 2
    await bus.execute(ROOM, connection(1), actor=REST)


async def test_a_cancelled_command_leaves_no_wrong_memory(log, bus):
    await bus.execute(ROOM, create(), actor=REST)
    stored = asyncio.Event()

    async def stored_but_never_answers(store):
        await store()
        stored.set()
        await asyncio.Event().wait()

    log.troubles = [stored_but_never_answers]
    task = asyncio.create_task(bus.execute(ROOM, connection(1), actor=REST))
    await stored.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    outcome = await bus.execute(ROOM, connection(2), actor=REST)
    assert set(outcome.after.session.connections) == {"con_1", "con_2"}
    assert (await verify(log)).good


async def test_commands_of_one_session_take_turns_and_sessions_do_not_wait_for_each_other(log, bus):
    await bus.execute(ROOM, create(), actor=REST)
    gate = asyncio.Event()

    async def slow(store):
        await gate.wait()
        return await store()

    log.troubles = [slow]
    async with asyncio.TaskGroup() as group:
        first = [group.create_task(bus.execute(ROOM, connection(n), actor=REST)) for n in range(5)]
        await asyncio.sleep(0)
        other = group.create_task(bus.execute("ses_B", create("ses_B"), actor=REST))
        assert (await other).recorded.commit.version == 1
        assert not any(task.done() for task in first)
        gate.set()
    assert [task.result().recorded.commit.version for task in first] == [2, 3, 4, 5, 6]
    assert bus.counters.conflicts == 0


async def test_waiting_for_a_turn_has_an_end(log):
    bus = CommandBus(log, patience=0.1)
    never = asyncio.Event()

    async def hang(store):
        await never.wait()

    log.troubles = [hang]
    stuck = asyncio.create_task(bus.execute(ROOM, create(), actor=REST))
    await asyncio.sleep(0)
    with pytest.raises(SessionBusy):
        await bus.execute(ROOM, create(), actor=REST)
    stuck.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stuck
    await bus.execute(ROOM, create(), actor=REST)


async def test_the_queue_of_a_session_is_bounded(log, bus, monkeypatch):
    monkeypatch.setattr(bus_module, "QUEUE", 3)
    gate = asyncio.Event()

    async def slow(store):
        await gate.wait()
        return await store()

    log.troubles = [slow]
    waiting = [asyncio.create_task(bus.load(ROOM)) for _ in range(2)]
    first = asyncio.create_task(bus.execute(ROOM, create(), actor=REST))
    await asyncio.gather(*waiting)
    waiting = [asyncio.create_task(bus.load(ROOM)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(SessionBusy):
        await bus.load(ROOM)
    gate.set()
    await asyncio.gather(first, *waiting)


async def test_memory_is_bounded_by_sessions_and_by_command_ids(log, monkeypatch):
    monkeypatch.setattr(bus_module, "HELD_IDS", 10)
    bus = CommandBus(log, capacity=3)
    for number in range(6):
        await bus.execute(f"ses_{number}", create(f"ses_{number}"), actor=REST)
    assert list(bus._cache) == ["ses_3", "ses_4", "ses_5"]
    for number in range(9):
        await bus.execute("ses_5", connection(number), actor=REST)
    assert list(bus._cache) == ["ses_5"]
    assert bus._held_ids == 10
    assert bus._turns == {}
    assert len((await bus.load("ses_5")).session.connections) == 9


async def test_a_session_that_does_not_exist_takes_no_memory(log, bus):
    for number in range(10):
        assert await bus.load(f"ses_{number}") == EMPTY
    assert len(bus._cache) == 0


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_an_ended_session_is_remembered_without_its_command_ids(log, elsewhere):
    bus = CommandBus(log)
    await bus.execute(ROOM, create(), actor=REST)
    first = await bus.execute(ROOM, connection(1), actor=REST, command_id="once")
    close = CloseSession(reason=Reason.SESSION_CLOSED_BY_SERVER)
    await (CommandBus(log) if elsewhere else bus).execute(ROOM, close, actor=REST)
    async for steps in replay(log):
        bus.observe(steps[-1])
    assert list(bus._cache) == [ROOM]
    assert bus._held_ids == 0
    assert await bus.knows(ROOM, "once")
    assert not await bus.knows(ROOM, "twice")
    reads = []
    read = log.read
    log.read = lambda *given, **more: reads.append(more) or read(*given, **more)
    again = await bus.execute(ROOM, create(), actor=REST)
    assert again.recorded.commit.version == 4
    new = await bus.execute(ROOM, connection(2), actor=REST, command_id="twice", new_id=True)
    assert not new.repeated
    assert reads == [], "where the session stands is known"
    found = await bus.execute(ROOM, connection(1), actor=REST, command_id="once")
    assert found == first._replace(repeated=True)
    assert bus._held_ids == 5


async def test_a_follower_keeps_a_cached_session_warm(log):
    here, there = CommandBus(log), CommandBus(log)
    await here.execute(ROOM, create(), actor=REST)
    for number in range(3):
        await there.execute(ROOM, connection(number), actor=REST)
    async for steps in replay(log):
        for step in steps:
            here.observe(step)
            here.observe(step)  # twice is harmless
            there.observe(step)
    outcome = await here.execute(ROOM, connection(3), actor=REST)
    assert here.counters.conflicts == 0
    assert len(outcome.after.session.connections) == 4
