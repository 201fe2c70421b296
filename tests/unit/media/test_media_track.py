"""Clocks and lives of layers, padding, numbering of feedback."""

from __future__ import annotations

from services.media import rtcp, rtp
from services.media.feedback import FEEDBACK, TransportFeedback
from services.media.negotiation import DEFAULTS
from services.media.padding import PADDING, write_padding
from services.media.path import Source
from services.media.rtcp import SenderReport
from services.media.sdp import Msid
from services.media.track import OUTLIVED, SILENT, Track, same_time


def layered() -> Track:
    """Three layers that all sent a packet at 10 s."""
    track = Track("video", "1", DEFAULTS["video"], 1, 2, {}, "cname", Msid("stream", "video"))
    track.feed(("low", "middle", "high"), DEFAULTS["video"], {}, "1")
    for number, layer in enumerate(track.layers):
        layer.source = Source(None, ssrc=number, payload_type=96, clock_rate=90000, history=64)  # type: ignore[arg-type]
    send(track, 10.0)
    return track


def send(track: Track, now: float, upto: int = 3) -> None:
    """A packet of each of the lowest layers."""
    for layer in track.layers[:upto]:
        assert layer.source is not None
        layer.source.last_arrival = now


def alive(track: Track, now: float) -> list[bool]:
    return [state.is_living for state in track.states(now)]


def test_a_layer_that_a_lower_one_outlives_is_dead_soon() -> None:
    """Seen: when a publisher's way got narrow its encoder dropped the full layer, and viewers
    looked at the last frame for two seconds."""
    track = layered()
    send(track, 10.0 + OUTLIVED - 0.1, upto=2)
    assert alive(track, 10.0 + OUTLIVED) == [True, True, True]
    send(track, 10.0 + OUTLIVED + 0.1, upto=2)
    assert alive(track, 10.0 + OUTLIVED + 0.1) == [True, True, False]


def test_layers_that_stop_together_are_not_dead_at_once() -> None:
    track = layered()
    assert alive(track, 10.0 + SILENT - 0.1) == [True, True, True]
    assert alive(track, 10.0 + SILENT) == [False, False, False]


def test_a_muted_publisher_comes_back_with_the_layers_it_had() -> None:
    track = layered()
    send(track, 11.0, upto=2)
    track.activate(False, 11.0)
    assert alive(track, 60.0) == [True, True, False]
    track.activate(True, 60.0)
    assert alive(track, 60.1) == [True, True, False]
    assert alive(track, 60.0 + SILENT) == [False, False, False]
    send(track, 70.0)
    assert alive(track, 70.0) == [True, True, True]


def measured(track: Track, begin: float, octets: int) -> list[float]:
    """The rates after a second in which so many bytes came of each layer."""
    for now in (begin, begin + 0.5, begin + 1):
        for layer in track.layers:
            layer.measure(now)
            assert layer.source is not None
            layer.source.bytes += octets // 2
    return [layer.rate for layer in track.layers]


def test_what_comes_while_it_is_muted_is_no_rate() -> None:
    """Seen: the full layer seemed to fit everybody, and was what they all got after an unmute."""
    track = layered()
    assert measured(track, 10.0, 100_000) == [800_000] * 3
    track.activate(False, 12.0)
    track.activate(True, 60.0)
    assert measured(track, 60.0, 100_000) == [800_000] * 3


def test_layers_of_a_new_transport_are_as_large_as_before() -> None:
    track = layered()
    measured(track, 10.0, 100_000)
    track.feed(("low", "other"), DEFAULTS["video"], {}, "1")
    for now in (12.0, 13.0, 14.0):
        for layer in track.layers:
            layer.measure(now)
    assert [layer.rate for layer in track.layers] == [800_000, 0]


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
