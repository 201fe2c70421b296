"""Media nodes that come into the cluster by themselves, complete their launch, and end.

Which commands apply is decided in `conference/decisions/nodes.py`; here is only when to send them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from services.api.announcements import admission
from services.api.nodes import Nodes
from services.api.registry import Registry
from services.conference.calls import Heartbeat
from services.conference.commands import (
    CloseSession,
    ReportNodeConnected,
    ReportNodeIdle,
    ReportNodeLost,
)
from services.conference.ids import NODE_ID, aggregate_of_node
from services.conference.model import NodeStatus, Reason
from services.conference.state import Node, State

from .action import Action
from .nodes import node_action

LAUNCH_MS = 10_000
"""A node that is not heard so long after its admission has failed. It was heard just before: on
premises machines are launched by others."""

Life = tuple[str, int]  # id and time of admission

STARTING = (NodeStatus.LAUNCHING, NodeStatus.CANCELED)


class Membership:
    def __init__(self, nodes: Nodes, registry: Registry, cluster_id: str) -> None:
        self._nodes = nodes
        self._registry = registry
        self._cluster_id = cluster_id
        self._heard: set[Life] = set()  # nodes that were heard since their admission

    def hear(self, heartbeat: Heartbeat) -> bool:
        """Of each heartbeat. True if something is due at once."""
        node = self._registry.known(heartbeat.node_id)
        if node is not None and node.status in STARTING:
            self._heard.add(_life(node))
            return True
        return _is_welcome(node)

    def see(self, session_id: str, before: State | None, after: State) -> bool:
        if after.node is not None:
            return True
        ended = before is not None and before.session is not None and after.session is None
        return ended and any(map(_ending, self._registry.registered()))

    def due(self, now: int) -> Iterator[Action]:
        yield from self._announced()
        registered = self._registry.registered()
        self._heard &= {_life(node) for node in registered if node.status in STARTING}
        for node in registered:
            if node.status in STARTING:
                if _life(node) in self._heard:
                    yield node_action("nodeConnected", node, ReportNodeConnected())
                elif now - node.launched_at >= LAUNCH_MS:
                    yield node_action("nodeLost", node, ReportNodeLost())
            elif _ending(node):
                yield from self._end(node)
        for host in self._registry.hosts():
            left = self._registry.known(host.id)
            if left is not None and not left.registered:
                yield from self._close(left)  # placed by a process that did not know yet

    def _announced(self) -> Iterator[Action]:
        for heartbeat in self._nodes.alive():
            welcome = _is_welcome(self._registry.known(heartbeat.node_id))
            if welcome and NODE_ID.fullmatch(heartbeat.node_id):
                command = admission(heartbeat, self._cluster_id, automatic=True)
                aggregate = aggregate_of_node(heartbeat.node_id)
                yield Action(
                    "nodeAnnounced", aggregate, command, lambda state: _is_welcome(state.node)
                )

    def _end(self, node: Node) -> Iterator[Action]:
        if node.status is NodeStatus.TERMINATING:
            closing = list(self._close(node))
            yield from closing
            if not closing:
                yield node_action("nodeTerminated", node, ReportNodeIdle())
        elif not self._registry.busy(node.id):
            yield node_action("nodeDrained", node, ReportNodeIdle())

    def _close(self, node: Node) -> Iterator[Action]:
        reason = Reason.NODE_CRASHED if node.crashed else Reason.MEDIA_SERVER_DISCONNECT
        sessions = self._registry.sessions(node.id) + self._registry.waiting(node.id)
        for session_id in sessions:
            born = self._registry.born(session_id)
            yield Action(reason.value, session_id, CloseSession(reason), _still(born))


def _ending(node: Node) -> bool:
    return node.status in (NodeStatus.WAITING_IDLE_TO_TERMINATE, NodeStatus.TERMINATING)


def _is_welcome(node: Node | None) -> bool:
    """May it come in by itself?"""
    return node is None or not (node.registered or node.removed)


def _life(node: Node) -> Life:
    return node.id, node.launched_at


def _still(born: int) -> Callable[[State], bool]:
    """Is it this session yet, not a later one with its id? It never moves to another node."""
    return lambda state: state.session is not None and state.session.created_at == born
