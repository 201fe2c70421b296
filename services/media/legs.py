"""All legs of the worker: who a Binding request is for, and the queue for handshakes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from time import monotonic

from . import stun
from .dtls import Fingerprint, Identity
from .leg import CONSENT, Leg, State
from .port import Port
from .stun import Address

MAX_WAITING = 200  # legs that are not connected yet
HANDSHAKES_A_TURN = 4  # datagrams of handshakes in one turn of the loop, about 1 ms each
HANDSHAKE_QUEUE = 1024


class Overloaded(Exception):
    """No new leg now."""


class Legs:
    def __init__(self, port: Port, hosts: tuple[str, ...]) -> None:
        """`hosts` are the addresses clients are told, the best first."""
        self._port = port
        self._hosts = hosts
        self._identity = Identity()
        self._legs: dict[str, Leg] = {}  # by our ufrag
        self._handshakes: deque[tuple[Leg, bytes]] = deque()
        self._draining = False
        self._group: asyncio.TaskGroup | None = None

    def __iter__(self) -> Iterator[Leg]:
        return iter(tuple(self._legs.values()))

    def __len__(self) -> int:
        return len(self._legs)

    @property
    def serving(self) -> bool:
        return self._group is not None

    def serve(self, group: asyncio.TaskGroup) -> None:
        """Take traffic; the legs' tasks run in `group`."""
        self._group = group
        self._port.start(self.stun_received)

    def close(self) -> None:
        """Say goodbye to everybody and take nobody any more."""
        self._group = None
        for leg in self:
            self.drop(leg)

    def make(self) -> Leg:
        """Raises `Overloaded`."""
        if self._group is None:
            raise Overloaded("the node is not serving")
        if sum(leg.state is not State.READY for leg in self) >= MAX_WAITING:
            raise Overloaded("too many connections are being made")
        leg = Leg(self._port, self._identity, self._hosts, self._handshake)
        self._legs[leg.ice.ufrag] = leg
        return leg

    def start(self, leg: Leg, fingerprints: Sequence[Fingerprint]) -> None:
        """The client's description is known: connect. Once for a leg."""
        if self._group is not None:
            leg.state = State.CONNECTING
            self._group.create_task(leg.run(fingerprints, self._ended))

    def drop(self, leg: Leg) -> None:
        self._forget(leg)
        leg.close()

    def _forget(self, leg: Leg) -> None:
        self._legs.pop(leg.ice.ufrag, None)

    def end_silent(self, now: float) -> None:
        """End the legs whose client has stopped checking."""
        for leg in self:
            if leg.state is State.READY and now - leg.checked_at > CONSENT:
                leg.close()
                self._ended(leg, "consent lost")

    def _ended(self, leg: Leg, reason: str) -> None:
        self._forget(leg)
        for user in tuple(leg.users):
            user.closed(reason)

    def stun_received(self, datagram: bytes, address: Address) -> None:
        ufrag = stun.addressee(datagram)
        leg = self._legs.get(ufrag) if ufrag is not None else None
        if ufrag is None or leg is None:
            self._port.counters["STUN for nobody"] += 1
            return
        leg.check(datagram, address, monotonic())

    def _handshake(self, leg: Leg, datagram: bytes) -> None:
        """A burst of joins must not hold up the media: a few handshakes a turn of the loop."""
        if len(self._handshakes) >= HANDSHAKE_QUEUE:
            self._port.counters["handshake queue full"] += 1
            return
        self._handshakes.append((leg, datagram))
        if not self._draining:
            self._draining = True
            asyncio.get_running_loop().call_soon(self._drain)

    def _drain(self) -> None:
        for _ in range(min(HANDSHAKES_A_TURN, len(self._handshakes))):
            leg, datagram = self._handshakes.popleft()
            leg.dtls.feed(datagram)
        self._draining = bool(self._handshakes)
        if self._draining:
            asyncio.get_running_loop().call_soon(self._drain)
