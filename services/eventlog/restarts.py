"""Restarts of all services: asked for once, heard of by every process, however late.

The last one is a key in a bucket of the broker, beside the log. First it is *asked* for; when the
sessions are closed it *begins*, which is when the counter grows and every process has to end.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

import msgspec
import structlog
from msgspec.structs import replace
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import StorageType
from nats.js.errors import APIError

from .connection import request
from .log import LogUnavailable

BUCKET = "tertulia"
KEY = "restart"
TIMEOUT = 5.0  # seconds for an answer of the broker
PAUSE = 0.5  # seconds between two looks
ATTEMPTS = 8  # writes, when others are first

_STREAM = f"KV_{BUCKET}"
_SUBJECT = f"$KV.{BUCKET}.{KEY}"
_WRONG_REVISION = (10071, 10164)
_NOTHING_THERE = (10059, 10037)  # no bucket, no such key in it
_NAME_IN_USE = 10058

_logger = structlog.get_logger(__name__)


class Restart(msgspec.Struct, frozen=True):
    counter: int = 0  # restarts that have begun, ever
    time: int = 0  # UTC ms of the last of them; 0: none
    asked: bool = False  # another one is to begin as soon as the sessions are closed
    key: str | None = None  # the Idempotency-Key of the last that was asked for


class Found(NamedTuple):
    """What the broker has; `revision` 0 and `written` `None` if that is nothing yet."""

    restart: Restart
    revision: int = 0
    written: datetime | None = None  # by the broker's clock


class Superseded(Exception):
    """Somebody else wrote first; nothing was written."""


class _Message(msgspec.Struct):
    seq: int
    time: datetime
    data: str = ""


class _Error(msgspec.Struct):
    err_code: int = 0
    description: str = ""


class _Answer(msgspec.Struct):
    error: _Error | None = None
    message: _Message | None = None
    ts: datetime | None = None


class Restarts:
    """Shares the client with others. All methods but `wait` raise `LogUnavailable`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def read(self) -> Found:
        answer = await self._ask(
            f"$JS.API.STREAM.MSG.GET.{_STREAM}", msgspec.json.encode({"last_by_subj": _SUBJECT})
        )
        if answer.error is not None and answer.error.err_code in _NOTHING_THERE:
            return Found(Restart())
        if answer.error is not None or answer.message is None:
            raise LogUnavailable(f"The last restart cannot be read: {_reason(answer)}.")
        message = answer.message
        if not message.data:  # the mark of a key that was deleted
            return Found(Restart(), message.seq, message.time)
        try:
            restart = msgspec.json.decode(b64decode(message.data), type=Restart)
        except (msgspec.DecodeError, ValueError) as error:
            raise LogUnavailable(f"The last restart cannot be read: {error}.") from error
        return Found(restart, message.seq, message.time)

    async def ask(self, key: str | None = None) -> None:
        """Returns when it is durable that all services shall restart."""
        for _ in range(ATTEMPTS):
            found = await self.read()
            try:
                await self._write(found, replace(found.restart, asked=True, key=key))
            except Superseded:
                continue
            return
        raise LogUnavailable("Too many restarts are asked for at once.")

    async def begin(self, found: Found, time: int) -> None:
        """The restart that was asked for in `found` begins at `time` (UTC ms). Raises `Superseded`
        if another process was first, or one more restart was asked for."""
        begun = replace(found.restart, counter=found.restart.counter + 1, time=time, asked=False)
        await self._write(found, begun)

    async def wait(self, age: Callable[[], float]) -> None:
        """Until a restart begins, or at once if one did since this process has its settings.

        `age`: seconds since then. It is compared with the age of the restart by the broker's clock
        alone, as the clocks of machines differ. An absent broker is waited for.
        """
        known: int | None = None  # restarts that this process has behind it
        while True:
            try:
                if known is None:
                    known = await self._before(age)
                counter = (await self.read()).restart.counter
                if counter > known:
                    return
                known = counter
            except LogUnavailable as error:
                _logger.debug("no news of restarts", why=str(error))
            await asyncio.sleep(PAUSE)

    async def _before(self, age: Callable[[], float]) -> int:
        found = await self.read()
        if found.written is None or found.restart.asked:
            return found.restart.counter
        mine = age()
        now = (await self._ask(f"$JS.API.STREAM.INFO.{_STREAM}")).ts
        if now is None:
            raise LogUnavailable("The broker does not tell its time.")
        younger = (now - found.written).total_seconds() < mine
        return found.restart.counter - 1 if younger else found.restart.counter

    async def _write(self, found: Found, restart: Restart) -> None:
        if not found.revision:
            await self._make_bucket()
        answer = await self._ask(
            _SUBJECT,
            msgspec.json.encode(restart),
            {"Nats-Expected-Last-Subject-Sequence": str(found.revision)},
        )
        if answer.error is not None:
            if answer.error.err_code in _WRONG_REVISION:
                raise Superseded
            raise LogUnavailable(f"The restart cannot be written: {_reason(answer)}.")

    async def _make_bucket(self) -> None:
        try:
            await self._client.jetstream(timeout=TIMEOUT).create_key_value(
                bucket=BUCKET,
                description="What all processes of Tertulia must hear of, beside its log.",
                history=1,
                direct=True,
                storage=StorageType.FILE,
            )
        except APIError as error:
            if error.err_code != _NAME_IN_USE:  # made by the operator, who knows better
                raise LogUnavailable(f"The broker makes no bucket: {error.description}.") from error
        except NatsError as error:
            raise LogUnavailable(f"The broker makes no bucket: {error}.") from error

    async def _ask(
        self, subject: str, payload: bytes = b"", headers: dict[str, str] | None = None
    ) -> _Answer:
        """Refuses at once while there is no connection: nothing may be sent later than asked."""
        if not self._client.is_connected:
            raise LogUnavailable("The broker is not connected.")
        try:
            answer = await request(
                self._client, subject, payload, wait_up_to=TIMEOUT, headers=headers
            )
            return msgspec.json.decode(answer.data, type=_Answer)
        except NatsError as error:
            raise LogUnavailable(f"The broker did not answer: {error}.") from error
        except msgspec.DecodeError as error:
            raise LogUnavailable(f"The broker answered what is no answer: {error}.") from error


def _reason(answer: _Answer) -> str:
    return answer.error.description if answer.error else "no reason given"
