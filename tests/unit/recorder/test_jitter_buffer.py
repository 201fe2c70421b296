from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.recorder.jitter import JitterBuffer
from services.recorder.rtp import Packet


def packet(sequence: int, arrival: float = 0.0) -> Packet:
    return Packet(1, 96, sequence & 0xFFFF, 0, False, b"x", arrival)


def numbers(packets: object) -> list[int]:
    return [item.sequence for item in packets]  # type: ignore[attr-defined]


def test_packets_in_order_pass_at_once() -> None:
    buffer = JitterBuffer()
    for sequence in range(10):
        assert numbers(buffer.push(packet(sequence))) == [sequence]


def test_a_missing_packet_is_waited_for_and_then_given_up() -> None:
    buffer = JitterBuffer(wait=0.5)
    assert numbers(buffer.push(packet(1, 0.0))) == [1]
    assert numbers(buffer.push(packet(3, 0.1))) == []
    assert numbers(buffer.push(packet(4, 0.2))) == []
    assert numbers(buffer.expire(0.59)) == []
    assert numbers(buffer.expire(0.61)) == [3, 4]
    assert buffer.counters.lost == 1
    assert numbers(buffer.push(packet(2, 0.62))) == []
    assert buffer.counters.late == 1
    assert numbers(buffer.push(packet(5, 0.7))) == [5]


def test_a_packet_that_comes_in_time_fills_its_gap() -> None:
    buffer = JitterBuffer()
    buffer.push(packet(1))
    buffer.push(packet(3))
    assert numbers(buffer.push(packet(2))) == [2, 3]
    assert buffer.counters.lost == 0


def test_sequence_numbers_wrap_around() -> None:
    buffer = JitterBuffer()
    assert numbers(buffer.push(packet(65534))) == [65534]
    assert numbers(buffer.push(packet(0))) == []
    assert numbers(buffer.push(packet(65535))) == [65535, 0]
    assert numbers(buffer.push(packet(1))) == [1]


def test_one_packet_far_off_is_dropped_and_two_in_a_row_restart() -> None:
    buffer = JitterBuffer()
    buffer.push(packet(100))
    assert numbers(buffer.push(packet(40000))) == []
    assert numbers(buffer.push(packet(101))) == [101]
    assert numbers(buffer.push(packet(40001))) == []
    assert numbers(buffer.push(packet(50000))) == []
    assert numbers(buffer.push(packet(50001))) == [50001]
    assert numbers(buffer.push(packet(50002))) == [50002]
    assert buffer.counters.restarts == 1


def test_it_never_holds_more_than_its_capacity() -> None:
    buffer = JitterBuffer(capacity=10)
    buffer.push(packet(0))
    released = []
    for sequence in range(2, 2 + 11):
        released += numbers(buffer.push(packet(sequence)))
    assert released == list(range(2, 13))
    assert buffer.counters.lost == 1


def test_flush_gives_out_the_rest_in_order() -> None:
    buffer = JitterBuffer()
    buffer.push(packet(1))
    for sequence in (7, 3, 5):
        buffer.push(packet(sequence))
    assert numbers(buffer.flush()) == [3, 5, 7]
    assert numbers(buffer.push(packet(900))) == [900]


@given(
    start=st.integers(0, 65535),
    count=st.integers(2, 120),
    lost=st.sets(st.integers(1, 119)),
    data=st.data(),
)
def test_any_order_with_loss_and_duplicates_comes_out_in_order_once(
    start: int, count: int, lost: set[int], data: st.DataObject
) -> None:
    kept = [0, *(index for index in range(1, count) if index not in lost)]
    arrivals = [0, *data.draw(st.permutations(kept[1:]))]
    arrivals += data.draw(st.lists(st.sampled_from(kept), max_size=20))
    buffer = JitterBuffer()
    released: list[int] = []
    for index in arrivals:
        released += numbers(buffer.push(packet(start + index)))
    released += numbers(buffer.flush())
    assert released == [(start + index) & 0xFFFF for index in kept]


@given(st.lists(st.tuples(st.integers(0, 65535), st.floats(0, 100)), max_size=300))
def test_whatever_comes_it_holds_little_and_gives_each_packet_once(
    stream: list[tuple[int, float]],
) -> None:
    buffer = JitterBuffer(capacity=50)
    given_out = 0
    for sequence, arrival in stream:
        given_out += len(buffer.push(packet(sequence, arrival)))
        given_out += len(buffer.expire(arrival))
    given_out += len(buffer.flush())
    assert given_out + buffer.counters.late == len(stream)
