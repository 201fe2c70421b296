"""Media nodes: taken into the cluster, running, drained, gone (`cluster.md` sections 2 and 3)."""

from __future__ import annotations

from services.conference.commands import (
    AdmitNode,
    ChangeNodeStatus,
    RemoveNode,
    ReportNodeConnected,
    ReportNodeIdle,
    ReportNodeLost,
)
from services.conference.errors import (
    NodeBusy,
    NodeExists,
    NodeNotFound,
    NodeRemoved,
    TransitionNotAllowed,
)
from services.conference.events import MediaNodeAdmitted, MediaNodeStatusChanged
from services.conference.model import DeletionStrategy, NodeStatus
from services.conference.state import Node

from .draft import Draft

# All transitions of 2.1 but the admission, which makes a node `launching`. From there to
# `terminating` is none: such a node is `canceled` first.
ON_REQUEST: dict[NodeStatus, frozenset[NodeStatus]] = {
    NodeStatus.LAUNCHING: frozenset({NodeStatus.CANCELED}),
    NodeStatus.CANCELED: frozenset({NodeStatus.LAUNCHING}),
    NodeStatus.RUNNING: frozenset({NodeStatus.WAITING_IDLE_TO_TERMINATE, NodeStatus.TERMINATING}),
    NodeStatus.WAITING_IDLE_TO_TERMINATE: frozenset({NodeStatus.RUNNING, NodeStatus.TERMINATING}),
}
CONNECTED: dict[NodeStatus, NodeStatus] = {
    NodeStatus.LAUNCHING: NodeStatus.RUNNING,
    NodeStatus.CANCELED: NodeStatus.TERMINATING,
}
LOST: dict[NodeStatus, NodeStatus] = {
    NodeStatus.LAUNCHING: NodeStatus.FAILED,
    NodeStatus.CANCELED: NodeStatus.TERMINATING,
    NodeStatus.RUNNING: NodeStatus.TERMINATING,
    NodeStatus.WAITING_IDLE_TO_TERMINATE: NodeStatus.TERMINATING,
}
IDLE: dict[NodeStatus, NodeStatus] = {
    NodeStatus.WAITING_IDLE_TO_TERMINATE: NodeStatus.TERMINATING,
    NodeStatus.TERMINATING: NodeStatus.TERMINATED,
}


def admit(draft: Draft, command: AdmitNode) -> None:
    node = draft.state.node
    if node is not None and node.registered:
        raise NodeExists(f"Media node {node.id} is registered.")
    if node is not None and node.removed and command.automatic:
        raise NodeRemoved(f"Media node {node.id} was removed.")
    draft.add(
        MediaNodeAdmitted(
            node_id=command.node_id,
            environment_id=command.environment_id,
            ip=command.ip,
            uri=command.uri,
            cluster_id=command.cluster_id,
            at=draft.at,
        )
    )
    if command.connected:
        draft.add(MediaNodeStatusChanged(NodeStatus.RUNNING, draft.at))


def report_connected(draft: Draft, _: ReportNodeConnected) -> None:
    _advance(draft, CONNECTED)


def report_lost(draft: Draft, _: ReportNodeLost) -> None:
    _advance(draft, LOST, crashed=True)


def report_idle(draft: Draft, _: ReportNodeIdle) -> None:
    _advance(draft, IDLE)


def change_status(draft: Draft, command: ChangeNodeStatus) -> None:
    node = _registered(draft)
    if command.status is node.status:
        return
    if command.status not in ON_REQUEST.get(node.status, ()):
        raise TransitionNotAllowed(
            f"Media node {node.id} is {node.status} and cannot become {command.status} on request."
        )
    draft.add(MediaNodeStatusChanged(command.status, draft.at))


def remove(draft: Draft, command: RemoveNode) -> None:
    """Whoever asks again, or for less than is under way, gets nothing new."""
    node = _registered(draft)
    status = node.status
    match status:
        case NodeStatus.LAUNCHING:
            status = NodeStatus.CANCELED
        case NodeStatus.RUNNING | NodeStatus.WAITING_IDLE_TO_TERMINATE:
            if not command.busy or command.strategy is DeletionStrategy.NOW:
                status = NodeStatus.TERMINATING
            elif command.strategy is DeletionStrategy.IF_NO_SESSIONS:
                raise NodeBusy(f"Media node {node.id} hosts sessions or recordings.")
            else:
                status = NodeStatus.WAITING_IDLE_TO_TERMINATE
    if status is not node.status:
        draft.add(MediaNodeStatusChanged(status, draft.at))


def _registered(draft: Draft) -> Node:
    node = draft.state.node
    if node is None or not node.registered:
        raise NodeNotFound("The media node does not exist.")
    return node


def _advance(draft: Draft, steps: dict[NodeStatus, NodeStatus], *, crashed: bool = False) -> None:
    """What a report says may have been overtaken: then there is nothing to do."""
    status = steps.get(_registered(draft).status)
    if status is not None:
        draft.add(MediaNodeStatusChanged(status, draft.at, crashed=crashed))
