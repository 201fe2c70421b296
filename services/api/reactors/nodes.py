"""Media nodes that came back as another process, or did not come back (`events.md` 5.9)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from services.api.nodes import Nodes
from services.conference.commands import CloseSession, ResetMedia
from services.conference.model import Reason
from services.conference.state import MediaNode, State

from .action import Action

RETURN_MS = 7_000
"""A node that was not heard for 3 s (`Nodes.alive`) may come back so long, then its sessions are
closed. The sheet closes at once; here the process is started again by the launcher first, and its
sessions go on."""

SETTLE_MS = 1_500
"""So long a session must be on another instance than the node has: of two api processes, one hears
a new process up to a heartbeat later than the other."""

STALL_MS = 2_000  # between two looks: we were not running ourselves, so we heard nobody


class NodeWatch:
    """`connected`: can heartbeats reach us at all? While not, no node counts as silent."""

    def __init__(self, nodes: Nodes, connected: Callable[[], bool]) -> None:
        self._nodes = nodes
        self._connected = connected
        self._hosted: dict[MediaNode, set[str]] = {}
        self._host: dict[str, MediaNode] = {}
        self._heard: dict[str, int] = {}  # when a node in use was last alive
        self._outdated: dict[MediaNode, int] = {}  # since when the node has another instance
        self._looked = 0

    def see(self, session_id: str, before: State | None, after: State) -> bool:
        node = after.session.media_node if after.session else None
        known = self._host.get(session_id)
        if node == known:
            return False
        if known is not None:
            self._hosted[known].discard(session_id)
            if not self._hosted[known]:
                del self._hosted[known]
        if node is None:
            del self._host[session_id]
        else:
            self._host[session_id] = node
            self._hosted.setdefault(node, set()).add(session_id)
        return False

    def due(self, now: int) -> Iterator[Action]:
        alive = {node.node_id: node.instance for node in self._nodes.alive()}
        stalled = now - self._looked > STALL_MS or not self._connected()
        self._looked = now
        used = {node.id for node in self._hosted}
        self._heard = {
            node_id: now if stalled or node_id in alive else self._heard.get(node_id, now)
            for node_id in used
        }
        self._outdated = {
            node: self._outdated.get(node, now)
            for node in self._hosted
            if alive.get(node.id, node.instance) != node.instance
        }
        for node, session_ids in self._hosted.items():
            if node in self._outdated:
                if now - self._outdated[node] >= SETTLE_MS:
                    reset = ResetMedia(node.id, alive[node.id])
                    for session_id in session_ids:
                        yield Action("mediaServerReconnect", session_id, reset, _on(node))
            elif now - self._heard[node.id] >= RETURN_MS:
                crash = CloseSession(Reason.NODE_CRASHED)
                for session_id in session_ids:
                    yield Action("nodeCrashed", session_id, crash, _on(node))


def _on(node: MediaNode) -> Callable[[State], bool]:
    return lambda state: state.session is not None and state.session.media_node == node
