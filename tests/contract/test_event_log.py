"""What every event log promises. Runs on memory and on a real JetStream server."""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing, suppress

import msgspec
import pytest

from services.conference.commands import SendSignal
from services.eventlog.commit import digest, encode
from services.eventlog.log import (
    MAX_COMMIT,
    CommitRefused,
    Conflict,
    EventLog,
    LogDamaged,
    LogUnavailable,
)
from services.eventlog.verify import verify

PATIENCE = 30  # seconds until a test that waits has failed


async def everything(log: EventLog, **limits):
    return [recorded async for recorded in log.read_all(**limits)]


async def session(log: EventLog, session_id: str, **limits):
    return [recorded async for recorded in log.read(session_id, **limits)]


async def collect(log: EventLog, *, after: int, count: int):
    """The first `count` commits of a subscription."""
    seen = []
    async with asyncio.timeout(PATIENCE), aclosing(log.subscribe(after=after)) as batches:
        async for batch in batches:
            assert batch
            seen.extend(batch)
            if len(seen) >= count:
                return seen


async def test_an_empty_log_has_nothing_to_read(log):
    assert await log.last_sequence() == 0
    assert await everything(log) == []
    assert await session(log, "ses_A") == []
    assert await log.get(1) is None


async def test_a_commit_comes_back_as_it_was_written(log, author):
    commit = author().commit("ñ „quoted“ \u0000 \U0001f600")
    recorded = await log.append(commit, expected=0)
    assert recorded.sequence == 1
    assert recorded.commit == commit
    assert recorded.digest == digest(encode(commit))
    assert await session(log, "ses_A") == [recorded]
    assert await everything(log) == [recorded]
    assert await log.get(1) == recorded
    assert await log.last_sequence() == 1


async def test_the_expected_position_is_the_sequence_of_the_whole_log(log, author):
    """Not a count within the session: two sessions take turns."""
    a, b = author("ses_A"), author("ses_B")
    for _ in range(5):
        await a.write(log)
        await b.write(log)
    assert [recorded.sequence for recorded in a.written] == [1, 3, 5, 7, 9]
    assert [recorded.sequence for recorded in b.written] == [2, 4, 6, 8, 10]
    for wrong in (0, 5, 8, 10, 11):  # session version, its other commits, the whole log's end
        with pytest.raises(Conflict):
            await log.append(a.commit(), expected=wrong)
    assert (await a.write(log)).sequence == 11


async def test_a_stale_writer_is_refused_and_writes_nothing(log, author):
    first = author()
    await first.write(log)
    stale = first.commit("stale")
    await first.write(log, "fresh")
    with pytest.raises(Conflict):
        await log.append(stale, expected=1)
    assert await everything(log) == first.written


async def test_the_first_commit_of_a_session_expects_none(log, author):
    with pytest.raises(Conflict):
        await log.append(author().commit(), expected=1)
    await author().write(log)
    with pytest.raises(Conflict):
        await log.append(author().commit(), expected=0)


async def test_the_same_commit_twice_is_in_the_log_once(log, author):
    writer = author()
    commit = writer.commit()
    recorded = await log.append(commit, expected=0)
    with suppress(Conflict):
        assert await log.append(commit, expected=0) == recorded
    assert await everything(log) == [recorded]


async def test_a_command_id_is_not_taken_twice_in_a_row(log, author):
    writer = author()
    recorded = await writer.write(log)
    again = msgspec.structs.replace(writer.commit("other"), id=recorded.commit.id)
    with pytest.raises(Conflict):
        await log.append(again, expected=recorded.sequence)
    assert await everything(log) == [recorded]


async def test_the_same_command_id_in_two_sessions_is_two_commits(log, author):
    a, b = author("ses_A").commit(), author("ses_B").commit()
    b = msgspec.structs.replace(b, id=a.id)
    written = [await log.append(commit, expected=0) for commit in (a, b)]
    assert await everything(log) == written


async def test_exactly_one_of_many_writers_wins_each_position(log, author):
    first = await author().write(log)
    wins = {first.sequence: 1}

    async def write(name: int) -> int:
        writer, won = author(), 0
        while won < 5:
            for recorded in await session(log, "ses_A", after=writer.sequence):
                writer.wrote(recorded)
            try:
                recorded = await writer.write(log, str(name))
            except Conflict:
                continue
            wins[recorded.sequence] = wins.get(recorded.sequence, 0) + 1
            won += 1
        return won

    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        for name in range(8):
            group.create_task(write(name))
    assert wins == dict.fromkeys(range(1, 42), 1)
    assert [recorded.commit.version for recorded in await everything(log)] == list(range(1, 42))
    assert (await verify(log)).good


async def test_reading_keeps_to_its_limits(log, author):
    a, b = author("ses_A"), author("ses_B")
    for _ in range(10):
        await a.write(log)
        await b.write(log)
    both = sorted([*a.written, *b.written], key=lambda recorded: recorded.sequence)
    for after, up_to in [(0, None), (3, None), (3, 9), (4, 5), (5, 5), (9, 3), (0, 99), (20, None)]:
        end = 99 if up_to is None else up_to
        for found, written in (
            (await session(log, "ses_A", after=after, up_to=up_to), a.written),
            (await everything(log, after=after, up_to=up_to), both),
        ):
            assert found == [r for r in written if after < r.sequence <= end]
        stored = [m async for batch in log.stored(after=after, up_to=up_to) for m in batch]
        assert [m.sequence for m in stored] == [
            r.sequence for r in both if after < r.sequence <= end
        ]


async def test_long_histories_are_read_whole(log, author):
    """Longer than any batch of any implementation."""
    a, b = author("ses_A"), author("ses_B")
    for number in range(2600):
        await (b if number % 5 == 0 else a).write(log, str(number))
    assert await session(log, "ses_A") == a.written
    assert await session(log, "ses_B", after=11) == b.written[3:]
    assert [r.sequence for r in await everything(log)] == list(range(1, 2601))


@pytest.mark.parametrize(
    "session_id",
    ["*", ">", "ses_*", "ses_A.>", "ses_A.b", "", " ", "ses_A\r\nPUB x 1", "ñ", "x" * 300],
)
async def test_an_impossible_session_id_finds_nothing_and_writes_nothing(log, author, session_id):
    written = await author("ses_A").write(log)
    assert await session(log, session_id) == []
    with pytest.raises(CommitRefused):
        await author(session_id).write(log)
    assert await everything(log) == [written]


async def test_a_session_id_is_no_prefix(log, author):
    for session_id in ("ses_A", "ses_AB", "ses_", "a" * 255):
        await author(session_id).write(log)
    assert [r.commit.session_id for r in await session(log, "ses_A")] == ["ses_A"]
    assert [r.commit.session_id for r in await session(log, "a" * 255)] == ["a" * 255]


async def test_a_large_commit_is_stored(log, author):
    writer = author()
    recorded = await writer.write(log, "x" * (MAX_COMMIT // 2 - 1000))
    await writer.write(log)
    assert await session(log, "ses_A") == writer.written
    assert await log.get(1) == recorded
    assert await collect(log, after=0, count=2) == writer.written


@pytest.mark.parametrize("excess", [1, 100_000, 30_000_000])
async def test_a_commit_above_the_limit_is_refused_and_the_log_goes_on(log, author, excess):
    writer = author()
    room = MAX_COMMIT - len(encode(writer.commit()))
    with pytest.raises(CommitRefused, match=str(MAX_COMMIT)):
        await log.append(
            msgspec.structs.replace(
                writer.commit(), command=SendSignal(data="x" * (room + excess))
            ),
            expected=0,
        )
    await writer.write(log)
    assert await everything(log) == writer.written


async def test_a_commit_of_the_largest_size_is_stored(log, author):
    writer = author()
    bare = len(encode(writer.commit("x"))) - 2
    recorded = await writer.write(log, "x" * ((MAX_COMMIT - bare) // 2))
    assert MAX_COMMIT - len(encode(recorded.commit)) < 2
    assert await everything(log) == writer.written


@pytest.mark.parametrize("data", [5, b"\xff", "\ud800", ["a"], 2**70, object()])
async def test_a_commit_that_could_not_be_read_back_is_refused(log, author, data):
    """One of them in the log would stop every reader for good."""
    with pytest.raises(CommitRefused):
        await author().write(log, data)
    assert await everything(log) == []


async def test_a_subscription_catches_up_and_goes_on_without_gap_or_double(log, author):
    writer = author()
    for _ in range(50):
        await writer.write(log)

    async def write_on() -> None:
        for _ in range(150):
            await writer.write(log)

    async with asyncio.TaskGroup() as group:
        readers = [
            group.create_task(collect(log, after=after, count=200 - after))
            for after in (0, 1, 49, 50)
        ]
        group.create_task(write_on())
    for reader, after in zip(readers, (0, 1, 49, 50), strict=True):
        assert reader.result() == writer.written[after:]


async def test_a_subscription_of_an_empty_log_waits_for_the_first_commit(log, author):
    async with asyncio.TaskGroup() as group:
        reader = group.create_task(collect(log, after=0, count=1))
        await asyncio.sleep(0)
        recorded = await author().write(log)
    assert reader.result() == [recorded]


async def test_a_slow_subscriber_misses_nothing(log, author):
    """It gets more than any buffer holds while it handles its first batch."""
    writer = author()
    await writer.write(log)
    seen = []
    async with asyncio.timeout(PATIENCE), aclosing(log.subscribe(after=0)) as batches:
        async for batch in batches:
            if not seen:
                for _ in range(2500):
                    await writer.write(log)
            seen.extend(batch)
            if len(seen) == 2501:
                break
    assert seen == writer.written


async def test_a_subscription_beyond_the_end_tells_that_commits_are_lost(log, author):
    await author().write(log)
    with pytest.raises(LogDamaged, match=r"ends at .*1\b"):
        await collect(log, after=2, count=1)


async def test_a_closed_log_answers_nobody(log, author):
    await author().write(log)
    waiting = asyncio.create_task(collect(log, after=1, count=1))
    await asyncio.sleep(0)
    await log.close()
    with pytest.raises(LogUnavailable):
        await author("ses_B").write(log)
    for call in (log.last_sequence, lambda: log.get(1), lambda: session(log, "ses_A")):
        with pytest.raises(LogUnavailable):
            await call()
    with pytest.raises(LogUnavailable):
        await waiting


async def test_verification_of_a_sound_log_counts_what_it_found(log, author):
    a, b = author("ses_A"), author("ses_B")
    for _ in range(7):
        await a.write(log)
        await b.write(log)
    result = await verify(log)
    assert (result.good, result.commits, result.sessions) == (True, 14, 2)


async def test_media_nodes_have_commits_of_their_own(log, author):
    assert await log.nodes() == []
    same_name, node = author("media_1"), author("node:media_1")
    for writer in (same_name, node, same_name, author("node:media_2")):
        await writer.write(log)
    assert await session(log, "node:media_1") == node.written
    assert await session(log, "media_1") == same_name.written
    assert sorted(await log.nodes()) == ["node:media_1", "node:media_2"]
    stored = [message.subject async for batch in log.stored() for message in batch]
    assert stored[:2] == ["log.session.media_1", "log.node.media_1"]
    result = await verify(log)
    assert (result.good, result.commits, result.sessions) == (True, 4, 1)


@pytest.mark.parametrize("name", ["node:", "node:a.b", "node:*", "node:>", "node:node:a", "seat:a"])
async def test_what_is_no_media_node_cannot_be_written(log, author, name):
    with pytest.raises(CommitRefused):
        await author(name).write(log)
    assert await session(log, name) == []
    assert await log.nodes() == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 5}, "Version 5 .* follows version 3"),
        ({"version": 3}, "Version 3 .* follows version 3"),
        ({"previous": "0" * 64}, "after another version"),
        ({"previous": ""}, "after another version"),
        ({"time": 1}, "older"),
    ],
)
async def test_verification_names_the_first_commit_that_breaks_its_chain(
    log, author, change, message
):
    sound, broken = author("ses_A"), author("ses_B")
    for _ in range(3):
        await sound.write(log)
        await broken.write(log)
    forged = msgspec.structs.replace(broken.commit(), **change)
    recorded = await log.append(forged, expected=broken.sequence)
    await sound.write(log)
    result = await verify(log)
    assert not result.good
    assert (result.commits, result.sessions) == (6, 2)
    assert result.first_bad.sequence == recorded.sequence == 7
    assert result.first_bad.subject == "log.session.ses_B"
    assert re.search(message, result.first_bad.message)
