"""The cluster as the log tells it: which media nodes belong to it, and what they host.

Who of them is heard is another matter: `nodes.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from services.conference.ids import aggregate_of_node
from services.conference.model import NodeStatus, RecordingStatus
from services.conference.state import MediaNode, Node, State
from services.eventlog.follower import Step

_FINISHED = (RecordingStatus.READY, RecordingStatus.FAILED)


class Registry:
    """A follower of the feed, before those that ask it."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        self._host: dict[str, MediaNode] = {}  # by session id
        self._hosted: dict[MediaNode, dict[str, None]] = {}  # session ids, as they were placed
        self._born: dict[str, int] = {}  # when the sessions were created
        self._pinned: dict[str, str] = {}  # what node waits for whom, by session id
        self._recordings: dict[str, dict[str, str | None]] = {}  # own nodes by id, by session id

    def adopt(self, states: Iterable[State]) -> None:
        for state in states:
            if state.node is not None:
                self.see(aggregate_of_node(state.node.id), None, state)
            elif state.session is not None:
                self.see(state.session.id, None, state)

    def dispatch(self, steps: list[Step]) -> None:
        for step in steps:
            self.see(step.session_id, step.before, step.after)

    def see(self, session_id: str, before: State | None, after: State) -> None:
        """`session_id` as in a commit; `before` is `None` for what is adopted."""
        if after.node is not None:
            self._nodes[after.node.id] = after.node
            return
        session = after.session
        if session is None:
            self._place(session_id, None)
            self._born.pop(session_id, None)
            self._pinned.pop(session_id, None)
            self._recordings.pop(session_id, None)
            return
        self._born[session_id] = session.created_at
        self._place(session_id, session.media_node)
        if session.properties.media_node and session.media_node is None:
            self._pinned[session_id] = session.properties.media_node
        else:
            self._pinned.pop(session_id, None)
        if before is None or before.recordings is not after.recordings:
            self._recordings.pop(session_id, None)
            recordings = {
                recording.id: recording.properties.media_node
                for recording in after.recordings.values()
                if recording.status not in _FINISHED
            }
            if recordings:
                self._recordings[session_id] = recordings

    def _place(self, session_id: str, host: MediaNode | None) -> None:
        known = self._host.get(session_id)
        if host == known:
            return
        if known is not None:
            del self._host[session_id], self._hosted[known][session_id]
            if not self._hosted[known]:
                del self._hosted[known]
        if host is not None:
            self._host[session_id] = host
            self._hosted.setdefault(host, {})[session_id] = None

    def known(self, node_id: str) -> Node | None:
        """The node, or what is left of one that belonged to the cluster."""
        return self._nodes.get(node_id)

    def find(self, node_id: str) -> Node | None:
        """The node, if it belongs to the cluster."""
        node = self._nodes.get(node_id)
        return node if node is not None and node.registered else None

    def runs(self, node_id: str) -> bool:
        """May new sessions be placed there, as far as the log knows?"""
        node = self._nodes.get(node_id)
        return node is not None and node.status is NodeStatus.RUNNING

    def registered(self) -> list[Node]:
        """In the order of their admission."""
        nodes = [node for node in self._nodes.values() if node.registered]
        return sorted(nodes, key=lambda node: (node.launched_at, node.id))

    def hosts(self) -> Mapping[MediaNode, Iterable[str]]:
        """The open sessions by where they were placed, whether that belongs to the cluster or
        not."""
        return self._hosted

    def sessions(self, node_id: str) -> list[str]:
        return [
            session_id
            for host, session_ids in self._hosted.items()
            if host.id == node_id
            for session_id in session_ids
        ]

    def born(self, session_id: str) -> int:
        """When the open session was created: another one may come to have its id."""
        return self._born[session_id]

    def waiting(self, node_id: str) -> list[str]:
        """Sessions that must be on this node and that nobody has joined."""
        return [session_id for session_id, node in self._pinned.items() if node == node_id]

    def recordings(self, node_id: str) -> list[str]:
        """Those of open sessions that are not finished."""
        return [
            recording_id
            for session_id, recordings in self._recordings.items()
            for recording_id, own in recordings.items()
            if (own or self._node_of(session_id)) == node_id
        ]

    def busy(self, node_id: str) -> bool:
        return bool(self.sessions(node_id) or self.recordings(node_id))

    def _node_of(self, session_id: str) -> str | None:
        host = self._host.get(session_id)
        return None if host is None else host.id
