"""The log on NATS JetStream: one stream, one message a commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec
import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from services.conference.ids import AGGREGATE_ID

from .commit import ALL_NODES, Commit, Recorded, digest, encode, nodes_in, subject
from .connection import connect, request
from .direct import DirectReader
from .log import (
    MAX_COMMIT,
    CommitRefused,
    Conflict,
    LogDamaged,
    LogFull,
    LogMisconfigured,
    LogUnavailable,
    Stored,
    open_stored,
    seal,
)
from .pull import DIGEST_HEADER, TIMEOUT, PullReader, ReaderLost
from .stream import check_server, check_stream, check_sync, wanted

__all__ = ["JetStreamLog", "connect"]

STREAM = "TERTULIA_LOG"
READ_PATIENCE = 30.0  # seconds without a message until a read gives up
OWN = 1000  # commits kept until they come back with the stream
HEADERS = 4096  # bytes kept free for ours; a message over `max_payload` costs the connection

WRONG_LAST_SEQUENCE = 10071
STREAM_NOT_FOUND = 10059
NO_ROOM = (10023, 10047)

_logger = structlog.get_logger(__name__)


class JetStreamLog:
    """Made by `open`. Shares the client with others and leaves it open."""

    def __init__(self, client: Client, stream: str) -> None:
        self._client = client
        self._stream = stream
        self._direct = DirectReader(client, stream)
        self._own: dict[int, Recorded] = {}  # the last that this process appended, by sequence
        self._closed = False

    @classmethod
    async def open(cls, client: Client, *, stream: str = STREAM) -> JetStreamLog:
        """Make the stream if there is none, else check it. Raises `LogMisconfigured`.

        Only one stream of a server can hold the log's subjects; `stream` is its name.
        """
        log = cls(client, stream)
        await log._prepare()
        return log

    async def _prepare(self) -> None:
        version = self._client.connected_server_version
        check_server(
            (version.major, version.minor),
            jetstream=await self._has_jetstream(),
            max_payload=self._client.max_payload,
        )
        await self._check_sync()
        config = wanted(self._stream, "log")
        try:
            info = await self._api(f"STREAM.INFO.{self._stream}", {})
        except _ApiError as error:
            if error.code != STREAM_NOT_FOUND:
                raise
            try:
                info = await self._api(f"STREAM.CREATE.{self._stream}", config)
            except _ApiError as refused:
                raise LogMisconfigured(
                    f"The stream {self._stream} cannot be made: {refused}"
                ) from refused
        check_stream(info["config"], self._stream, "log")
        await self._direct.open()

    async def _has_jetstream(self) -> bool:
        try:
            await request(self._client, "$JS.API.INFO", wait_up_to=TIMEOUT)
        except NoRespondersError:
            return False
        except NatsError as error:
            raise LogUnavailable(f"The log cannot be reached: {error}") from error
        return True

    async def _check_sync(self) -> None:
        """Only a connection to the system account may ask; `NatsServer` reads its own back."""
        try:
            answer = await request(self._client, "$SYS.REQ.SERVER.PING.VARZ", wait_up_to=TIMEOUT)
        except NoRespondersError:
            _logger.debug("sync_interval of the broker cannot be read with this account")
            return
        except NatsError as error:
            raise LogUnavailable(f"The log cannot be reached: {error}") from error
        check_sync(msgspec.json.decode(answer.data).get("data", {}))

    async def append(self, commit: Commit, *, expected: int) -> Recorded:
        if not AGGREGATE_ID.fullmatch(commit.session_id):
            raise CommitRefused(f"{commit.session_id[:300]!r} is no session id.")
        try:
            payload = encode(commit)
        except (TypeError, ValueError, OverflowError) as error:
            raise CommitRefused(f"The commit cannot be encoded: {error}") from error
        limit = min(MAX_COMMIT, self._client.max_payload - HEADERS)
        sealed = seal(commit, payload, limit=limit)
        answer = await self._request(
            subject(commit.session_id),
            payload,
            headers={
                "Nats-Msg-Id": f"{commit.session_id}/{commit.id}",
                "Nats-Expected-Last-Subject-Sequence": str(expected),
                DIGEST_HEADER: sealed,
            },
        )
        if refusal := answer.get("error"):
            if refusal.get("err_code") == WRONG_LAST_SEQUENCE:
                raise Conflict(f"{commit.session_id} has another last commit than {expected}.")
            reason = f"The log refuses commits: {refusal.get('description')}."
            raise (LogFull if refusal.get("err_code") in NO_ROOM else LogUnavailable)(reason)
        if answer.get("stream") != self._stream:
            raise LogMisconfigured(f"Commits go to the stream {answer.get('stream')!r}.")
        sequence: int = answer["seq"]
        if answer.get("duplicate"):
            first = await self.get(sequence)
            if first is None or first.digest != sealed:
                raise Conflict(f"{commit.session_id} has a commit with id {commit.id}.")
        recorded = Recorded(sequence, commit, sealed)
        self._own[sequence] = recorded
        if len(self._own) > OWN:
            del self._own[next(iter(self._own))]
        return recorded

    async def read(
        self, session_id: str, *, after: int = 0, up_to: int | None = None
    ) -> AsyncGenerator[Recorded, None]:
        if not AGGREGATE_ID.fullmatch(session_id):
            return
        async with aclosing(self._direct.read(subject(session_id), after=after)) as batches:
            async for batch in batches:
                for message in batch:
                    if up_to is not None and message.sequence > up_to:
                        return
                    yield open_stored(message)

    async def read_all(
        self, *, after: int = 0, up_to: int | None = None
    ) -> AsyncGenerator[Recorded, None]:
        async with aclosing(self.stored(after=after, up_to=up_to)) as batches:
            async for batch in batches:
                for message in batch:
                    yield open_stored(message)

    async def stored(
        self, *, after: int = 0, up_to: int | None = None
    ) -> AsyncGenerator[list[Stored], None]:
        end = await self.last_sequence()
        if up_to is not None:
            end = min(end, up_to)
        loop = asyncio.get_running_loop()
        position, progress = after, loop.time()
        while position < end:
            reader = PullReader(self._client, self._stream, position + 1)
            try:
                await reader.open()
                while position < end:
                    batch = await reader.take()
                    if batch[-1].sequence > end:
                        batch = [message for message in batch if message.sequence <= end]
                    position = batch[-1].sequence
                    yield batch
                    progress = loop.time()
            except (ReaderLost, NatsError) as error:
                if loop.time() - progress > READ_PATIENCE or self._client.is_closed:
                    raise LogUnavailable(f"Reading the log was interrupted: {error}") from error
            finally:
                await reader.close()
            if position < end:
                await asyncio.sleep(0.2)

    async def subscribe(self, *, after: int) -> AsyncGenerator[list[Recorded], None]:
        position, mark = after, ""
        failures = 0
        while True:
            self._check_open()
            # From the last commit already seen: it must still be the same one.
            start = position if mark else position + 1
            reader = PullReader(self._client, self._stream, start)
            try:
                await self._check_end(position)
                await reader.open()
                while True:
                    batch = await reader.take(1.0)
                    self._check_open()
                    failures = 0
                    if not batch:
                        continue
                    if batch[0].sequence == position:
                        if open_stored(batch[0]).digest != mark:
                            raise LogDamaged(
                                f"The commit at sequence {position} is another than it was: "
                                "the log was replaced or cut, and went on."
                            )
                        del batch[0]
                        if not batch:
                            continue
                    opened = [self._opened(message) for message in batch]
                    position, mark = opened[-1].sequence, opened[-1].digest
                    yield opened
            except (ReaderLost, LogUnavailable, NatsError) as error:
                if self._closed or self._client.is_closed:
                    raise LogUnavailable("The log is closed.") from error
                failures += 1
                if failures == 1:
                    _logger.info("reading of the log interrupted", at=position, why=str(error))
            finally:
                await reader.close()
            await asyncio.sleep(min(0.1 * failures, 1.0))

    def _opened(self, message: Stored) -> Recorded:
        """As `open_stored`; what this process appended just now need not be decoded."""
        own = self._own.pop(message.sequence, None)
        if own is not None and own.digest == message.digest == digest(message.payload):
            return own
        return open_stored(message)

    async def _check_end(self, position: int) -> None:
        end = await self.last_sequence()
        if position > end:
            raise LogDamaged(
                f"The log ends at sequence {end}, but this reader has been at {position}: commits "
                "were lost, or this is another log. Restore it, or rebuild the reader from it."
            )

    async def last_sequence(self) -> int:
        try:
            info = await self._api(f"STREAM.INFO.{self._stream}", {})
        except _ApiError as error:
            if error.code == STREAM_NOT_FOUND:
                raise LogDamaged(f"The stream {self._stream} is gone: restore it.") from error
            raise
        last: int = info["state"]["last_seq"]
        return last

    async def get(self, sequence: int) -> Recorded | None:
        if sequence < 1:
            return None
        found = await self._direct.get(sequence)
        return None if found is None else open_stored(found)

    async def nodes(self) -> list[str]:
        info = await self._api(f"STREAM.INFO.{self._stream}", {"subjects_filter": ALL_NODES})
        return nodes_in(info["state"].get("subjects") or ())

    async def close(self) -> None:
        self._closed = True
        await self._direct.close()

    def _check_open(self) -> None:
        if self._closed:
            raise LogUnavailable("The log is closed.")

    async def _api(self, name: str, question: Any) -> dict[str, Any]:
        answer = await self._request(f"$JS.API.{name}", question)
        if error := answer.get("error"):
            raise _ApiError(error.get("err_code", 0), error.get("description", "unknown"))
        return answer

    async def _request(
        self, name: str, question: Any, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Refuses at once while there is no connection: nothing may be sent later than asked."""
        self._check_open()
        if not self._client.is_connected:
            raise LogUnavailable("The log is not connected.")
        payload = question if isinstance(question, bytes) else msgspec.json.encode(question)
        try:
            answer = await request(self._client, name, payload, wait_up_to=TIMEOUT, headers=headers)
            decoded: dict[str, Any] = msgspec.json.decode(answer.data)
        except NatsError as error:
            raise LogUnavailable(f"The log did not answer: {error}") from error
        except msgspec.DecodeError as error:
            raise LogUnavailable(f"The log answered what is no answer: {error}") from error
        return decoded


class _ApiError(LogUnavailable):
    def __init__(self, code: int, description: str) -> None:
        super().__init__(description)
        self.code = code
