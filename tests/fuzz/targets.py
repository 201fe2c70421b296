"""The parsers under attack: each takes any bytes, and raises only if there is something to mend."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress

import msgspec

from services.api.signaling import rpc
from services.api.signaling.errors import RpcError
from services.api.signaling.methods import METHODS, messages, publish, room
from services.conference.model import VideoCodec
from services.media import inspection, negotiation, rtcp, rtp, sdp, stun
from tests.fuzz.samples import LOCAL_PASSWORD, LOCAL_UFRAG

ICE = negotiation.Ice(LOCAL_UFRAG, LOCAL_PASSWORD, ("127.0.0.1",), 40000, ":".join(["AB"] * 32))
CODECS = (VideoCodec.NONE, VideoCodec.MEDIA_SERVER_PREFERRED, VideoCodec.H264)
_LINE = re.compile(r"[a-z]=[\x20-\x7e]*", re.ASCII)
_KNOWN = re.compile(
    r"(group:BUNDLE|ice-lite|extmap-allow-mixed|msid-semantic|mid|rtcp-mux|rtcp-rsize|ice-ufrag"
    r"|ice-pwd|fingerprint|setup|sendrecv|sendonly|recvonly|inactive|extmap|rtpmap|rtcp-fb|fmtp"
    r"|rid|simulcast|msid|ssrc|ssrc-group|candidate|end-of-candidates)\b"
)


def description(data: bytes) -> None:
    """As a publisher's offer, then as a subscriber's to the stream that came of it."""
    try:
        offer = sdp.parse(data.decode(errors="replace"))
    except sdp.SdpInvalid:
        return
    for codec in CODECS:
        for transcoding in (False, True):
            with suppress(sdp.SdpInvalid, negotiation.CodecMissing):
                _negotiate(offer, negotiation.chooser(codec, transcoding))
    with suppress(sdp.SdpInvalid, negotiation.CodecMissing):
        _negotiate(offer, negotiation.matching(negotiation.DEFAULTS))


def _negotiate(offer: sdp.Description, choose: negotiation.Chooser) -> None:
    accepted = negotiation.incoming(offer, ("audio", "video"), choose)
    answer = negotiation.publisher_answer(offer, accepted, {})
    _check_written(negotiation.write(answer, ICE, "passive"), len(offer.lines))
    repeated = [
        negotiation.Section(
            taken.kind,
            taken.mid,
            "sendonly",
            taken.format,
            taken.extensions,
            taken.ssrc or 1,
            taken.rtx_ssrc,
            taken.cname,
            taken.msid,
        )
        for taken in accepted.values()
    ]
    _check_written(negotiation.write(repeated, ICE, "actpass"), len(repeated))


def _check_written(text: str, media: int) -> None:
    """Nothing of a client's may add a line to what another client gets."""
    lines = text.removesuffix("\r\n").split("\r\n")
    for line in lines:
        assert _LINE.fullmatch(line), line
        assert line[0] != "a" or _KNOWN.match(line, 2), line
    assert sum(line.startswith("m=") for line in lines) == media
    with suppress(sdp.SdpInvalid):  # nothing may be left that is usable
        assert len(sdp.parse(text).lines) == media


def compound(data: bytes) -> None:
    for number, packet in enumerate(rtcp.packets(data)):
        assert number < rtcp.MAX_PACKETS
        rtcp.sender_report(packet)
        for block in rtcp.blocks(packet):
            assert -(1 << 23) <= block.lost < 1 << 23
        asked = rtcp.nacked(packet)
        if asked is not None:
            assert all(0 <= sequence <= 0xFFFF for sequence in asked[1])
            assert len(asked[1]) <= 17 * (len(packet.body) // 4)
        rtcp.key_frames_wanted(packet)
        bits = rtcp.remb(packet)
        assert bits is None or bits >= 0


def packet(data: bytes) -> None:
    offset = rtp.payload_offset(data)
    assert offset is None or rtp.HEADER <= offset <= len(data)
    for identifier in (0, 1, 4, 10, 15, 255):
        value = rtp.extension(data, identifier)
        assert value is None or len(value) <= 256
        assert len(rtp.identification(data, identifier)) <= 256
        assert len(rtp.stamp_abs_send_time(data, identifier, 1234.5)) == len(data)
        place = inspection.extension_place(data, identifier, 3)
        assert not place or place + 3 <= len(data)
    for codec in ("VP8", "VP9", "H264", "opus", ""):
        inspection.begins_key_frame(data, codec)
    numbers = inspection.vp8_numbers(data)
    if numbers is not None:
        inspection.picture_number(data, numbers)
        inspection.renumber(bytearray(data), numbers, 0x7FFF, 0xFF)
    again = rtp.pack_rtx(data, 97, 65535, 4242)
    assert (again is None) == (offset is None)
    original = rtp.unpack_rtx(data, 96, 4242)
    assert original is None or rtp.HEADER < len(original) < len(data)
    if again is not None and not data[0] & 0x20 and offset != len(data):
        back = rtp.unpack_rtx(again, data[1] & 0x7F, int.from_bytes(data[8:12], "big"))
        assert back == data


def binding(data: bytes) -> None:
    ufrag = stun.addressee(data)
    assert ufrag is None or len(ufrag) <= stun.MAX_SIZE
    checked = stun.check(data, LOCAL_PASSWORD.encode(), ("127.0.0.1", 40001))
    assert checked is None or len(checked.response) <= 120  # no reflector


def frame(data: bytes) -> None:
    """A frame, its params as those of the method it names, and the JSON inside of them."""
    try:
        request = rpc.parse(data)
    except rpc.Malformed as error:
        rpc.error(error.id, error.code, str(error))
        return
    rpc.response(request.id, {"value": "pong"})
    method = METHODS.get(request.method)
    if method is None:
        return
    # A WebSocket has no TEXT that is not UTF-8, so that cannot get as far as here.
    with suppress(RpcError, msgspec.MsgspecError, RecursionError, UnicodeError):
        _inside(msgspec.json.decode(request.params, type=method.params))


def _inside(params: msgspec.Struct) -> None:
    match params:
        case room.JoinRoom(token=token):
            room.bare_token(token, "S1")
        case publish.PublishVideo():
            msgspec.json.encode(publish.media_options(params))
        case messages.SendMessage(message=message):
            with suppress(msgspec.MsgspecError, RecursionError):
                msgspec.json.decode(message, type=messages.Signal)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "sdp": description,
    "rtcp": compound,
    "rtp": packet,
    "stun": binding,
    "rpc": frame,
}
