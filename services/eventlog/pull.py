"""Reading the stream in order: one short-lived consumer that is asked for batches.

The broker sends no more than was asked for, so a slow reader holds a bounded buffer and nothing
is dropped. Whatever goes wrong on the way (connection, broker, consumer, a lost request) ends in
`ReaderLost`: the caller opens a new reader where the old one stopped.
"""

from __future__ import annotations

import asyncio
from uuid import uuid4

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from .connection import request
from .log import LogDamaged, Stored

TIMEOUT = 5.0  # seconds for one answer of the broker
BATCH = 1000  # messages of one request
BATCH_BYTES = 16 * 1024 * 1024  # at least the largest message
EXPIRES = 60.0  # seconds a request waits for messages
HEARTBEAT = 2.0  # seconds between signs of life while there are none
SILENCE = 3 * HEARTBEAT  # seconds without any: the reader is lost
POLL = 0.25  # seconds between looks at the connection
INACTIVE = 60.0  # seconds until the broker forgets a consumer nobody asks

_ENDS = ("Batch Completed", "Message Size Exceeds")  # of a request, not of the consumer

DIGEST_HEADER = "Tertulia-Digest"


class ReaderLost(Exception):
    """Open a new one."""


class PullReader:
    """Every message of a stream from `start` on. `take` gives what has arrived, oldest first."""

    def __init__(self, client: Client, stream: str, start: int) -> None:
        self._client = client
        self._stream = stream
        self._next = start
        self._delivered = 0  # by this consumer
        self._outstanding = 0  # messages asked for and not yet seen
        self._arrived: list[Msg] = []
        self._wake = asyncio.Event()
        self._active = 0.0
        self._reconnects = 0
        self._name = uuid4().hex
        self._inbox = client.new_inbox()
        self._subscription: Subscription | None = None

    async def open(self) -> None:
        self._reconnects = self._client.stats["reconnects"]
        self._subscription = await self._client.subscribe(
            self._inbox,
            cb=self._on_message,
            pending_msgs_limit=4 * BATCH,
            pending_bytes_limit=4 * BATCH_BYTES,
        )
        consumer = {
            "stream_name": self._stream,
            "action": "create",
            "config": {
                "name": self._name,
                "deliver_policy": "by_start_sequence",
                "opt_start_seq": self._next,
                "ack_policy": "none",
                "replay_policy": "instant",
                "inactive_threshold": _nanoseconds(INACTIVE),
                "mem_storage": True,
                "num_replicas": 1,
            },
        }
        answer = await request(
            self._client,
            f"$JS.API.CONSUMER.CREATE.{self._stream}.{self._name}",
            msgspec.json.encode(consumer),
            wait_up_to=TIMEOUT,
        )
        if error := msgspec.json.decode(answer.data).get("error"):
            raise ReaderLost(f"no consumer: {error.get('description')}")
        self._alive()
        await self._ask()

    async def take(self, wait_up_to: float | None = None) -> list[Stored]:
        """What has arrived, at least one message, or nothing after `wait_up_to` seconds."""
        loop = asyncio.get_running_loop()
        deadline = None if wait_up_to is None else loop.time() + wait_up_to
        while True:
            if self._arrived:
                arrived, self._arrived = self._arrived, []
                if messages := self._sort(arrived):
                    if self._outstanding <= 0:
                        await self._ask()
                    return messages
                if self._outstanding <= 0:
                    await self._ask()
            self._check_life(loop.time())
            if deadline is not None and loop.time() >= deadline:
                return []
            self._wake.clear()
            try:
                async with asyncio.timeout(POLL):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def close(self) -> None:
        """Best effort: the broker forgets an idle consumer by itself."""
        try:
            if self._subscription is not None:
                await self._subscription.unsubscribe()
            if self._client.is_connected:
                await self._client.publish(f"$JS.API.CONSUMER.DELETE.{self._stream}.{self._name}")
        except NatsError:
            pass

    async def _ask(self) -> None:
        wish = {
            "batch": BATCH,
            "max_bytes": BATCH_BYTES,
            "expires": _nanoseconds(EXPIRES),
            "idle_heartbeat": _nanoseconds(HEARTBEAT),
        }
        self._outstanding = BATCH
        await self._client.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._name}",
            msgspec.json.encode(wish),
            reply=self._inbox,
        )

    async def _on_message(self, message: Msg) -> None:
        self._arrived.append(message)
        if not self._wake.is_set():
            self._wake.set()

    def _sort(self, arrived: list[Msg]) -> list[Stored]:
        self._alive()
        messages: list[Stored] = []
        for index, message in enumerate(arrived):
            headers: dict[str, str] = message.headers or {}
            if not message.reply:
                self._on_status(headers)
                continue
            sequence, delivery = _position(message.reply)
            if delivery != self._delivered + 1:
                raise ReaderLost("a delivery was lost")
            if sequence != self._next:
                if messages:  # first what is good
                    self._arrived[:0] = arrived[index:]
                    return messages
                raise LogDamaged(f"The log lacks the commits from {self._next} to {sequence - 1}.")
            self._delivered = delivery
            self._next += 1
            self._outstanding -= 1
            messages.append(
                Stored(sequence, message.subject, headers.get(DIGEST_HEADER, ""), message.data)
            )
        return messages

    def _on_status(self, headers: dict[str, str]) -> None:
        status = headers.get("Status", "")
        description = headers.get("Description", "")
        if status == "100":
            return
        if status == "408" or description.startswith(_ENDS):
            self._outstanding -= int(headers.get("Nats-Pending-Messages", 0))
            return
        raise ReaderLost(f"{status} {description}".strip())

    def _alive(self) -> None:
        self._active = asyncio.get_running_loop().time()

    def _check_life(self, now: float) -> None:
        if self._client.is_closed:
            raise ReaderLost("the connection is closed")
        if self._client.stats["reconnects"] != self._reconnects:
            raise ReaderLost("the connection was lost")
        if now - self._active > SILENCE:
            raise ReaderLost("no sign of life")


def _position(reply: str) -> tuple[int, int]:
    """Sequence in the stream and number of the delivery, from `$JS.ACK.…` in either form."""
    fields = reply.split(".")
    at = 5 if len(fields) == 9 else 7
    return int(fields[at]), int(fields[at + 1])


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1_000_000_000)
