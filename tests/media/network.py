"""A bad network for tests: what happens to each datagram, and a UDP relay that does it.

`Impairment` is pure: a seed, a profile and the packets' sizes and times give the fate of each. A
`Relay` stands between one client and the server, with an impairment for each direction; both can
be changed while it runs.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.integration.media.wire import Address, bound

WAITING = 4096  # datagrams under way in one direction; more are lost
CLIENTS = 16  # addresses behind one relay
OPUS = 111  # the payload type that Chromium gives it
BATCH = 64


@dataclass(frozen=True, slots=True)
class Profile:
    """Times in seconds, shares from 0 to 1.

    With `burst` losses come in runs of that mean length (Gilbert-Elliott: all is lost in the bad
    state, nothing in the good one); `loss` is the share in the long run either way. Jitter keeps
    the order, as a queue does; of the share `reorder` each datagram is held back for `held`.
    """

    loss: float = 0.0
    burst: float = 0.0
    delay: float = 0.0
    jitter: float = 0.0
    reorder: float = 0.0
    held: float = 0.03
    rate: int = 0  # bit/s, 0 = any
    queue: float = 0.3  # of the limited rate


CLEAR = Profile()


class Impairment:
    def __init__(self, seed: int, profile: Profile = CLEAR) -> None:
        self.profile = profile
        self._random = random.Random(seed)
        self._is_bad = False
        self._free_at = 0.0  # when the limited link has sent all that waits
        self._last = 0.0  # when the last datagram that keeps the order leaves

    def fate(self, size: int, now: float) -> float | None:
        """When a datagram of so many bytes leaves; none: it is lost."""
        profile, chance = self.profile, self._random.random
        loses, jitters, holds = chance(), chance(), chance()  # whatever the profile: same draws
        if self._lost(loses):
            return None
        leaves = now
        if profile.rate:
            begins = max(now, self._free_at)
            if begins - now > profile.queue:
                return None
            leaves = self._free_at = begins + size * 8 / profile.rate
        leaves += profile.delay + jitters * profile.jitter
        if holds < profile.reorder:
            return leaves + profile.held
        self._last = max(leaves, self._last)
        return self._last

    def _lost(self, drawn: float) -> bool:
        profile = self.profile
        if not profile.burst or not 0 < profile.loss < 1:
            self._is_bad = False
            return drawn < profile.loss
        if self._is_bad:
            self._is_bad = drawn >= 1 / profile.burst
        else:
            self._is_bad = drawn < profile.loss / ((1 - profile.loss) * profile.burst)
        return self._is_bad


class Lane:
    """One direction of a relay."""

    def __init__(self, seed: int) -> None:
        self.impairment = Impairment(seed)
        self.passed = 0
        self.lost = 0
        self.lost_video = 0  # RTP that is not audio
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[float, int, bytes, Callable[[bytes], object]]] = []
        self._number = 0
        self._timer: asyncio.TimerHandle | None = None

    def carry(self, datagram: bytes, send: Callable[[bytes], object]) -> None:
        now = self._loop.time()
        leaves = self.impairment.fate(len(datagram), now)
        if leaves is None or len(self._waiting) >= WAITING:
            self.lost += 1
            self.lost_video += _is_video(datagram)
            return
        self._number += 1
        heapq.heappush(self._waiting, (leaves, self._number, datagram, send))
        self._flush()

    def _flush(self) -> None:
        now = self._loop.time()
        while self._waiting and self._waiting[0][0] <= now:
            _, _, datagram, send = heapq.heappop(self._waiting)
            self.passed += 1
            send(datagram)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            self._timer = self._loop.call_at(self._waiting[0][0], self._flush)

    def close(self) -> None:
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()


class Relay:
    """`address` is what the client takes for the server. Each address of the client gets a port
    of its own towards the server, as behind a NAT; all share the two lanes."""

    def __init__(self, server: Address, *, seed: int) -> None:
        self.up, self.down = Lane(2 * seed), Lane(2 * seed + 1)
        self._server = server
        self._near = bound()
        self._far: dict[Address, socket.socket] = {}  # by the client's address
        self.address: Address = self._near.getsockname()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._near.fileno(), self._from_client)

    def impair(self, *, up: Profile = CLEAR, down: Profile = CLEAR) -> None:
        self.up.impairment.profile, self.down.impairment.profile = up, down

    def _from_client(self) -> None:
        for data, client in _received(self._near):
            far = self._far.get(client)
            if far is None:
                if len(self._far) >= CLIENTS:
                    continue
                far = self._far[client] = bound()
                self._loop.add_reader(far.fileno(), self._from_server, far, client)
            self.up.carry(data, partial(_send, far, self._server))

    def _from_server(self, far: socket.socket, client: Address) -> None:
        for data, _ in _received(far):
            self.down.carry(data, partial(_send, self._near, client))

    def close(self) -> None:
        self.up.close()
        self.down.close()
        for udp in (self._near, *self._far.values()):
            self._loop.remove_reader(udp.fileno())
            udp.close()


def _received(udp: socket.socket) -> list[tuple[bytes, Address]]:
    """What is there; the loop comes back for more than a batch."""
    found: list[tuple[bytes, Address]] = []
    while len(found) < BATCH:
        try:
            found.append(udp.recvfrom(2048))
        except BlockingIOError:
            break
        except ConnectionError:
            continue  # the other side's socket was closed
    return found


def _send(udp: socket.socket, to: Address, datagram: bytes) -> None:
    try:
        udp.sendto(datagram, to)
    except BlockingIOError:
        return  # a full buffer loses, as any network does


def _is_video(datagram: bytes) -> bool:
    if len(datagram) < 12 or not 128 <= datagram[0] < 192:
        return False
    payload_type = datagram[1] & 0x7F
    return not 64 <= payload_type < 96 and payload_type != OPUS
