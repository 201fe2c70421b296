"""The media process on a real message bus and a real log."""

from __future__ import annotations

import asyncio
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from nats.aio.client import Client

from services.conference.calls import (
    AcceptAnswer,
    Answer,
    Call,
    Done,
    Failure,
    FailureCode,
    Heartbeat,
    Offer,
    PrepareOffer,
    Publish,
    Reply,
    call_subject,
    heartbeat_subject,
)
from services.conference.commands import SendSignal
from services.conference.events import (
    Event,
    ParticipantLeft,
    SessionDestroyed,
    WebrtcConnectionCreated,
    WebrtcConnectionDestroyed,
)
from services.conference.model import Direction, Reason
from services.eventlog.commit import Actor, ActorKind, Commit
from services.eventlog.jetstream import JetStreamLog
from services.eventlog.server import NatsServer
from services.media.codecless import loaded_codecs
from services.media.service import CALLS, Service
from services.settings import VERSION, Media
from tests.integration.media.peer import Peer
from tests.integration.media.stage import PUBLISHER, SESSION, STREAM, audio, until, video

NODE = "media_test"
SETTINGS = Media(node_id=NODE, port=0, port_max=0)


@pytest.fixture
async def service(nats_client: Client, event_log: JetStreamLog) -> AsyncIterator[Service]:
    service = Service(SETTINGS, nats_client, event_log)
    beats = await nats_client.subscribe(heartbeat_subject(NODE))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(service.run())
        await beats.next_msg(timeout=20)  # from then on calls are answered
        yield service
        running.cancel()


async def ask(client: Client, call: Call) -> Reply:
    subject = call_subject(NODE, type(call))
    message = await client.request(subject, msgspec.json.encode(call), timeout=10)
    return msgspec.json.decode(message.data, type=Reply)


class Story:
    """Appends events to the log of the session, as the API would."""

    def __init__(self, log: JetStreamLog) -> None:
        self._log = log
        self._expected = 0
        self._version = 0

    async def tell(self, *events: Event) -> None:
        self._version += 1
        commit = Commit(
            id=f"commit-{self._version}",
            session_id=SESSION,
            version=self._version,
            time=self._version,
            actor=Actor(ActorKind.REST),
            command=SendSignal(to=()),
            events=events,
        )
        recorded = await self._log.append(commit, expected=self._expected)
        self._expected = recorded.sequence


def publishing(peer: Peer) -> Publish:
    return Publish(SESSION, PUBLISHER, STREAM, peer.offer(), has_audio=True, has_video=True)


PUBLISHED = WebrtcConnectionCreated(PUBLISHER, STREAM, Direction.OUTBOUND, 1)


@asynccontextmanager
async def connected(client: Client) -> AsyncIterator[tuple[Peer, Peer]]:
    """A publisher and a subscriber, negotiated over the bus."""
    publisher, subscriber = Peer(), Peer()
    try:
        answer = await ask(client, publishing(publisher))
        assert isinstance(answer, Answer)
        await publisher.connect(answer.sdp_answer)
        offer = await ask(client, PrepareOffer(SESSION, "con_S", STREAM))
        assert isinstance(offer, Offer)
        done = await ask(client, AcceptAnswer("con_S", STREAM, subscriber.answer()))
        assert done == Done()
        await subscriber.connect(offer.sdp_offer)
        yield publisher, subscriber
    finally:
        await publisher.close()
        await subscriber.close()


async def test_heartbeats_tell_the_load_of_the_node(service: Service, nats_client: Client) -> None:
    beats = await nats_client.subscribe(heartbeat_subject())
    async with connected(nats_client):

        async def heard() -> Heartbeat:
            message = await beats.next_msg(timeout=10)
            return msgspec.json.decode(message.data, type=Heartbeat)

        beat = await heard()
        while (beat.publishers, beat.subscribers) != (1, 1):
            beat = await heard()
        assert (beat.node_id, beat.instance, beat.ip) == (NODE, service.instance, "127.0.0.1")
        assert beat.load >= 0
        assert beat.port == service.node.port.address[1] > 0
        assert 2**20 < beat.memory < 2**40
        assert (beat.version, beat.capabilities) == (VERSION, ("opus", "VP8", "VP9", "H264"))


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'{"call":"nothing"}',
        b'{"sessionId":5}',
        b"[" * 100_000,
        b'{"streamId":"' + b"x" * 500_000,
    ],
)
async def test_a_payload_that_is_no_call_is_answered_with_a_failure(
    service: Service, nats_client: Client, call: type[Call], payload: bytes
) -> None:
    message = await nats_client.request(call_subject(NODE, call), payload, timeout=10)
    reply = msgspec.json.decode(message.data, type=Reply)
    assert isinstance(reply, Failure)
    assert reply.code is FailureCode.REQUEST_INVALID


async def test_the_log_confirms_a_publication(
    service: Service, nats_client: Client, event_log: JetStreamLog
) -> None:
    async with connected(nats_client):
        assert not service.node.publications[STREAM].confirmed
        await Story(event_log).tell(PUBLISHED)
        await until(lambda: service.node.publications[STREAM].confirmed, "it is confirmed")


@pytest.mark.parametrize(
    ("event", "publisher_stays"),
    [
        (
            WebrtcConnectionDestroyed("con_S", STREAM, Direction.INBOUND, Reason.UNSUBSCRIBE, 2),
            True,
        ),
        (ParticipantLeft("con_S", Reason.DISCONNECT, 2), True),
        (
            WebrtcConnectionDestroyed(
                PUBLISHER, STREAM, Direction.OUTBOUND, Reason.FORCE_UNPUBLISH_BY_SERVER, 2
            ),
            False,
        ),
        (ParticipantLeft(PUBLISHER, Reason.NETWORK_DISCONNECT, 2), False),
        (SessionDestroyed(Reason.SESSION_CLOSED_BY_SERVER, 2), False),
    ],
)
async def test_what_the_log_says_ended_is_closed(
    service: Service,
    nats_client: Client,
    event_log: JetStreamLog,
    event: Event,
    publisher_stays: bool,
) -> None:
    async with connected(nats_client) as (publisher, subscriber):
        story = Story(event_log)
        await story.tell(PUBLISHED)
        await story.tell(event)
        await until(lambda: subscriber.dtls.state == "closed", "the subscriber hears a goodbye")
        if publisher_stays:
            assert publisher.dtls.state == "connected"
            assert service.node.publications[STREAM].subscriptions == {}
        else:
            await until(lambda: publisher.dtls.state == "closed", "so does the publisher")
            assert not service.node.publications


async def test_a_new_session_of_the_same_name_outlives_the_end_of_the_old_one(
    service: Service, nats_client: Client, event_log: JetStreamLog
) -> None:
    story = Story(event_log)
    async with connected(nats_client):
        await story.tell(SessionDestroyed(Reason.SESSION_CLOSED_BY_SERVER, 2))
        await story.tell(PUBLISHED)
        await until(lambda: service.node.publications[STREAM].confirmed, "it is confirmed")


async def test_the_service_stops_at_whatever_moment_it_is_told(
    nats_client: Client, event_log: JetStreamLog
) -> None:
    chance = random.Random(3)
    for _ in range(40):
        running = asyncio.ensure_future(Service(SETTINGS, nats_client, event_log).run())
        await asyncio.sleep(chance.random() * 0.02)
        running.cancel()
        ended, _ = await asyncio.wait([running], timeout=10)
        assert ended, "it goes on after its cancellation"


async def started(nats: NatsServer, token: str, port: int = 0) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.media",
        env={
            "TERTULIA_NATS_URL": nats.url,
            "TERTULIA_NATS_TOKEN": token,
            "TERTULIA_NODE_ID": NODE,
            "TERTULIA_MEDIA_PORT": str(port),
            "KMS_DOCKER_ENV_KMS_MAX_PORT": str(port),
            "OPENVIDU_SECRET": "only-for-tests",
            "DOTENV_PATH": "",
        },
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.usefixtures("event_log")
async def test_a_port_that_is_taken_is_named_in_one_line(nats: NatsServer, nats_token: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        process = await started(nats, nats_token, taken.getsockname()[1])
        _, printed = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    assert b"cannot start" in printed
    assert b"already in use" in printed
    assert b"Traceback" not in printed


async def test_the_media_process_forwards_without_any_codec_in_its_memory(
    nats: NatsServer, nats_token: str, nats_client: Client, event_log: JetStreamLog
) -> None:
    beats = await nats_client.subscribe(heartbeat_subject(NODE))
    process = await started(nats, nats_token)
    try:
        await beats.next_msg(timeout=20)
        async with connected(nats_client) as (publisher, subscriber):

            def flows() -> bool:
                number = len(publisher.rtcp) + len(subscriber.rtp)
                publisher.send_rtp(video(number))
                publisher.send_rtp(audio(number))
                return len(subscriber.rtp) > 100

            await until(flows, "media flows")
            process.send_signal(signal.SIGUSR1)
            assert loaded_codecs(process.pid) == ()
            assert (
                "libavcodec" in loaded_codecs()
            )  # the test's own peers have it: the check can fail
    finally:
        process.terminate()
        _, printed = await asyncio.wait_for(process.communicate(), 15)
    assert process.returncode == 0
    assert printed.count(b"codecs_loaded=()") == 2  # on SIGUSR1 and at the end
    assert b"stream ended" in printed
    assert nats_token.encode() not in printed
