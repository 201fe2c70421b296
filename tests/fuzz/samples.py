"""Inputs as real clients send them; mutations begin here."""

from __future__ import annotations

import json
import struct
from typing import Any

from aioice import stun

from services.media import rtcp
from tests.integration.media.peer import AUDIO_SSRC, RTX_SSRC, VIDEO_SSRC
from tests.unit.media import offers

LOCAL_UFRAG, LOCAL_PASSWORD = "AbCdEfGhIjKl", "0123456789abcdefghijklmn"

DESCRIPTIONS = (
    offers.publisher(),
    offers.four_lines(),
    offers.simulcast(),
    offers.receiver(),
    offers.description(offers.audio(), mids="0"),
    offers.description(offers.video("0"), mids="0"),
)


def check(ufrag: str = LOCAL_UFRAG, password: str = LOCAL_PASSWORD) -> bytes:
    """A Binding request as Chromium's."""
    request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    request.attributes["USERNAME"] = f"{ufrag}:abcd"
    request.attributes["ICE-CONTROLLING"] = 0x1234567890
    request.attributes["USE-CANDIDATE"] = None
    request.attributes["PRIORITY"] = 1853824767
    request.add_message_integrity(password.encode())
    return bytes(request)


def _rtp(pt: int, ssrc: int, payload: bytes, extension: bytes = b"", sequence: int = 1000) -> bytes:
    head = struct.pack("!BBHII", 0x90 if extension else 0x80, pt, sequence, 90000, ssrc)
    if extension:
        extension += bytes(-len(extension) % 4)
        head += struct.pack("!HH", 0xBEDE, len(extension) // 4) + extension
    return head + payload


MID_AND_LEVEL = bytes((0x40, 0x30, 0x10, 0x85))  # mid 4 = "0", level 1 = -5 dBov
SEND_TIME = bytes((0x22, 1, 2, 3, 0x40, 0x31, 0x31, 0x42, 7))
RID = bytes((0xA4, *b"rdiv1", 0x40, 0x31))
VP8_KEY = bytes((0x90, 0xE0, 0x80, 0x01, 0x05, 0x20, 0x10, 0x02, 0x00, 0x9D, 0x01, 0x2A))
VP8_DELTA = bytes((0x80, 0xC0, 0x05, 0x07, 0x11, 0x02, 0x00))
STAP_A = bytes((0x78, 0, 4, 0x67, 0x42, 0xE0, 0x1F, 0, 2, 0x68, 0xCE))
FU_A = bytes((0x7C, 0x85, 0x88, 0x84))

AUDIO = (
    _rtp(111, AUDIO_SSRC, b"\x78opus", MID_AND_LEVEL),
    _rtp(0x80 | 111, AUDIO_SSRC, b"\x08" + bytes(100)),
)
VIDEO = (
    _rtp(96, VIDEO_SSRC, VP8_KEY + bytes(200), SEND_TIME),
    _rtp(0x80 | 96, VIDEO_SSRC, VP8_DELTA + bytes(900), SEND_TIME),
    _rtp(96, VIDEO_SSRC, b"\x10\x02"),
    _rtp(102, VIDEO_SSRC, STAP_A, RID),
    _rtp(102, VIDEO_SSRC, FU_A + bytes(50)),
)
REPAIRS = (
    _rtp(97, RTX_SSRC, struct.pack("!H", 999) + VP8_DELTA + bytes(50), SEND_TIME),
    _rtp(97, RTX_SSRC, b"")[:12] + bytes(199) + b"\xc8",  # a probe of padding only
)
PACKETS = (*AUDIO, *VIDEO, *REPAIRS)

_BLOCK = rtcp.Block(VIDEO_SSRC, 25, 3, 70000, 90, 0x12345678, 6553)


def feedback(ssrc: int) -> tuple[bytes, ...]:
    """What a subscriber sends about a stream, transport-wide feedback included."""
    block = _BLOCK._replace(ssrc=ssrc)
    fir = struct.pack("!BBHIIIBBBB", 0x84, rtcp.PSFB, 4, 1, 0, ssrc, 7, 0, 0, 0)
    fci = struct.pack("!HHBBBBHHBBH", 100, 8, 0, 1, 2, 7, 0x2008, 0x8000, 1, 2, 3)
    padded = fci + bytes(-len(fci) % 4)
    transport = struct.pack("!BBHII", 0x8F, rtcp.RTPFB, 2 + len(padded) // 4, 1, ssrc) + padded
    flood = rtcp.write_nack(ssrc, ())
    flood = flood[:2] + struct.pack("!H", 2 + 340) + flood[4:]
    flood += b"".join(struct.pack("!HH", n * 17 & 0xFFFF, 0xFFFF) for n in range(340))
    return (
        rtcp.write_report([block]),
        rtcp.write_report([block] * 31),
        rtcp.write_nack(ssrc, (1, 2, 3, 20, 40000)),
        flood,
        rtcp.write_pli(ssrc),
        fir,
        rtcp.write_remb(1_500_000, [ssrc]),
        transport,
        bytes((0x81, rtcp.BYE, 0, 1)) + struct.pack("!I", ssrc),
    )


def reports(ssrc: int) -> tuple[bytes, ...]:
    """What a publisher sends: sender reports, descriptions, extended reports."""
    report = rtcp.SenderReport(ssrc, 0xE0000000_80000000, 90000, 100, 100000)
    extended = struct.pack("!BBHIBBHQ", 0x80, 207, 4, ssrc, 4, 0, 2, 0xE000000080000000)
    return (rtcp.write_sender_report(report, "QYgw2rNmGzVP7dYv"), extended)


COMPOUNDS = (*feedback(VIDEO_SSRC), *reports(VIDEO_SSRC), *reports(AUDIO_SSRC))

PARAMS: dict[str, dict[str, Any]] = {
    "ping": {"interval": 5000},
    "connect": {"sessionId": "4aktv8cfkhe2ooksplqg0c8v80", "reconnect": True},
    "closeSession": {},
    "joinRoom": {
        "token": "wss://localhost:4443?sessionId=S1&token=tok_V9JemXQw9n6T0LY2",
        "session": "S1",
        "platform": "Chrome 156.0.0.0 on Linux 64-bit",
        "sdkVersion": "2.32.2",
        "metadata": '{"clientData":"ana"}',
        "secret": "",
        "recorder": False,
    },
    "leaveRoom": {},
    "forceDisconnect": {"connectionId": "con_Ud1Rk3GbYu"},
    "publishVideo": {
        "sdpOffer": offers.publisher(),
        "doLoopback": False,
        "hasAudio": True,
        "hasVideo": True,
        "audioActive": True,
        "videoActive": True,
        "typeOfVideo": "CAMERA",
        "frameRate": 30,
        "videoDimensions": '{"width":640,"height":480}',
        "filter": None,
    },
    "unpublishVideo": {},
    "streamPropertyChanged": {
        "streamId": "str_CAM_KDeZ_con_Ud1Rk3GbYu",
        "property": "videoActive",
        "newValue": False,
        "reason": "publishVideo",
    },
    "forceUnpublish": {"streamId": "str_CAM_KDeZ_con_Ud1Rk3GbYu"},
    "prepareReceiveVideoFrom": {"sender": "str_CAM_KDeZ_con_Ud1Rk3GbYu", "reconnect": False},
    "receiveVideoFrom": {
        "sender": "str_CAM_KDeZ_con_Ud1Rk3GbYu",
        "sdpAnswer": offers.receiver(),
    },
    "unsubscribeFromVideo": {"sender": "con_Ud1Rk3GbYu"},
    "onIceCandidate": {
        "endpointName": "con_Ud1Rk3GbYu",
        "candidate": "candidate:1 1 udp 2130706431 127.0.0.1 40000 typ host",
        "sdpMid": "0",
        "sdpMLineIndex": 0,
    },
    "reconnectStream": {
        "stream": "str_CAM_KDeZ_con_Ud1Rk3GbYu",
        "sdpString": offers.publisher(),
        "forciblyReconnect": False,
    },
    "sendMessage": {
        "message": json.dumps({"to": ["con_Ud1Rk3GbYu"], "type": "signal:chat", "data": "hello"})
    },
    "echo": {},
    "videoData": {"height": 480, "width": 640, "videoActive": True, "audioActive": True},
    "sessionStatus": {"sessionId": "S1"},
    "applyFilter": {
        "streamId": "str_CAM_KDeZ_con_Ud1Rk3GbYu",
        "type": "GStreamerFilter",
        "options": "{}",
    },
    "removeFilter": {"streamId": "str_CAM_KDeZ_con_Ud1Rk3GbYu"},
}


def frame(method: str, params: Any, number: Any = 7) -> str:
    return json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": number})


FRAMES = tuple(frame(method, params) for method, params in PARAMS.items())
