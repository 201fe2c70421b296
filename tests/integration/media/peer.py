"""A WebRTC client in a few lines, for tests and benchmarks: one UDP socket, a controlling ICE
agent with one candidate, aiortc's DTLS as the client, SRTP. It sends and takes whole RTP packets.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable
from secrets import token_hex
from typing import Any, cast

import pylibsrtp
from aioice import stun
from aiortc.rtcdtlstransport import (
    RTCCertificate,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
)

TIMEOUT = 10.0
BUFFER = 4 * 1024 * 1024

AUDIO = """m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
{transport}
a=mid:0
a={direction}
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;useinbandfec=1
{ssrcs}"""

VIDEO = """m=video 9 UDP/TLS/RTP/SAVPF {pt} {rtx}
c=IN IP4 0.0.0.0
{transport}
a=mid:1
a={direction}
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=rtpmap:{pt} VP8/90000
a=rtcp-fb:{pt} goog-remb
a=rtcp-fb:{pt} transport-cc
a=rtcp-fb:{pt} ccm fir
a=rtcp-fb:{pt} nack
a=rtcp-fb:{pt} nack pli
a=rtpmap:{rtx} rtx/90000
a=fmtp:{rtx} apt={pt}
{ssrcs}"""

AUDIO_SSRC, VIDEO_SSRC, RTX_SSRC = 1111, 2222, 3333


class Peer:
    """`rtp` and `rtcp` collect what came, decrypted; `on_rtp` sees each packet first."""

    def __init__(self, *, dtls_role: str = "client", host: str = "127.0.0.1") -> None:
        self.rtp: list[bytes] = []
        self.rtcp: list[bytes] = []
        self.on_rtp: Callable[[bytes], None] | None = None
        self.role = "controlling"
        self.ufrag, self.password = token_hex(4), token_hex(12)
        self.checked = asyncio.Event()
        self.connected = asyncio.Event()
        self.remote_ufrag = self.remote_password = ""
        self.server: tuple[str, int] = ("", 0)
        self.fingerprint_value = ""  # to lie about the certificate
        self.description = ""  # what the server answered or offered
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        self.socket.bind((host, 0))
        self._certificate = RTCCertificate.generateCertificate()
        self.dtls = RTCDtlsTransport(cast(Any, self), [self._certificate])
        self.dtls._set_role(dtls_role)
        self._datagrams: asyncio.Queue[bytes] = asyncio.Queue()
        self._receive: pylibsrtp.Session | None = None
        self._send_session: pylibsrtp.Session | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.socket.fileno(), self._readable)

    # SDP

    def offer(self, *, direction: str = "sendonly", pt: int = 96, rtx: int = 97) -> str:
        """Audio and video, as a Chromium would offer them."""
        sends = direction != "recvonly"
        return self._description(direction, "actpass", sends, pt, rtx)

    def answer(self, *, kinds: str = "audio video") -> str:
        text = self._description("recvonly", "active", False, 96, 97)
        if "video" not in kinds:
            text = text.replace("m=video 9", "m=video 0")
        return text

    def _description(self, direction: str, setup: str, sends: bool, pt: int, rtx: int) -> str:
        digits = next(f for f in self._certificate.getFingerprints() if f.algorithm == "sha-256")
        transport = "\n".join(
            (
                f"a=ice-ufrag:{self.ufrag}",
                f"a=ice-pwd:{self.password}",
                f"a=fingerprint:sha-256 {self.fingerprint_value or digits.value}",
                f"a=setup:{setup}",
                "a=rtcp-mux",
            )
        )
        msid = "a=msid:stream-1 track-"
        audio = f"{msid}a\na=ssrc:{AUDIO_SSRC} cname:peer" if sends else "a=ice-options:trickle"
        video = (
            f"{msid}v\na=ssrc-group:FID {VIDEO_SSRC} {RTX_SSRC}\n"
            f"a=ssrc:{VIDEO_SSRC} cname:peer\na=ssrc:{RTX_SSRC} cname:peer"
            if sends
            else "a=ice-options:trickle"
        )
        common = {"transport": transport, "direction": direction}
        text = "\n".join(
            (
                "v=0\no=- 1 2 IN IP4 127.0.0.1\ns=-\nt=0 0\na=group:BUNDLE 0 1",
                AUDIO.format(**common, ssrcs=audio),
                VIDEO.format(**common, ssrcs=video, pt=pt, rtx=rtx),
            )
        )
        return text.replace("\n", "\r\n") + "\r\n"

    # Transport

    def aim(self, remote_sdp: str, server: tuple[str, int] | None = None) -> None:
        """Learn the server's side; `server` is a relay to use instead of its candidate."""
        self.remote_ufrag = _one(r"a=ice-ufrag:(\S+)", remote_sdp)
        self.remote_password = _one(r"a=ice-pwd:(\S+)", remote_sdp)
        host, port = _one(r"a=candidate:\S+ 1 udp \d+ (\S+ \d+) typ host", remote_sdp).split()
        self.server = server or (host, int(port))

    async def connect(self, remote_sdp: str, server: tuple[str, int] | None = None) -> None:
        """ICE, DTLS, SRTP, in 10 s."""
        self.aim(remote_sdp, server)
        value = _one(r"a=fingerprint:sha-256 (\S+)", remote_sdp)
        async with asyncio.timeout(TIMEOUT):
            while not self.checked.is_set():
                self.check()
                try:
                    async with asyncio.timeout(0.2):
                        await self.checked.wait()
                except TimeoutError:
                    continue
            await self.dtls.start(RTCDtlsParameters([RTCDtlsFingerprint("sha-256", value)]))
        if self.dtls.state == "connected":
            self._receive, self._send_session = self.dtls._rx_srtp, self.dtls._tx_srtp
            self.connected.set()

    def binding_request(self, *, password: str | None = None, **extra: object) -> bytes:
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{self.remote_ufrag}:{self.ufrag}"
        request.attributes["PRIORITY"] = 1853824767
        request.attributes["ICE-CONTROLLING"] = 0x1234
        request.attributes["USE-CANDIDATE"] = None
        for name, value in extra.items():
            request.attributes[name.replace("_", "-")] = value
        request.add_message_integrity((password or self.remote_password).encode())
        return bytes(request)

    def check(self) -> None:
        self.raw(self.binding_request())

    def raw(self, datagram: bytes) -> None:
        self.socket.sendto(datagram, self.server)

    def send_rtp(self, packet: bytes) -> None:
        assert self._send_session is not None
        self.raw(self._send_session.protect(packet))

    def send_rtcp(self, packet: bytes) -> None:
        assert self._send_session is not None
        self.raw(self._send_session.protect_rtcp(packet))

    def decrypted(self, datagram: bytes) -> bytes:
        assert self._receive is not None
        return bytes(self._receive.unprotect(datagram))

    async def close(self, *, silent: bool = False) -> None:
        if not silent:
            await self.dtls.stop()
        elif self.dtls._task is not None:
            self.dtls._task.cancel()
        if self.socket.fileno() >= 0:
            self._loop.remove_reader(self.socket.fileno())
            self.socket.close()

    def _readable(self) -> None:
        for _ in range(256):
            try:
                data = self.socket.recv(2048)
            except BlockingIOError:
                return
            except OSError:
                continue
            self._take(data)

    def _take(self, data: bytes) -> None:
        if data[0] < 4:
            if stun.parse_message(data).message_class == stun.Class.RESPONSE:
                self.checked.set()
        elif data[0] < 64:
            self._datagrams.put_nowait(data)
        elif self._receive is not None:
            try:
                if 192 <= data[1] <= 223:
                    self.rtcp.append(self._receive.unprotect_rtcp(data))
                    return
                packet = self._receive.unprotect(data)
            except pylibsrtp.Error:
                return
            if self.on_rtp is not None:
                self.on_rtp(packet)
            else:
                self.rtp.append(packet)

    # What aiortc's transport wants

    async def _recv(self) -> bytes:
        return await self._datagrams.get()

    async def _send(self, data: bytes) -> None:
        if self.socket.fileno() >= 0:
            self.raw(data)


def _one(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    assert found is not None, f"{pattern} not in the description"
    return found[1]
