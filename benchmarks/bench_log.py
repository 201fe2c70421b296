"""How fast the event log is: appends, commands, rebuilds, loads. Run by hand:

    python -m benchmarks.bench_log [--commits 50000] [--rounds 3]

Starts its own nats-server in a temporary directory, synced to disk on each write. Prints wall
rates and CPU microseconds of this process and of the server for each unit of work; the median of
all rounds. Both share the machine's cores, so compare CPU.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from uuid import uuid4

import uvloop

from benchmarks.cpu import cpu_seconds
from services.conference.commands import (
    CreateConnection,
    InitializeSession,
    SendSignal,
    StartRecording,
)
from services.conference.errors import ConferenceError
from services.conference.events import SessionCreated, SignalSent
from services.conference.model import RecordingOptions, SessionProperties
from services.eventlog.bus import CommandBus
from services.eventlog.commit import Actor, ActorKind, Commit
from services.eventlog.follower import replay
from services.eventlog.jetstream import JetStreamLog, connect
from services.eventlog.server import NatsServer
from services.eventlog.verify import verify

ACTOR = Actor(ActorKind.REST)
START = 1_700_000_000_000  # UTC ms
Work = Callable[[], Awaitable[int]]  # gives the units done


class Meter:
    def __init__(self, server: NatsServer) -> None:
        assert server.process is not None
        self._pid = server.process.pid
        self._rows: dict[str, list[tuple[float, float, float]]] = defaultdict(list)

    async def measure(self, name: str, work: Work) -> None:
        wall, ours, theirs = time.perf_counter(), time.process_time(), cpu_seconds(self._pid)
        units = await work()
        self._rows[name].append(
            (
                units / (time.perf_counter() - wall),
                (time.process_time() - ours) / units * 1e6,
                (cpu_seconds(self._pid) - theirs) / units * 1e6,
            )
        )

    def report(self) -> None:
        print(f"{'':42}{'per second':>12}{'CPU us':>9}{'server us':>11}")
        for name, rows in self._rows.items():
            rate, ours, theirs = (statistics.median(column) for column in zip(*rows, strict=True))
            print(f"{name:42}{rate:12,.0f}{ours:9.1f}{theirs:11.1f}")


async def append(log: JetStreamLog, session_id: str, count: int) -> None:
    """A new session's first `count` commits, most of them signals of about 500 bytes."""
    previous, sequence = "", 0
    made = SessionCreated(session_id=session_id, properties=SessionProperties(), at=START)
    for number in range(count):
        signal = SignalSent(
            to=("con_AAAAAAAAAA", "con_BBBBBBBBBB"),
            type="chat",
            data="Hello, how are you?",
            at=START + number,
        )
        commit = Commit(
            id=uuid4().hex,
            session_id=session_id,
            version=number + 1,
            time=START + number,
            actor=ACTOR,
            command=SendSignal(type="chat", data="Hello, how are you?"),
            events=(signal,) if number else (made,),
            previous=previous,
        )
        recorded = await log.append(commit, expected=sequence)
        sequence, previous = recorded.sequence, recorded.digest


async def create_sessions(bus: CommandBus, session_id: str, count: int) -> None:
    """Each makes a new session: read (there is none), decide, append."""
    for number in range(count):
        name = f"{session_id}_{number}"
        properties = SessionProperties(custom_session_id=name)
        await bus.execute(
            name, InitializeSession(session_id=name, properties=properties), actor=ACTOR
        )


async def warm_commands(bus: CommandBus, session_id: str, count: int) -> None:
    """Connections of a cached session: decide, append."""
    properties = SessionProperties()
    await bus.execute(
        session_id, InitializeSession(session_id=session_id, properties=properties), actor=ACTOR
    )
    for number in range(count - 1):
        name = f"con_{number:010}"
        await bus.execute(
            session_id, CreateConnection(connection_id=name, token=f"tok_{number:016}"), actor=ACTOR
        )


async def refusals(bus: CommandBus, session_id: str, count: int) -> int:
    await create_sessions(bus, session_id, 1)
    for _ in range(count):
        try:
            await bus.execute(
                f"{session_id}_0", StartRecording(options=RecordingOptions()), actor=ACTOR
            )
        except ConferenceError:
            continue
    return count


async def at_once(ways: int, count: int, one: Callable[[str, int], Awaitable[None]]) -> int:
    share = count // ways
    async with asyncio.TaskGroup() as group:
        for _ in range(ways):
            group.create_task(_start(one, share))
    return share * ways


async def _start(one: Callable[[str, int], Awaitable[None]], count: int) -> None:
    await one(f"ses_{uuid4().hex}", count)


async def main(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as directory:
        server = NatsServer(Path(directory), token="bench")
        await server.start()
        client = await connect(server.url, token="bench", name="bench")
        log = await JetStreamLog.open(client)
        meter = Meter(server)

        def appends(session_id: str, count: int) -> Awaitable[None]:
            return append(log, session_id, count)

        async def run_refusals() -> int:
            return await refusals(CommandBus(log), f"ses_{uuid4().hex}", 1000)

        async def read_all() -> int:
            count = 0
            async for _ in log.read_all():
                count += 1
            return count

        async def fold() -> int:
            count = 0
            async for steps in replay(log):
                count += len(steps)
            return count

        async def check() -> int:
            result = await verify(log)
            assert result.good, result
            return result.commits

        async def load_long() -> int:
            count = 0
            async for _ in log.read(long_session):
                count += 1
            return count

        async def load_short() -> int:
            for _ in range(200):
                assert [r async for r in log.read(short_session)]
            return 200

        try:
            for _ in range(arguments.rounds):
                bus = CommandBus(log)

                def new(session_id: str, count: int, bus: CommandBus = bus) -> Awaitable[None]:
                    return create_sessions(bus, session_id, count)

                def warm(session_id: str, count: int, bus: CommandBus = bus) -> Awaitable[None]:
                    return warm_commands(bus, session_id, count)

                for ways, count in ((1, 2000), (64, 6400)):
                    for name, one in (
                        ("append", appends),
                        ("command on a cached session", warm),
                        ("command on a new session", new),
                    ):
                        await meter.measure(
                            f"{name}, {ways} at once", partial(at_once, ways, count, one)
                        )
                await meter.measure("refused command", run_refusals)
            long_session, short_session = f"ses_{uuid4().hex}", f"ses_{uuid4().hex}"
            await append(log, long_session, 5000)
            await append(log, short_session, 20)
            if (missing := arguments.commits - await log.last_sequence()) > 0:
                await at_once(128, missing, appends)
            print(f"{await log.last_sequence()} commits in the log")
            for _ in range(arguments.rounds):
                await meter.measure("read and decode all", read_all)
                await meter.measure("replay (read, decode, check, fold)", fold)
                await meter.measure("verify", check)
                await meter.measure("read a session of 5000 commits", load_long)
                await meter.measure("load a session of 20 commits", load_short)
            meter.report()
        finally:
            await log.close()
            await client.close()
            await server.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commits", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    uvloop.run(main(parser.parse_args()))
