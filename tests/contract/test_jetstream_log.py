"""What only the real thing can show: crashes, tampering, broken connections."""

from __future__ import annotations

import asyncio
import signal
from contextlib import aclosing, suppress

import msgspec
import pytest

from services.eventlog.commit import digest, encode, subject
from services.eventlog.jetstream import STREAM, JetStreamLog, connect
from services.eventlog.log import (
    Conflict,
    LogDamaged,
    LogFull,
    LogUnavailable,
)
from services.eventlog.pull import DIGEST_HEADER
from services.eventlog.server import NatsServer
from services.eventlog.stream import wanted
from services.eventlog.verify import verify
from tests.contract.broker_api import api

PATIENCE = 60  # seconds until a test that waits has failed


async def forge(client, session_id, payload, header=None):
    """Publish to the log past all checks, as somebody with the token could."""
    headers = {DIGEST_HEADER: digest(payload) if header is None else header}
    answer = await client.request(subject(session_id), payload, timeout=5, headers=headers)
    return msgspec.json.decode(answer.data)["seq"]


async def kill(server: NatsServer) -> None:
    server.process.kill()
    await server.process.wait()


async def until(condition) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def drain(reading) -> None:
    async with asyncio.timeout(PATIENCE), aclosing(reading):
        async for _ in reading:
            pass


async def fill(log, writer) -> None:
    for _ in range(1000):
        await writer.write(log, "x" * 5000)


async def test_a_killed_server_loses_no_confirmed_commit_and_readers_go_on(
    nats, nats_client, event_log, author
):
    confirmed = {}
    seen = []
    stop = asyncio.Event()

    async def write(session_id: str) -> None:
        writer = author(session_id)
        while not stop.is_set():
            try:
                recorded = await writer.write(event_log, "x" * 200)
            except (LogUnavailable, Conflict):
                # Stored without an answer, perhaps: only the log knows.
                with suppress(LogUnavailable):
                    async for recorded in event_log.read(session_id, after=writer.sequence):
                        writer.wrote(recorded)
                await asyncio.sleep(0.01)
            else:
                confirmed[recorded.sequence] = recorded

    async def follow() -> None:
        async with aclosing(event_log.subscribe(after=0)) as batches:
            async for batch in batches:
                seen.extend(batch)

    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        reader = group.create_task(follow())
        writers = [group.create_task(write(f"ses_{number}")) for number in range(8)]
        for _ in range(2):
            reached = len(confirmed) + 100
            await until(lambda goal=reached: len(confirmed) >= goal)
            await kill(nats)
            await nats.start()
        reached = len(confirmed) + 100
        await until(lambda goal=reached: len(confirmed) >= goal)
        stop.set()
        await asyncio.wait(writers)
        end = await event_log.last_sequence()
        await until(lambda: len(seen) >= end)
        reader.cancel()

    assert [recorded.sequence for recorded in seen] == list(range(1, end + 1))
    held = {recorded.sequence: recorded async for recorded in event_log.read_all()}
    assert {sequence: held.get(sequence) for sequence in confirmed} == confirmed
    assert list(held.values()) == seen
    assert (await verify(event_log)).good


async def test_reading_goes_on_where_the_server_was_killed(nats, event_log, author):
    writer = author()
    for _ in range(2500):
        await writer.write(event_log)
    seen = []
    async with asyncio.timeout(PATIENCE), aclosing(event_log.read_all()) as commits:
        async for recorded in commits:
            seen.append(recorded)
            if len(seen) == 100:
                await kill(nats)
                await nats.start()
    assert seen == writer.written


async def test_without_a_server_every_call_ends_soon(nats, nats_client, event_log, author):
    writer = author()
    await writer.write(event_log)
    await nats.stop()
    await until(lambda: not nats_client.is_connected)
    async with asyncio.timeout(PATIENCE):
        for call in (
            lambda: writer.write(event_log),
            lambda: event_log.get(1),
            event_log.last_sequence,
            lambda: anext(event_log.read("ses_A")),
            lambda: anext(event_log.read_all()),
        ):
            with pytest.raises(LogUnavailable):
                await call()
    await nats.start()
    await until(lambda: nats_client.is_connected)
    await writer.write(event_log)
    assert [recorded async for recorded in event_log.read_all()] == writer.written


async def test_a_server_that_hangs_is_reported_and_forgiven(nats, event_log, author, monkeypatch):
    """Stopped, not dead: the connection stays open and nothing answers."""
    monkeypatch.setattr("services.eventlog.jetstream.TIMEOUT", 0.3)
    writer = author()
    await writer.write(event_log)
    commit = writer.commit()
    nats.process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(LogUnavailable):
            await event_log.append(commit, expected=writer.sequence)
    finally:
        nats.process.send_signal(signal.SIGCONT)
    async with asyncio.timeout(PATIENCE), aclosing(event_log.subscribe(after=1)) as batches:
        (late,) = await anext(batches)
    assert late.commit == commit
    with pytest.raises(Conflict):
        await event_log.append(commit, expected=writer.sequence)


async def test_a_cancelled_task_can_still_write_while_it_cleans_up(event_log, author):
    writer = author()
    waiting = asyncio.Event()

    async def work() -> None:
        try:
            waiting.set()
            await asyncio.Event().wait()
        finally:
            await writer.write(event_log, "last words")
            await writer.write(event_log, "very last words")

    task = asyncio.create_task(work())
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [recorded async for recorded in event_log.read_all()] == writer.written
    assert len(writer.written) == 2


async def test_a_cancellation_in_the_moment_of_the_answer_is_not_lost(
    event_log, author, nats_client
):
    """The answer has arrived, the task has not run yet."""
    asked = asyncio.Event()
    task = asyncio.create_task(author().write(event_log))
    answer = nats_client._request_sub_callback

    async def cancel_with_the_answer(message):
        await answer(message)
        task.cancel()
        asked.set()

    for subscription in nats_client._subs.values():
        if subscription._cb == answer:
            subscription._cb = cancel_with_the_answer
    async with asyncio.timeout(PATIENCE):
        await asked.wait()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_subscription_notices_that_the_log_was_replaced(
    nats, nats_client, event_log, author
):
    """Cut at its end and written on: the sequences fit, the commits do not."""
    writer = author()
    for _ in range(5):
        await writer.write(event_log)
    async with asyncio.timeout(PATIENCE), aclosing(event_log.subscribe(after=0)) as batches:
        seen = 0
        while seen < 5:
            seen += len(await anext(batches))
        await api(nats_client, f"STREAM.DELETE.{STREAM}", {})
        other = await JetStreamLog.open(nats_client)
        new = author("ses_B")
        for _ in range(6):
            await new.write(other)
        with pytest.raises(LogDamaged, match="another than it was"):
            await anext(batches)
        await other.close()


async def test_a_subscription_notices_that_the_end_was_lost(nats_client, event_log, author):
    writer = author()
    for _ in range(5):
        await writer.write(event_log)
    async with asyncio.timeout(PATIENCE), aclosing(event_log.subscribe(after=0)) as batches:
        seen = 0
        while seen < 5:
            seen += len(await anext(batches))
        await api(nats_client, f"STREAM.DELETE.{STREAM}", {})
        other = await JetStreamLog.open(nats_client)
        with pytest.raises(LogDamaged, match="ends at sequence 0"):
            await anext(batches)
        await other.close()


async def test_a_stream_that_is_gone_ends_the_subscription(nats_client, event_log, author):
    await author().write(event_log)
    async with asyncio.timeout(PATIENCE), aclosing(event_log.subscribe(after=0)) as batches:
        await anext(batches)
        await api(nats_client, f"STREAM.DELETE.{STREAM}", {})
        with pytest.raises(LogDamaged, match="is gone"):
            await anext(batches)


async def test_a_deleted_commit_stops_readers_and_verification_names_it(nats_client, author):
    """A stream somebody made deletable, and deleted from."""
    unsafe = wanted(STREAM, "log") | {"deny_delete": False}
    await api(nats_client, f"STREAM.CREATE.{STREAM}", unsafe)
    log = JetStreamLog(nats_client, STREAM)
    writer = author()
    for _ in range(5):
        await writer.write(log)
    await api(nats_client, f"STREAM.MSG.DELETE.{STREAM}", {"seq": 3})
    result = await verify(log)
    assert (result.commits, result.first_bad.sequence) == (2, 3)
    assert "missing" in result.first_bad.message or "lacks" in result.first_bad.message
    with pytest.raises(LogDamaged, match="from 3 to 3"):
        await drain(log.read_all())
    with pytest.raises(LogDamaged, match="from 3 to 3"):
        await drain(log.subscribe(after=0))


async def test_verification_names_a_forged_commit(nats_client, event_log, author):
    writer = author()
    for _ in range(3):
        await writer.write(event_log)
    good = encode(writer.commit("good"))
    await forge(nats_client, "ses_A", good.replace(b"good", b"evil"), digest(good))
    await author("ses_B").write(event_log)
    result = await verify(event_log)
    assert (result.commits, result.first_bad.sequence) == (3, 4)
    assert "not the one that was written" in result.first_bad.message
    assert result.first_bad.subject == "log.session.ses_A"
    with pytest.raises(LogDamaged, match="sequence 4 "):
        await event_log.get(4)


async def test_verification_names_the_successor_of_a_commit_whose_header_was_forged_too(
    nats_client, event_log, author
):
    """Whoever changes bytes and digest alike cannot change what the next commit remembers."""
    writer = author()
    await writer.write(event_log)
    honest = writer.commit("good")
    await forge(nats_client, "ses_A", encode(honest).replace(b"good", b"evil"))
    writer.version, writer.previous = 2, digest(encode(honest))
    await forge(nats_client, "ses_A", encode(writer.commit("next")))
    result = await verify(event_log)
    assert (result.commits, result.first_bad.sequence) == (2, 3)
    assert "after another version 2" in result.first_bad.message


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ((b"{}",), "no commit this version can read"),
        ((b"\xff\xfe",), "no commit this version can read"),
        ((b"",), "no commit this version can read"),
        ((b"[" * 100_000,), "no commit this version can read"),
        ((b"{}", ""), "its header says nothing"),
        ((b"{}", "0" * 64), "not the one that was written"),
    ],
)
async def test_a_foreign_message_is_named_and_no_reader_passes_it(
    nats_client, event_log, author, message, named
):
    writer = author()
    await writer.write(event_log)
    await forge(nats_client, "ses_X", *message)
    await writer.write(event_log)
    result = await verify(event_log)
    assert (result.commits, result.first_bad.sequence) == (1, 2)
    assert named in result.first_bad.message
    for reading in (event_log.read_all(), event_log.read("ses_X")):
        with pytest.raises(LogDamaged, match="sequence 2 "):
            await drain(reading)
    with pytest.raises(LogDamaged, match="sequence 2 "):
        await drain(event_log.subscribe(after=0))
    assert [recorded async for recorded in event_log.read("ses_A")] == writer.written


async def test_a_commit_under_another_session_is_named(nats_client, event_log, author):
    await forge(nats_client, "ses_B", encode(author("ses_A").commit()))
    assert "stored under log.session.ses_B" in (await verify(event_log)).first_bad.message


async def test_a_full_store_refuses_commits_and_keeps_the_log(tmp_path, author):
    class Small(NatsServer):
        def _room(self) -> int:
            return 100_000

    server = Small(tmp_path / "small")
    await server.start()
    client = await connect(server.url, name="test")
    try:
        log = await JetStreamLog.open(client)
        writer = author()
        with pytest.raises(LogFull):
            await fill(log, writer)
        assert writer.written
        with pytest.raises(LogFull):
            await author("ses_B").write(log)
        assert [recorded async for recorded in log.read_all()] == writer.written
        assert (await verify(log)).good
    finally:
        await client.close()
        await server.stop()


async def test_a_wrong_token_is_told_without_waiting(nats):
    with pytest.raises(LogUnavailable, match="Authorization Violation") as caught:
        await connect(nats.url, token="wrong-secret", name="test", wait_up_to=10 * PATIENCE)
    assert "wrong-secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        ",",
        "nats://",
        "nats://host:port",
        "nats://host:99999",
        "http://host",
        "::",
        "nats://[::1",
    ],
)
async def test_a_url_that_is_none_is_refused_at_once(url):
    with pytest.raises(LogUnavailable, match="nats://host:4222"):
        await connect(url, name="test")


async def test_nobody_listening_is_told_within_the_time_given(unused_tcp_port):
    url = f"nats://somebody:hidden@127.0.0.1:{unused_tcp_port}"
    with pytest.raises(LogUnavailable, match=str(unused_tcp_port)) as caught:
        await connect(url, name="test", wait_up_to=1)
    assert "hidden" not in str(caught.value)


async def test_a_closed_connection_ends_the_subscription(nats_client, event_log, author):
    await author().write(event_log)
    async with asyncio.timeout(PATIENCE), aclosing(event_log.subscribe(after=0)) as batches:
        await anext(batches)
        await nats_client.close()
        with pytest.raises(LogUnavailable):
            await anext(batches)
