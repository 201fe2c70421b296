"""Media nodes that are heard, lost and heard again; that come, drain and go."""

from __future__ import annotations

from typing import Any

import pytest

from services.api.reactors.membership import LAUNCH_MS, Membership
from services.api.reactors.nodes import RETURN_MS, SETTLE_MS, NodeWatch
from services.api.registry import Registry
from services.conference.calls import Heartbeat
from services.conference.commands import (
    AdmitNode,
    ChangeNodeStatus,
    CloseSession,
    Command,
    InitializeSession,
    LeaveSession,
    RemoveNode,
    ReportNodeConnected,
    ReportNodeIdle,
    ReportNodeLost,
    ResetMedia,
)
from services.conference.model import (
    DeletionStrategy,
    NodeStatus,
    Reason,
    SessionProperties,
)
from services.conference.state import EMPTY


class FakeNodes:
    """Which nodes are heard, by hand."""

    def __init__(self) -> None:
        self.instances: dict[str, str] = {"media_1": "one"}

    def alive(self) -> list[Heartbeat]:
        return [Heartbeat(id_, i, "10.0.0.3", 0, 0, 0, 0) for id_, i in self.instances.items()]


class Watched:
    """Both reactors of media nodes, on one registry."""

    def __init__(self) -> None:
        self.nodes: Any = FakeNodes()
        self.registry = Registry()
        self.connected = True
        self.now = 1_000_000
        self.watch = NodeWatch(self.nodes, self.registry, lambda: self.connected)
        self.membership = Membership(self.nodes, self.registry, "campus-1")

    async def follow(self, story: Any) -> list[bool]:
        """Hear all of the log from its beginning; whether something is due at once."""
        steps = await story.steps()
        self.registry.dispatch(steps)
        return [self.membership.see(s.session_id, s.before, s.after) for s in steps]

    def due(self) -> list[Any]:
        return [*self.membership.due(self.now), *self.watch.due(self.now)]

    def run(self, milliseconds: int, step: int = 500) -> list[Any]:
        """What is due meanwhile; it looks every `step`."""
        found: list[Any] = []
        for _ in range(0, milliseconds, step):
            self.now += step
            found += self.watch.due(self.now)
        return found


@pytest.fixture
async def watched(story: Any) -> Watched:
    """Looking at a session on `media_1`, instance `one`."""
    await story.open()
    watched = Watched()
    watched.registry.see("salon", None, await story.join("ana"))
    return watched


def test_a_node_that_is_heard_needs_nothing(watched: Watched) -> None:
    assert watched.run(60_000) == []


def test_sessions_of_a_node_that_stays_silent_are_closed(watched: Watched) -> None:
    watched.run(5_000)
    watched.nodes.instances.clear()
    assert watched.run(RETURN_MS - 500) == []
    found = watched.run(1_000)
    assert {action.command for action in found} == {CloseSession(Reason.NODE_CRASHED)}
    assert {action.session_id for action in found} == {"salon"}


def test_a_node_that_comes_back_in_time_as_the_same_process_is_forgiven(watched: Watched) -> None:
    watched.run(5_000)
    watched.nodes.instances.clear()
    assert watched.run(RETURN_MS - 1_000) == []
    watched.nodes.instances["media_1"] = "one"
    assert watched.run(60_000) == []


def test_a_node_that_comes_back_as_another_process_has_its_media_reset(watched: Watched) -> None:
    watched.run(5_000)
    watched.nodes.instances["media_1"] = "two"
    assert watched.run(SETTLE_MS) == []
    found = watched.run(1_000)
    assert {action.command for action in found} == {ResetMedia("media_1", "two")}


def test_nobody_is_silent_while_we_cannot_hear(watched: Watched) -> None:
    watched.run(5_000)
    watched.nodes.instances.clear()
    watched.connected = False
    assert watched.run(60_000) == []
    watched.connected = True
    assert watched.run(RETURN_MS - 1_000) == [], "it has the whole time to be heard again"
    watched.nodes.instances["media_1"] = "one"
    assert watched.run(60_000) == []


def test_nobody_is_silent_because_we_slept(watched: Watched) -> None:
    watched.run(5_000)
    watched.nodes.instances.clear()
    assert watched.run(300_000, step=60_000) == []


async def test_a_session_that_ended_or_moved_is_watched_no_longer(
    watched: Watched, story: Any
) -> None:
    watched.registry.see("salon", None, await story.do(ResetMedia("media_1", "two")))
    watched.nodes.instances["media_1"] = "two"
    assert watched.run(60_000) == []
    watched.registry.see("salon", None, EMPTY)
    watched.nodes.instances.clear()
    assert watched.run(60_000) == []


NODE = "node:media_1"
FACTS = ("media_1", "1", "10.0.0.3", "ws://10.0.0.3:8888/kurento", "campus-1")
ADMIT = AdmitNode(*FACTS)


def commands(actions: list[Any]) -> list[tuple[str, Command]]:
    return [(action.session_id, action.command) for action in actions]


async def admitted(story: Any, *then: Command) -> Watched:
    """`media_1`, after what came then."""
    for command in (AdmitNode(*FACTS, connected=True), *then):
        await story.do(command, NODE)
    watched = Watched()
    await watched.follow(story)
    return watched


async def test_a_node_that_announces_itself_is_admitted_once(story: Any) -> None:
    watched = Watched()
    (action,) = watched.due()
    assert action.session_id == NODE
    assert action.command == AdmitNode(*FACTS, automatic=True, connected=True)
    state = await story.do(action.command, NODE)
    assert not action.applies(state)
    assert await watched.follow(story) == [True]
    assert watched.due() == []


async def test_a_node_whose_id_the_log_cannot_hold_stays_out() -> None:
    watched = Watched()
    watched.nodes.instances = {"media/1": "one"}
    assert watched.due() == []


async def test_a_removed_node_is_left_alone_and_a_crashed_one_comes_back(story: Any) -> None:
    remove = RemoveNode(DeletionStrategy.NOW, busy=False)
    watched = await admitted(story, remove, ReportNodeIdle())
    assert watched.due() == []
    await story.do(ADMIT, NODE)
    for command in (ReportNodeConnected(), ReportNodeLost(), ReportNodeIdle()):
        await story.do(command, NODE)
    await watched.follow(story)
    assert [type(command) for _, command in commands(watched.due())] == [AdmitNode]


@pytest.mark.parametrize("canceled", [False, True])
async def test_a_launch_is_complete_when_the_node_is_heard_again(
    story: Any, canceled: bool
) -> None:
    watched = Watched()
    (beat,) = watched.nodes.alive()
    assert watched.membership.hear(beat), "it is new"
    await story.do(ADMIT, NODE)
    if canceled:
        await story.do(ChangeNodeStatus(NodeStatus.CANCELED), NODE)
    await watched.follow(story)
    assert watched.due() == []
    assert watched.membership.hear(beat)
    for _ in range(2):
        assert commands(watched.due()) == [(NODE, ReportNodeConnected())]
    await story.do(ReportNodeConnected(), NODE)
    await watched.follow(story)
    assert not watched.membership.hear(beat)


@pytest.mark.parametrize("canceled", [False, True])
async def test_a_launch_that_is_never_complete_has_failed(story: Any, canceled: bool) -> None:
    watched = Watched()
    state = await story.do(ADMIT, NODE)
    if canceled:
        await story.do(ChangeNodeStatus(NodeStatus.CANCELED), NODE)
    await watched.follow(story)
    watched.now = state.node.launched_at + LAUNCH_MS - 1
    assert watched.due() == []
    watched.now += 1
    assert commands(watched.due()) == [(NODE, ReportNodeLost())]


async def test_a_draining_node_ends_with_its_last_session(story: Any) -> None:
    await story.open()
    await story.join("ana")
    watched = await admitted(story, RemoveNode(DeletionStrategy.WHEN_NO_SESSIONS, busy=True))
    assert watched.due() == []
    await story.do(LeaveSession("con_ana"))
    assert (await watched.follow(story))[-1] is True
    (action,) = watched.due()
    assert (action.session_id, action.command) == (NODE, ReportNodeIdle())
    changed_mind = await story.do(ChangeNodeStatus(NodeStatus.RUNNING), NODE)
    assert not action.applies(changed_mind)


async def test_a_node_that_goes_takes_its_sessions_along_and_those_that_wait_for_it(
    story: Any,
) -> None:
    await story.open("used")
    await story.join("ana", "used")
    waiting = InitializeSession("waiting", SessionProperties(media_node="media_1"))
    await story.do(waiting, "waiting")
    await story.open("elsewhere")
    watched = await admitted(story, RemoveNode(DeletionStrategy.NOW, busy=True))
    close = CloseSession(Reason.MEDIA_SERVER_DISCONNECT)
    found = watched.due()
    assert commands(found) == [("used", close), ("waiting", close)]
    assert found[0].applies(await story.bus.load("used"))
    await story.do(close, "used")
    assert not found[0].applies(await story.open("used")), "another session with its id"
    await story.do(close, "waiting")
    await watched.follow(story)
    assert commands(watched.due()) == [(NODE, ReportNodeIdle())]


async def test_a_session_that_was_placed_too_late_is_closed(story: Any) -> None:
    watched = await admitted(story, RemoveNode(DeletionStrategy.NOW, busy=False), ReportNodeIdle())
    await story.open()
    await story.join("ana")
    await watched.follow(story)
    closing = ("salon", CloseSession(Reason.MEDIA_SERVER_DISCONNECT))
    assert commands(watched.due()) == [closing]


async def test_a_lost_node_ends_with_its_sessions(story: Any) -> None:
    await story.open()
    await story.join("ana")
    watched = await admitted(story)
    watched.run(5_000)
    watched.nodes.instances.clear()
    assert watched.run(RETURN_MS - 500) == []
    assert {command for _, command in commands(watched.run(1_000))} == {ReportNodeLost()}
    await story.do(ReportNodeLost(), NODE)
    await watched.follow(story)
    assert commands(watched.due()) == [("salon", CloseSession(Reason.NODE_CRASHED))]
    await story.do(CloseSession(Reason.NODE_CRASHED))
    await watched.follow(story)
    assert commands(watched.due()) == [(NODE, ReportNodeIdle())]
