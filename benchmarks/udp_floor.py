"""The least a forwarder in Python can cost here: receive, send N times, no crypto, nothing else.

    python -m benchmarks.udp_floor ADDRESS_PORT...

Prints the port it listens on, forwards every datagram to all the ports on 127.0.0.1, and ends
with its standard input. `bench_media` compares the media process with it.
"""

from __future__ import annotations

import asyncio
import socket
import sys

import uvloop

BUFFER = 4 * 1024 * 1024


async def forward(ports: list[int]) -> None:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setblocking(False)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    udp.bind(("127.0.0.1", 0))
    targets = [("127.0.0.1", port) for port in ports]
    view = memoryview(bytearray(2048))

    def readable() -> None:
        for _ in range(64):
            try:
                size, _ = udp.recvfrom_into(view)
            except BlockingIOError:
                return
            for target in targets:
                udp.sendto(view[:size], target)

    loop = asyncio.get_running_loop()
    loop.add_reader(udp.fileno(), readable)
    print(udp.getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(forward([int(port) for port in sys.argv[1:]]))
