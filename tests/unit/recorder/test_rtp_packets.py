from __future__ import annotations

from struct import pack

from hypothesis import given
from hypothesis import strategies as st

from services.recorder.rtp import is_rtcp, parse, sender_reports
from tests.integration.recorder.clip import NTP_EPOCH, rtp, sender_report


def test_the_payload_lies_behind_sources_and_extensions_and_before_padding() -> None:
    plain = rtp(96, 7, 1234, 99, b"", marker=True)
    header = bytes([plain[0] | 0x32]) + plain[1:]
    datagram = header + pack("!II", 1, 2) + pack("!HH", 0xBEDE, 1) + b"abcd" + b"media" + b"\0\0\3"
    packet = parse(datagram, 5.0)
    assert packet is not None
    assert packet == (99, 96, 7, 1234, True, b"media", 5.0)


def test_packets_that_lie_about_their_length_are_dropped() -> None:
    plain = rtp(96, 7, 1234, 99, b"abc", marker=False)
    assert parse(plain[:11], 0.0) is None
    assert parse(bytes([plain[0] | 0x0F]) + plain[1:], 0.0) is None
    assert parse(bytes([plain[0] | 0x10]) + plain[1:12] + b"\xbe\xde\xff\xff", 0.0) is None
    assert parse(bytes([plain[0] | 0x20]) + plain[1:12] + b"\xff", 0.0) is None
    assert parse(b"\x00" + plain[1:], 0.0) is None


@given(st.binary(max_size=80))
def test_any_bytes_are_harmless(datagram: bytes) -> None:
    parse(datagram, 0.0)
    is_rtcp(datagram)
    sender_reports(datagram)


def test_sender_reports_are_found_in_compound_packets() -> None:
    receiver_report = pack("!BBHI", 0x80, 201, 1, 5)
    compound = receiver_report + sender_report(42, 1_700_000_000.5, 777)
    assert is_rtcp(compound)
    assert not is_rtcp(rtp(96, 0, 0, 1, b"x", marker=True))
    (report,) = sender_reports(compound)
    assert (report.ssrc, report.timestamp) == (42, 777)
    assert abs(report.ntp - NTP_EPOCH - 1_700_000_000.5) < 0.001
