"""Media nodes: every transition of `cluster.md` 2.1, and everything that is none."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from services.conference import events as e
from services.conference.cdr import records
from services.conference.commands import (
    AdmitNode,
    ChangeNodeStatus,
    Command,
    RemoveNode,
    ReportNodeConnected,
    ReportNodeIdle,
    ReportNodeLost,
)
from services.conference.decide import decide
from services.conference.errors import (
    NodeBusy,
    NodeExists,
    NodeNotFound,
    NodeRemoved,
    TransitionNotAllowed,
)
from services.conference.evolve import evolve_all
from services.conference.model import DeletionStrategy, NodeStatus
from services.conference.state import EMPTY

from .scenario import NOW, THEN, Given, given

LAUNCHING, CANCELED, FAILED, RUNNING, WAITING, TERMINATING, TERMINATED = NodeStatus

FACTS = ("media_w1", "w1", "10.0.4.21", "ws://10.0.4.21:8888/kurento", "campus-1")
ADMIT = AdmitNode(*FACTS)
ANNOUNCED = AdmitNode(*FACTS, automatic=True, connected=True)
ADMITTED = e.MediaNodeAdmitted(*FACTS, at=NOW)


def changed(status: NodeStatus, *, at: int = NOW, crashed: bool = False) -> e.Event:
    return e.MediaNodeStatusChanged(status, at, crashed=crashed)


HISTORIES: dict[NodeStatus, tuple[NodeStatus, ...]] = {
    LAUNCHING: (),
    CANCELED: (CANCELED,),
    FAILED: (FAILED,),
    RUNNING: (RUNNING,),
    WAITING: (RUNNING, WAITING),
    TERMINATING: (RUNNING, TERMINATING),
    TERMINATED: (RUNNING, TERMINATING, TERMINATED),
}


def node(status: NodeStatus) -> Given:
    """A node that came to this status by what somebody asked for."""
    history = [changed(step, at=THEN) for step in HISTORIES[status]]
    return given(e.MediaNodeAdmitted(*FACTS, at=THEN), history)


def crashed(*, drained: bool = False) -> Given:
    way = [RUNNING, WAITING] if drained else [RUNNING]
    return given(
        e.MediaNodeAdmitted(*FACTS, at=THEN),
        [changed(step, at=THEN) for step in way],
        changed(TERMINATING, at=THEN, crashed=True),
        changed(TERMINATED, at=THEN),
    )


# Admission


def test_a_node_that_somebody_adds_is_launching_until_it_is_heard() -> None:
    state = given().when(ADMIT).then(ADMITTED)
    assert state.node is not None
    assert (state.node.status, state.node.launched_at) == (LAUNCHING, NOW)
    assert state.node.connected_at is None


def test_a_node_that_announces_itself_runs_at_once() -> None:
    state = given().when(ANNOUNCED).then(ADMITTED, changed(RUNNING))
    assert state.node is not None
    assert (state.node.status, state.node.connected_at) == (RUNNING, NOW)


@pytest.mark.parametrize("status", [LAUNCHING, CANCELED, RUNNING, WAITING, TERMINATING])
@pytest.mark.parametrize("command", [ADMIT, ANNOUNCED])
def test_a_registered_node_is_not_admitted_twice(status: NodeStatus, command: Command) -> None:
    node(status).when(command).is_refused(NodeExists)


def test_a_removed_node_comes_back_only_if_somebody_asks() -> None:
    node(TERMINATED).when(ANNOUNCED).is_refused(NodeRemoved)
    state = node(TERMINATED).when(ADMIT).then(ADMITTED)
    assert state.node is not None
    assert not state.node.removed
    assert state.node.connected_at is None


def test_a_node_that_crashed_or_failed_comes_back_by_itself() -> None:
    for gone in (crashed(), node(FAILED)):
        state = gone.when(ANNOUNCED).then(ADMITTED, changed(RUNNING))
        assert state.node is not None
        assert not state.node.crashed


def test_a_node_that_crashed_while_it_was_drained_stays_out() -> None:
    crashed(drained=True).when(ANNOUNCED).is_refused(NodeRemoved)


# Reports

REPORTS = {
    (LAUNCHING, ReportNodeConnected()): changed(RUNNING),
    (CANCELED, ReportNodeConnected()): changed(TERMINATING),
    (LAUNCHING, ReportNodeLost()): changed(FAILED, crashed=True),
    (CANCELED, ReportNodeLost()): changed(TERMINATING, crashed=True),
    (RUNNING, ReportNodeLost()): changed(TERMINATING, crashed=True),
    (WAITING, ReportNodeLost()): changed(TERMINATING, crashed=True),
    (WAITING, ReportNodeIdle()): changed(TERMINATING),
    (TERMINATING, ReportNodeIdle()): changed(TERMINATED),
}


@pytest.mark.parametrize("status", NodeStatus)
@pytest.mark.parametrize("report", [ReportNodeConnected(), ReportNodeLost(), ReportNodeIdle()])
def test_a_report_takes_a_node_one_step_on_or_comes_too_late(
    status: NodeStatus, report: Command
) -> None:
    outcome = node(status).when(report)
    if status in (FAILED, TERMINATED):
        outcome.is_refused(NodeNotFound)
    elif (status, report) in REPORTS:
        outcome.then(REPORTS[status, report])
    else:
        outcome.nothing_happens()


# Requests (PATCH)

REQUESTS = {
    (LAUNCHING, CANCELED),
    (CANCELED, LAUNCHING),
    (RUNNING, WAITING),
    (WAITING, RUNNING),
    (RUNNING, TERMINATING),
    (WAITING, TERMINATING),
}


@pytest.mark.parametrize("status", NodeStatus)
@pytest.mark.parametrize("wanted", NodeStatus)
def test_a_request_is_one_of_six_transitions(status: NodeStatus, wanted: NodeStatus) -> None:
    outcome = node(status).when(ChangeNodeStatus(wanted))
    if status in (FAILED, TERMINATED):
        outcome.is_refused(NodeNotFound)
    elif status is wanted:
        outcome.nothing_happens()
    elif (status, wanted) in REQUESTS:
        outcome.then(changed(wanted))
    else:
        outcome.is_refused(TransitionNotAllowed)


@pytest.mark.parametrize("there", [WAITING, CANCELED])
def test_a_change_of_mind_is_no_removal(there: NodeStatus) -> None:
    back = RUNNING if there is WAITING else LAUNCHING
    state = node(there).when(ChangeNodeStatus(back)).then(changed(back))
    for command in (ReportNodeLost(), ReportNodeIdle()):
        if state.node is not None and state.node.registered:
            state = evolve_all(state, decide(state, command, NOW))
    assert decide(state, ANNOUNCED, NOW) == (ADMITTED, changed(RUNNING))


# Removal (DELETE)

NOW_, IDLE_ONLY, WHEN_IDLE = DeletionStrategy


@pytest.mark.parametrize("strategy", DeletionStrategy)
def test_an_idle_node_goes_whatever_the_strategy(strategy: DeletionStrategy) -> None:
    for status in (RUNNING, WAITING):
        node(status).when(RemoveNode(strategy, busy=False)).then(changed(TERMINATING))


def test_a_busy_node_goes_as_the_strategy_says() -> None:
    for status in (RUNNING, WAITING):
        node(status).when(RemoveNode(NOW_, busy=True)).then(changed(TERMINATING))
        node(status).when(RemoveNode(IDLE_ONLY, busy=True)).is_refused(NodeBusy)
    node(RUNNING).when(RemoveNode(WHEN_IDLE, busy=True)).then(changed(WAITING))
    node(WAITING).when(RemoveNode(WHEN_IDLE, busy=True)).nothing_happens()


@pytest.mark.parametrize("strategy", DeletionStrategy)
@pytest.mark.parametrize("busy", [True, False])
def test_a_node_that_does_not_run_yet_or_any_more(strategy: DeletionStrategy, busy: bool) -> None:
    command = RemoveNode(strategy, busy)
    node(LAUNCHING).when(command).then(changed(CANCELED))
    node(CANCELED).when(command).nothing_happens()
    node(TERMINATING).when(command).nothing_happens()
    for gone in (node(FAILED), node(TERMINATED), given()):
        gone.when(command).is_refused(NodeNotFound)


@pytest.mark.parametrize(
    "command",
    [ReportNodeConnected(), ReportNodeLost(), ReportNodeIdle(), ChangeNodeStatus(RUNNING)],
)
def test_a_node_nobody_knows(command: Command) -> None:
    given().when(command).is_refused(NodeNotFound)


# What webhooks are told (`cluster.md` 4.1)


def test_the_records_of_a_whole_life_and_of_the_next() -> None:
    state, told = EMPTY, []
    for number, command in enumerate(
        (ANNOUNCED, ReportNodeLost(), ReportNodeIdle(), replace(ADMIT, cluster_id="campus-2"))
    ):
        events = decide(state, command, THEN + number)
        told += records(state, events)
        state = evolve_all(state, events)
    assert {record.name for record in told} == {"mediaNodeStatusChanged"}
    common = {
        "id": "media_w1",
        "environmentId": "w1",
        "ip": "10.0.4.21",
        "uri": "ws://10.0.4.21:8888/kurento",
    }
    assert [record.fields for record in told] == [
        {
            "timestamp": THEN + at,
            **common,
            "newStatus": new,
            "oldStatus": old,
            "clusterId": cluster,
        }
        for at, new, old, cluster in [
            (0, "launching", None, "campus-1"),
            (0, "running", "launching", "campus-1"),
            (1, "terminating", "running", "campus-1"),
            (2, "terminated", "terminating", "campus-1"),
            (3, "launching", None, "campus-2"),
        ]
    ]
