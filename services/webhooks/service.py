"""The webhooks process: two followers of the log, for the endpoint and for the CDR file.

Each has a cursor of its own that moves in one transaction with what it made of the log, so a kill
at any moment loses nothing. The CDR file holds each event exactly once. The endpoint gets each at
least once: a POST on its way when the process stops, or sent in the last moments before it was
killed, is made again at the next start, with the same `webhook-id`.

Where a follower begins (see docs/decisions/0011-webhook-delivery.md):
- the endpoint's cursor moves also while webhooks are off; what happens then is never sent,
- without a cursor: at the beginning of a log that is younger than a day, else at its end,
- the CDR file begins where the endpoint's cursor is; while it is off nothing is kept for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, aclosing
from functools import partial

import structlog

from services.eventlog.follower import follow
from services.eventlog.jetstream import JetStreamLog, connect
from services.eventlog.log import EventLog, LogDamaged
from services.process import raise_swallowed, until_restart
from services.settings import Settings, Webhook

from .cdr import CdrFile, finish
from .endpoint import Endpoint
from .outbox import Outbox
from .records import cdr_lines, end_of, outgoing
from .schedule import Schedule
from .sender import Sender, utc_ms
from .store import BEGINNING, Cursor, Store, exclusive

ENDPOINT = "configured"  # the id of the endpoint of OPENVIDU_WEBHOOK_ENDPOINT
CDR = "cdr"
YOUNG = 24 * 3600 * 1000  # ms
OFF_PAUSE = 0.5  # seconds between two moves of the cursor while webhooks are off
DISK_PAUSE = 1.0  # seconds until lines are written again that the disk refused

_logger = structlog.get_logger(__name__)


async def main(settings: Settings) -> int:
    """Runs until it is cancelled or restarted; stops within three seconds.

    Raises `StoreUnusable`, `CdrUnusable`, `LogError`: each says what to do.
    """
    folder = settings.storage.data_dir
    async with AsyncExitStack() as stack:
        stack.enter_context(exclusive(folder / "webhooks.lock"))
        store = await Store.open(folder / "webhooks.db")
        stack.push_async_callback(store.close)
        client = await connect(
            settings.storage.nats_url, token=settings.storage.nats_token, name="webhooks"
        )
        stack.push_async_callback(client.close)
        log = await JetStreamLog.open(client)
        stack.push_async_callback(log.close)
        return await until_restart(client, serve(settings, store, log))


async def serve(
    settings: Settings, store: Store, log: EventLog, *, schedule: Schedule | None = None
) -> None:
    """All of the process but its lock and its connections. Runs until it is cancelled."""
    position = await _start(store, log, ENDPOINT)
    async with AsyncExitStack() as stack:
        if settings.cdr.enabled:
            file = CdrFile(settings.cdr.path)
            stack.callback(file.close)
            cdr_position = await _start(store, log, CDR)
            file.open(await store.cdr_place())
            await store.keep_cdr(CDR, file.place, cdr_position)
        else:
            if (place := await store.cdr_place()) is not None:
                finish(place)
            await store.forget_cdr(CDR)
        raise_swallowed()
        group = await stack.enter_async_context(asyncio.TaskGroup())
        if settings.cdr.enabled:
            group.create_task(_write_cdr(log, store, file, cdr_position))
        if settings.webhook.enabled:
            group.create_task(_deliver(settings.webhook, log, store, position, schedule))
        else:
            group.create_task(_pass_over(log, store, position))


async def _start(store: Store, log: EventLog, follower: str) -> Cursor:
    """Where a follower goes on, or begins. Raises `LogDamaged` if this is not the log it knows."""
    cursor = await store.cursor(follower)
    if cursor is None and follower != ENDPOINT:
        cursor = await store.cursor(ENDPOINT)
    if cursor is None:
        cursor = await _first_position(log)
    elif cursor.sequence:
        known = await log.get(cursor.sequence)
        if known is None or known.digest != cursor.digest:
            raise LogDamaged(
                f"The log has not the commit at sequence {cursor.sequence} that webhooks were sent "
                "of: it was replaced, or restored from an older copy. Restore it, or move "
                "webhooks.db away to begin anew."
            )
    await store.keep_cursor(follower, cursor)
    return cursor


async def _first_position(log: EventLog) -> Cursor:
    """Nothing that happened while this installation started for the first time may be missed; but
    nobody wants all the history of an old one."""
    end = await log.last_sequence()
    if not end:
        return BEGINNING
    first = await log.get(1)
    if first is not None and utc_ms() - first.commit.time < YOUNG:
        return BEGINNING
    last = await log.get(end)
    if last is None:
        raise LogDamaged(f"The log's last commit, at sequence {end}, is not in it.")
    _logger.warning("no position is known in an old log, beginning at its end", sequence=end)
    return Cursor(end, last.digest)


async def _deliver(
    webhook: Webhook, log: EventLog, store: Store, position: Cursor, schedule: Schedule | None
) -> None:
    outbox = Outbox(store, ENDPOINT)
    async with Endpoint(webhook.endpoint, webhook.headers) as endpoint:
        if await outbox.open(endpoint.fingerprint, utc_ms()):
            _logger.info("the webhook endpoint or its headers changed, nothing waits longer")
        waiting, dead = await outbox.totals()
        _logger.info(
            "sending webhooks",
            endpoint=endpoint.name,
            after=position.sequence,
            waiting=waiting,
            dead_letters=dead,
        )
        sender = Sender(outbox, endpoint, schedule=schedule)
        async with asyncio.TaskGroup() as group:
            group.create_task(sender.run())
            async with aclosing(follow(log, after=position.sequence)) as batches:
                async for steps in batches:
                    events = outgoing(steps, webhook.events)
                    await outbox.enqueue(events, end_of(steps), utc_ms())
                    if events:
                        sender.wake()


async def _pass_over(log: EventLog, store: Store, position: Cursor) -> None:
    async with aclosing(log.subscribe(after=position.sequence)) as batches:
        async for batch in batches:
            await store.keep_cursor(ENDPOINT, Cursor(batch[-1].sequence, batch[-1].digest))
            await asyncio.sleep(OFF_PAUSE)


async def _write_cdr(log: EventLog, store: Store, file: CdrFile, position: Cursor) -> None:
    # One thread: it has finished with the file before somebody else closes it.
    with ThreadPoolExecutor(1, "cdr") as disk:
        async with aclosing(follow(log, after=position.sequence)) as batches:
            async for steps in batches:
                if lines := cdr_lines(steps):
                    if file.day_is_over:
                        await _patiently(disk, file.rotate)
                        await store.keep_cdr(CDR, file.place, position)
                    await _patiently(disk, partial(file.append, lines))
                position = end_of(steps)
                await store.keep_cdr(CDR, file.place, position)


async def _patiently(disk: Executor, write: Callable[[], None]) -> None:
    """Again and again while the disk refuses: a line left out would be lost for good."""
    refused = False
    while True:
        try:
            await asyncio.get_running_loop().run_in_executor(disk, write)
        except OSError as error:
            if not refused:
                _logger.error("cannot write CDR, waiting", why=error.strerror)
            refused = True
            await asyncio.sleep(DISK_PAUSE)
        else:
            if refused:
                _logger.info("can write CDR again")
            return
