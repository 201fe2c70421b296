"""What one recorded stream costs: the recorder process under real RTP, all included.

    python -m benchmarks.bench_recorder [--streams 10] [--seconds 15]

Each stream is 30 frames and 50 sounds a second, 200 packets and 1.1 Mbit/s. The sender runs in
another process. Printed is the CPU time of the recorder in per cent of one core and stream.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from pathlib import Path

from benchmarks.cpu import cpu_seconds
from services.eventlog.jetstream import JetStreamLog, connect
from services.eventlog.server import NatsServer
from tests.integration.recorder.clip import Clip
from tests.integration.recorder.conftest import Conference, RecorderProcess
from tests.integration.recorder.media_node import MediaNode

TOKEN = "bench"
FRAME = 4500  # bytes: five packets


def heavy_clip() -> Clip:
    """The recorder does not decode, so that frames need no more than an honest beginning."""
    rng = random.Random(1)
    key = b"\x30\x00\x00\x9d\x01\x2a\x80\x02\xe0\x01"
    video = [
        ((key if number % 60 == 0 else b"\x31\x00\x00") + rng.randbytes(FRAME), number % 60 == 0)
        for number in range(120)
    ]
    return Clip(video, [rng.randbytes(120) for _ in range(200)], 640, 480)


async def main(streams: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as directory:
        server = NatsServer(Path(directory) / "nats", token=TOKEN)
        await server.start()
        client = await connect(server.url, token=TOKEN, name="bench")
        recorder = RecorderProcess(server, TOKEN, Path(directory) / "recordings")
        try:
            await recorder.start()
            assert recorder.process is not None
            log = await JetStreamLog.open(client)
            node = MediaNode(client)
            await node.start()
            conference = Conference(log, node)
            await conference.open()
            clip = heavy_clip()
            for number in range(streams):
                await conference.join(f"P{number}")
                await conference.publish(f"P{number}", clip=clip)
            async with asyncio.TaskGroup() as group:
                sender = group.create_task(node.run())
                one = await conference.start_recording()
                await conference.status(one, "started")
                before, began = cpu_seconds(recorder.process.pid), time.monotonic()
                await asyncio.sleep(seconds)
                used = cpu_seconds(recorder.process.pid) - before
                wall = time.monotonic() - began
                await conference.stop_recording(one)
                ready = await conference.status(one, "ready")
                sender.cancel()
            rate = ready.size * 8 / ready.duration / streams / 1e6
            print(
                f"{streams} streams, {rate:.2f} Mbit/s each in {wall:.1f} s: "
                f"{100 * used / wall / streams:.3f} % of a core per stream"
            )
            node.close()
        finally:
            await recorder.terminate()
            await client.close()
            await server.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=15)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.streams, arguments.seconds))
