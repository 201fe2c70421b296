"""Transport-wide feedback to publishers, and the header extensions it and layers need."""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from services.media import rtcp, rtp
from tests.unit.media import transport_feedback
from tests.unit.media.transport_feedback import Feedback


def read(packets: list[bytes]) -> list[Feedback]:
    result = []
    for wire in packets:
        [one] = rtcp.packets(wire)
        found = transport_feedback.read(one)
        assert found is not None
        result.append(found)
    return result


@settings(deadline=None)
@given(
    st.integers(0, 0xFFFF),
    st.lists(st.tuples(st.integers(1, 40), st.integers(-50, 400)), min_size=1, max_size=600),
)
def test_every_arrival_is_told_once_and_what_is_between_is_lost(
    first: int, steps: list[tuple[int, int]]
) -> None:
    number, ticks = first, 10_000_000
    arrivals = []
    for step, delta in steps:
        number, ticks = number + step, ticks + delta
        arrivals.append((number & 0xFFFF, ticks / 4000))
    told: dict[int, float] = {}
    statuses = 0
    for index, one in enumerate(read(rtcp.write_transport_feedback(77, arrivals, 250))):
        assert (one.media_ssrc, one.count) == (77, 250 + index & 0xFF)
        assert not told.keys() & one.arrivals.keys()
        told |= one.arrivals
        statuses += len(one.statuses)
    assert told == dict(arrivals)
    assert statuses == sum(step for step, _ in steps[1:]) + 1


@settings(deadline=None)
@given(st.permutations(range(0xFFF0, 0x10020)))
def test_the_order_of_arrival_does_not_matter(order: list[int]) -> None:
    arrivals = [(number & 0xFFFF, number / 4000) for number in order]
    [one] = read(rtcp.write_transport_feedback(77, arrivals, 0))
    assert next(iter(one.statuses)) == 0xFFF0
    assert one.arrivals == dict(arrivals)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 0xFFFF), st.floats(0, 1e7)), max_size=2048),
    st.integers(0, 0xFFFF) | st.none(),
)
def test_hostile_numbers_give_few_small_packets(
    arrivals: list[tuple[int, float]], since: int | None
) -> None:
    packets = rtcp.write_transport_feedback(77, arrivals, 0, since)
    assert len(packets) <= rtcp.TRANSPORT_FEEDBACKS
    assert all(len(wire) <= 1100 for wire in packets)
    for one in read(packets):
        assert set(one.arrivals) <= {number for number, _ in arrivals}


def test_the_worst_case_of_losses_stays_below_the_size_of_a_datagram() -> None:
    arrivals = [(8 * n, 1000.0 + n * (-1) ** n) for n in range(2000)]
    packets = rtcp.write_transport_feedback(77, arrivals, 0)
    assert max(map(len, packets)) <= 1100


def test_nothing_arrived_nothing_is_told() -> None:
    assert rtcp.write_transport_feedback(77, [], 0) == []


def test_a_copy_counts_with_its_first_arrival() -> None:
    [one] = read(rtcp.write_transport_feedback(77, [(5, 1.0), (6, 1.01), (5, 1.5)], 0))
    assert one.arrivals == {5: 1.0, 6: 1.01}


def test_a_loss_behind_the_last_feedback_is_told() -> None:
    [one] = read(rtcp.write_transport_feedback(77, [(1, 1.0)], 0, since=0xFFFE))
    assert one.statuses == {0xFFFF: None, 0: None, 1: 1.0}
    [late] = read(rtcp.write_transport_feedback(77, [(5, 1.0), (7, 1.0)], 0, since=6))
    assert late.statuses == {5: 1.0, 6: None, 7: 1.0}


def test_a_long_pause_begins_another_packet() -> None:
    first, second = read(rtcp.write_transport_feedback(77, [(1, 1.0), (2, 10.0)], 255))
    assert (first.arrivals, second.arrivals) == ({1: 1.0}, {2: 10.0})
    assert (first.count, second.count) == (255, 0)


def test_a_feedback_has_the_bytes_of_the_draft() -> None:
    arrivals = [(10, 64.0), (11, 64.00025), (13, 64.1)]
    [wire] = rtcp.write_transport_feedback(0x01020304, arrivals, 9)
    assert wire == bytes.fromhex(
        "afcd0006"  # padded, format 15, type 205, 6 words behind the first
        "00000001 01020304"
        "000a 0004 0003e8 09"  # base, count of statuses, 1000 x 64 ms, number of the feedback
        "d480"  # two-bit vector: small, small, lost, large; the rest fills
        "00 01 018f"  # 0, 250 us, 399 x 250 us
        "0002"  # padding, which ends with its length
    )


def extended(body: bytes, profile: int) -> bytes:
    body += bytes(-len(body) % 4)
    head = struct.pack("!BBHII", 0x90, 96, 5, 1234, 77)
    return head + struct.pack("!HH", profile, len(body) // 4) + body + b"payload"


def test_the_send_time_is_set_in_place_in_both_forms() -> None:
    for body, profile in (
        (b"\x10a\x22abc\x40m", 0xBEDE),
        (b"\x01\x01a\x02\x03abc\x04\x01m", 0x1000),
    ):
        wire = extended(body, profile)
        stamped = rtp.stamp_abs_send_time(wire, 2, 65.5)
        assert rtp.extension(stamped, 2) == bytes((0x06, 0x00, 0x00))  # 1.5 s, modulo 64
        assert stamped == wire.replace(b"abc", b"\x06\x00\x00")


def test_a_packet_without_a_send_time_stays_as_it_is() -> None:
    wire = extended(b"\x10a\x21bc", 0xBEDE)
    assert rtp.stamp_abs_send_time(wire, 2, 1.0) == wire  # two bytes are none
    assert rtp.stamp_abs_send_time(wire, 3, 1.0) == wire
    assert rtp.stamp_abs_send_time(wire, 0, 1.0) == wire


def test_streams_are_identified_by_their_names() -> None:
    wire = extended(b"\x401\xa4rdiv2"[:-1] + b"2\xb0\xff", 0xBEDE)
    assert rtp.identification(wire, 4) == "1"
    assert rtp.identification(wire, 10) == "rdiv2"
    assert rtp.identification(wire, 11) == ""  # not ASCII
    assert rtp.identification(wire, 7) == ""
    assert rtp.identification(wire, 0) == ""


@settings(deadline=None)
@given(st.binary(max_size=80), st.sampled_from([0xBEDE, 0x1000, 0x100F, 7]), st.integers(0, 255))
def test_no_extensions_make_reading_or_stamping_fail(
    body: bytes, profile: int, wanted: int
) -> None:
    for wire in (extended(body, profile), extended(body, profile)[: len(body)], body):
        assert len(rtp.stamp_abs_send_time(wire, wanted, 12345.6)) == len(wire)
        rtp.identification(wire, wanted)
