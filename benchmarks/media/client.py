"""WebRTC clients of the benchmark: they behave as browsers do towards either server.

A subscriber counts packets without decrypting them, reports each second (RR with loss and the
sender report it saw, REMB) and asks again for a few packets. A publisher makes frames of VP8
with the header extensions it negotiated, sender reports, and a key frame when one is asked for.
"""

from __future__ import annotations

import random
import re
import socket
import struct
import time
from time import monotonic_ns

import pylibsrtp
from aioice import stun

from services.media.rtcp import (
    Block,
    SenderReport,
    key_frames_wanted,
    packets,
    sender_report,
    write_nack,
    write_remb,
    write_report,
    write_sender_report,
)
from tests.integration.media.peer import BUFFER, VIDEO_SSRC, Peer

TRANSPORT = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
VIDEO = 96  # payload type
REMB = 50_000_000  # bit/s: nothing is to be held back here
NACKED = 0.005  # share of packets asked for again
NTP_EPOCH = 2_208_988_800
STAMP = struct.Struct("!Q")  # monotonic ns: no two payloads are the same
PROFILES = {
    b"SRTP_AEAD_AES_256_GCM": "AES-256-GCM",
    b"SRTP_AEAD_AES_128_GCM": "AES-128-GCM",
    b"SRTP_AES128_CM_SHA1_80": "AES128-CM-SHA1-80",
}


class BenchPeer(Peer):
    controlled = False

    def profile(self) -> str:
        """Name of the SRTP profile of the connection."""
        name = self.dtls._ssl.get_selected_srtp_profile()
        return PROFILES.get(name, name.decode())

    def _take(self, data: bytes) -> None:
        if data[0] < 4:
            message = stun.parse_message(data)
            if message.message_class == stun.Class.REQUEST:
                self._answer(message)
                return
        super()._take(data)

    def check(self) -> None:
        """Janus is the controlling agent where it offers; the media process never is."""
        if not self.controlled:
            super().check()
            return
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{self.remote_ufrag}:{self.ufrag}"
        request.attributes["PRIORITY"] = 1853824767
        request.attributes["ICE-CONTROLLED"] = 0x1234
        request.add_message_integrity(self.remote_password.encode())
        self.raw(bytes(request))

    def move(self, address: str) -> None:
        """Another socket, at that address of the machine."""
        self._loop.remove_reader(self.socket.fileno())
        self.socket.close()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        self.socket.bind((address, 0))
        self._loop.add_reader(self.socket.fileno(), self._readable)

    def _answer(self, request: stun.Message) -> None:
        """A full agent checks us, too."""
        reply = stun.Message(request.message_method, stun.Class.RESPONSE, request.transaction_id)
        reply.attributes["XOR-MAPPED-ADDRESS"] = self.server
        reply.add_message_integrity(self.password.encode())
        self.raw(bytes(reply))


class Subscriber(BenchPeer):
    """`count`: packets of the media, `repeats`: those sent again as RTX."""

    def __init__(self) -> None:
        super().__init__()
        self.count = self.repeats = self.asked = 0
        self.last = b""
        self._total = 0
        self._base = -1
        self._highest = 0
        self._expected_before = self._total_before = 0
        self._middle, self._middle_at = 0, 0.0

    def _take(self, data: bytes) -> None:
        if data[0] < 128:
            super()._take(data)
        elif 192 <= data[1] <= 223:
            self._control(data)
        elif data[1] & 0x7F == 97:
            self.repeats += 1
        else:
            self.count += 1
            self.last = data

    def _control(self, data: bytes) -> None:
        if self._receive is None:
            return
        try:
            compound = self._receive.unprotect_rtcp(data)
        except pylibsrtp.Error:
            return
        for packet in packets(compound):
            report = sender_report(packet)
            if report is not None:
                self._middle, self._middle_at = report.middle, time.monotonic()

    def report(self, arrived: int) -> None:
        """What a browser sends each second. `arrived`: packets of the media since the last."""
        if not self.last:
            return
        number, ssrc = struct.unpack_from("!H4xI", self.last, 2)
        if self._base < 0:
            self._base, self._highest = number - arrived + 1, number
        self._highest += (
            (number - self._highest & 0xFFFF) if number != self._highest & 0xFFFF else 0
        )
        self._total += arrived
        expected = self._highest - self._base + 1
        lost, due = expected - self._total, expected - self._expected_before
        fraction = max(0, due - arrived) * 256 // max(due, 1)
        self._expected_before = expected
        delay = int((time.monotonic() - self._middle_at) * 65536) if self._middle else 0
        block = Block(
            ssrc, min(fraction, 255), max(lost, 0), self._highest, 90, self._middle, delay
        )
        self.send_rtcp(write_report([block]) + write_remb(REMB, [ssrc]))
        wanted = sorted(
            {number - random.randrange(2, 60) & 0xFFFF for _ in range(round(arrived * NACKED))}
        )
        for one in wanted:  # each by itself, as losses are found one by one
            self.send_rtcp(write_report() + write_nack(ssrc, [one]))
        self.asked += len(wanted)


class Publisher(BenchPeer):
    """Frames of `per_frame` packets. Without a session (`plain`) packets go out undecrypted."""

    def __init__(self, *, plain: bool = False) -> None:
        super().__init__()
        self.plain = plain
        self.key_wanted = True
        self.packets = self.key_requests = 0
        self.payload = b""  # of the last packet
        self._number = random.randrange(1 << 16)
        self._transport_number = 0
        self._timestamp = random.randrange(1 << 31)
        self._transport = 0  # id of the extension, 0 without
        self._filler = random.randbytes(1300)

    def offer(self, **keywords: object) -> str:
        text = super().offer()
        return re.sub(r"(a=mid:\d\r\n)", rf"\1a=extmap:3 {TRANSPORT}\r\n", text)

    def negotiated(self, answer: str) -> None:
        self._transport = 3 if TRANSPORT in answer else 0

    @property
    def transport_numbers(self) -> bool:
        return self._transport > 0

    def _take(self, data: bytes) -> None:
        if data[0] < 128:
            super()._take(data)
        elif self._receive is not None:
            try:
                compound = self._receive.unprotect_rtcp(data)
            except pylibsrtp.Error:
                return
            for packet in packets(compound):
                if key_frames_wanted(packet):
                    self.key_wanted = True
                    self.key_requests += 1

    def frame(self, count: int, size: int, ticks: int = 3000) -> None:
        """One picture in `count` packets of `size` bytes."""
        key, self.key_wanted = self.key_wanted, False
        self._timestamp += ticks
        for index in range(count):
            descriptor = bytes((0x10 if index == 0 else 0, 0 if key else 1, 0, 0))
            head = self._head(index == count - 1)
            body = descriptor + STAMP.pack(monotonic_ns())
            self.payload = body + self._filler[: size - len(head) - len(body)]
            self._out(head + self.payload)
            self._number = self._number + 1 & 0xFFFF

    def _out(self, packet: bytes) -> None:
        self.packets += 1
        if self.plain:
            self.raw(packet)
        else:
            self.send_rtp(packet)

    def _head(self, marker: bool) -> bytes:
        self._transport_number = self._transport_number + 1 & 0xFFFF
        seconds = int(monotonic_ns() / 1e9 * (1 << 18)) & 0xFFFFFF
        elements = bytes((0x22,)) + seconds.to_bytes(3, "big") + b"\x401"
        if self._transport:
            elements += b"\x31" + self._transport_number.to_bytes(2, "big")
        elements += bytes(-len(elements) % 4)
        timestamp = self._timestamp & 0xFFFFFFFF
        return (
            struct.pack("!BBHII", 0x90, VIDEO | marker << 7, self._number, timestamp, VIDEO_SSRC)
            + struct.pack("!HH", 0xBEDE, len(elements) // 4)
            + elements
        )

    def report(self) -> None:
        """The sender report of the video."""
        if self.plain:
            return
        ntp = int((time.time() + NTP_EPOCH) * (1 << 32))
        counted = SenderReport(
            VIDEO_SSRC, ntp, self._timestamp & 0xFFFFFFFF, self.packets, self.packets * 1000
        )
        self.send_rtcp(write_sender_report(counted, "peer"))


def payload(packet: bytes) -> bytes:
    """What follows the header, its sources and its extension."""
    start = 12 + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
    return packet[start:]
