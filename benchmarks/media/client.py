"""WebRTC clients of the benchmark: they behave as browsers do towards either server.

A subscriber counts packets without decrypting them, reports each second (RR with loss and the
sender report it saw, REMB) and asks again for a few packets. A publisher makes frames of VP8
with the header extensions it negotiated, Opus, sender reports, and a key frame when one is asked.
"""

from __future__ import annotations

import asyncio
import random
import re
import socket
import struct
import time
from collections.abc import Iterable, Iterator

import pylibsrtp
from aioice import stun

from services.media.rtcp import (
    PSFB,
    RR,
    RTPFB,
    Block,
    SenderReport,
    key_frames_wanted,
    packets,
    remb,
    sender_report,
    write_nack,
    write_pli,
    write_remb,
    write_report,
    write_sender_report,
)
from tests.integration.media.peer import AUDIO_SSRC, BUFFER, VIDEO_SSRC, Peer

TRANSPORT = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
VIDEO, RTX, AUDIO = 96, 97, 111  # payload types
REMB = 50_000_000  # bit/s: nothing is to be held back here
NACKED = 0.005  # share of packets asked for again
# Told in reports, as if there were a network: Janus keeps no history below 1 ms.
ROUND_TRIP = 0.02  # seconds
REPEATED = 0.05  # seconds until a check or the first flight goes again; the flight's are doubled
CHECK = 2.5  # seconds between checks of the connection
NTP_EPOCH = 2_208_988_800
STAMP = struct.Struct("!Q")  # UTC ns when it was sent, or what a caller wants
PROFILES = {
    b"SRTP_AEAD_AES_256_GCM": "AES-256-GCM",
    b"SRTP_AEAD_AES_128_GCM": "AES-128-GCM",
    b"SRTP_AES128_CM_SHA1_80": "AES128-CM-SHA1-80",
}
_TIMESTAMPNS = 35  # SO_TIMESTAMPNS of Linux
_timespec = struct.Struct("@ll")


class BenchPeer(Peer):
    controlled = False

    def __init__(self) -> None:
        super().__init__()
        self._hello: list[bytes] = []
        self._answered = False
        self._checked_at = 0.0

    def profile(self) -> str:
        """Name of the SRTP profile of the connection."""
        assert self.dtls._ssl is not None
        name = self.dtls._ssl.get_selected_srtp_profile()
        return PROFILES.get(name, name.decode())

    async def connect(self, remote_sdp: str, server: tuple[str, int] | None = None) -> None:
        async with asyncio.TaskGroup() as group:
            repeating = group.create_task(self._repeat())
            await super().connect(remote_sdp, server)
            repeating.cancel()

    async def _repeat(self) -> None:
        """Checks and the first flight, as browsers do: OpenSSL's own timer is 1 s, and Janus may
        not have been ready."""
        pause = REPEATED
        while not self._answered:
            await asyncio.sleep(pause)
            if not self.checked.is_set():
                self.check()
            elif self._hello and not self._answered:
                pause *= 2
                for datagram in self._hello:
                    self.raw(datagram)

    async def _send(self, data: bytes) -> None:
        if not self._answered:
            self._hello.append(data)
        await super()._send(data)

    def _take(self, data: bytes) -> None:
        if data[0] < 4:
            message = stun.parse_message(data)
            if message.message_class == stun.Class.REQUEST:
                self._answer(message)
                return
        else:
            self._answered = True
        super()._take(data)

    def check(self) -> None:
        """Janus is the controlling agent where it offers; the media process never is."""
        self._checked_at = time.monotonic()
        if not self.controlled:
            super().check()
            return
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{self.remote_ufrag}:{self.ufrag}"
        request.attributes["PRIORITY"] = 1853824767
        request.attributes["ICE-CONTROLLED"] = 0x1234
        request.add_message_integrity(self.remote_password.encode())
        self.raw(bytes(request))

    def keep_alive(self) -> None:
        if time.monotonic() - self._checked_at > CHECK:
            self.check()

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
        if not self.server[0]:
            return  # it knows us already, we do not know it yet
        reply = stun.Message(request.message_method, stun.Class.RESPONSE, request.transaction_id)
        reply.attributes["XOR-MAPPED-ADDRESS"] = self.server
        reply.add_message_integrity(self.password.encode())
        self.raw(bytes(reply))


class Subscriber(BenchPeer):
    """`count`: packets of the video, `sounds`: of the audio, `asked` for again, `answered` so."""

    def __init__(self) -> None:
        super().__init__()
        self.count = self.sounds = self.asked = self.answered = self.sender_reports = 0
        self.last = b""  # packet of the video
        self.first_key: asyncio.Event | None = None  # set: decrypt until a key frame comes
        self._stamped: list[tuple[bytes, int]] | None = None
        self._opened = b"", b""
        self._wanted: set[int] = set()
        self._total = 0
        self._base = -1
        self._highest = 0
        self._expected_before = 0
        self._middle, self._middle_at = 0, 0.0

    # What comes

    def detach(self) -> None:
        """Receive no more: somebody else does."""
        self._loop.remove_reader(self.socket.fileno())

    def _take(self, data: bytes) -> None:
        if data[0] < 128:
            super()._take(data)
            return
        kind = data[1] & 0x7F
        if kind == VIDEO:
            self.count += 1
            self.last = data
            if self.first_key is not None:
                self._look_for_key(data)
        elif kind == AUDIO:
            self.sounds += 1
        elif kind == RTX:
            self._repeated(data)
        elif 192 <= data[1] <= 223:
            self._control(data)

    def _look_for_key(self, data: bytes) -> None:
        if self._receive is None or self.first_key is None:
            return
        try:
            found = payload(self._receive.unprotect(data))
        except pylibsrtp.Error:
            return
        if found[0] & 0x10 and not found[1] & 0x01:
            self.first_key.set()
            self.first_key = None

    def _repeated(self, data: bytes) -> None:
        """Servers also probe the network with RTX that nobody asked for."""
        if self._receive is None:
            return
        try:
            found = payload(self._receive.unprotect(data))
        except pylibsrtp.Error:
            return
        original = int.from_bytes(found[:2], "big")
        if original in self._wanted:
            self._wanted.discard(original)
            self.answered += 1

    def _control(self, data: bytes) -> None:
        if self._receive is None:
            return
        try:
            compound = self._receive.unprotect_rtcp(data)
        except pylibsrtp.Error:
            return
        for packet in packets(compound):
            report = sender_report(packet)
            if report is not None and report.ssrc == self.ssrc:
                self.sender_reports += 1
                self._middle, self._middle_at = report.middle, time.monotonic()

    @property
    def ssrc(self) -> int:
        """That of the video, 0 before it came."""
        return int.from_bytes(self.last[8:12], "big")

    # When it came

    def stamp(self) -> None:
        """Keep the packets of the video with the kernel's time of their arrival from now on."""
        self._stamped = []
        self.socket.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)

    def stamped(self) -> list[tuple[bytes, int]]:
        """Packets and UTC ns since `stamp`, which ends."""
        found, self._stamped = self._stamped or [], None
        self.socket.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 0)
        return found

    def _readable(self) -> None:
        if self._stamped is None:
            super()._readable()
            return
        for _ in range(256):
            try:
                data, extra, _, _ = self.socket.recvmsg(2048, 64)
            except BlockingIOError:
                return
            except OSError:
                continue
            if data[0] >= 128 and data[1] & 0x7F == VIDEO and extra:
                seconds, nanoseconds = _timespec.unpack(extra[0][2])
                self._stamped.append((data, seconds * 1_000_000_000 + nanoseconds))
            self._take(data)

    def decrypted(self, datagram: bytes) -> bytes:
        """Libsrtp opens a packet once; the last one may be asked for again."""
        if datagram is not self._opened[0]:
            self._opened = datagram, super().decrypted(datagram)
        return self._opened[1]

    def begin(self) -> None:
        """Count what is asked for and what is told from now on."""
        self.asked = self.answered = self.sender_reports = 0
        self._wanted.clear()

    # What goes back

    def want_key_frame(self) -> None:
        self.send_rtcp(write_report() + write_pli(self.ssrc))

    def report(self, arrived: int, *, nack: bool = True) -> None:
        """What a browser sends each second. `arrived`: packets of the video since the last."""
        self.keep_alive()
        if not self.last:
            return
        number, ssrc = struct.unpack_from("!H4xI", self.last, 2)
        if self._base < 0:
            self._base, self._highest = number - arrived + 1, number
        self._highest += (number - self._highest) & 0xFFFF
        self._total += arrived
        expected = self._highest - self._base + 1
        lost, due = expected - self._total, expected - self._expected_before
        fraction = max(0, due - arrived) * 256 // max(due, 1)
        self._expected_before = expected
        delay = 0
        if self._middle:
            delay = max(0, int((time.monotonic() - self._middle_at - ROUND_TRIP) * 65536))
        block = Block(
            ssrc, min(fraction, 255), max(lost, 0), self._highest, 90, self._middle, delay
        )
        self.send_rtcp(write_report([block]) + write_remb(REMB, [ssrc]))
        if nack:
            self._nack(number, ssrc, round(arrived * NACKED))

    def _nack(self, number: int, ssrc: int, count: int) -> None:
        """Each by itself, as losses are found one by one."""
        wanted = {number - random.randrange(2, 60) & 0xFFFF for _ in range(count)}
        for one in sorted(wanted):
            self.send_rtcp(write_report() + write_nack(ssrc, [one]))
        self.asked += len(wanted - self._wanted)
        self._wanted |= wanted


class Publisher(BenchPeer):
    """Without a session (`plain`) packets go out undecrypted."""

    def __init__(self, *, plain: bool = False) -> None:
        super().__init__()
        self.plain = plain
        self.key_wanted = asyncio.Event()
        self.packets = 0
        self.key_requests = self.reports = self.estimates = 0  # what came back
        self.payload = b""  # of the last packet of the video
        self._number = random.randrange(1 << 15)
        self._sound = random.randrange(1 << 15)
        self._transport_number = 0
        self._timestamp = random.randrange(1 << 31)
        self._sound_timestamp = random.randrange(1 << 31)
        self._transport = 0  # id of the extension, 0 without
        self._filler = random.randbytes(1300)

    def offer(self, **keywords: object) -> str:
        text = super().offer()
        return re.sub(r"(a=mid:1\r\n)", rf"\1a=extmap:3 {TRANSPORT}\r\n", text)

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
                if packet.type == RR:
                    self.reports += 1
                elif packet.type == PSFB and key_frames_wanted(packet):
                    self.key_wanted.set()
                    self.key_requests += 1
                elif remb(packet) is not None or packet.type == RTPFB:
                    self.estimates += 1

    def frame(
        self,
        count: int,
        size: int,
        *,
        ticks: int = 3000,
        key: bool = False,
        stamp: int | None = None,
    ) -> Iterator[bytes]:
        """One picture in `count` packets of `size` bytes, ready to go out. Each carries the time
        at which it was made, or `stamp` and the numbers that follow."""
        self._timestamp += ticks
        for index in range(count):
            descriptor = bytes((0x10 if index == 0 else 0, 0 if key else 1, 0, 0))
            head = self._head(index == count - 1)
            mark = time.time_ns() if stamp is None else stamp + index
            body = descriptor + STAMP.pack(mark)
            self.payload = body + self._filler[: size - len(head) - len(body)]
            packet = self._protected(head + self.payload)
            self._number = self._number + 1 & 0xFFFF
            yield packet

    def sound(self, size: int, stamp: int) -> bytes:
        """20 ms of audio in `size` bytes."""
        self._sound_timestamp += 960
        self._sound = self._sound + 1 & 0xFFFF
        timestamp = self._sound_timestamp & 0xFFFFFFFF
        head = struct.pack("!BBHII", 0x90, AUDIO, self._sound, timestamp, AUDIO_SSRC)
        head += struct.pack("!HH", 0xBEDE, 1) + b"\x10\x85\x400"  # level, mid
        return self._protected(head + STAMP.pack(stamp) + self._filler[: size - len(head) - 8])

    def send(self, datagrams: Iterable[bytes]) -> None:
        for datagram in datagrams:
            self.raw(datagram)

    def _protected(self, packet: bytes) -> bytes:
        self.packets += 1
        if self.plain or self._send_session is None:
            return packet
        return bytes(self._send_session.protect(packet))

    def _head(self, marker: bool) -> bytes:
        self._transport_number = self._transport_number + 1 & 0xFFFF
        seconds = int(time.monotonic_ns() / 1e9 * (1 << 18)) & 0xFFFFFF
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
        self.keep_alive()
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
