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


KEY, DELTA = 3, 4  # payloads


def send(world: World, who: int, ticks: int, payload: int) -> None:
    """The next packet of a publisher's picture."""
    world.packet(who, 0, (1, ticks), 1, payload)
    world.settle()


def came(world: World) -> list[bytes]:
    """To the first subscriber, since the last call."""
    found = [what[2] for what in world.story if what[:2] == (2, "rtp")]
    world.story.clear()
    return found


def timestamps(world: World) -> list[int]:
    return [int.from_bytes(packet[4:8], "big") for packet in came(world)]


@pytest.mark.parametrize(
    ("wanted", "sent"),
    [
        (0, 3001),  # of this capture, the old layer's picture has been sent
        (-500, 3001),  # the reports say that it is older
        (1, 3001),
        (3000, 6000),
        (-(1 << 31), 3001),
    ],
)
def test_a_picture_of_another_layer_is_later_than_the_last(
    world: World, wanted: int, sent: int
) -> None:
    world.clients[1].timestamps[0] = start = world.clients[0].timestamps[0]
    world.connect(0, 1, (0, 0), False, None)
    send(world, 0, 0, KEY)
    send(world, 0, 3000, DELTA)
    world.connect(0, 1, (1, 0), True, wanted)
    send(world, 1, 3000, KEY)
    send(world, 1, 0, DELTA)
    send(world, 1, 3000, DELTA)
    expected = [start + ticks for ticks in (0, 3000, sent, sent, sent + 3000)]
    assert timestamps(world) == [at & 0xFFFFFFFF for at in expected]


def test_a_later_time_is_one_also_where_the_numbers_begin_again(world: World) -> None:
    world.clients[0].timestamps[0] = world.clients[1].timestamps[0] = 0xFFFFFFFF
    world.connect(0, 1, (0, 0), False, None)
    send(world, 0, 0, KEY)
    world.connect(0, 1, (1, 0), True, 0)
    send(world, 1, 0, KEY)
    send(world, 1, 0x20, DELTA)
    assert timestamps(world) == [0xFFFFFFFF, 0, 0x20]
