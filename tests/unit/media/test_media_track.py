"""Clocks of layers, padding of probes, numbering of feedback."""

from __future__ import annotations

from services.media import rtcp, rtp
from services.media.feedback import FEEDBACK, TransportFeedback
from services.media.padding import PADDING, write_padding
from services.media.rtcp import SenderReport
from services.media.track import same_time


def test_timestamps_of_another_layer_go_on_in_the_time_of_the_first() -> None:
    low = SenderReport(1, 100 << 32, 5_000, 0, 0)
    high = SenderReport(2, (100 << 32) + (1 << 31), 4_294_960_000, 0, 0)  # half a second later
    offset = same_time(low, high, 90_000)
    assert offset is not None
    assert (high.timestamp + offset) & 0xFFFFFFFF == 5_000 + 45_000
    assert same_time(low, high._replace(ntp=500 << 32), 90_000) is None


def test_padding_is_a_packet_without_payload() -> None:
    packet = write_padding(97, 7, 3333, 2, 1.5)
    assert rtp.extension(packet, 2) == (1.5 * 0x40000).__trunc__().to_bytes(3, "big")
    offset = rtp.payload_offset(packet)
    assert offset is not None
    assert len(packet) - offset == PADDING == packet[-1]
    assert packet[0] & 0x20
    assert rtp.unpack_rtx(packet, 96, 2222) is None
    assert not write_padding(97, 7, 3333, 0, 1.5)[0] & 0x10


def test_feedbacks_are_numbered_and_not_too_many() -> None:
    feedback = TransportFeedback()
    assert feedback.is_due(1.0)
    counts = []
    for turn in range(300):
        now = 1.0 + turn * FEEDBACK
        [compound] = feedback.write(5, [(turn * 2 & 0xFFFF, now)], now)
        [_, told] = rtcp.packets(compound)
        counts.append(told.body[15])
        assert not feedback.is_due(now + FEEDBACK / 2)
    assert counts == [n & 0xFF for n in range(300)]
    assert feedback.write(5, [], 99.0) == []
