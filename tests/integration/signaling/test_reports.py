"""What media nodes tell by themselves, over a real nats-server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import msgspec
import pytest
from nats.aio.client import Client

from services.api.reports import Reports
from services.conference.calls import (
    Statistics,
    TrackStatistics,
    TransportLost,
    lost_subject,
    statistics_subject,
)
from services.conference.model import Direction
from tests.unit.signaling.harness import World, until

LOST = TransportLost("media_a", "S1", "con_A", "str_B", Direction.INBOUND, "silence")
TRACK = TrackStatistics("S1", "con_A", "str_B", Direction.INBOUND, "audio", packets=5)
FIGURES = Statistics("media_a", 1, (TRACK,))
encode = msgspec.json.encode


class Heard:
    def __init__(self) -> None:
        self.lost: list[TransportLost] = []
        self.statistics: list[Statistics] = []


@pytest.fixture
async def heard(nats_client: Client) -> AsyncIterator[Heard]:
    heard = Heard()

    def failing(_: object) -> None:
        raise ValueError("one listener's trouble is not the other's")

    reports = Reports(
        nats_client,
        lost=[failing, heard.lost.append],
        statistics=[failing, heard.statistics.append],
    )
    await reports.start()
    yield heard
    await reports.stop()


async def test_reports_reach_every_listener(heard: Heard, nats_client: Client) -> None:
    await nats_client.publish(lost_subject("media_a"), encode(LOST))
    await nats_client.publish(statistics_subject("media_a"), encode(FIGURES))
    await until(lambda: bool(heard.lost and heard.statistics))
    assert (heard.lost, heard.statistics) == ([LOST], [FIGURES])


async def test_what_is_no_report_of_the_node_is_ignored(heard: Heard, nats_client: Client) -> None:
    for subject, report in ((lost_subject, LOST), (statistics_subject, FIGURES)):
        for payload in (b"", b"{}", b"\xff", b"[" * 4000, encode(report)[:-1], encode([report])):
            await nats_client.publish(subject("media_a"), payload)
        await nats_client.publish(subject("media_b"), encode(report))
        await nats_client.publish(subject("media_a"), b" " * (1024 * 1024 + 1) + encode(report))
    await nats_client.publish(lost_subject("media_a"), encode(LOST))
    await nats_client.publish(statistics_subject("media_a"), encode(FIGURES))
    await until(lambda: bool(heard.lost and heard.statistics))
    assert (heard.lost, heard.statistics) == ([LOST], [FIGURES])


async def test_only_the_replica_that_serves_the_client_renews_its_subscription(
    media, nats_client: Client, make_replica: Callable[..., AbstractAsyncContextManager[World]]
) -> None:
    async with make_replica() as one, make_replica() as two:
        await one.session("S1")
        a, b = await one.user(), await two.user()
        stream = await a.publish()
        await b.note("participantPublished")
        await b.subscribe(stream)
        reports = [
            Reports(nats_client, lost=[world.gateway.transport_lost]) for world in (one, two)
        ]
        for one_of_them in reports:
            await one_of_them.start()
        asked = len(media.calls)
        lost = TransportLost("media_a", "S1", b.id, stream, Direction.INBOUND, "silence")
        await nats_client.publish(lost_subject("media_a"), encode(lost))
        offer = await b.note("forciblyReconnectSubscriber")
        params = {"stream": stream, "sdpString": "v=0", "forciblyReconnect": True}
        assert offer["streamId"] == stream
        await b.result("reconnectStream", params)
        assert len(media.calls) == asked + 2
        for one_of_them in reports:
            await one_of_them.stop()
