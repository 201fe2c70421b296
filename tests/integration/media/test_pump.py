"""What is particular to the packet path in C: its memory, its batches, its library."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from shutil import copy
from typing import Any

import pytest

from services.media.forwarding import open_port
from services.media.port import Port
from services.media.pump import LIBRARY, NATIVE, Pump, PumpMissing, ffi, load
from tests.contract.packet_world import HERE, World, received
from tests.integration.media.stage import until
from tests.pumps import need_pump


@pytest.fixture
def world() -> Iterator[World]:
    need_pump()
    world = World(Pump(*HERE))
    yield world
    world.close()


def packets(world: World, who: int = 2) -> int:
    """How many came to a client."""
    return len(received(world.clients[who].socket))


def test_a_batch_goes_on_behind_a_datagram_that_the_kernel_refuses(world: World) -> None:
    for subscriber in (0, 1):
        for edge in range(3):
            world.connect(subscriber, edge, (0, edge % 2), False, None)
    world.aim(2, False)
    world.burst(0, 0, 3)
    world.port._readable()
    assert packets(world, 3) == 6
    assert [edge.packets for edge in world.clients[2].edges] == [0, 0, 0]
    assert [edge.dropped for edge in world.clients[2].edges] == [3, 0, 3]
    world.aim(2, True)
    world.burst(0, 0, 1)
    world.port._readable()
    assert packets(world) == packets(world, 3) == 2


@pytest.mark.parametrize("no_segments", [False, True])
def test_a_burst_comes_datagram_by_datagram_also_where_the_kernel_does_not_cut(
    world: World, no_segments: bool
) -> None:
    world.port._pump.no_segments = no_segments  # type: ignore[attr-defined]
    for subscriber in (0, 1):
        world.connect(subscriber, 0, (0, 0), False, None)
    world.burst(0, 0, 21)
    world.port._readable()
    assert packets(world, 2) == packets(world, 3) == 21
    assert [world.clients[who].edges[0].packets for who in (2, 3)] == [21, 21]


def test_what_waits_is_read_in_a_few_turns_of_the_loop(world: World) -> None:
    world.connect(0, 0, (0, 0), False, None)
    world.burst(0, 0, 300)
    world.port._readable()
    assert packets(world) == 256
    world.port._readable()
    assert packets(world) == 44


async def test_a_callback_that_raises_costs_no_other_packet(world: World) -> None:
    loop = asyncio.get_running_loop()
    problems: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, problem: problems.append(problem))
    world.port.start(world._stun_received)
    world.connect(0, 0, (0, 0), False, None)
    world.later("no such step")
    world.burst(0, 0, 1)
    world.report(0)
    world.burst(0, 0, 20)
    await until(lambda: world.clients[2].edges[0].packets == 21, "the rest came")
    assert len(problems) == 1


@pytest.mark.parametrize("event", ["gap", "filled", "unknown", "repair", "rtcp", "dtls", "stun"])
@pytest.mark.parametrize("end", ["renew", "close"])
def test_an_endpoint_or_the_port_may_end_in_every_callback(
    world: World, event: str, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(name: str, *what: Any) -> None:
        seen.append(name)
        if name == event and end == "renew":
            world.renew(0)
            gc.collect()
        elif name == event:
            world.port.close()

    seen: list[str] = []
    monkeypatch.setattr(world, "told", told)
    world.connect(0, 0, (0, 0), False, None)
    world.burst(0, 0, 4)
    world.packet(0, 0, (5, 0), 1, 3)
    world.packet(0, 0, (-2, 0), 1, 3)
    world.packet(0, 4, (1, 0), 1, 3)
    world.repeat(0, 1)
    world.report(0)
    world.raw(0, 22, 100)
    world.raw(0, 1, 100)
    world.burst(0, 0, 100)
    world.port._readable()
    order = ["gap", "filled", "unknown", "repair", "rtcp", "dtls", "stun"]
    behind = ["stun"] if end == "renew" and event != "stun" else []  # asks for no endpoint
    assert seen == order[: order.index(event) + 1] + behind


def test_many_addresses_come_and_go(world: World) -> None:
    client = world.clients[2]
    addresses = [(f"10.{n >> 8}.{n & 255}.1", 1000 + n % 7) for n in range(3000)]
    for address in addresses:
        world.port.route(address, client.endpoint)
    for address in addresses[::2]:
        world.port.unroute(address)
    assert isinstance(world.port, Pump)
    struct = world.port._pump
    kept = {
        bytes(struct.routes[n].address.ip)
        for n in range(struct.route_room)
        if struct.routes[n].endpoint
    }
    assert struct.route_count == 1500 + len(world.clients)
    for address in addresses[1::2]:
        assert socket.inet_pton(socket.AF_INET6, "::ffff:" + address[0]) in kept
        world.port.unroute(address)
    assert struct.route_count == len(world.clients)
    world.connect(0, 0, (0, 0), False, None)
    world.burst(0, 0, 1)
    world.port._readable()
    assert packets(world) == 1


def test_what_nobody_ended_leaves_no_trace_in_the_tables(world: World) -> None:
    endpoint = world.port.make_endpoint(world.clients[2])
    edge = world.port.make_edge(endpoint, 5, 96)
    world.port.connect(edge, world.clients[0].sources[0])
    assert world.clients[0].sources[0].edges == (edge,)
    del endpoint, edge
    gc.collect()
    assert world.clients[0].sources[0].edges == ()
    world.burst(0, 0, 1)
    world.port._readable()


def test_a_source_that_is_replaced_is_freed(world: World) -> None:
    client = world.clients[0]
    client.sources[0] = client._add(0, "VP8", 96, 8, None)
    client.sources.pop()
    gc.collect()
    world.connect(0, 0, (0, 0), False, None)
    world.burst(0, 0, 1)
    world.port._readable()
    assert packets(world) == 1
    assert client.sources[0].packets == 1


def test_finalizers_take_no_lock_of_cffi() -> None:
    """A collection may begin while cffi parses a type, under a lock that is not re-entrant."""
    need_pump()
    world = World(Pump(*HERE))

    def end() -> None:
        with ffi._lock:
            world.close()
            world.clients.clear()
            gc.collect()

    thread = threading.Thread(target=end, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


def test_a_library_made_from_other_sources_is_refused(tmp_path: Path) -> None:
    need_pump()
    for file in NATIVE.iterdir():
        copy(file, tmp_path)
    (tmp_path / "path.h").write_text("/* newer */")
    with pytest.raises(PumpMissing, match="other sources"):
        load(tmp_path / LIBRARY.name)


def test_without_the_library_python_forwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.media.pump.LIBRARY", tmp_path / "libpump.so")
    with pytest.raises(PumpMissing, match="not compiled"):
        open_port(*HERE, "c")
    port = open_port(*HERE)
    assert type(port) is Port
    port.close()


@pytest.mark.parametrize(("pump", "kind"), [("auto", Pump), ("c", Pump), ("python", Port)])
def test_the_setting_chooses(pump: str, kind: type[Port]) -> None:
    need_pump()
    port = open_port(*HERE, pump)
    assert type(port) is kind
    port.close()
