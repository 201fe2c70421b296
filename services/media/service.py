"""The media process on the message bus: calls, heartbeats, and the log it follows."""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic, process_time, time
from uuid import uuid4

import msgspec
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from services.conference.calls import (
    STATISTICS_SECONDS,
    AcceptAnswer,
    Call,
    Discard,
    Failure,
    FailureCode,
    Heartbeat,
    PrepareOffer,
    Publish,
    Reply,
    Republish,
    Statistics,
    Subscribe,
    Tap,
    TransportLost,
    Untap,
    call_subject,
    heartbeat_subject,
    lost_subject,
    statistics_subject,
)
from services.eventlog.jetstream import JetStreamLog, connect
from services.eventlog.log import EventLog
from services.process import raise_swallowed, until_restart
from services.settings import VERSION, Media, Settings

from .codecless import loaded_codecs
from .following import apply
from .negotiation import VIDEO_CODECS
from .node import Node
from .pump import PumpMissing
from .statistics import Sampler, in_parts

CALLS: tuple[type[Call], ...] = (
    Publish,
    Republish,
    PrepareOffer,
    AcceptAnswer,
    Subscribe,
    Discard,
    Tap,
    Untap,
)
PENDING_CALLS = 1024  # of each kind
HEARTBEAT = 1.0  # seconds
TELL = 0.2  # seconds between two looks for lost transports
TRACKS_A_MESSAGE = 500
STATM = Path("/proc/self/statm")
PAGE = resource.getpagesize()  # bytes
log = structlog.get_logger(__name__)
_encoder = msgspec.json.Encoder()


async def main(settings: Settings) -> int:
    client = await connect(
        settings.storage.nats_url,
        token=settings.storage.nats_token,
        name=f"media {settings.media.node_id}",
    )
    try:
        event_log = await JetStreamLog.open(client)
        try:
            service = Service(settings.media, client, event_log)
        except (OSError, PumpMissing, ValueError) as error:
            log.error("cannot start", reason=str(error))
            return 1
        return await until_restart(client, service.run())
    finally:
        await client.close()


class Service:
    def __init__(self, settings: Media, client: Client, event_log: EventLog) -> None:
        """Binds the UDP port. Raises what `Node` raises."""
        ports = range(settings.port, max(settings.port, settings.port_max) + 1)
        if not settings.port:
            ports = range(1)
        self.node = Node(settings.host, ports, settings.public_ip, pump=settings.pump)
        self.instance = uuid4().hex
        self._settings = settings
        self._client = client
        self._log = event_log
        self._started_at = int(time() * 1000)

    async def run(self) -> None:
        """Serve until cancelled."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, self.print_statistics)
        wanted, buffers = self.node.port.wanted_buffer, self.node.port.buffers
        if min(buffers) < wanted:
            log.warning("small UDP buffers, packets may be lost", wanted=wanted, got=buffers)
        try:
            async with asyncio.TaskGroup() as group:
                position = await self._log.last_sequence()
                group.create_task(self.node.run())
                group.create_task(self._follow(position))
                for call in CALLS:
                    await self._client.subscribe(
                        call_subject(self._settings.node_id, call),
                        cb=self._answering(call),
                        pending_msgs_limit=PENDING_CALLS,
                    )
                group.create_task(self._beat())
                group.create_task(self._tell_losses())
                group.create_task(self._tell_statistics())
                raise_swallowed()
                log.info(
                    "media node ready", node=self._settings.node_id, port=self.node.port.address
                )
        finally:
            loop.remove_signal_handler(signal.SIGUSR1)
            self.node.close()
            self.print_statistics()

    def print_statistics(self) -> None:
        log.info(
            "media statistics",
            publishers=len(self.node.publications),
            legs=len(self.node.legs),
            codecs_loaded=loaded_codecs(),
            drops=dict(self.node.port.counters),
            **self.node.cost(),
        )

    def _answering(self, call: type[Call]) -> Callable[[Msg], Awaitable[None]]:
        decoder: msgspec.json.Decoder[Call] = msgspec.json.Decoder(call)

        async def answer(message: Msg) -> None:
            reply = self._reply(decoder, message.data)
            if message.reply:
                try:
                    await self._client.publish(message.reply, _encoder.encode(reply))
                except (NatsError, ValueError) as error:
                    log.warning("reply not sent", call=call.__name__, error=str(error))

        return answer

    def _reply(self, decoder: msgspec.json.Decoder[Call], payload: bytes) -> Reply:
        try:
            return self.node.handle(decoder.decode(payload))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return Failure(FailureCode.REQUEST_INVALID, str(error))
        except Exception:  # one call's trouble must not end the others' media
            log.exception("call failed")
            return Failure(FailureCode.ENDPOINT_CLOSED, "internal error")

    async def _follow(self, position: int) -> None:
        async for batch in self._log.subscribe(after=position):
            for recorded in batch:
                for event in recorded.commit.events:
                    apply(self.node, recorded.commit.session_id, event)

    async def _beat(self) -> None:
        before = (monotonic(), process_time())
        while True:
            now = (monotonic(), process_time())
            elapsed = max(now[0] - before[0], 1e-3)
            load = round(100 * (now[1] - before[1]) / elapsed, 1)
            before = now
            subject = heartbeat_subject(self._settings.node_id)
            try:
                await self._client.publish(subject, _encoder.encode(self._heartbeat(load)))
            except NatsError as error:
                log.debug("no heartbeat", error=str(error))
            await asyncio.sleep(HEARTBEAT)

    async def _tell_losses(self) -> None:
        node_id = self._settings.node_id
        while True:
            for loss in self.node.losses.due(monotonic()):
                await self._tell(lost_subject(node_id), TransportLost(node_id, *loss))
            await asyncio.sleep(TELL)

    async def _tell_statistics(self) -> None:
        node_id, sampler = self._settings.node_id, Sampler()
        while True:
            await asyncio.sleep(STATISTICS_SECONDS)
            tracks = sampler.sample(self.node.publications.values(), monotonic())
            for part in in_parts(tracks, TRACKS_A_MESSAGE):
                message = Statistics(node_id, int(time() * 1000), part)
                await self._tell(statistics_subject(node_id), message)

    async def _tell(self, subject: str, message: TransportLost | Statistics) -> None:
        try:
            await self._client.publish(subject, _encoder.encode(message))
        except (NatsError, ValueError) as error:
            log.debug("not told", subject=subject, error=str(error))

    def _heartbeat(self, load: float) -> Heartbeat:
        publications = self.node.publications.values()
        return Heartbeat(
            node_id=self._settings.node_id,
            instance=self.instance,
            ip=(self._settings.public_ip or self._settings.host).partition(",")[0].strip(),
            started_at=self._started_at,
            load=load,
            publishers=len(publications),
            subscribers=sum(len(p.subscriptions) for p in publications),
            port=self.node.port.address[1],
            memory=_resident(),
            version=VERSION,
            capabilities=("opus", *VIDEO_CODECS),
        )


def _resident() -> int:
    """Bytes of memory that the process holds; 0 where the system does not tell."""
    try:
        return int(STATM.read_text().split()[1]) * PAGE
    except OSError:
        return 0
