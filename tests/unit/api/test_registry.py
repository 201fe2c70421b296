"""Which nodes belong to the cluster and what they host, as the log tells it."""

from __future__ import annotations

from typing import Any

from services.api.registry import Registry
from services.conference.commands import (
    AdmitNode,
    CloseSession,
    InitializeSession,
    LeaveSession,
    RemoveNode,
    ReportNodeIdle,
    ReportRecordingReady,
    ReportRecordingStarted,
    StartRecording,
    StopRecording,
)
from services.conference.model import (
    DeletionStrategy,
    OutputMode,
    Reason,
    RecordingOptions,
    SessionProperties,
)
from services.conference.state import MediaNode

NODE = "node:media_1"
ADMIT = AdmitNode("media_1", "1", "10.0.0.3", "ws://10.0.0.3:8888/kurento", "C", connected=True)
INDIVIDUAL = RecordingOptions(output_mode=OutputMode.INDIVIDUAL)


async def heard(story: Any) -> Registry:
    registry = Registry()
    registry.dispatch(await story.steps())
    return registry


async def test_a_node_belongs_to_the_cluster_until_it_is_terminated(story: Any) -> None:
    registry = Registry()
    assert (registry.known("media_1"), registry.runs("media_1")) == (None, False)
    registry.see(NODE, None, await story.do(ADMIT, NODE))
    (node,) = registry.registered()
    assert registry.find("media_1") is node
    assert registry.runs("media_1")
    gone = RemoveNode(DeletionStrategy.NOW, busy=False)
    registry.see(NODE, None, await story.do(gone, NODE))
    assert registry.find("media_1") is not None
    assert not registry.runs("media_1")
    registry.see(NODE, None, await story.do(ReportNodeIdle(), NODE))
    assert (registry.registered(), registry.find("media_1")) == ([], None)
    left = registry.known("media_1")
    assert left is not None
    assert left.removed


async def test_nodes_are_listed_in_the_order_of_their_admission(story: Any) -> None:
    for name in ("media_z", "media_a"):
        await story.do(AdmitNode(name, "e", "i", "u", "C"), f"node:{name}")
    assert [node.id for node in (await heard(story)).registered()] == ["media_z", "media_a"]


async def test_a_node_hosts_sessions_from_their_first_user_to_their_end(story: Any) -> None:
    await story.open()
    assert not (await heard(story)).busy("media_1")
    await story.join("ana")
    registry = await heard(story)
    assert registry.sessions("media_1") == ["salon"]
    assert list(registry.hosts()) == [MediaNode("media_1", "one")]
    assert registry.busy("media_1")
    assert not registry.busy("media_2")
    await story.do(LeaveSession("con_ana"))
    registry = await heard(story)
    assert (registry.sessions("media_1"), list(registry.hosts())) == ([], [])


async def test_a_session_waits_for_its_node_until_somebody_joins(story: Any) -> None:
    for name in ("joined", "waiting", "closed"):
        properties = SessionProperties(media_node="media_1")
        await story.do(InitializeSession(name, properties), name)
    await story.join("ana", "joined")
    await story.do(CloseSession(Reason.SESSION_CLOSED_BY_SERVER), "closed")
    registry = await heard(story)
    assert registry.waiting("media_1") == ["waiting"]
    assert registry.sessions("media_1") == ["joined"]
    assert not registry.waiting("media_2")


async def test_a_recording_is_on_the_node_of_its_session_or_on_its_own(story: Any) -> None:
    for name in ("salon", "own"):
        await story.open(name)
        await story.join(name, name)
    await story.do(StartRecording(INDIVIDUAL))
    await story.do(StartRecording(RecordingOptions(media_node="media_2")), "own")
    registry = await heard(story)
    assert registry.recordings("media_1") == ["salon"]
    assert registry.recordings("media_2") == ["own"]
    assert (registry.sessions("media_2"), registry.busy("media_2")) == ([], True)
    await story.do(ReportRecordingStarted("salon"))
    await story.do(StopRecording("salon"))
    assert (await heard(story)).recordings("media_1") == ["salon"], "its files are still made"
    await story.do(ReportRecordingReady("salon", size=1, duration=1.0))
    assert (await heard(story)).recordings("media_1") == []
