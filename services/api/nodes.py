"""The media nodes as the API sees them: who is alive, who has room, and requests to one of them.

Heartbeats and requests are plain NATS messages (`services/conference/calls.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import msgspec
import nats.errors
import structlog
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from services.conference.calls import Call, Heartbeat, Reply, call_subject, heartbeat_subject
from services.eventlog.bus import utc_ms
from services.eventlog.connection import request

ALIVE_SECONDS = 3.0
MAX_NODES = 1024
MAX_HEARTBEAT_BYTES = 4096

log = structlog.get_logger(__name__)
_heartbeat = msgspec.json.Decoder(Heartbeat)
_reply: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)
_encoder = msgspec.json.Encoder()


class NodeUnavailable(Exception):
    """The node did not answer: it is gone, too slow, or its answer made no sense. What was asked
    may or may not have happened."""


class Seen(Struct):
    heartbeat: Heartbeat
    at: float  # loop time
    time: int  # UTC ms
    chosen: int = 0  # times since that heartbeat


class Nodes:
    """`usable`: may new sessions be placed on the node with this id?

    `on_beat` is called with every heartbeat. It must not block."""

    def __init__(self, nats_client: Client, usable: Callable[[str], bool]) -> None:
        self._nats = nats_client
        self._usable = usable
        self._seen: dict[str, Seen] = {}
        self._subscription: Subscription | None = None
        self.on_beat: Callable[[Heartbeat], None] | None = None

    async def start(self) -> None:
        self._subscription = await self._nats.subscribe(heartbeat_subject(), cb=self._beat)
        await self._nats.flush(timeout=2)

    async def stop(self) -> None:
        if self._subscription is not None:
            with suppress(nats.errors.Error):
                await self._subscription.unsubscribe()
            self._subscription = None

    def alive(self) -> list[Heartbeat]:
        """The nodes heard within the last three seconds, by id."""
        limit = asyncio.get_running_loop().time() - ALIVE_SECONDS
        return [seen.heartbeat for _, seen in sorted(self._seen.items()) if seen.at >= limit]

    def get(self, node_id: str) -> Heartbeat | None:
        """The node, if it is alive."""
        return next((node for node in self.alive() if node.node_id == node_id), None)

    def seen(self, node_id: str) -> Seen | None:
        """The node, if it was ever heard since we listen."""
        return self._seen.get(node_id)

    def usable(self) -> list[Heartbeat]:
        """The nodes that are alive and may take new sessions, by id."""
        return [node for node in self.alive() if self._usable(node.node_id)]

    def choose(self, wanted: str | None = None) -> Heartbeat | None:
        """The node for a new session, the least loaded one or the `wanted` one; `None` if none
        is usable.

        Load counts in steps of 5 % of a core, then streams. What was placed since a node's last
        heartbeat counts as well, so that a crowd is spread.
        """
        usable = [
            self._seen[node.node_id]
            for node in self.usable()
            if wanted is None or node.node_id == wanted
        ]
        if not usable:
            return None
        best = min(usable, key=_burden)
        best.chosen += 1
        return best.heartbeat

    async def call(self, node_id: str, call: Call, timeout: float = 5) -> Reply:  # noqa: ASYNC109
        """Ask a node. `timeout` in seconds. Raises `NodeUnavailable`."""
        subject = call_subject(node_id, type(call))
        try:
            answer = await request(self._nats, subject, _encoder.encode(call), wait_up_to=timeout)
            return _reply.decode(answer.data)
        except (nats.errors.Error, TimeoutError) as error:
            raise NodeUnavailable(f"Media node {node_id} does not answer") from error
        except msgspec.MsgspecError as error:
            raise NodeUnavailable(f"Media node {node_id} answers nonsense: {error}") from error

    async def _beat(self, message: Msg) -> None:
        try:
            if len(message.data) > MAX_HEARTBEAT_BYTES:
                return
            heartbeat = _heartbeat.decode(message.data)
        except msgspec.MsgspecError:
            return
        if message.subject != heartbeat_subject(heartbeat.node_id):
            return
        if heartbeat.node_id not in self._seen and not self._make_room():
            return
        now = asyncio.get_running_loop().time()
        self._seen[heartbeat.node_id] = Seen(heartbeat, now, utc_ms())
        if self.on_beat is not None:
            try:
                self.on_beat(heartbeat)
            except Exception:
                log.exception("node_hook_failed", node=heartbeat.node_id)

    def _make_room(self) -> bool:
        """Forget the node silent for longest if there are too many; never one that is alive."""
        if len(self._seen) < MAX_NODES:
            return True
        oldest = min(self._seen, key=lambda node: self._seen[node].at)
        if self._seen[oldest].at >= asyncio.get_running_loop().time() - ALIVE_SECONDS:
            return False
        del self._seen[oldest]
        return True


def _burden(seen: Seen) -> tuple[int, int, str]:
    node = seen.heartbeat
    return round(node.load / 5), node.publishers + node.subscribers + seen.chosen, node.node_id
