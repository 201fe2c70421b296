"""What a receiver and the CDR file get of media nodes."""

from __future__ import annotations

from pathlib import Path

from services.conference.commands import (
    AdmitNode,
    ChangeNodeStatus,
    Command,
    RemoveNode,
    ReportNodeIdle,
)
from services.conference.model import DeletionStrategy, NodeStatus
from services.eventlog.bus import CommandBus
from services.eventlog.jetstream import JetStreamLog
from tests.integration.webhooks.helpers import (
    REST,
    Conference,
    Receiver,
    Service,
    cdr_events,
    settings,
)

LIFE: tuple[Command, ...] = (
    AdmitNode("media_w1", "w1", "10.0.4.21", "ws://10.0.4.21:8888/kurento", "C1", connected=True),
    ChangeNodeStatus(NodeStatus.WAITING_IDLE_TO_TERMINATE),
    RemoveNode(DeletionStrategy.NOW, busy=True),
    ReportNodeIdle(),
)


async def test_every_status_of_a_node_is_told_in_order_beside_the_sessions(
    receiver: Receiver,
    conference: Conference,
    service: Service,
    event_log: JetStreamLog,
    tmp_path: Path,
) -> None:
    bus = CommandBus(event_log)
    async with service.running(settings(url=receiver.url, cdr=tmp_path / "cdr")):
        for command in LIFE:
            await bus.execute("node:media_w1", command, actor=REST)
        await conference.short("S")
        events = await receiver.until(7)
        await service.until_cdr_end()
    told = [event for event in events if event["event"] == "mediaNodeStatusChanged"]
    assert [(event["oldStatus"], event["newStatus"]) for event in told] == [
        (None, "launching"),
        ("launching", "running"),
        ("running", "waiting-idle-to-terminate"),
        ("waiting-idle-to-terminate", "terminating"),
        ("terminating", "terminated"),
    ]
    assert list(told[0]) == [
        *("timestamp", "id", "environmentId", "ip", "uri", "newStatus", "oldStatus", "clusterId"),
        "event",
    ]
    assert told[0]["clusterId"] == "C1"
    written = cdr_events(tmp_path / "cdr")
    assert [event for event in written if event["event"] == "mediaNodeStatusChanged"] == told


async def test_a_receiver_that_does_not_want_them_gets_none(
    receiver: Receiver, conference: Conference, service: Service, event_log: JetStreamLog
) -> None:
    bus = CommandBus(event_log)
    wanted = settings(url=receiver.url, events=["sessionCreated"])
    async with service.running(wanted):
        for command in LIFE:
            await bus.execute("node:media_w1", command, actor=REST)
        await conference.short("S")
        (event,) = await receiver.until(1)
        await service.until_end()
    assert event["event"] == "sessionCreated"
