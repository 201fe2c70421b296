"""How processes hear of restarts, on a real nats-server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from nats.aio.client import Client

from services.eventlog.connection import connect
from services.eventlog.jetstream import STREAM
from services.eventlog.log import LogUnavailable
from services.eventlog.restarts import BUCKET, KEY, PAUSE, Found, Restart, Restarts, Superseded
from services.eventlog.server import NatsServer


@pytest.fixture
def restarts(nats_client: Client) -> Restarts:
    return Restarts(nats_client)


async def restart(restarts: Restarts, key: str | None = None) -> Found:
    """Asked for and begun."""
    await restarts.ask(key)
    await restarts.begin(await restarts.read(), 1000)
    return await restarts.read()


def born(seconds_ago: float = 0.0) -> Callable[[], float]:
    birth = time.monotonic() - seconds_ago
    return lambda: time.monotonic() - birth


@asynccontextmanager
async def waiting(
    restarts: Restarts, age: Callable[[], float]
) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(restarts.wait(age))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def has_looked(client: Client) -> None:
    """A process that waits has seen what there is."""
    before = client.stats["in_msgs"]
    async with asyncio.timeout(20):
        while client.stats["in_msgs"] < before + 4:  # noqa: ASYNC110 - it has no event for that
            await asyncio.sleep(PAUSE / 10)


async def test_there_is_nothing_before_the_first(restarts: Restarts) -> None:
    assert await restarts.read() == Found(Restart())


async def test_one_is_asked_for_and_then_begins(restarts: Restarts) -> None:
    await restarts.ask("a key")
    asked = await restarts.read()
    assert asked.restart == Restart(counter=0, time=0, asked=True, key="a key")
    await restarts.begin(asked, 1000)
    assert (await restarts.read()).restart == Restart(1, 1000, asked=False, key="a key")
    assert (await restart(restarts)).restart == Restart(2, 1000, asked=False, key=None)


async def test_it_begins_once_however_many_try(restarts: Restarts) -> None:
    await restarts.ask()
    found = await restarts.read()
    await restarts.begin(found, 1000)
    with pytest.raises(Superseded):
        await restarts.begin(found, 2000)
    assert (await restarts.read()).restart == Restart(counter=1, time=1000)


async def test_one_more_that_is_asked_for_meanwhile_is_not_lost(restarts: Restarts) -> None:
    await restarts.ask("first")
    found = await restarts.read()
    await restarts.ask("second")
    with pytest.raises(Superseded):
        await restarts.begin(found, 1000)
    assert (await restarts.read()).restart.key == "second"


async def test_all_that_ask_at_once_are_heard(restarts: Restarts, nats_client: Client) -> None:
    await asyncio.gather(*(Restarts(nats_client).ask(str(number)) for number in range(4)))
    assert (await restarts.read()).restart.asked


async def test_who_waits_hears_of_it_when_it_begins(
    restarts: Restarts, nats_client: Client
) -> None:
    async with waiting(restarts, born()) as task:
        await has_looked(nats_client)
        await restarts.ask()
        await has_looked(nats_client)
        assert not task.done()
        await restarts.begin(await restarts.read(), 1000)
        await asyncio.wait_for(task, 20)


async def test_an_old_one_is_none_of_a_new_process_s_business(
    restarts: Restarts, nats_client: Client
) -> None:
    await restart(restarts)
    async with waiting(restarts, born()) as task:
        await has_looked(nats_client)
        assert not task.done()
        await restart(restarts)
        await asyncio.wait_for(task, 20)


async def test_one_that_began_before_the_first_look_is_heard_of(restarts: Restarts) -> None:
    await restart(restarts)
    await asyncio.wait_for(restarts.wait(born(seconds_ago=3600)), 20)


async def test_an_absent_broker_is_waited_for(
    nats: NatsServer, nats_client: Client, nats_token: str
) -> None:
    restarts = Restarts(nats_client)
    async with waiting(restarts, born()) as task:
        await has_looked(nats_client)
        await nats.stop()
        with pytest.raises(LogUnavailable):
            await restarts.read()
        with pytest.raises(LogUnavailable):
            await restarts.ask()
        await nats.start()
        other = await connect(nats.url, token=nats_token, name="other")
        try:
            await restart(Restarts(other))
            await asyncio.wait_for(task, 30)
        finally:
            await other.close()


async def test_it_survives_a_broker_that_is_killed(nats: NatsServer, nats_token: str) -> None:
    client = await connect(nats.url, token=nats_token, name="first")
    try:
        await Restarts(client).ask("a key")
    finally:
        await client.close()
    assert nats.process is not None
    nats.process.kill()
    await nats.process.wait()
    await nats.start()
    client = await connect(nats.url, token=nats_token, name="second")
    try:
        assert (await Restarts(client).read()).restart == Restart(asked=True, key="a key")
    finally:
        await client.close()


async def test_a_bucket_that_starts_anew_is_no_restart(
    restarts: Restarts, nats_client: Client
) -> None:
    await restart(restarts)
    await restart(restarts)
    async with waiting(restarts, born()) as task:
        await has_looked(nats_client)
        await nats_client.jetstream().delete_key_value(BUCKET)
        await has_looked(nats_client)
        assert not task.done()
        await restart(restarts)
        await asyncio.wait_for(task, 20)


async def test_it_is_a_key_of_a_usual_bucket_on_disk(
    restarts: Restarts, nats_client: Client
) -> None:
    await restart(restarts, "a key")
    bucket = await nats_client.jetstream().key_value(BUCKET)
    entry = await bucket.get(KEY)
    assert entry.value == b'{"counter":1,"time":1000,"asked":false,"key":"a key"}'
    info = await nats_client.jetstream().stream_info(f"KV_{BUCKET}")
    assert info.config.storage == "file"


async def test_a_deleted_key_is_none(restarts: Restarts, nats_client: Client) -> None:
    await restart(restarts)
    await (await nats_client.jetstream().key_value(BUCKET)).delete(KEY)
    assert (await restarts.read()).restart == Restart()
    assert (await restart(restarts)).restart.counter == 1


@pytest.mark.parametrize("value", [b"{", b"[]", b'{"counter": "1"}', b"\xff"])
async def test_a_value_of_somebody_else_is_an_error_and_harms_nobody(
    restarts: Restarts, nats_client: Client, value: bytes
) -> None:
    bucket = await nats_client.jetstream().create_key_value(bucket=BUCKET, history=1)
    await bucket.put(KEY, value)
    with pytest.raises(LogUnavailable, match="cannot be read"):
        await restarts.read()
    async with waiting(restarts, born(seconds_ago=3600)) as task:
        await has_looked(nats_client)
        assert not task.done()


@pytest.mark.usefixtures("event_log")
async def test_the_log_is_left_alone(restarts: Restarts, nats_client: Client) -> None:
    await restart(restarts)
    info = await nats_client.jetstream().stream_info(STREAM)
    assert info.config.subjects == ["log.>"]
    assert info.state.messages == 0
