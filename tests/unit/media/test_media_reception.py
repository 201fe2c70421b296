"""Loss on a client's own way, from its reports."""

from __future__ import annotations

import pytest

from services.media.path import Source
from services.media.reception import REPORTED, Loss, Reception
from services.media.rtcp import Block

SOURCE, OTHER = (
    Source(None, ssrc=ssrc, payload_type=96, clock_rate=90000, history=64)  # type: ignore[arg-type]
    for ssrc in (1, 2)
)


def report(highest: int, lost: int) -> Block:
    return Block(SOURCE.ssrc, 0, lost, highest, 0, 0, 0)


@pytest.fixture
def reception() -> Reception:
    made = Reception()
    assert made.judge(SOURCE, report(100, 5), missing=0, sent=100) is None
    return made


def test_the_loss_since_the_report_before(reception: Reception) -> None:
    assert reception.judge(SOURCE, report(200, 25), missing=0, sent=200) == Loss(20, 100)
    assert reception.judge(SOURCE, report(300, 25), missing=0, sent=300) == Loss(0, 100)


def test_what_the_publishers_way_lost_does_not_count(reception: Reception) -> None:
    """Seen: a publisher's narrow way made an estimate for a viewer on a clear network."""
    assert reception.judge(SOURCE, report(200, 35), missing=30, sent=170) == Loss(0, 100)
    assert reception.judge(SOURCE, report(300, 55), missing=20, sent=280) == Loss(20, 100)


def test_few_packets_are_counted_with_those_that_follow(reception: Reception) -> None:
    few = 100 + REPORTED - 1
    assert reception.judge(SOURCE, report(few, 9), missing=0, sent=few) is None
    assert reception.judge(SOURCE, report(200, 9), missing=0, sent=200) == Loss(4, 100)


def test_an_outage_is_not_told_as_loss(reception: Reception) -> None:
    assert reception.judge(SOURCE, report(100, 5), missing=0, sent=150) == Loss(0, 0)
    assert reception.judge(SOURCE, report(260, 115), missing=0, sent=260) == Loss(0, 0)
    assert reception.judge(SOURCE, report(360, 125), missing=0, sent=360) == Loss(10, 100)


def test_a_picture_that_pauses_is_no_outage(reception: Reception) -> None:
    assert reception.judge(SOURCE, report(100, 5), missing=0, sent=100) is None


def test_of_another_source_nothing_is_known_yet(reception: Reception) -> None:
    assert reception.judge(OTHER, report(200, 80), missing=500, sent=200) is None
    assert reception.judge(OTHER, report(300, 90), missing=500, sent=300) == Loss(10, 100)


def test_nonsense_is_no_loss(reception: Reception) -> None:
    assert reception.judge(SOURCE, report(10, 5), missing=0, sent=200) == Loss(0, 0)
    assert reception.judge(SOURCE, report(110, 9000), missing=0, sent=300) == Loss(100, 100)
    assert reception.judge(SOURCE, report(210, -500), missing=0, sent=400) == Loss(0, 100)
