"""What the gateways of several API replicas tell each other, by plain NATS messages.

A client may come back to another replica than it left. `gateway.bound` announces who serves a
participant now; `gateway.holds` asks whether anybody does, before an absent one is evicted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import msgspec
import nats.errors
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from services.eventlog.connection import request

from .peers import Key

BOUND = "gateway.bound"
HOLDS = "gateway.holds"
ANSWER_SECONDS = 0.5  # nobody answers for a participant that nobody serves
SETTLING_SECONDS = 5.0  # for all replicas to be back at the broker


class Unreachable(Exception):
    """The broker was away while the others were asked."""


class Binding(Struct, frozen=True):
    gateway: str
    session_id: str
    connection_id: str


_decoder = msgspec.json.Decoder(Binding)
_encoder = msgspec.json.Encoder()


class Gateways:
    """`held`: is the participant served here; `taken`: it is served elsewhere from now on.

    Without a NATS client this gateway is alone.
    """

    def __init__(
        self, client: Client | None, held: Callable[[Key], bool], taken: Callable[[Key], None]
    ) -> None:
        self._client = client
        self._id = uuid4().hex
        self._held = held
        self._taken = taken
        self._subscriptions: list[Subscription] = []
        self._reconnects = 0  # of the client, when it was looked at
        self._settled_at = 0.0

    async def start(self) -> None:
        if self._client is not None:
            self._subscriptions = [
                await self._client.subscribe(BOUND, cb=self._on_bound),
                await self._client.subscribe(HOLDS, cb=self._on_holds),
            ]
            await self._client.flush(timeout=2)

    async def stop(self) -> None:
        for subscription in self._subscriptions:
            with suppress(nats.errors.Error):
                await subscription.unsubscribe()
        self._subscriptions = []

    async def announce(self, key: Key) -> None:
        if self._client is not None:
            with suppress(nats.errors.Error):
                await self._client.publish(BOUND, self._binding(key))

    async def holds(self, key: Key) -> bool:
        """Does any other gateway serve the participant by an open socket? Raises `Unreachable`."""
        client = self._client
        if client is None:
            return False
        try:
            await request(client, HOLDS, self._binding(key), wait_up_to=ANSWER_SECONDS)
        except (nats.errors.Error, TimeoutError) as error:
            if not self._is_reachable(client):
                raise Unreachable from error
            return False
        return True

    def _is_reachable(self, client: Client) -> bool:
        """Not if we, and so maybe the others, have just lost the broker."""
        now = asyncio.get_running_loop().time()
        if not client.is_connected or client.stats["reconnects"] != self._reconnects:
            self._reconnects = client.stats["reconnects"]
            self._settled_at = now + SETTLING_SECONDS
        return now >= self._settled_at

    async def _on_bound(self, message: Msg) -> None:
        if (key := self._foreign(message)) is not None:
            self._taken(key)

    async def _on_holds(self, message: Msg) -> None:
        if (key := self._foreign(message)) is not None and self._held(key):
            with suppress(nats.errors.Error):
                await message.respond(b"{}")

    def _binding(self, key: Key) -> bytes:
        return _encoder.encode(Binding(self._id, *key))

    def _foreign(self, message: Msg) -> Key | None:
        try:
            binding: Any = _decoder.decode(message.data)
        except msgspec.MsgspecError:
            return None
        if binding.gateway == self._id:
            return None
        return Key(binding.session_id, binding.connection_id)
