"""The recorder and the media process as they run in earnest; the publisher speaks SRTP."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from nats.aio.client import Client

from services.conference.calls import Answer, Heartbeat, Publish, Reply, call_subject
from services.conference.calls import heartbeat_subject as heartbeats
from services.conference.commands import PublishStream
from services.conference.model import MediaOptions, VideoSource
from services.eventlog.jetstream import JetStreamLog
from services.eventlog.server import NatsServer
from tests.integration.media.peer import AUDIO_SSRC, VIDEO_SSRC, Peer

from .clip import (
    AUDIO_RATE,
    FRAME_RATE,
    AudioSource,
    assert_moving_pictures,
    make_clip,
    probe,
    sender_report,
)
from .clip import (
    VideoSource as Pictures,
)
from .conftest import ROOT, SESSION, Conference, RecorderProcess
from .media_node import NODE_ID, MediaNode, until

PICTURE_LOSS = b"\x81\xce\x00\x02"  # RFC 4585, 6.3.1


@pytest.fixture
async def media_process(
    nats: NatsServer, nats_token: str, nats_client: Client
) -> AsyncIterator[None]:
    beats = await nats_client.subscribe(heartbeats(NODE_ID))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.media",
        cwd=ROOT,
        env={
            **{key: value for key, value in os.environ.items() if "OPENVIDU" not in key},
            "DOTENV_PATH": "",
            "TERTULIA_NATS_URL": nats.url,
            "TERTULIA_NATS_TOKEN": nats_token,
            "TERTULIA_NODE_ID": NODE_ID,
            "TERTULIA_MEDIA_PORT": "0",
        },
    )
    try:
        msgspec.json.decode((await beats.next_msg(timeout=30)).data, type=Heartbeat)
        yield
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 30) == 0


async def send_for_ever(peer: Peer) -> None:
    """30 pictures and 50 sounds a second, a key frame whenever one is asked for."""
    clip = make_clip(4.0)
    pictures, sound = Pictures(clip, VIDEO_SSRC), AudioSource(clip, AUDIO_SSRC)
    began = time.monotonic()
    frames = packets = reports = questions = 0
    while True:
        now = time.monotonic() - began
        asked = sum(PICTURE_LOSS in datagram for datagram in peer.rtcp)
        if asked > questions:
            questions = asked
            pictures.seek_key_frame()
        while frames / FRAME_RATE <= now:
            for packet in pictures.next(frames / FRAME_RATE):
                peer.send_rtp(packet)
            frames += 1
        while packets / AUDIO_RATE <= now:
            peer.send_rtp(sound.next(packets / AUDIO_RATE))
            packets += 1
        if reports <= now:
            reports += 1
            for source in (pictures, sound):
                report = sender_report(source.ssrc, time.time(), source.timestamp(now))
                peer.send_rtcp(report)
        await asyncio.sleep(0.01)


@pytest.mark.usefixtures("media_process")
async def test_what_a_client_publishes_over_srtp_is_recorded(
    nats_client: Client, event_log: JetStreamLog, recorder: RecorderProcess, tmp_path: Path
) -> None:
    conference = Conference(event_log, MediaNode(nats_client))
    await conference.open()
    await conference.join("Alpha")
    stream = conference.stream("Alpha")
    await recorder.start()
    peer = Peer()
    call = Publish(SESSION, "con_Alpha", stream, peer.offer(), True, True)
    answer = msgspec.json.decode(
        (
            await nats_client.request(
                call_subject(NODE_ID, Publish), msgspec.json.encode(call), timeout=10
            )
        ).data,
        type=Reply,
    )
    assert isinstance(answer, Answer), answer
    options = MediaOptions(True, True, True, True, VideoSource.CAMERA, 30)
    await conference.do(PublishStream("con_Alpha", stream, options, created_at=1))
    await peer.connect(answer.sdp_answer)
    sending = asyncio.ensure_future(send_for_ever(peer))
    try:
        one = await conference.start_recording()
        await conference.status(one, "started")
        name = f"{stream}.webm"
        await until(lambda: sending.done() or recorder.size(one, name) > 40_000, "media")
        assert not sending.done(), sending.exception()
        await conference.stop_recording(one)
        ready = await conference.status(one, "ready")
    finally:
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
        await peer.close()
    (file,) = recorder.unzip(one, one, tmp_path / "zip")["files"]
    assert file["name"] == name
    found = probe(tmp_path / "zip" / name)
    assert found.codecs == {"audio": "opus", "video": "vp8"}
    assert found.duration == pytest.approx(ready.duration, abs=0.05)
    assert found.samples / 48_000 == pytest.approx(ready.duration, abs=0.3)
    assert len(found.frames) / 30 == pytest.approx(ready.duration, abs=0.5)
    assert_moving_pictures(found.frames)
