"""Rules of repair, key frames, leases and reports."""

from __future__ import annotations

import pytest

from services.media.path import Source
from services.media.repair import (
    KEY_FRAME_WINDOW,
    LEAST_REPEAT,
    LEAST_RETRY,
    MOST_RETRY,
    REMEMBERED,
    REPEAT_BURST,
    RETRY,
    TRIES,
    Allowance,
    KeyFrameRequests,
    Missing,
    Repeats,
)
from services.media.rtcp import SenderReport
from services.media.tap import GRACE, LEASE, MAX_TAPS, TapRefused, Taps


def test_a_missing_packet_is_asked_for_five_times_and_then_given_up() -> None:
    missing = Missing()
    assert missing.add([10, 11], 0.0) == [10, 11]
    now, asked = 0.0, 1
    while missing:
        assert missing.due(now + RETRY / 2) == ([], 0)
        now += RETRY
        again, given_up = missing.due(now)
        if again:
            assert again == [10, 11]
            asked += 1
        else:
            assert given_up == 2
    assert asked == TRIES


@pytest.mark.parametrize(
    ("round_trip", "retry"), [(0.001, LEAST_RETRY), (0.1, 0.16), (2.0, MOST_RETRY)]
)
def test_requests_are_repeated_as_the_round_trip_has_it(round_trip: float, retry: float) -> None:
    missing = Missing()
    missing.add([10], 3.0)
    assert missing.repaired(10, 3.0 + round_trip)
    assert not missing.repaired(10, 3.0 + round_trip)
    assert missing.round_trip == pytest.approx(round_trip)
    missing.add([11], 5.0)
    assert missing.due(5.0 + retry - 0.001) == ([], 0)
    assert missing.due(5.0 + retry + 0.001) == ([11], 0)
    assert missing.repaired(11, 9.0)
    assert missing.round_trip == pytest.approx(round_trip)  # of the second request nobody knows
    missing.add([12], 10.0)
    assert missing.repaired(12, 10.0 + 9 * round_trip)
    assert missing.round_trip == pytest.approx(2 * round_trip), "one eighth of what is new"


def test_a_packet_is_not_repeated_twice_within_a_round_trip() -> None:
    repeats = Repeats()
    assert 7 not in repeats
    assert repeats.may(7, 0.1, 1.0)
    assert 7 in repeats
    assert not repeats.may(7, 0.1, 1.09)
    assert repeats.may(8, 0.1, 1.09)
    assert repeats.may(7, 0.1, 1.11)
    assert not repeats.may(7, None, 1.11 + LEAST_REPEAT / 2)
    assert repeats.may(7, None, 1.12 + LEAST_REPEAT)


def test_what_was_repeated_is_remembered_for_so_many_packets() -> None:
    repeats = Repeats()
    for sequence in range(REMEMBERED + 1):
        assert repeats.may(sequence, 60.0, 1.0)
    assert not repeats.may(1, 60.0, 1.0)
    assert repeats.may(0, 60.0, 1.0)


def repeated(rate: float, estimate: int, seconds: float) -> int:
    """Bytes of repeats for a client that asks for everything again and again."""
    allowance, total, now = Allowance(), 0, 100.0
    while now < 100 + seconds:
        now += 0.001
        total += 1200 if allowance.take(1200, rate, estimate, now) else 0
    return total


def test_repeats_to_a_full_way_leave_room_for_the_picture() -> None:
    assert repeated(1_800_000, 170_000, 10) * 8 < 0.35 * 170_000 * 10 + 8 * 10_000
    assert repeated(1_800_000, 170_000, 10) * 8 > 0.25 * 170_000 * 10


def test_repeats_to_a_way_that_is_not_full_repair_an_outage() -> None:
    assert repeated(0, 0, 0.1) >= REPEAT_BURST
    assert repeated(1_000_000, 0, 10) * 8 > 0.4 * 1_000_000 * 10


def test_a_packet_that_came_is_not_asked_for_again() -> None:
    missing = Missing()
    missing.add([10, 11], 0.0)
    assert missing.found(10)
    assert not missing.found(10)
    assert missing.due(RETRY) == ([11], 0)


def test_the_list_of_missing_packets_is_bounded() -> None:
    missing = Missing()
    assert len(missing.add(range(10_000), 0.0)) < 1000
    assert missing.add([99_999], 0.0) == []


def test_key_frame_requests_in_one_window_are_merged_and_not_forgotten() -> None:
    requests = KeyFrameRequests()
    assert not requests.due(0.0)
    sent = []
    for step in range(20):  # one request each 20 ms
        requests.wanted = True
        if requests.due(step * 0.02):
            sent.append(step * 0.02)
    assert sent == [0.0, pytest.approx(KEY_FRAME_WINDOW)]
    assert requests.wanted
    assert requests.due(1.0)
    assert not requests.due(2.0)


def test_a_tap_ends_if_it_is_not_renewed() -> None:
    taps = Taps()
    assert taps.renew("t", "127.0.0.1", 5000, 0.0)
    assert not taps.renew("t", "127.0.0.1", 5000, LEASE)
    assert not taps.expire(LEASE + LEASE)
    assert taps.addresses == (("127.0.0.1", 5000),)
    assert taps.expire(LEASE + LEASE + GRACE + 0.1)
    assert taps.addresses == ()


@pytest.mark.parametrize(("host", "port"), [("recorder.example", 5000), ("127.0.0.1", 0)])
def test_a_tap_needs_an_address(host: str, port: int) -> None:
    with pytest.raises(TapRefused):
        Taps().renew("t", host, port, 0.0)


def test_the_taps_of_a_stream_are_bounded() -> None:
    taps = Taps()
    for number in range(MAX_TAPS):
        taps.renew(str(number), "127.0.0.1", 5000, 0.0)
    with pytest.raises(TapRefused):
        taps.renew("one more", "127.0.0.1", 5000, 0.0)


def test_a_report_tells_the_loss_since_the_last_one_and_the_delay_of_the_sender_report() -> None:
    source = Source(None, ssrc=7, payload_type=96, clock_rate=90000, history=64)  # type: ignore[arg-type]
    source.base, source.highest, source.packets = 100, 199, 75
    source.sender_report = SenderReport(7, 0x1122334455667788, 0, 0, 0)
    source.sender_report_at = 10.0
    block = source.report(10.5)
    assert (block.lost, block.fraction, block.highest) == (25, 64, 199)
    assert (block.last_report, block.delay) == (0x33445566, 32768)
    source.highest, source.packets = 299, 175
    assert source.report(11.0).fraction == 0
