"""Media nodes that came back as another process, or did not come back (`events.md` 5.9)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from services.api.nodes import Nodes
from services.api.registry import Registry
from services.conference.commands import (
    CloseSession,
    ReportNodeConnected,
    ReportNodeIdle,
    ReportNodeLost,
    ResetMedia,
)
from services.conference.ids import aggregate_of_node
from services.conference.model import NodeStatus, Reason
from services.conference.state import MediaNode, Node, State

from .action import Action

RETURN_MS = 7_000
"""A node that was not heard for 3 s (`Nodes.alive`) may come back so long, then it is lost. The
sheet gives it up at once; here the process is started again by the launcher first, and its
sessions go on."""

SETTLE_MS = 1_500
"""So long a session must be on another instance than the node has: of two api processes, one hears
a new process up to a heartbeat later than the other."""

STALL_MS = 2_000  # between two looks: we were not running ourselves, so we heard nobody

NodeReport = ReportNodeConnected | ReportNodeIdle | ReportNodeLost

IN_USE = (NodeStatus.RUNNING, NodeStatus.WAITING_IDLE_TO_TERMINATE)


class NodeWatch:
    """`connected`: can heartbeats reach us at all? While not, no node counts as silent."""

    def __init__(self, nodes: Nodes, registry: Registry, connected: Callable[[], bool]) -> None:
        self._nodes = nodes
        self._registry = registry
        self._connected = connected
        self._heard: dict[str, int] = {}  # when a node in use was last alive
        self._outdated: dict[MediaNode, int] = {}  # since when the node has another instance
        self._looked = 0

    def see(self, session_id: str, before: State | None, after: State) -> bool:
        return False

    def due(self, now: int) -> Iterator[Action]:
        hosts = self._registry.hosts()
        alive = {node.node_id: node.instance for node in self._nodes.alive()}
        self._listen(now, alive, hosts)
        for host, session_ids in hosts.items():
            if host in self._outdated:
                if now - self._outdated[host] >= SETTLE_MS:
                    reset = ResetMedia(host.id, alive[host.id])
                    for session_id in session_ids:
                        still = _on(host, self._registry.born(session_id))
                        yield Action("mediaServerReconnect", session_id, reset, still)
            elif self._lost(host.id, now) and self._registry.known(host.id) is None:
                crash = CloseSession(Reason.NODE_CRASHED)
                for session_id in session_ids:
                    still = _on(host, self._registry.born(session_id))
                    yield Action("nodeCrashed", session_id, crash, still)
        for node in self._registry.registered():
            if node.status in IN_USE and self._lost(node.id, now):
                yield node_action("nodeLost", node, ReportNodeLost())

    def _listen(self, now: int, alive: dict[str, str], hosts: Iterable[MediaNode]) -> None:
        stalled = now - self._looked > STALL_MS or not self._connected()
        self._looked = now
        used = {host.id for host in hosts}
        used |= {node.id for node in self._registry.registered()}
        self._heard = {
            node_id: now if stalled or node_id in alive else self._heard.get(node_id, now)
            for node_id in used
        }
        self._outdated = {
            host: self._outdated.get(host, now)
            for host in hosts
            if alive.get(host.id, host.instance) != host.instance
        }

    def _lost(self, node_id: str, now: int) -> bool:
        return now - self._heard[node_id] >= RETURN_MS


def node_action(timer: str, node: Node, command: NodeReport) -> Action:
    """A report on a node, once in each of its lives, while it is in the status it has now."""

    def applies(state: State) -> bool:
        found = state.node
        return (
            found is not None
            and found.launched_at == node.launched_at
            and found.status is node.status
        )

    command_id = f"{timer}-{node.launched_at}"
    return Action(timer, aggregate_of_node(node.id), command, applies, command_id)


def _on(host: MediaNode, born: int) -> Callable[[State], bool]:
    return lambda state: (
        state.session is not None
        and state.session.created_at == born
        and state.session.media_node == host
    )
