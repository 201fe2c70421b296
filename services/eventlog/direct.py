"""Reading one subject of the stream without a consumer: the broker's direct get, in batches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from .log import LogUnavailable, Stored
from .pull import DIGEST_HEADER, POLL, TIMEOUT

BATCH = 500  # messages of one answer
BATCH_BYTES = 16 * 1024 * 1024


class _Answer:
    """The messages of one request, until the broker says that these are all (for a batch)."""

    def __init__(self, single: bool) -> None:
        self.single = single
        self.messages: list[Stored] = []
        self.done: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def add(self, message: Msg) -> None:
        headers: dict[str, str] = message.headers or {}
        status = headers.get("Status")
        if self.done.done():
            return
        if status is None:
            self.messages.append(
                Stored(
                    int(headers["Nats-Sequence"]),
                    headers["Nats-Subject"],
                    headers.get(DIGEST_HEADER, ""),
                    message.data,
                )
            )
            if self.single:
                self.done.set_result(0)
        elif status == "204":
            self.done.set_result(int(headers.get("Nats-Num-Pending", "0")))
        elif status == "404":
            self.done.set_result(0)
        else:
            description = headers.get("Description", "no answer")
            self.done.set_exception(LogUnavailable(f"The log answers {status} {description}."))


class DirectReader:
    """All answers come to one inbox, so a read costs one round trip for each batch."""

    def __init__(self, client: Client, stream: str) -> None:
        self._client = client
        self._subject = f"$JS.API.DIRECT.GET.{stream}"
        self._inbox = client.new_inbox()
        self._subscription: Subscription | None = None
        self._answers: dict[str, _Answer] = {}
        self._number = 0

    async def open(self) -> None:
        self._subscription = await self._client.subscribe(
            f"{self._inbox}.*",
            cb=self._on_message,
            pending_bytes_limit=16 * BATCH_BYTES,
        )

    async def close(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None and not self._client.is_closed:
            await subscription.unsubscribe()

    async def get(self, sequence: int) -> Stored | None:
        found, _ = await self._ask({"seq": sequence}, single=True)
        return found[0] if found else None

    async def read(self, subject: str, *, after: int) -> AsyncGenerator[list[Stored], None]:
        """The subject's messages with `sequence > after`, in batches."""
        while True:
            found, pending = await self._ask(
                {
                    "seq": after + 1,
                    "next_by_subj": subject,
                    "batch": BATCH,
                    "max_bytes": BATCH_BYTES,
                }
            )
            if not found:
                return
            after = found[-1].sequence
            yield found
            if not pending:
                return

    async def _ask(
        self, request: dict[str, Any], *, single: bool = False
    ) -> tuple[list[Stored], int]:
        self._number += 1
        inbox = f"{self._inbox}.{self._number}"
        answer = self._answers[inbox] = _Answer(single)
        try:
            async with asyncio.timeout(TIMEOUT):
                if self._subscription is None:
                    raise LogUnavailable("The log is closed.")
                if not self._client.is_connected:
                    raise LogUnavailable("The log is not connected.")
                await self._client.publish(self._subject, msgspec.json.encode(request), reply=inbox)
                pending = await self._wait(answer)
        except TimeoutError:
            raise LogUnavailable("The log did not answer in time.") from None
        except NatsError as error:
            raise LogUnavailable(f"The log cannot be read: {error}") from error
        finally:
            del self._answers[inbox]
        return answer.messages, pending

    async def _wait(self, answer: _Answer) -> int:
        """Answers to what was asked on a lost connection never come."""
        reconnects = self._client.stats["reconnects"]
        while True:
            done, _ = await asyncio.wait((answer.done,), timeout=POLL)
            if done:
                return answer.done.result()
            if not self._client.is_connected or self._client.stats["reconnects"] != reconnects:
                raise LogUnavailable("The connection to the log was lost.")

    async def _on_message(self, message: Msg) -> None:
        if answer := self._answers.get(message.subject):
            answer.add(message)
