"""The media process and its nats-server, as `tertulia serve` starts them."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from nats.aio.client import Client

from benchmarks.api.servers import running, tail
from services.conference.calls import (
    AcceptAnswer,
    Answer,
    Call,
    Done,
    Offer,
    PrepareOffer,
    Publish,
    Reply,
    call_subject,
    heartbeat_subject,
)
from services.conference.commands import SendSignal
from services.conference.events import WebrtcConnectionCreated
from services.conference.model import Direction
from services.eventlog.commit import Actor, ActorKind, Commit
from services.eventlog.jetstream import JetStreamLog, connect
from services.eventlog.server import NatsServer

from .client import Publisher, Subscriber

NODE = "media_bench"
TOKEN = "bench"


class Tertulia:
    """Calls as the signaling gateway makes them. Each stream is a session of its own."""

    def __init__(self, pid: int, client: Client, log: JetStreamLog) -> None:
        self.pid, self._client, self._log = pid, client, log

    async def publish(self, publisher: Publisher, stream: str) -> None:
        connection = f"con_{stream}"
        reply = await self._ask(Publish(stream, connection, stream, publisher.offer(), True, True))
        assert isinstance(reply, Answer), reply
        publisher.negotiated(reply.sdp_answer)
        await publisher.connect(reply.sdp_answer)
        created = WebrtcConnectionCreated(connection, stream, Direction.OUTBOUND, 1)
        actor = Actor(ActorKind.REST)
        commit = Commit(stream, stream, 1, 1, actor, SendSignal(to=()), (created,))
        await self._log.append(commit, expected=0)  # else the node ends it after a while

    async def subscribe(self, subscriber: Subscriber, stream: str, name: str) -> None:
        offer = await self._ask(PrepareOffer(stream, f"con_{name}", stream))
        assert isinstance(offer, Offer), offer
        done = await self._ask(AcceptAnswer(f"con_{name}", stream, subscriber.answer()))
        assert isinstance(done, Done), done
        await subscriber.connect(offer.sdp_offer)

    async def _ask(self, call: Call) -> Reply:
        message = await self._client.request(
            call_subject(NODE, type(call)), msgspec.json.encode(call), timeout=10
        )
        reply: Reply = msgspec.json.decode(message.data, type=Reply)
        return reply


@asynccontextmanager
async def tertulia(pump: str) -> AsyncIterator[Tertulia]:
    """`pump`: a value of TERTULIA_MEDIA_PUMP."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = NatsServer(folder / "nats", token=TOKEN)
        await server.start()
        environment = os.environ | {
            "DOTENV_PATH": "",
            "OPENVIDU_SECRET": "bench",
            "TERTULIA_MEDIA_PORT": "0",
            "TERTULIA_MEDIA_PUMP": pump,
            "TERTULIA_NATS_TOKEN": TOKEN,
            "TERTULIA_NATS_URL": server.url,
            "TERTULIA_NODE_ID": NODE,
        }
        client = await connect(server.url, token=TOKEN, name="bench")
        try:
            log = await JetStreamLog.open(client)
            beats = await client.subscribe(heartbeat_subject(NODE))
            command, output = (sys.executable, "-m", "services.media"), folder / "media.out"
            async with running(command, output, environment) as process:
                try:
                    await beats.next_msg(timeout=30)
                    await beats.unsubscribe()
                    yield Tertulia(process.pid, client, log)
                except Exception:
                    print(tail(output), file=sys.stderr)
                    raise
        finally:
            await client.close()
            await server.stop()
