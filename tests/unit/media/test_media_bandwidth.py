"""The estimator of a subscriber's bandwidth on simulated networks."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from services.media.bandwidth import LEAST, MAX_BACK_OFF, Estimator

STEP = 0.05  # seconds
PACKET = 1200 * 8  # bits
LAYERS = (150_000, 500_000, 1_500_000)


@dataclass
class Network:
    """One direction of a link: what does not fit waits, what does not fit into the queue is
    lost. The receiver reports loss each second and a REMB as Chromium does: 0.85 of the
    throughput when delay grows, else slowly up to 1.5 times of what comes."""

    capacity: Callable[[float], float]
    queue_seconds: float = 0.3
    loss: float = 0.0
    has_remb: bool = True
    seed: int = 20261129
    now: float = 0.0
    queue: float = 0.0  # bits
    sizes: list[float] = field(default_factory=list)
    estimator: Estimator = field(default_factory=Estimator)
    estimates: list[tuple[float, int, int]] = field(default_factory=list)  # time, estimate, layer

    def run(self, seconds: float) -> None:
        chance = random.Random(self.seed)
        total = packets = 0
        sent = lost = 0
        arrived = 0.0
        remb, reported, before = 300_000.0, 0.0, 0.0
        credit = 0.0
        while self.now < seconds:
            self.now += STEP
            best = next((r for r in LAYERS if r > self.layer), 0)
            extra = self.estimator.probe(int(best * 1.1), self.now)
            credit += (self.layer + extra) * STEP / PACKET
            capacity = self.capacity(self.now)
            room = capacity * self.queue_seconds
            while credit >= 1:
                credit -= 1
                sent, packets, total = sent + 1, packets + 1, total + PACKET // 8
                if chance.random() < self.loss or self.queue + PACKET > room + capacity * STEP:
                    lost += 1
                else:
                    self.queue += PACKET
            through = min(self.queue, capacity * STEP)
            self.queue -= through
            arrived += through
            self.estimator.sent(total, packets, self.now)
            if self.now - reported >= 1:
                throughput = arrived / (self.now - reported)
                grows = self.queue > before + 2 * PACKET or self.queue > 0.8 * room
                remb = 0.85 * throughput if grows else min(1.08 * remb, 1.5 * throughput + 1e4)
                remb = max(remb, throughput) if not grows else remb
                if self.has_remb:
                    self.estimator.remb(int(remb), self.now)
                if sent:
                    self.estimator.lost(lost / sent, self.now)
                self.estimator.round_trip(0.05 + self.queue / capacity, self.now)
                reported, before = self.now, self.queue
                sent = lost = 0
                arrived = 0.0
            self.estimates.append((self.now, self.estimator.estimate, self.layer))

    @property
    def layer(self) -> int:
        estimate = self.estimator.estimate
        return max((r for r in LAYERS if not estimate or r <= estimate), default=LAYERS[0])

    def share(self, layer: int, since: float) -> float:
        got = [one for at, _, one in self.estimates if at >= since]
        return sum(one == layer for one in got) / len(got)

    def first(self, layer: int, since: float) -> float:
        return next(at for at, _, one in self.estimates if at >= since and one == layer)


def dropping(at: float) -> float:
    return 200_000 if 10 <= at < 40 else 4_000_000


def test_an_idle_link_gets_the_best_layer_from_the_start() -> None:
    network = Network(lambda _: 4_000_000)
    network.run(60)
    assert network.share(LAYERS[2], 0) == 1
    assert network.estimator.probes == 0


@pytest.mark.parametrize("has_remb", [True, False])
@pytest.mark.parametrize("queue", [0.05, 0.3, 2.0])
def test_a_drop_is_followed_within_seconds_and_so_is_the_end_of_it(
    queue: float, has_remb: bool
) -> None:
    network = Network(dropping, queue_seconds=queue, has_remb=has_remb)
    network.run(70)
    assert network.share(LAYERS[2], 0) > 0
    assert network.first(LAYERS[0], 10) < 10 + 5
    held = [layer for at, _, layer in network.estimates if 15 <= at < 40]
    assert held.count(LAYERS[0]) / len(held) > 0.8  # not lured up by probes for long
    assert network.first(LAYERS[1], 40) < 40 + MAX_BACK_OFF + 3
    assert network.first(LAYERS[2], 40) < 40 + 3 * MAX_BACK_OFF
    assert network.share(LAYERS[2], 58) == 1


@pytest.mark.parametrize("loss", [0.05, 0.1, 0.15, 0.2])
def test_random_loss_does_not_take_the_picture_down(loss: float) -> None:
    network = Network(lambda _: 4_000_000, loss=loss)
    network.run(120)
    assert network.share(LAYERS[2], 0) > 0.9
    assert network.share(LAYERS[2], 60) == 1


@pytest.mark.parametrize("loss", [0.05, 0.15])
def test_a_drop_is_seen_through_random_loss(loss: float) -> None:
    network = Network(dropping, loss=loss)
    network.run(70)
    held = [layer for at, _, layer in network.estimates if 16 <= at < 40]
    assert held.count(LAYERS[0]) / len(held) > 0.8
    assert network.share(LAYERS[2], 62) > 0.9


@pytest.mark.parametrize("has_remb", [True, False])
def test_a_queue_that_only_delays_is_seen(has_remb: bool) -> None:
    network = Network(lambda _: 700_000, queue_seconds=30, has_remb=has_remb)
    network.run(30)
    assert network.share(LAYERS[2], 15) < 0.1
    assert network.share(LAYERS[1], 15) > 0.5


def test_a_link_between_two_layers_gets_the_lower_one_nearly_always() -> None:
    network = Network(lambda _: 900_000)
    network.run(120)
    assert network.share(LAYERS[1], 20) > 0.8
    assert network.share(LAYERS[2], 20) < 0.1


def test_many_packets_asked_for_again_are_trouble_before_a_report_says_so() -> None:
    estimator = Estimator()
    for step in range(21):
        estimator.sent(step * 6000, step * 5, step * STEP)
    estimator.nacked(10, 1.0)
    assert estimator.estimate == 0
    estimator.nacked(50, 1.0)
    assert LEAST < estimator.estimate < estimator.rate


def test_a_low_remb_means_nothing_while_little_is_sent() -> None:
    estimator = Estimator()
    for step in range(200):
        now = step * STEP
        estimator.sent(step * 1000, step, now)
        estimator.remb(200_000, now)
    assert estimator.estimate == 0
