"""What ends is freed at once: the collector of cycles looks at long-lived objects only after
thousands of them, and a transport or a history is a hundred kilobytes and more."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from services.conference.calls import Discard, PrepareOffer, Publish
from services.media.leg import State
from tests.integration.media.stage import PUBLISHER, SESSION, STREAM, Stage, until, video


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("connected", [True, False])
async def test_an_ended_leg_is_freed(stage: Stage, connected: bool) -> None:
    await stage.publish()
    if connected:
        await stage.subscribe()
    else:
        stage.node.handle(PrepareOffer(SESSION, "con_S", STREAM))
    leg = stage.node.publications[STREAM].subscriptions["con_S"].leg
    freed = [weakref.ref(leg), weakref.ref(leg.dtls), weakref.ref(leg.dtls._transport)]
    del leg
    stage.node.handle(Discard("con_S", STREAM))
    await until(lambda: not any(one() for one in freed), "the leg is freed")


async def test_a_leg_that_ends_before_it_ran_does_not_run(stage: Stage) -> None:
    offer = stage.peer().offer()
    publish = Publish(SESSION, PUBLISHER, STREAM, offer, has_audio=True, has_video=True)
    stage.node.handle(publish)
    leg = stage.node.publications[STREAM].leg
    stage.node.handle(Discard(PUBLISHER, STREAM))
    await stage.publish()
    assert leg is not None
    assert leg.state is State.CLOSED
    assert len(stage.node.legs) == 1


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
