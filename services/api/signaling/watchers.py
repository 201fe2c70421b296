"""Recorders and speech-to-text modules: they join with the server's secret and only watch.

They are no participants, so the log does not know them: no event, no notice to anybody, no count.
See `signaling.md` 2.1, 3.1 and 7.14, and decision 0018.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from msgspec.structs import replace

from services.api.nodes import Nodes, NodeUnavailable
from services.conference.calls import Discard
from services.conference.model import ConnectionType, Reason, Role
from services.conference.state import Connection, Session, Subscription

from . import rpc
from .peers import Key, Peer, Peers, Watching

RECORDER = "RECORDER"
SPEECH_TO_TEXT = "SPEECH_TO_TEXT"
UNSEEN = frozenset({RECORDER, SPEECH_TO_TEXT})


def watcher(connection_id: str, client_data: str, now: int) -> Connection:
    """What its methods see as the caller's connection. `now`: UTC ms."""
    return Connection(
        id=connection_id,
        token="",
        type=ConnectionType.WEBRTC,
        role=Role.SUBSCRIBER,
        record=False,
        server_data="",
        created_at=now,
        active_at=now,
        client_data=client_data,
    )


class Watchers:
    """One of each kind in a session: a newer one takes the place of an older."""

    def __init__(
        self,
        peers: Peers,
        nodes: Nodes,
        announce: Callable[[Key], Coroutine[Any, Any, None]],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._peers = peers
        self._nodes = nodes
        self._announce = announce
        self._spawn = spawn
        self._by_session: dict[str, dict[str, Watching]] = {}

    def admit(self, peer: Peer, session: Session, connection: Connection, since: int) -> None:
        """The peer watches from now on. `since`: the log's sequence that its answer shows."""
        key = Key(session.id, connection.id)
        self.moved(key)
        self._peers.expel(key)
        peer.watching = Watching(connection, since)
        self._by_session.setdefault(session.id, {})[connection.id] = peer.watching
        self._peers.bind(peer, key)
        self._spawn(self._announce(key))

    def of(self, session_id: str, sequence: int) -> list[str]:
        """Whom the commit at this sequence is news for."""
        here = self._by_session.get(session_id, {})
        return [id_ for id_, watching in here.items() if watching.since < sequence]

    def subscribed(self, watching: Watching, session: Session, publisher: Connection) -> None:
        """The stream of the publisher is received from now on."""
        stream = publisher.stream
        if stream is None or session.media_node is None:
            return
        published = {one.stream.id for one in session.connections.values() if one.stream}
        known = watching.connection.subscriptions
        kept = {stream_id: old for stream_id, old in known.items() if stream_id in published}
        kept[stream.id] = Subscription(stream.id, publisher.id, stream.created_at, stream.published)
        watching.connection = replace(watching.connection, subscriptions=kept)
        watching.node_id = session.media_node.id

    def unsubscribed(self, watching: Watching, publisher_id: str) -> None:
        known = watching.connection.subscriptions
        kept = {id_: old for id_, old in known.items() if old.publisher_id != publisher_id}
        watching.connection = replace(watching.connection, subscriptions=kept)
        self._release(watching, [stream_id for stream_id in known if stream_id not in kept])

    def leave(self, peer: Peer) -> None:
        """The peer watches no longer; closing its socket is left to its client for a while."""
        if peer.key is not None and self._forget(peer.key, peer.watching):
            self._peers.left(None, peer.key, None)

    def dismiss(self, session_id: str, connection_id: str, reason: Reason | None = None) -> None:
        """The recorder's socket is closed at once; speech-to-text is evicted like others (4.3)."""
        key = Key(session_id, connection_id)
        if not self._forget(key, self._by_session.get(session_id, {}).get(connection_id)):
            return
        if connection_id == RECORDER:
            self._peers.expel(key)
            return
        params = {"connectionId": connection_id, "reason": reason.value if reason else ""}
        farewell = rpc.notification("participantEvicted", params)
        self._peers.deliver(key, farewell)
        self._peers.left(None, key, farewell)

    def end(self, session_id: str, sequence: int, reason: Reason | None = None) -> None:
        """The session ended by the commit at this sequence."""
        for connection_id in self.of(session_id, sequence):
            self.dismiss(session_id, connection_id, reason)

    def moved(self, key: Key) -> None:
        """Somebody else takes the place, and the media of the same name with it."""
        if watching := self._by_session.get(key.session_id, {}).get(key.connection_id):
            watching.node_id = None
            self._forget(key, watching)

    def _forget(self, key: Key, watching: Watching | None) -> bool:
        """False if the place is somebody else's."""
        here = self._by_session.get(key.session_id, {})
        if watching is None or here.get(key.connection_id) is not watching:
            return False
        del here[key.connection_id]
        if not here:
            del self._by_session[key.session_id]
        self._release(watching, list(watching.connection.subscriptions))
        return True

    def _release(self, watching: Watching, stream_ids: list[str]) -> None:
        if stream_ids and watching.node_id is not None:
            self._spawn(self._discard(watching.node_id, watching.connection.id, stream_ids))

    async def _discard(self, node_id: str, connection_id: str, stream_ids: list[str]) -> None:
        with suppress(NodeUnavailable):  # it drops a transport that falls silent
            for stream_id in stream_ids:
                await self._nodes.call(node_id, Discard(connection_id, stream_id))
