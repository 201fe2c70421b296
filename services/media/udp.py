"""The UDP socket of a worker, and how it writes addresses.

On `::` it takes IPv4, too, which the kernel writes as `::ffff:a.b.c.d`. Everybody else knows an
address as host and port, and such a one as IPv4.
"""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Any

from .stun import Address

BUFFER = 4 * 1024 * 1024  # bytes, both ways: the default loses packets at 25,000 a second
_MAPPED = "::ffff:"


def bind(host: str, ports: range) -> socket.socket:
    """A non-blocking socket on the first free port; raises `OSError` where there is none."""
    address = ip_address(host)
    is_ipv6 = address.version == 6
    udp = socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        udp.setblocking(False)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        if is_ipv6:
            alone = not address.is_unspecified
            udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, alone)
        for port in ports:
            try:
                udp.bind((str(address), port))
            except OSError:
                if port == ports[-1]:
                    raise
            else:
                return udp
        raise OSError("no UDP port to try")
    except OSError:
        udp.close()
        raise


def plain(name: Any) -> Address:
    """An address as a socket tells it, without flow and scope, and IPv4 as IPv4."""
    host = name[0].partition("%")[0]
    if host.startswith(_MAPPED) and "." in host:
        host = host.removeprefix(_MAPPED)
    return host, name[1]


def named(udp: socket.socket, address: Address) -> Address:
    """An address as this socket takes it."""
    if udp.family == socket.AF_INET6 and ":" not in address[0]:
        return _MAPPED + address[0], address[1]
    return address


def buffers(udp: socket.socket) -> tuple[int, int]:
    """Bytes the kernel granted to receive and to send; it cuts them silently."""
    return (
        udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2,  # Linux doubles
        udp.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 2,
    )
