"""RTP, RTCP and STUN, as bytes."""

from __future__ import annotations

import struct

from aioice import stun as ice
from hypothesis import given, settings
from hypothesis import strategies as st

from services.media import rtcp, rtp, stun

BLOCK = rtcp.Block(7, 12, -3, 0x12345, 99, 0xABCDEF01, 65536)


def packet(
    sequence: int = 5, payload: bytes = b"payload", *, first: int = 0x80, extra: bytes = b""
) -> bytes:
    return struct.pack("!BBHII", first, 96, sequence, 1234, 77) + extra + payload


one_byte = struct.pack("!HH", 0xBEDE, 2) + b"\x40a\x00\x21bc\x00\x00"
two_byte = struct.pack("!HH", 0x1000, 2) + b"\x04\x01a\x00\x02\x02bc"


def test_header_extensions_are_found_in_both_forms() -> None:
    for extra in (one_byte, two_byte):
        wire = packet(first=0x90, extra=extra)
        assert rtp.extension(wire, 4) == b"a"
        assert rtp.extension(wire, 2) == b"bc"
        assert rtp.extension(wire, 7) is None


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=100), st.integers(0, 0xFFFF), st.booleans(), st.booleans())
def test_a_repeat_carries_the_original_packet(
    payload: bytes, sequence: int, marker: bool, extended: bool
) -> None:
    wire = packet(
        sequence, payload, first=0x90 if extended else 0x80, extra=one_byte if extended else b""
    )
    wire = wire[:1] + bytes((96 | marker << 7,)) + wire[2:]
    repeat = rtp.pack_rtx(wire, 97, 4000, 88)
    assert repeat is not None
    assert repeat[1] & 0x7F == 97
    assert repeat[2:4] == struct.pack("!H", 4000)
    assert repeat[8:12] == struct.pack("!I", 88)
    assert rtp.unpack_rtx(repeat, 96, 77) == wire


def test_a_probe_of_padding_repeats_nothing() -> None:
    probe = packet(payload=b"\x00" * 9 + b"\x0a", first=0xA0)
    assert rtp.unpack_rtx(probe, 96, 77) is None


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_make_rtp_parsing_fail(data: bytes) -> None:
    for wire in (data, b"\x90" + data, packet(first=0xBF, extra=data)):
        rtp.payload_offset(wire)
        rtp.extension(wire, 4)
        rtp.pack_rtx(wire, 97, 1, 2)
        rtp.unpack_rtx(wire, 96, 1)


@settings(deadline=None)
@given(st.binary(max_size=300), st.sampled_from([200, 201, 202, 205, 206]), st.integers(0, 31))
def test_no_bytes_make_rtcp_parsing_fail(data: bytes, kind: int, count: int) -> None:
    data = data[: len(data) // 4 * 4]
    whole = struct.pack("!BBH", 0x80 | count, kind, len(data) // 4) + data
    for compound in (data, whole, whole + data, whole[:-1]):
        for one in rtcp.packets(compound):
            rtcp.sender_report(one)
            list(rtcp.blocks(one))
            rtcp.nacked(one)
            rtcp.key_frames_wanted(one)
            rtcp.remb(one)


def test_a_receiver_report_reads_as_it_was_written() -> None:
    [one] = rtcp.packets(rtcp.write_report([BLOCK]))
    assert list(rtcp.blocks(one)) == [BLOCK]


def test_a_sender_report_keeps_its_times_and_names_its_source() -> None:
    report = rtcp.SenderReport(77, 0x1122334455667788, 9000, 10, 1000)
    first, second = rtcp.packets(rtcp.write_sender_report(report, "name"))
    assert rtcp.sender_report(first) == report
    assert report.middle == 0x33445566
    assert second.type == rtcp.SDES
    assert b"name" in second.body


@settings(deadline=None)
@given(st.sets(st.integers(0, 0xFFFF), min_size=1, max_size=100))
def test_a_nack_asks_for_exactly_the_missing_packets(missing: set[int]) -> None:
    [one] = rtcp.packets(rtcp.write_nack(77, sorted(missing)))
    asked = rtcp.nacked(one)
    assert asked is not None
    assert asked[0] == 77
    assert sorted(asked[1]) == sorted(missing)


def test_a_nack_goes_over_the_end_of_the_numbers() -> None:
    [one] = rtcp.packets(rtcp.write_nack(77, [0xFFFE, 0xFFFF, 0, 5]))
    assert rtcp.nacked(one) == (77, [0xFFFE, 0xFFFF, 0, 5])
    assert len(one.body) == 12


@settings(deadline=None)
@given(st.integers(1, 2**40))
def test_a_bandwidth_limit_is_told_to_within_its_precision(bits: int) -> None:
    [one] = rtcp.packets(rtcp.write_remb(bits, [1, 2]))
    told = rtcp.remb(one)
    assert told is not None
    assert bits * (1 - 2**-17) <= told <= bits


def test_key_frame_requests_name_their_stream() -> None:
    [pli] = rtcp.packets(rtcp.write_pli(77))
    assert rtcp.key_frames_wanted(pli) == [77]
    fir = struct.pack("!BBHIIIB3x", 0x84, 206, 4, 1, 0, 78, 1)
    [one] = rtcp.packets(fir)
    assert rtcp.key_frames_wanted(one) == [78]


def binding(password: bytes = b"password", **attributes: object) -> bytes:
    request = ice.Message(ice.Method.BINDING, ice.Class.REQUEST)
    request.attributes["USERNAME"] = "ours:theirs"
    for name, value in attributes.items():
        request.attributes[name.replace("_", "-")] = value
    request.add_message_integrity(password)
    return bytes(request)


def test_a_check_is_answered_with_the_address_it_came_from() -> None:
    request = binding(ICE_CONTROLLING=1)
    assert stun.addressee(request) == "ours"
    checked = stun.check(request, b"password", ("198.51.100.7", 4321))
    assert checked is not None
    assert checked.accepted
    assert not checked.nominated
    response = ice.parse_message(checked.response)
    assert response.message_class == ice.Class.RESPONSE
    assert response.attributes["XOR-MAPPED-ADDRESS"] == ("198.51.100.7", 4321)
    assert response.check_message_integrity(b"password")


def test_a_nomination_is_told() -> None:
    checked = stun.check(binding(USE_CANDIDATE=None), b"password", ("198.51.100.7", 1))
    assert checked is not None
    assert checked.nominated


def test_a_check_with_the_wrong_password_is_not_answered() -> None:
    assert stun.check(binding(b"wrong"), b"password", ("198.51.100.7", 1)) is None


def test_a_controlled_client_is_told_of_the_conflict() -> None:
    checked = stun.check(binding(ICE_CONTROLLED=1), b"password", ("198.51.100.7", 1))
    assert checked is not None
    assert not checked.accepted
    assert ice.parse_message(checked.response).error_code == 487


@settings(deadline=None)
@given(st.data())
def test_no_bytes_make_stun_handling_fail(data: st.DataObject) -> None:
    request = bytearray(binding(USE_CANDIDATE=None, PRIORITY=1))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(request) - 1))
        request[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=6))
    stun.addressee(bytes(request))
    stun.check(bytes(request), b"password", ("198.51.100.7", 1))
