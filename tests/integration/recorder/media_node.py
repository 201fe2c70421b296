"""A media node that answers taps on its real subjects and sends real RTP in real time."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.conference.calls import (
    Call,
    Done,
    Failure,
    FailureCode,
    Tap,
    Tapped,
    Track,
    Untap,
    call_subject,
)

from .clip import (
    AUDIO_RATE,
    AUDIO_TYPE,
    FRAME_RATE,
    VIDEO_TYPE,
    AudioSource,
    Clip,
    VideoSource,
    make_clip,
    sender_report,
)

NODE_ID = "media_test"
LEASE = 12.0
REPORT_INTERVAL = 0.5


class Publisher:
    """One published stream. `loss` is the share of packets dropped, `swap` of those delayed behind
    their successor. A silent one sends nothing."""

    def __init__(
        self,
        clip: Clip,
        *,
        audio: bool = True,
        video: bool = True,
        codec: str = "VP8",
        loss: float = 0.0,
        swap: float = 0.0,
        silent: bool = False,
    ) -> None:
        self.audio_on = audio
        self.video_on = video
        self.silent = silent
        self.key_frames_asked = 0
        self.reconnections = 0
        self.taps: dict[str, tuple[tuple[str, int], float]] = {}
        self._clip = clip
        self._codec = codec
        self._loss = loss
        self._swap = swap
        self._rng = random.Random(11)
        self._kept: bytes | None = None
        self.reconnect()
        self.reconnections = 0

    def reconnect(self) -> None:
        """Other sources, other counters, another clock."""
        rng = self._rng
        self.reconnections += 1
        self._began = time.monotonic()
        self._frames = self._packets = 0
        self._reported = 0.0
        self.video = VideoSource(
            self._clip,
            rng.getrandbits(32),
            first_sequence=65_536 - 50,
            first_timestamp=2**32 - 90_000,
            vp9=self._codec == "VP9",
        )
        self.audio = AudioSource(
            self._clip,
            rng.getrandbits(32),
            first_sequence=rng.getrandbits(16),
            first_timestamp=rng.getrandbits(32),
        )

    def tracks(self) -> Tapped:
        audio = Track("opus", AUDIO_TYPE, 48_000, self.audio.ssrc, 2)
        video = Track(self._codec, VIDEO_TYPE, 90_000, self.video.ssrc)
        return Tapped(
            audio=audio if self.audio_on else None, video=video if self.video_on else None
        )

    def due(self) -> list[bytes]:
        """The datagrams whose time has come."""
        now = time.monotonic() - self._began
        found: list[bytes] = []
        while self._frames / FRAME_RATE <= now:
            if self.video_on:
                found += self.video.next(self._frames / FRAME_RATE)
            self._frames += 1
        while self._packets / AUDIO_RATE <= now:
            if self.audio_on:
                found.append(self.audio.next(self._packets / AUDIO_RATE))
            self._packets += 1
        found = self._disturbed(found)
        if now - self._reported >= REPORT_INTERVAL:
            self._reported = now
            for source in (self.audio, self.video):
                found.append(sender_report(source.ssrc, time.time(), source.timestamp(now)))
        return [] if self.silent else found

    def _disturbed(self, packets: list[bytes]) -> list[bytes]:
        found: list[bytes] = []
        for packet in packets:
            if self._rng.random() < self._loss:
                continue
            if self._kept is None and self._rng.random() < self._swap:
                self._kept = packet
                continue
            found.append(packet)
            if self._kept is not None:
                found += [self._kept, self._kept]
                self._kept = None
        return found


class MediaNode:
    """Answers `tap` and `untap`; `run` sends until it is cancelled."""

    def __init__(self, client: Client) -> None:
        self.publishers: dict[str, Publisher] = {}
        self._client = client

    async def start(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        for call in (Tap, Untap):
            await self._client.subscribe(call_subject(NODE_ID, call), cb=self._answer)
        await self._client.flush()

    def close(self) -> None:
        self._socket.close()

    def publish(self, stream_id: str, **options: Any) -> Publisher:
        publisher = self.publishers[stream_id] = Publisher(
            options.pop("clip", make_clip(4.0)), **options
        )
        return publisher

    async def run(self) -> None:
        while True:
            now = time.monotonic()
            for publisher in self.publishers.values():
                datagrams = publisher.due()
                for address, until in publisher.taps.values():
                    if until > now:
                        for datagram in datagrams:
                            self._send(datagram, address)
            await asyncio.sleep(0.01)

    def _send(self, datagram: bytes, address: tuple[str, int]) -> None:
        with suppress(OSError):  # nobody listens there any more
            self._socket.sendto(datagram, address)

    async def _answer(self, message: Msg) -> None:
        call = msgspec.json.decode(message.data, type=Call)
        await message.respond(msgspec.json.encode(self._reply(call)))

    def _reply(self, call: Call) -> Tapped | Done | Failure:
        assert isinstance(call, Tap | Untap)
        publisher = self.publishers.get(call.stream_id)
        if isinstance(call, Untap):
            if publisher is not None:
                publisher.taps.pop(call.tap_id, None)
            return Done()
        if publisher is None:
            return Failure(FailureCode.STREAM_NOT_FOUND, f"no stream {call.stream_id}")
        if call.tap_id not in publisher.taps or call.key_frame:
            publisher.video.seek_key_frame()
            publisher.key_frames_asked += 1
        publisher.taps[call.tap_id] = ((call.host, call.port), time.monotonic() + LEASE)
        return publisher.tracks()


async def until(condition: Callable[[], Any], what: str, *, seconds: float = 60.0) -> Any:
    """Wait for a condition that gets true; what it gave."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"no {what} within {seconds} s"
        await asyncio.sleep(0.02)
    return found
