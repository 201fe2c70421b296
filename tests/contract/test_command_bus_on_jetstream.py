"""The command bus on a real server: races, crashes, restarts of everything."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager

from services.conference.commands import CloseSession, CreateConnection, InitializeSession
from services.conference.errors import SessionExists
from services.conference.model import Reason, SessionProperties
from services.eventlog.bus import CommandBus
from services.eventlog.commit import Actor, ActorKind
from services.eventlog.follower import follow, replay
from services.eventlog.jetstream import JetStreamLog, connect
from services.eventlog.server import NatsServer
from services.eventlog.verify import verify

REST = Actor(ActorKind.REST)
ROOM = "ses_A"
PATIENCE = 60


def create(session_id: str = ROOM) -> InitializeSession:
    return InitializeSession(session_id=session_id, properties=SessionProperties())


def connection(name: str) -> CreateConnection:
    return CreateConnection(connection_id=f"con_{name}", token=f"tok_{name}")


async def execute(bus, command, command_id=None, session_id=ROOM):
    return await bus.execute(session_id, command, actor=REST, command_id=command_id)


@asynccontextmanager
async def another(server: NatsServer, token: str):
    """A bus with a connection of its own, as another service has."""
    client = await connect(server.url, token=token, name="another")
    log = await JetStreamLog.open(client)
    try:
        yield CommandBus(log)
    finally:
        await log.close()
        await client.close()


async def test_racing_services_make_one_order_and_lose_no_command(nats, nats_token, event_log):
    async with (
        asyncio.timeout(PATIENCE),
        another(nats, nats_token) as first,
        another(nats, nats_token) as second,
    ):
        buses = {"first": first, "second": second}
        await execute(first, create())

        async def send(name: str, number: int):
            return await execute(buses[name], connection(f"{name}{number}"))

        async with asyncio.TaskGroup() as group:
            sent = [group.create_task(send(name, number)) for number in range(40) for name in buses]
        outcomes = [task.result() for task in sent]
        states = [await bus.load(ROOM) for bus in buses.values()]
        conflicts = sum(bus.counters.conflicts for bus in buses.values())
    assert states[0] == states[1]
    assert len(states[0].session.connections) == 80
    assert sorted(o.recorded.commit.version for o in outcomes) == list(range(2, 82))
    assert conflicts > 0
    assert (await verify(event_log)).commits == 81
    steps = [step async for batch in replay(event_log) for step in batch]
    assert steps[-1].after == states[0]
    # What each writer was told is what a replay shows.
    told = {o.recorded.sequence: (o.before, o.after) for o in outcomes}
    shown = {s.recorded.sequence: (s.before, s.after) for s in steps if s.recorded.sequence in told}
    assert told == shown


async def test_of_many_that_create_a_session_one_succeeds(nats, nats_token):
    async with another(nats, nats_token) as first, another(nats, nats_token) as second:
        results = await asyncio.gather(
            *(execute((first, second)[n % 2], create()) for n in range(20)), return_exceptions=True
        )
    refused = [result for result in results if isinstance(result, SessionExists)]
    assert len(refused) == 19


async def test_a_repeated_command_gives_its_first_outcome_after_a_restart_of_everything(
    nats, nats_token
):
    async with another(nats, nats_token) as bus:
        await execute(bus, create(), "make")
        first = await execute(bus, connection("x"), "once")
        await execute(bus, connection("y"))
        await execute(bus, CloseSession(reason=Reason.SESSION_CLOSED_BY_SERVER))
    await nats.stop()
    await nats.start()
    async with another(nats, nats_token) as bus:
        for _ in range(2):
            again = await execute(bus, connection("x"), "once")
            assert again == first._replace(repeated=True)
        again = await execute(bus, create(), "make")
        assert again.recorded.sequence == 1
        assert (await bus.load(ROOM)).session is None


async def test_the_same_command_sent_twice_at_once_is_done_once(nats, nats_token, event_log):
    async with another(nats, nats_token) as first, another(nats, nats_token) as second:
        await execute(first, create())
        outcomes = await asyncio.gather(
            *(execute((first, second)[n % 2], connection("x"), "once") for n in range(10))
        )
    done = [outcome for outcome in outcomes if not outcome.repeated]
    assert len(done) == 1
    assert all(outcome._replace(repeated=False) == done[0] for outcome in outcomes)
    assert await event_log.last_sequence() == 2


async def test_a_server_killed_under_load_costs_no_command_and_does_none_twice(
    nats, nats_client, event_log
):
    """Callers wait a little longer; none of them notices more."""
    bus = CommandBus(event_log, patience=40)
    followed = []
    expected = 8 * 31
    halfway = asyncio.Event()

    async def use(session_id: str) -> None:
        await execute(bus, create(session_id), session_id=session_id)
        for number in range(30):
            await execute(bus, connection(str(number)), session_id=session_id)
            if number == 10:
                halfway.set()

    async def watch() -> None:
        async with aclosing(follow(event_log, after=0)) as batches:
            async for batch in batches:
                followed.extend(batch)
                if len(followed) >= expected:
                    return

    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        group.create_task(watch())
        for number in range(8):
            group.create_task(use(f"ses_{number}"))
        await halfway.wait()
        nats.process.kill()
        await nats.process.wait()
        await nats.start()

    assert await event_log.last_sequence() == expected
    assert [step.recorded.sequence for step in followed] == list(range(1, expected + 1))
    for number in range(8):
        assert len((await bus.load(f"ses_{number}")).session.connections) == 30
    assert (await verify(event_log)).good
