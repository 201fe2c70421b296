"""The real process: killed in the middle, stopped, started wrongly."""

from __future__ import annotations

import asyncio
import random
import signal
import socket
from itertools import pairwise
from pathlib import Path

import pytest
from aiohttp import web

from services.eventlog.jetstream import JetStreamLog, connect
from services.eventlog.server import NatsServer
from tests.integration.webhooks.helpers import (
    Conference,
    Post,
    Process,
    Receiver,
    by_session,
    cdr_events,
    eventually,
)

SIGNALS = 40


async def test_killed_again_and_again_nothing_is_missing_or_out_of_order(
    process: Process, receiver: Receiver, conference: Conference, tmp_path: Path
) -> None:
    rng = random.Random(11)
    sessions = [f"S{number}" for number in range(6)]
    kills: list[int] = []  # how many posts had come

    async def slow(post: Post, request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.02)
        return web.Response()

    async def kill_it() -> None:
        for _ in range(4):
            posts = len(receiver.posts) + rng.randrange(5, 40)
            await eventually(lambda posts=posts: len(receiver.posts) >= posts)
            await process.kill()
            await process.start()
            kills.append(len(receiver.posts))

    async def talk(session: str) -> None:
        await conference.begin(session)
        await conference.signals(session, SIGNALS)

    receiver.answer = slow
    expected = len(sessions) * (SIGNALS + 2)
    await process.start()
    async with asyncio.TaskGroup() as group:
        group.create_task(kill_it())
        for session in sessions:
            group.create_task(talk(session))
    await receiver.until(expected)
    await eventually(lambda: len(cdr_events(tmp_path / "cdr")) >= expected)
    assert await process.stop() == 0

    for session, events in by_session(receiver.events).items():
        assert [event["event"] for event in events[:2]] == ["sessionCreated", "participantJoined"]
        told = [event["data"] for event in events[2:]]
        assert told == [f"x{number}" for number in range(SIGNALS)], session
    _check_repetitions(receiver.posts, kills)
    assert by_session(cdr_events(tmp_path / "cdr")) == by_session(receiver.events)


def _check_repetitions(posts: list[Post], kills: list[int]) -> None:
    """After a kill a session goes back a little and then on; nowhere else, and never ahead."""
    places: dict[str, list[tuple[int, int]]] = {}
    for index, post in enumerate(posts):
        sequence = int(post.headers["webhook-sequence"].partition(".")[0])
        places.setdefault(post.event["sessionId"], []).append((sequence, index))
    for session in places.values():
        order = sorted({sequence for sequence, _ in session})
        turn = {sequence: number for number, sequence in enumerate(order)}
        for (before, first), (after, second) in pairwise(session):
            if turn[after] != turn[before] + 1:
                assert turn[after] <= turn[before]
                assert any(first < kill <= second for kill in kills)


async def test_a_kill_while_the_receiver_is_down_loses_nothing(
    process: Process, receiver: Receiver, conference: Conference, tmp_path: Path
) -> None:
    await process.start()
    await conference.whole("first")
    await receiver.until(Conference.EVENTS)
    await receiver.down()
    await conference.whole("second")
    await eventually(lambda: len(cdr_events(tmp_path / "cdr")) == 2 * Conference.EVENTS)
    await process.kill()
    await conference.whole("third")
    await process.start()
    await eventually(lambda: len(cdr_events(tmp_path / "cdr")) == 3 * Conference.EVENTS)
    await receiver.up()
    events = await receiver.until(3 * Conference.EVENTS)
    names = {
        session: [event["event"] for event in told] for session, told in by_session(events).items()
    }
    assert names["first"] == names["second"] == names["third"]
    assert by_session(cdr_events(tmp_path / "cdr")) == by_session(events)


async def test_the_cdr_holds_each_event_once_however_often_the_process_is_killed(
    process: Process, receiver: Receiver, conference: Conference, tmp_path: Path
) -> None:
    await conference.begin("S")
    await conference.signals("S", 300, data="y" * 2000)
    rng = random.Random(5)
    for _ in range(4):
        await process.start()
        size = _size(tmp_path / "cdr") + rng.randrange(1, 100_000)
        await eventually(lambda size=size: _size(tmp_path / "cdr") >= min(size, 600_000))
        await process.kill()
    await process.start()
    await eventually(lambda: len(cdr_events(tmp_path / "cdr")) >= 302)
    told = [event.get("data", "")[2000:] for event in cdr_events(tmp_path / "cdr")]
    assert told == ["", "", *(str(number) for number in range(300))]


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("CDR.*.log"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_stops_quickly_while_a_receiver_does_not_answer(
    process: Process, receiver: Receiver, conference: Conference, number: int
) -> None:
    release = asyncio.Event()

    async def answer(post: Post, request: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    receiver.answer = answer
    await process.start()
    await conference.whole("S")
    await eventually(lambda: len(receiver.posts) == 1)
    async with asyncio.timeout(8):  # it waits up to 10 s for an answer
        assert await process.stop(number) == 0
    release.set()
    receiver.answer = None
    await process.start()
    await receiver.until(Conference.EVENTS)
    assert [post.id for post in receiver.repeated] == [receiver.posts[0].id]


async def test_it_goes_on_after_the_broker_was_away(
    receiver: Receiver, tmp_path: Path, nats_token: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    server = NatsServer(tmp_path / "own", port=port, token=nats_token)
    await server.start()
    process = Process(
        TERTULIA_NATS_URL=server.url,
        TERTULIA_NATS_TOKEN=nats_token,
        TERTULIA_DATA_DIR=str(tmp_path / "data"),
        OPENVIDU_WEBHOOK="true",
        OPENVIDU_WEBHOOK_ENDPOINT=receiver.url,
    )
    try:
        client = await connect(server.url, token=nats_token, name="test")
        await Conference(await JetStreamLog.open(client)).whole("before")
        await client.close()
        await process.start()
        await receiver.until(Conference.EVENTS)
        await server.stop()
        server = NatsServer(tmp_path / "own", port=port, token=nats_token)
        await server.start()
        client = await connect(server.url, token=nats_token, name="test")
        await Conference(await JetStreamLog.open(client)).whole("after")
        await client.close()
        await receiver.until(2 * Conference.EVENTS)
        assert await process.stop() == 0
        assert receiver.repeated == []
    finally:
        await process.kill()
        await server.stop()


async def test_a_second_process_on_the_same_folder_refuses_to_start(
    process: Process, receiver: Receiver, conference: Conference
) -> None:
    await process.start()
    await conference.short("S")
    await receiver.until(2)
    second = Process()
    second._environment = process._environment
    await second.start()
    assert await second.ended() == 1
    assert b"Another webhooks process" in second.output


async def test_a_cdr_folder_that_cannot_be_written_stops_the_start(
    process: Process, tmp_path: Path
) -> None:
    (tmp_path / "cdr").touch()
    await process.start()
    assert await process.ended() == 1
    assert b"OPENVIDU_CDR_PATH" in process.output
    assert str(tmp_path / "cdr").encode() in process.output


async def test_another_log_than_the_one_it_knows_stops_the_start(
    process: Process, receiver: Receiver, conference: Conference, tmp_path: Path, nats_token: str
) -> None:
    await process.start()
    await conference.short("S")
    await receiver.until(2)
    assert await process.stop() == 0
    other = NatsServer(tmp_path / "other", token=nats_token)
    await other.start()
    try:
        client = await connect(other.url, token=nats_token, name="test")
        await Conference(await JetStreamLog.open(client)).whole("S")
        await client.close()
        process._environment["TERTULIA_NATS_URL"] = other.url
        await process.start()
        assert await process.ended() == 1
    finally:
        await other.stop()
    assert b"webhooks.db" in process.output
    assert len(receiver.posts) == 2
