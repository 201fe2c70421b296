"""What forwarding a packet costs the media process.

    python -m benchmarks.bench_media [--subscribers 10] [--rate 1000] [--burst 4]

Starts a nats-server and `python -m services.media` as they run in earnest, and here, in another
process, one publisher and its subscribers with real ICE, DTLS and SRTP. Three windows of 3 s; CPU
(user and system) of the media process for each packet that arrived at a subscriber. At the end the
last packet of every subscriber is decrypted and compared. The subscribers send no RTCP.

Most of the cost is the kernel's, and it differs between machines. So the same load is also put on
`udp_floor`, which receives and sends without looking; the difference is what the media path adds.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import struct
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic

import msgspec
import uvloop

from benchmarks.cpu import cpu_seconds
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
from services.eventlog.jetstream import JetStreamLog, connect
from services.eventlog.server import NatsServer
from tests.integration.media.peer import VIDEO_SSRC, Peer

NODE = "media_bench"
TOKEN = "bench"
WINDOWS, SECONDS = 3, 3.0
SIZE = 1100  # bytes of RTP
Ask = Callable[[Call], Awaitable[Reply]]


class Client(Peer):
    """A subscriber that counts; only the last datagram is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.last = b""

    def _take(self, data: bytes) -> None:
        if data[0] >= 128 and not 192 <= data[1] <= 223:
            self.count += 1
            self.last = data
        else:
            super()._take(data)


class Load:
    """Packets of one video stream at a steady pace, through windows that are measured."""

    def __init__(self, arguments: argparse.Namespace, clients: list[Client]) -> None:
        self._rate, self._burst = arguments.rate, arguments.burst
        self._clients = clients
        self._payload = os.urandom(SIZE - 12)
        self._sequence = 1000
        self.packet = b""  # the last one sent
        self.costs: list[float] = []
        self.shares: list[float] = []

    async def measure(self, pid: int, send: Callable[[bytes], None]) -> None:
        await self._send(0.5, send)
        await asyncio.sleep(0.2)
        for _ in range(WINDOWS):
            for client in self._clients:
                client.count = 0
            before = cpu_seconds(pid)
            sent = await self._send(SECONDS, send)
            arrived = await self._arrived()
            self.costs.append((cpu_seconds(pid) - before) / max(arrived, 1) * 1e6)
            self.shares.append(arrived / (sent * len(self._clients)))

    async def _arrived(self) -> int:
        """Packets at all clients, once no more come."""
        before, now = -1, 0
        while now != before:
            before = now
            await asyncio.sleep(0.2)
            now = sum(client.count for client in self._clients)
        return now

    async def _send(self, seconds: float, send: Callable[[bytes], None]) -> int:
        start, sent = monotonic(), 0
        while sent < seconds * self._rate:
            for _ in range(self._burst):
                number = self._sequence
                head = struct.pack("!BBHII", 0x80, 96, number, number * 90, VIDEO_SSRC)
                self.packet = head + self._payload
                send(self.packet)
                self._sequence = number + 1 & 0xFFFF
                sent += 1
            await asyncio.sleep(max(0.0, start + sent / self._rate - monotonic()))
        return sent

    def __str__(self) -> str:
        windows = ", ".join(f"{cost:.2f}" for cost in self.costs)
        return (
            f"{statistics.median(self.costs):.2f} us CPU per forwarded packet "
            f"(windows {windows}), delivered {min(self.shares):.2%}"
        )


async def drive(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as directory:
        server = NatsServer(Path(directory) / "nats", token=TOKEN)
        await server.start()
        environment = os.environ | {
            "TERTULIA_NATS_URL": server.url,
            "TERTULIA_NATS_TOKEN": TOKEN,
            "TERTULIA_NODE_ID": NODE,
            "TERTULIA_MEDIA_PORT": "0",
            "DOTENV_PATH": "",
            "OPENVIDU_SECRET": "bench",
        }
        client = await connect(server.url, token=TOKEN, name="bench")
        await JetStreamLog.open(client)
        beats = await client.subscribe(heartbeat_subject(NODE))
        media = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.media", env=environment
        )
        try:
            await beats.next_msg(timeout=15)

            async def ask(call: Call) -> Reply:
                subject = call_subject(NODE, type(call))
                message = await client.request(subject, msgspec.json.encode(call), timeout=5)
                return msgspec.json.decode(message.data, type=Reply)

            media_load = await forwarding(arguments, media.pid, ask)
        finally:
            media.terminate()
            await asyncio.wait_for(media.wait(), 10)
            await client.close()
            await server.stop()
    floor_load = await floor(arguments)
    print(
        f"1 publisher, {arguments.subscribers} subscribers, {arguments.rate} packets/s of {SIZE} B "
        f"in bursts of {arguments.burst}\n"
        f"media process: {media_load}, the last packet right at every subscriber\n"
        f"bare receive and send: {floor_load}"
    )


async def forwarding(arguments: argparse.Namespace, pid: int, ask: Ask) -> Load:
    publisher = Peer()
    published = await ask(
        Publish("bench", "con_P", "str_P", publisher.offer(), has_audio=True, has_video=True)
    )
    assert isinstance(published, Answer), published
    await publisher.connect(published.sdp_answer)
    clients = [Client() for _ in range(arguments.subscribers)]
    for number, client in enumerate(clients):
        offer = await ask(PrepareOffer("bench", f"con_{number}", "str_P"))
        assert isinstance(offer, Offer), offer
        done = await ask(AcceptAnswer(f"con_{number}", "str_P", client.answer()))
        assert isinstance(done, Done), done
        await client.connect(offer.sdp_offer)
    load = Load(arguments, clients)
    await load.measure(pid, publisher.send_rtp)
    for client in clients:
        if client.decrypted(client.last) != load.packet:
            raise SystemExit("a subscriber did not get the last packet as it was sent")
    for peer in (publisher, *clients):
        await peer.close()
    return load


async def floor(arguments: argparse.Namespace) -> Load:
    clients = [Client() for _ in range(arguments.subscribers)]
    ports = [str(client.socket.getsockname()[1]) for client in clients]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.udp_floor",
        *ports,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        port = int(await asyncio.wait_for(process.stdout.readline(), 10))
        publisher = Peer()
        publisher.server = ("127.0.0.1", port)
        load = Load(arguments, clients)
        await load.measure(process.pid, publisher.raw)
        for peer in (publisher, *clients):
            await peer.close(silent=True)
        return load
    finally:
        process.kill()
        await process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subscribers", type=int, default=10)
    parser.add_argument("--rate", type=int, default=1000, help="packets a second")
    parser.add_argument("--burst", type=int, default=4)
    arguments = parser.parse_args()
    uvloop.run(asyncio.wait_for(drive(arguments), 120))


if __name__ == "__main__":
    main()
