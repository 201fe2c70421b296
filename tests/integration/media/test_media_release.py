"""What ends is freed at once: the collector of cycles looks at long-lived objects only after
thousands of them, and a transport or a history is a hundred kilobytes and more."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from services.conference.calls import Discard
from tests.integration.media.stage import PUBLISHER, STREAM, Stage, until, video


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


async def test_the_dtls_of_an_ended_leg_is_freed(stage: Stage) -> None:
    await stage.publish()
    await stage.subscribe()
    leg = stage.node.publications[STREAM].subscriptions["con_S"].leg
    transport = weakref.ref(leg.dtls._transport)
    del leg
    stage.node.handle(Discard("con_S", STREAM))
    await until(lambda: transport() is None, "the DTLS transport is freed")


async def test_the_packets_of_an_ended_stream_are_freed(stage: Stage) -> None:
    publisher = await stage.publish()
    subscriber = await stage.subscribe()
    publisher.send_rtp(video(1))
    await until(lambda: subscriber.rtp, "it is forwarded")
    source = stage.node.publications[STREAM].tracks["video"].source
    assert source is not None
    assert stage.node.port.fetch(source, 1) == video(1)
    stage.node.handle(Discard(PUBLISHER, STREAM))
    assert stage.node.port.fetch(source, 1) is None
