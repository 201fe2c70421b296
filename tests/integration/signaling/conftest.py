"""Replicas on a real nats-server, with a media node that answers on its real subjects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import msgspec
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.api.nodes import Nodes
from services.conference.calls import Call, Heartbeat, call_subject, heartbeat_subject
from services.conference.state import State
from services.eventlog.jetstream import JetStreamLog, connect
from services.eventlog.server import NatsServer
from services.settings import Settings
from tests.unit.signaling.harness import World, answer_to, replica, until


class Responder:
    """A media node as the API sees one: heartbeats, and an answer to every call."""

    def __init__(self, client: Client, node_id: str, instance: str = "i1", load: float = 0) -> None:
        self.client = client
        self.heartbeat = Heartbeat(node_id, instance, "127.0.0.1", 1, load, 0, 0)
        self.calls: list[Call] = []

    async def answer(self, message: Msg) -> None:
        if message.subject == heartbeat_subject(self.heartbeat.node_id):
            return
        call = msgspec.json.decode(message.data, type=Call)
        assert message.subject == call_subject(self.heartbeat.node_id, type(call))
        self.calls.append(call)
        await message.respond(msgspec.json.encode(answer_to(call)))

    async def beat(self) -> None:
        subject = heartbeat_subject(self.heartbeat.node_id)
        await self.client.publish(subject, msgspec.json.encode(self.heartbeat))


@asynccontextmanager
async def responding(client: Client, node_id: str, **others: object) -> AsyncIterator[Responder]:
    responder = Responder(client, node_id, **others)
    subscription = await client.subscribe(f"node.{node_id}.*", cb=responder.answer)

    async def beats() -> None:
        while True:
            await responder.beat()
            await asyncio.sleep(0.2)

    task = asyncio.create_task(beats())
    try:
        yield responder
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await subscription.unsubscribe()


@pytest.fixture
async def media(nats_client: Client) -> AsyncIterator[Responder]:
    async with responding(nats_client, "media_a") as responder:
        yield responder


@pytest.fixture
def make_responder() -> Callable[..., object]:
    return responding


@pytest.fixture
def make_replica(nats: NatsServer, nats_token: str) -> Callable[..., object]:
    """A replica with NATS connections of its own."""

    @asynccontextmanager
    async def make(
        settings: Settings | None = None, *, adopt: tuple[State, ...] = ()
    ) -> AsyncIterator[World]:
        client = await connect(nats.url, token=nats_token, name="replica")
        log = await JetStreamLog.open(client)
        nodes = Nodes(client, lambda _: True)
        await nodes.start()
        try:
            await until(lambda: bool(nodes.alive()))
            async with replica(log, settings or Settings(), nodes, client, adopt=adopt) as world:
                yield world
        finally:
            await nodes.stop()
            await log.close()
            await client.close()

    return make
