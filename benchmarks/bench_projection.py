"""How fast the database of the REST answers is made anew from the log. Run by hand:

    python -m benchmarks.bench_projection [--commits 10000] [--rounds 3]

A log of conferences (people join, publish, subscribe, talk, leave) on a nats-server of its own, and
databases in a temporary directory: SQLite, and PostgreSQL if it is installed (without fsync).
Prints commits per second and CPU microseconds of this process a commit, the median of all rounds,
beside `replay`: reading and folding, which a rebuild does as well. Nats-server and PostgreSQL share
the machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from services.api.projections import rebuild
from services.conference.commands import (
    Command,
    CreateConnection,
    InitializeSession,
    JoinSession,
    LeaveSession,
    PublishStream,
    SendSignal,
    SubscribeToStream,
)
from services.conference.model import MediaOptions, SessionProperties, VideoSource
from services.eventlog.bus import CommandBus
from services.eventlog.commit import Actor, ActorKind
from services.eventlog.follower import replay
from services.eventlog.jetstream import JetStreamLog, connect
from services.eventlog.server import NatsServer
from tests.postgresql import Missing, PostgreSql

PEOPLE = 4
ROOMS_AT_ONCE = 64
ACTOR = Actor(ActorKind.SERVICE, "bench")
MEDIA = MediaOptions(
    has_audio=True,
    has_video=True,
    audio_active=True,
    video_active=True,
    type_of_video=VideoSource.CAMERA,
    frame_rate=30,
    video_dimensions='{"width":640,"height":480}',
)


def conference(session_id: str) -> list[Command]:
    """Of four people; the first two leave again."""
    names = [f"con_{session_id}_{number}" for number in range(PEOPLE)]
    commands: list[Command] = [InitializeSession(session_id, SessionProperties())]
    for name in names:
        commands += [
            CreateConnection(name, f"tok_{name}", server_data='{"name": "Ana"}'),
            JoinSession(f"tok_{name}", "Chrome 142", "Ana", "0" * 64, "media_local", "one"),
            PublishStream(name, f"str_CAM_Ab12_{name}", MEDIA, 1),
        ]
    commands += [
        SubscribeToStream(name, f"str_CAM_Ab12_{other}", 2)
        for name in names
        for other in names
        if name != other
    ]
    commands += [SendSignal(name, (), "chat", "Hello, how are you?") for name in names]
    return [*commands, LeaveSession(names[0]), LeaveSession(names[1])]


async def fill(log: JetStreamLog, commits: int) -> None:
    bus = CommandBus(log)
    rooms = iter(range(commits // len(conference("")) + 1))

    async def run_rooms() -> None:
        for number in rooms:
            session_id = f"ses_{number:08}"
            for command in conference(session_id):
                await bus.execute(session_id, command, actor=ACTOR)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(ROOMS_AT_ONCE):
            tasks.create_task(run_rooms())


async def measure(name: str, rounds: int, work: Callable[[], Awaitable[int]]) -> None:
    rows = []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        commits = await work()
        rows.append(
            (
                commits / (time.perf_counter() - wall),
                (time.process_time() - cpu) / commits * 1e6,
            )
        )
    rate, used = (statistics.median(column) for column in zip(*rows, strict=True))
    print(f"{name:28}{rate:10,.0f} commits/s{used:10.1f} us of CPU a commit")


async def main(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as directory:
        server = NatsServer(Path(directory), token="bench")
        await server.start()
        client = await connect(server.url, token="bench", name="bench")
        log = await JetStreamLog.open(client)
        try:
            await fill(log, arguments.commits)
            print(f"{await log.last_sequence()} commits in the log")

            async def fold() -> int:
                return sum([len(steps) async for steps in replay(log)])

            await measure("replay", arguments.rounds, fold)
            file = Path(directory) / "projection.db"
            await measure(
                "rebuild, SQLite", arguments.rounds, lambda: rebuild(log, f"sqlite:///{file}")
            )
            await on_postgresql(log, arguments.rounds)
        finally:
            await log.close()
            await client.close()
            await server.stop()


async def on_postgresql(log: JetStreamLog, rounds: int) -> None:
    try:
        server = PostgreSql()
    except Missing as missing:
        print(missing)
        return
    try:
        server.start()
        url = server.url(await server.new_database())
        await measure("rebuild, PostgreSQL", rounds, lambda: rebuild(log, url))
    finally:
        server.remove()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commits", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    uvloop.run(main(parser.parse_args()))
