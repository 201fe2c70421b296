"""What either of the packet paths promises, one case at a time."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from services.media.inspection import picture_number, vp8_numbers
from services.media.path import MAX_SENDERS
from services.media.port import Port
from services.media.pump import Pump
from tests.contract.packet_world import FORMS, HERE, PAYLOADS, World
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
NOTHING, PADDING = PAYLOADS.index(b""), len(PAYLOADS) - 2
PADDED = len(FORMS) - 1


def send(world: World, who: int, ticks: int, payload: int, form: int = 1) -> None:
    """The next packet of a publisher's picture."""
    world.packet(who, 0, (1, ticks), form, payload)
    world.settle()


def picture(world: World, who: int, number: int, *, is_key: bool = False) -> None:
    """The next packet, with this picture id and the same as TL0PICIDX."""
    client = world.clients[who]
    client.sequences[0] += 1
    client.timestamps[0] += 3000
    packet = client.packet(0, client.sequences[0], client.timestamps[0], 0, NOTHING)
    numbers = struct.pack("!HB", 0x8000 | number, number & 0xFF)
    client.protected(packet + b"\x90\xc0" + numbers + (b"\0key" if is_key else b"\1delta"))
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


def pictures(world: World) -> list[tuple[int, int] | None]:
    """Picture ids and TL0PICIDX; `None` for padding."""
    found: list[tuple[int, int] | None] = []
    for packet in came(world):
        numbers = vp8_numbers(packet)
        told = numbers and (picture_number(packet, numbers), packet[numbers.level])
        found.append(told)
    return found


def again(world: World, way: str) -> int:
    """The edge stops and goes on; who sends then."""
    if way == "pause":
        world.pause(0, 1)
        world.resume(0, 1, False)
        return 0
    world.connect(0, 1, (1, 0), way == "at a key frame", None)
    return 1


WAYS = ("pause", "at once", "at a key frame")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("padding", [0, 1, 3])
def test_pictures_are_numbered_on_behind_padding(world: World, way: str, padding: int) -> None:
    world.connect(0, 1, (1, 0), False, None)
    picture(world, 1, 900, is_key=True)
    world.connect(0, 1, (0, 0), False, None)
    picture(world, 0, 100, is_key=True)
    picture(world, 0, 101)
    for _ in range(padding):
        send(world, 0, 0, PADDING, PADDED)
    who = again(world, way)
    picture(world, who, 40, is_key=True)
    picture(world, who, 41)
    sent = [900, 901, 902, *[None] * padding, 903, 904]
    assert pictures(world) == [number and (number, number & 0xFF) for number in sent]


@pytest.mark.parametrize("way", WAYS)
def test_no_numbering_begins_with_padding(world: World, way: str) -> None:
    world.connect(0, 1, (0, 0), False, None)
    picture(world, 0, 100, is_key=True)
    who = again(world, way)
    send(world, who, 3000, PADDING, PADDED)
    picture(world, who, 5, is_key=True)
    send(world, who, 0, PADDING, PADDED)
    picture(world, who, 6)
    assert pictures(world) == [(100, 100), (101, 101), None, (102, 102)]


def test_a_history_of_padding_does_not_change_the_numbers(world: World) -> None:
    source = world.clients[0].sources[0]
    world.connect(0, 1, (1, 0), False, None)
    picture(world, 1, 900, is_key=True)
    world.connect(0, 1, (0, 0), False, None)
    picture(world, 0, 100, is_key=True)
    for _ in range(source.mask + 1):
        send(world, 0, 0, PADDING, PADDED)
    again(world, "pause")
    picture(world, 0, 101)
    assert [sent for sent in pictures(world) if sent] == [(900, 132), (901, 133), (902, 134)]


def test_a_late_repair_takes_no_place_of_a_newer_packet(world: World) -> None:
    source = world.clients[0].sources[0]
    world.connect(0, 1, (0, 0), False, None)
    world.burst(0, 0, 1)
    world.packet(0, 0, (3, 3000), 1, DELTA)
    world.burst(0, 0, source.mask - 1)
    world.settle()
    came(world)
    newest, oldest = source.highest, source.highest - source.mask
    for back in (source.mask + 1, source.mask):
        world.inject(0, back)
    world.settle()
    repaired = [int.from_bytes(packet[2:4], "big") for packet in came(world)]
    assert repaired == [oldest - 1 & 0xFFFF, oldest & 0xFFFF]  # the subscriber wants both
    kept = [source.kept(number & 0xFFFF) is not None for number in (newest, oldest, oldest - 1)]
    assert kept == [True, True, False]
