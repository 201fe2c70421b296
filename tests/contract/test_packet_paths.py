"""The packet path in C does what its twin in Python does, packet by packet."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.media.port import Port
from services.media.pump import Pump
from tests.contract.packet_world import (
    FORMS,
    HERE,
    PAYLOADS,
    PUBLISHERS,
    SOURCES,
    SUBSCRIBERS,
    Plan,
    World,
)
from tests.pumps import need_pump

publisher = st.sampled_from([0] * 4 + [*range(PUBLISHERS)])
subscriber = st.sampled_from([0] * 4 + [*range(SUBSCRIBERS)])
index = st.sampled_from([0] * 4 + [*range(len(SOURCES) + 1)])
anybody = st.integers(0, PUBLISHERS + SUBSCRIBERS - 1)
edge = st.integers(0, 2)
yes = st.booleans()
near = st.integers(-3, 12)
step_ = st.sampled_from([1] * 12 + [2, 3, 9, 255, 256, 257, 300, 30000, 0, -1, -2, -5, -9])


def one_of(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.tuples(st.just(name), *arguments)


control = st.one_of(
    one_of(
        "connect",
        *(subscriber, edge, st.tuples(publisher, index), yes),
        st.none() | st.integers(-5, 1 << 33) | st.sampled_from([-3000, -1, 0, 1, 3000]),
    ),
    one_of("disconnect", subscriber, edge),
    one_of("pause", subscriber, edge),
    one_of("resume", subscriber, edge, yes),
    one_of("copy", publisher, st.integers(0, 2), st.integers(0, 2)),
    one_of("inject", publisher, near),
    one_of("route", anybody, yes),
    one_of("aim", anybody, yes),
    one_of("send", anybody),
    one_of("renew", anybody),
)
packet = one_of(
    "packet",
    publisher,
    index,
    st.tuples(step_, st.sampled_from([0, 3000, 3000, -3000, 1 << 31])),
    st.integers(0, len(FORMS) - 1),
    st.sampled_from([3, 4, 5] * 4 + [*range(len(PAYLOADS))]),
)
from_outside = st.one_of(
    one_of("repeat", publisher, near),
    one_of(
        "report", anybody, st.sampled_from([1, 30, 1000, 2000]), st.sampled_from([1, 1, 40]), yes
    ),
    one_of("stray", publisher, index),
    one_of("burst", publisher, index, st.sampled_from([10, 70, 140])),
    one_of(
        "raw",
        st.integers(0, PUBLISHERS + SUBSCRIBERS),
        st.sampled_from([0, 1, 3, 4, 20, 22, 63, 64, 127, 128, 144, 191, 192, 255]),
        st.sampled_from([0, 1, 12, 13, 20, 200, 1599, 1600, 1700]),
    ),
)
later = control.map(lambda step: ("later", *step))
START: Plan = [
    [("connect", 0, 0, (0, 0), False, None), ("connect", 0, 1, (0, 1), False, None)],
    [("connect", 1, 0, (0, 0), True, None), ("connect", 0, 2, (1, 0), False, None)],
    [("packet", 0, 0, (1, 0), 1, 3), ("packet", 0, 1, (1, 0), 1, 3)],
]
steps = st.one_of(packet, packet, packet, from_outside, control, later)
plans = st.lists(
    st.lists(steps, min_size=1, max_size=5) | st.lists(control, min_size=1, max_size=2),
    min_size=10,
    max_size=40,
)


def story(port: Port, plan: Plan) -> list[Any]:
    world = World(port)
    try:
        world.run([*START, *plan])
        return world.story
    finally:
        world.close()


def compare(plan: Plan) -> None:
    assert story(Pump(*HERE), plan) == story(Port(*HERE), plan)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plans)
def test_the_pump_does_what_its_twin_does(plan: Plan) -> None:
    need_pump()
    compare(plan)
