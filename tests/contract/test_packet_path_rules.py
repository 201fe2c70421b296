"""What either of the packet paths promises, one case at a time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from services.media.path import MAX_SENDERS
from services.media.port import Port
from services.media.pump import Pump
from tests.contract.packet_world import HERE, World
from tests.pumps import need_pump


@pytest.fixture(params=[Pump, Port])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param is Pump:
        need_pump()
    world = World(request.param(*HERE))
    yield world
    world.close()


def senders(world: World) -> list[int]:
    """Whose reports the leg was given since the last call."""
    world.settle()
    found = [int.from_bytes(what[2][4:8], "big") for what in world.story if what[0] == "rtcp"]
    world.story.clear()
    return found


def test_a_client_reports_as_few_senders_for_libsrtp_keeps_each(world: World) -> None:
    world.report(0, 1, MAX_SENDERS + 30)
    assert senders(world) == [*range(1, MAX_SENDERS + 1)]
    assert world.port.counters["too many RTCP senders"] == 30
    published = world.clients[0].ssrc(0)
    world.report(0, MAX_SENDERS, 2)
    world.report(0, published)
    world.report(1, MAX_SENDERS + 1)
    assert senders(world) == [MAX_SENDERS, published, MAX_SENDERS + 1]
    assert world.port.counters["too many RTCP senders"] == 31


def test_nobody_else_uses_up_a_clients_senders(world: World) -> None:
    world.report(0, 1, MAX_SENDERS + 1, False)
    assert senders(world) == []
    assert world.port.counters["not authentic"] == MAX_SENDERS + 1
    for published in (0, 1, 2):
        world.report(0, world.clients[0].ssrc(published))
    world.report(0, 1, MAX_SENDERS)
    assert len(senders(world)) == 3 + MAX_SENDERS
    world.packet(0, 4, (1, 0), 1, 3)
    world.settle()
    assert "unknown" in [what[0] for what in world.story]
