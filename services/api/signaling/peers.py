"""The logical clients (RPC sessions) of this gateway, which survive their sockets.

See `signaling.md` 1.5 and 1.9. Everything here is synchronous: no state is ever seen half changed.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple

from msgspec import Struct

from services.conference.state import Connection

from . import rpc
from .frames import Frame, FrameQueue
from .socket import Socket

BACKLOG_FRAMES = 4000
BACKLOG_SIZE = 16 * 1024 * 1024
MAX_REQUESTS = 512  # waiting for their turn …
MAX_WAITING = 8 * 1024 * 1024  # … and bytes of their parameters
RPC_ALPHABET = "0123456789abcdefghijklmnopqrstuv"

GONE = "This connection serves nobody any more"
LEFT = "The participant has left"


class Key(NamedTuple):
    session_id: str
    connection_id: str


class Watching(Struct):
    """What is known of a peer that is no participant, only watches (`watchers.py`).

    `connection` is made up and holds its subscriptions, `since` is the log's sequence that it saw
    when it came, `node_id` the media node that serves it."""

    connection: Connection
    since: int
    node_id: str | None = None


class Pending(NamedTuple):
    """A request that waits for its turn, the socket that hears the answer, and until when its
    client waits (loop time)."""

    socket: Socket
    request: rpc.Request
    deadline: float

    @property
    def size(self) -> int:
        """Bytes of the parameters."""
        return len(memoryview(self.request.params))


def new_rpc_id() -> str:
    """130 random bits."""
    return "".join(secrets.choice(RPC_ALPHABET) for _ in range(26))


def digest_of(rpc_id: str) -> str:
    return sha256(rpc_id.encode()).hexdigest()


class Peer:
    """One logical client. `key` is known once it joined; `rpc_id` is unknown after a restart until
    the client tells it. `lost`: it cannot come back; `left`: its participant is in no session any
    more, and `farewell` is the eviction it must hear of."""

    def __init__(self, digest: str, rpc_id: str = "", key: Key | None = None) -> None:
        self.digest = digest
        self.rpc_id = rpc_id
        self.key = key
        self.socket: Socket | None = None
        self.lost = False
        self.left = False
        self.farewell: str | None = None
        self.watching: Watching | None = None
        self.backlog = FrameQueue(BACKLOG_FRAMES, BACKLOG_SIZE)
        self._requests: deque[Pending] = deque()
        self._waiting = 0  # bytes
        self.working = False
        self.prepared: dict[str, int] = {}  # when an offer was made, UTC ms, by stream id
        self.renewing: dict[str, asyncio.Event] = {}  # an answer came, by stream id
        self.timer: asyncio.TimerHandle | None = None

    def queue(self, pending: Pending) -> bool:
        """False if too much waits already."""
        size = self._waiting + pending.size
        if len(self._requests) >= MAX_REQUESTS or (self._requests and size > MAX_WAITING):
            return False
        self._requests.append(pending)
        self._waiting = size
        return True

    def next_request(self) -> Pending | None:
        if not self._requests:
            return None
        pending = self._requests.popleft()
        self._waiting -= pending.size
        return pending

    def negotiated(self, stream_id: str) -> None:
        """The subscription has a transport now that the client agreed to."""
        self.prepared.pop(stream_id, None)
        if answered := self.renewing.get(stream_id):
            answered.set()

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Peers:
    """`grace` and `linger` in seconds. `expired` is called, synchronously, with a peer that joined
    and whose client did not come back."""

    def __init__(self, grace: float, linger: float, expired: Callable[[Peer], None]) -> None:
        self._grace = grace
        self._linger = linger
        self._expired = expired
        self._by_key: dict[Key, Peer] = {}
        self._by_digest: dict[str, Peer] = {}
        self._participants: dict[str, Key] = {}  # by digest, those of other gateways too
        self._running = False

    # What the log says

    def joined(self, digest: str, key: Key) -> None:
        self._participants[digest] = key

    def bind(self, peer: Peer, key: Key) -> None:
        """The peer is a participant from now on and gets what is delivered to `key`."""
        peer.key = key
        self._by_key[key] = peer
        self._by_digest.setdefault(peer.digest, peer)
        if peer.socket is None:
            self._start_grace(peer)

    def adopt(self, digest: str, key: Key) -> None:
        """A participant whose client was served by a process that is no more."""
        self.joined(digest, key)
        if digest not in self._by_digest:
            peer = Peer(digest, key=key)
            self._by_digest[digest] = peer
            self.bind(peer, key)

    def left(self, digest: str | None, key: Key, farewell: str | None) -> None:
        """The participant is no more. A client that is away, or loses its socket now, may come
        back to hear its farewell; without one it is told that it is unknown."""
        if digest is not None:
            self._participants.pop(digest, None)
        peer = self._by_key.pop(key, None)
        if peer is None:
            return
        peer.left = True
        peer.farewell = farewell
        if peer.socket is not None:
            peer.stop_timer()
            self._close_later(peer.socket)
        elif farewell is None:
            self.drop(peer)
        elif peer.timer is None:  # it has run out, and whoever asks about the peer lets go of it
            self._start_grace(peer)

    # Sockets

    def start(self) -> None:
        """Sockets come and go from now on; so the time of those who were adopted runs."""
        self._running = True
        for peer in self._by_digest.values():
            if peer.socket is None:
                self._start_grace(peer)

    def stop(self) -> None:
        self._running = False
        for peer in self._by_digest.values():
            peer.stop_timer()

    def create(self, socket: Socket) -> Peer:
        rpc_id = new_rpc_id()
        peer = Peer(digest_of(rpc_id), rpc_id)
        self._by_digest[peer.digest] = peer
        peer.socket, socket.peer = socket, peer
        return peer

    def find(self, rpc_id: str) -> Peer | None:
        """Who may come back with this id, wherever it was served before."""
        digest = digest_of(rpc_id)
        peer = self._by_digest.get(digest)
        if peer is not None:
            if peer.lost:
                return None
            peer.rpc_id = rpc_id
            return peer
        if key := self._participants.get(digest):
            peer = Peer(digest, rpc_id)
            self.bind(peer, key)
            return peer
        return None

    def attach(self, peer: Peer, socket: Socket, greeting: str) -> None:
        """Serve the peer by this socket: first the greeting, then all it missed."""
        previous = self._release(peer)
        peer.socket, socket.peer = socket, peer
        peer.stop_timer()
        socket.send(greeting)
        if previous is not None:
            socket.load(previous.unsent())
        socket.load(peer.backlog.drain())
        if peer.left:
            self._close_later(socket)

    def detach(self, socket: Socket) -> None:
        """The socket is lost; its peer waits for another one."""
        peer, socket.peer = socket.peer, None
        if peer is None or peer.socket is not socket:
            return
        peer.socket = None
        if peer.left:
            self._part(peer, socket)
        elif peer.key is not None:
            for frame in socket.unsent():
                self._keep(peer, frame)
            self._start_grace(peer)
        elif not peer.working:
            self.drop(peer)

    def _part(self, peer: Peer, socket: Socket) -> None:
        """The socket is lost after the participant left. A client that comes back has not seen
        its farewell, or it would not; so that alone may be sent again."""
        if peer.farewell is None:
            self.drop(peer)
            return
        texts = [frame.text for frame in socket.unsent() if frame.text != peer.farewell]
        for text in (*texts, peer.farewell):
            peer.backlog.push(Frame(text, kept=True))
        self._start_grace(peer)

    def held(self, key: Key) -> bool:
        """Is the participant served by a socket of this gateway?"""
        return self.served(key) is not None

    def served(self, key: Key) -> Peer | None:
        """Who has this place, if it has a socket now."""
        peer = self._by_key.get(key)
        return peer if peer is not None and peer.socket is not None else None

    def by_session(self) -> dict[str, list[Key]]:
        """All who are bound here."""
        found: dict[str, list[Key]] = {}
        for key in self._by_key:
            found.setdefault(key.session_id, []).append(key)
        return found

    def holds(self, peer: Peer) -> bool:
        return peer.key is not None and self._by_key.get(peer.key) is peer

    def expel(self, key: Key) -> None:
        """Forget whoever has this place, and close the socket at once."""
        if peer := self._by_key.get(key):
            self.drop(peer)
            self._release(peer)

    def _release(self, peer: Peer) -> Socket | None:
        """Close the peer's socket, if it has one, as somebody else's business from now on."""
        socket, peer.socket = peer.socket, None
        if socket is not None:
            socket.peer = None
            socket.close(1000, GONE)
        return socket

    def drop(self, peer: Peer) -> None:
        """Forget the peer; the participant, if any, stays."""
        peer.stop_timer()
        if self._by_digest.get(peer.digest) is peer:
            del self._by_digest[peer.digest]
        if self.holds(peer) and peer.key is not None:
            del self._by_key[peer.key]

    def retry(self, peer: Peer, seconds: float) -> None:
        """Let the peer expire once more, later."""
        if self._running and peer.socket is None and self.holds(peer):
            self._start_timer(peer, seconds)

    # Notifications

    def deliver(self, key: Key, text: str) -> None:
        """Send to the participant, or keep it until its client is back."""
        peer = self._by_key.get(key)
        if peer is None:
            return
        frame = Frame(text, kept=True)
        if peer.socket is not None and peer.socket.push(frame):
            return
        self._keep(peer, frame)  # a socket that refused it has detached itself

    def _keep(self, peer: Peer, frame: Frame) -> None:
        if peer.lost or peer.backlog.push(frame):
            return
        peer.lost = True
        peer.backlog.drain()
        peer.stop_timer()
        self._expired(peer)

    # Timers

    def _start_grace(self, peer: Peer) -> None:
        if self._running:
            self._start_timer(peer, self._grace)

    def _start_timer(self, peer: Peer, seconds: float) -> None:
        peer.stop_timer()
        peer.timer = asyncio.get_running_loop().call_later(seconds, self._time_out, peer)

    def _time_out(self, peer: Peer) -> None:
        peer.timer = None
        if peer.left:
            self.drop(peer)
        else:
            self._expired(peer)

    def _close_later(self, socket: Socket) -> None:
        asyncio.get_running_loop().call_later(self._linger, socket.close, 1000, LEFT)
