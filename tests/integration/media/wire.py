"""Pieces of network for the media tests: a collector of datagrams, a relay that loses some."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

Address = tuple[str, int]


def bound() -> socket.socket:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setblocking(False)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)  # loses only when asked to
    udp.bind(("127.0.0.1", 0))
    return udp


class Collector:
    """Keeps every datagram that comes."""

    def __init__(self) -> None:
        self._socket = bound()
        self.address: Address = self._socket.getsockname()
        self.datagrams: list[bytes] = []
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), self._readable)

    def _readable(self) -> None:
        self.datagrams.append(self._socket.recv(2048))

    def close(self) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()


class Relay:
    """Stands between a client and the server. `lose` is asked about every datagram, with true for
    those that come from the client."""

    def __init__(self, server: Address, lose: Callable[[bytes, bool], bool]) -> None:
        self._server = server
        self._lose = lose
        self._near, self._far = bound(), bound()
        self._client: Address | None = None
        self.address: Address = self._near.getsockname()
        self.lost = 0
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._near.fileno(), self._from_client)
        self._loop.add_reader(self._far.fileno(), self._from_server)

    def _from_client(self) -> None:
        data, self._client = self._near.recvfrom(2048)
        if self._lose(data, True):
            self.lost += 1
        else:
            self._far.sendto(data, self._server)

    def _from_server(self) -> None:
        data = self._far.recv(2048)
        if self._lose(data, False):
            self.lost += 1
        elif self._client is not None:
            self._near.sendto(data, self._client)

    def move(self) -> None:
        """Get another port towards the server, as a NAT does."""
        self._loop.remove_reader(self._far.fileno())
        self._far.close()
        self._far = bound()
        self._loop.add_reader(self._far.fileno(), self._from_server)

    def close(self) -> None:
        for udp in (self._near, self._far):
            self._loop.remove_reader(udp.fileno())
            udp.close()
