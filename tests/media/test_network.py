"""The bad network itself: its rates are right, and a seed tells all."""

from __future__ import annotations

import asyncio
from itertools import groupby, pairwise

import pytest

from tests.integration.media.stage import until
from tests.integration.media.wire import Collector, bound
from tests.media.network import CLEAR, Impairment, Profile, Relay

SIZE = 1000  # bytes
COUNT = 20_000


def fates(
    profile: Profile, seed: int = 7, *, count: int = COUNT, gap: float = 0.01
) -> list[float | None]:
    """Seconds each datagram took; one is sent each `gap` seconds."""
    impairment = Impairment(seed, profile)
    left = [(n * gap, impairment.fate(SIZE, n * gap)) for n in range(count)]
    return [None if leaves is None else leaves - sent for sent, leaves in left]


def share_lost(taken: list[float | None]) -> float:
    return taken.count(None) / len(taken)


def test_the_same_seed_is_the_same_fate() -> None:
    profile = Profile(loss=0.1, burst=4, jitter=0.1, reorder=0.05, rate=1_000_000)
    assert fates(profile, 1) == fates(profile, 1)
    assert fates(profile, 1) != fates(profile, 2)


def test_a_clear_network_does_nothing() -> None:
    assert set(fates(CLEAR)) == {0.0}


@pytest.mark.parametrize("loss", [0.05, 0.1, 0.2])
@pytest.mark.parametrize("burst", [0, 5])
def test_so_many_are_lost(loss: float, burst: float) -> None:
    assert share_lost(fates(Profile(loss=loss, burst=burst))) == pytest.approx(loss, rel=0.15)


def test_bursts_are_as_long_as_wanted() -> None:
    taken = fates(Profile(loss=0.1, burst=5))
    runs = [len(list(run)) for lost, run in groupby(taken, lambda one: one is None) if lost]
    assert sum(runs) / len(runs) == pytest.approx(5, rel=0.15)


def test_an_outage_loses_everything() -> None:
    assert share_lost(fates(Profile(loss=1))) == 1


def test_jitter_delays_and_keeps_the_order() -> None:
    taken = [one for one in fates(Profile(delay=0.02, jitter=0.1)) if one is not None]
    assert min(taken) >= 0.02
    assert max(taken) <= 0.12 + 1e-9
    arrived = [n * 0.01 + one for n, one in enumerate(taken)]
    assert all(one <= other for one, other in pairwise(arrived))


def test_reordered_ones_are_overtaken() -> None:
    taken = [one for one in fates(Profile(reorder=0.05)) if one is not None]
    arrived = [n * 0.01 + one for n, one in enumerate(taken)]
    late = sum(one > other for one, other in pairwise(arrived))
    assert late / COUNT == pytest.approx(0.05, rel=0.15)


def test_a_limited_link_carries_its_rate_and_queues_no_longer_than_it_may() -> None:
    taken = fates(Profile(rate=200_000, queue=0.3))  # of 800 kbit/s
    passed = [one for one in taken if one is not None]
    assert len(passed) * SIZE * 8 / (COUNT * 0.01) == pytest.approx(200_000, rel=0.01)
    assert max(passed) <= 0.3 + SIZE * 8 / 200_000 + 1e-9


def test_a_link_that_is_wide_again_does_not_wait_for_what_it_owed() -> None:
    impairment = Impairment(7, Profile(rate=8000, queue=10))
    assert impairment.fate(SIZE, 0.0) == 1.0
    impairment.profile = CLEAR
    assert impairment.fate(SIZE, 0.5) == 1.0  # order is kept
    assert impairment.fate(SIZE, 1.5) == 1.5


async def test_the_relay_does_to_each_direction_what_was_asked_for() -> None:
    server = Collector()
    relay = Relay(server.address, seed=3)
    client = bound()
    try:
        client.sendto(b"there", relay.address)
        await until(lambda: server.datagrams == [b"there"], "it is carried")
        relay.impair(up=Profile(loss=1))
        client.sendto(b"lost", relay.address)
        await until(lambda: relay.up.lost == 1, "it is lost")
        relay.impair(down=Profile(loss=1))
        client.sendto(b"there again", relay.address)
        await until(lambda: len(server.datagrams) == 2, "it is carried again")
        assert server.datagrams == [b"there", b"there again"]
    finally:
        relay.close()
        server.close()
        client.close()


async def test_clients_behind_one_relay_get_what_is_theirs() -> None:
    loop = asyncio.get_running_loop()
    server = bound()
    relay = Relay(server.getsockname(), seed=3)
    clients = [bound(), bound()]
    try:
        async with asyncio.timeout(10):
            for number, client in enumerate(clients):
                await loop.sock_sendto(client, b"from %d" % number, relay.address)
            for _ in clients:
                data, came_from = await loop.sock_recvfrom(server, 2048)
                await loop.sock_sendto(server, b"echo " + data, came_from)
            for number, client in enumerate(clients):
                assert await loop.sock_recv(client, 2048) == b"echo from %d" % number
    finally:
        relay.close()
        server.close()
        for client in clients:
            client.close()
