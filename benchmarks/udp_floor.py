"""The least a forwarder can cost here: receive, send N times, and nothing else.

    python -m benchmarks.udp_floor python|srtp|c KEY ADDRESS_PORT...

Prints the port it listens on, forwards every datagram to all the ports on 127.0.0.1, and ends
with its standard input. `srtp` decrypts what comes and encrypts it for each, with the same KEY
(hex) everywhere. `bench_media` compares the media process with it.
"""

from __future__ import annotations

import asyncio
import ctypes
import socket
import struct
import sys

import pylibsrtp
import uvloop

from benchmarks.media.native import library
from services.media import dtls

BUFFER = 4 * 1024 * 1024
SIZE = 2048


def session(key: bytes, direction: int) -> pylibsrtp.Session:
    profile = pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM
    return pylibsrtp.Session(pylibsrtp.Policy(key=key, ssrc_type=direction, srtp_profile=profile))


class Forwarder:
    def __init__(self, udp: socket.socket, ports: list[int], key: bytes) -> None:
        """Without `key` nothing is decrypted."""
        self._udp = udp
        self._targets = [("127.0.0.1", port) for port in ports]
        self._in, self._out = dtls.Scratch(SIZE), dtls.Scratch(SIZE)
        self._receive: dtls.SrtpContext | None = None
        self._send: list[dtls.SrtpContext] = []
        if key:
            incoming = pylibsrtp.Policy.SSRC_ANY_INBOUND
            outgoing = pylibsrtp.Policy.SSRC_ANY_OUTBOUND
            self._receive = dtls.SrtpContext(session(key, incoming))
            self._send = [dtls.SrtpContext(session(key, outgoing)) for _ in ports]

    def readable(self) -> None:
        for _ in range(64):
            try:
                size, _ = self._udp.recvfrom_into(self._in.view)
            except BlockingIOError:
                return
            if self._receive is None:
                for target in self._targets:
                    self._udp.sendto(self._in.view[:size], target)
            else:
                self._protected(self._receive, size)

    def _protected(self, receive: dtls.SrtpContext, size: int) -> None:
        came, goes = self._in, self._out
        came.length[0] = size
        if dtls.unprotect(receive.pointer, came.pointer, came.length):
            return
        size = came.length[0]
        for context, target in zip(self._send, self._targets, strict=True):
            goes.view[:size] = came.view[:size]
            goes.length[0] = size
            if not dtls.protect(context.pointer, goes.pointer, goes.length):
                self._udp.sendto(goes.view[: goes.length[0]], target)


async def forward(udp: socket.socket, forwarder: Forwarder) -> None:
    loop = asyncio.get_running_loop()
    loop.add_reader(udp.fileno(), forwarder.readable)
    await loop.run_in_executor(None, sys.stdin.read)


def main(kind: str, key: str, ports: list[int]) -> None:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setblocking(False)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    udp.bind(("127.0.0.1", 0))
    print(udp.getsockname()[1], flush=True)
    if kind == "c":
        packed = b"".join(
            struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, b"\x7f\0\0\1")
            for port in ports
        )
        end = ctypes.c_int(sys.stdin.fileno())
        library().forward(ctypes.c_int(udp.fileno()), packed, ctypes.c_int(len(ports)), end)
        return
    uvloop.run(forward(udp, Forwarder(udp, ports, bytes.fromhex(key) if kind == "srtp" else b"")))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], [int(port) for port in sys.argv[3:]])
