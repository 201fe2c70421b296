"""What forwarding a packet costs the media process.

    python -m benchmarks.bench_media [--subscribers 10] [--rate 1000] [--burst 4]

Starts a nats-server and `python -m services.media` as they run in earnest, and here, in another
process, one publisher and its subscribers with real ICE, DTLS and SRTP. Three windows of 3 s; CPU
(user and system) of the media process for each packet that arrived at a subscriber. At the end the
last packet of every subscriber is decrypted and compared. The subscribers send no RTCP.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import struct
import sys
import tempfile
from pathlib import Path
from time import monotonic

import msgspec
import uvloop

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
TICKS = os.sysconf("SC_CLK_TCK")


class Client(Peer):
    """A subscriber that counts; only the last datagram is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.last = b""

    def _take(self, data: bytes) -> None:
        if self.connected.is_set() and data[0] >= 128 and not 192 <= data[1] <= 223:
            self.count += 1
            self.last = data
        else:
            super()._take(data)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


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

            await measure(arguments, media.pid, ask)
        finally:
            media.terminate()
            await asyncio.wait_for(media.wait(), 10)
            await client.close()
            await server.stop()


async def measure(arguments, pid, ask) -> None:  # type: ignore[no-untyped-def]
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
    payload = os.urandom(SIZE - 12)
    sequence = 1000
    costs, shares = [], []
    packet = b""

    async def send(seconds: float) -> int:
        nonlocal sequence, packet
        start, sent = monotonic(), 0
        while sent < seconds * arguments.rate:
            for _ in range(arguments.burst):
                packet = struct.pack("!BBHII", 0x80, 96, sequence, sequence * 90, VIDEO_SSRC)
                packet += payload
                publisher.send_rtp(packet)
                sequence = sequence + 1 & 0xFFFF
                sent += 1
            await asyncio.sleep(max(0.0, start + sent / arguments.rate - monotonic()))
        return sent

    await send(0.5)
    await asyncio.sleep(0.2)
    for _ in range(WINDOWS):
        for client in clients:
            client.count = 0
        before = cpu_seconds(pid)
        sent = await send(SECONDS)
        await asyncio.sleep(0.1)
        arrived = sum(client.count for client in clients)
        costs.append((cpu_seconds(pid) - before) / max(arrived, 1) * 1e6)
        shares.append(arrived / (sent * len(clients)))
    right = 0
    for client in clients:
        assert client._receive is not None
        right += client._receive.unprotect(client.last) == packet
    print(
        f"1 publisher, {len(clients)} subscribers, {arguments.rate} packets/s in bursts of "
        f"{arguments.burst}: {statistics.median(costs):.2f} us CPU per forwarded packet "
        f"(windows {', '.join(f'{cost:.2f}' for cost in costs)}), "
        f"delivered {min(shares):.2%}, last packet right at {right} of {len(clients)}"
    )
    for peer in (publisher, *clients):
        await peer.close()
    if right < len(clients):
        raise SystemExit("a subscriber did not get the last packet as it was sent")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subscribers", type=int, default=10)
    parser.add_argument("--rate", type=int, default=1000, help="packets a second")
    parser.add_argument("--burst", type=int, default=4)
    arguments = parser.parse_args()
    uvloop.run(asyncio.wait_for(drive(arguments), 120))


if __name__ == "__main__":
    main()
