"""The UDP socket of a worker."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address

BUFFER = 4 * 1024 * 1024  # bytes, both ways: the default loses packets at 25,000 a second


def bind(host: str, ports: range) -> socket.socket:
    """A non-blocking socket on the first free port; raises `OSError` where there is none."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        udp.setblocking(False)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        for port in ports:
            try:
                udp.bind((str(IPv4Address(host)), port))
            except OSError:
                if port == ports[-1]:
                    raise
            else:
                return udp
        raise OSError("no UDP port to try")
    except OSError:
        udp.close()
        raise


def buffers(udp: socket.socket) -> tuple[int, int]:
    """Bytes the kernel granted to receive and to send; it cuts them silently."""
    return (
        udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2,  # Linux doubles
        udp.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 2,
    )
