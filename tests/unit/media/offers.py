"""Descriptions as real clients send them (`signaling.md` section 5)."""

from __future__ import annotations

FINGERPRINT = ":".join(["AB"] * 32)
HEAD = """v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE {mids}
a=extmap-allow-mixed
a=msid-semantic: WMS stream-1"""

TRANSPORT = f"""c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:4ZcD
a=ice-pwd:2/1muCWoOi3uLifh0NuRHlZm
a=ice-options:trickle
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass"""

AUDIO = """m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
{transport}
a=mid:{mid}
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a={direction}
a=msid:{msid}
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000"""

AUDIO_SSRCS = """a=ssrc:{ssrc} cname:QYgw2rNmGzVP7dYv
a=ssrc:{ssrc} msid:{msid}"""

VIDEO = """m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 102 103 104 105 127 45
{transport}
a=mid:{mid}
a=extmap:14 urn:ietf:params:rtp-hdrext:toffset
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:13 urn:3gpp:video-orientation
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id
a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id
a={direction}
a=msid:{msid}
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 goog-remb
a=rtcp-fb:96 transport-cc
a=rtcp-fb:96 ccm fir
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:98 VP9/90000
a=rtcp-fb:98 goog-remb
a=rtcp-fb:98 nack
a=rtcp-fb:98 nack pli
a=fmtp:98 profile-id=0
a=rtpmap:99 rtx/90000
a=fmtp:99 apt=98
a=rtpmap:102 H264/90000
a=rtcp-fb:102 nack
a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f
a=rtpmap:103 rtx/90000
a=fmtp:103 apt=102
a=rtpmap:104 H264/90000
a=rtcp-fb:104 nack
a=fmtp:104 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f
a=rtpmap:105 rtx/90000
a=fmtp:105 apt=104
a=rtpmap:127 ulpfec/90000
a=rtpmap:45 AV1/90000"""

VIDEO_SSRCS = """a=ssrc-group:FID {ssrc} {rtx}
a=ssrc:{ssrc} cname:QYgw2rNmGzVP7dYv
a=ssrc:{ssrc} msid:{msid}
a=ssrc:{rtx} cname:QYgw2rNmGzVP7dYv
a=ssrc:{rtx} msid:{msid}"""

LAYERS = """a=rid:rdiv4 send
a=rid:rdiv2 send
a=rid:rdiv1 send
a=simulcast:send rdiv4;rdiv2;rdiv1"""


def audio(mid: str = "0", direction: str = "sendonly", ssrc: int = 1001) -> str:
    msid = "stream-1 audio-1"
    text = AUDIO.format(transport=TRANSPORT, mid=mid, direction=direction, msid=msid)
    return f"{text}\n{AUDIO_SSRCS.format(ssrc=ssrc, msid=msid)}" if ssrc else text


def video(mid: str = "1", direction: str = "sendonly", ssrc: int = 2001, rtx: int = 2002) -> str:
    msid = "stream-1 video-1"
    text = VIDEO.format(transport=TRANSPORT, mid=mid, direction=direction, msid=msid)
    return f"{text}\n{VIDEO_SSRCS.format(ssrc=ssrc, rtx=rtx, msid=msid)}" if ssrc else text


def description(*lines: str, mids: str = "0 1") -> str:
    return "\n".join((HEAD.format(mids=mids), *lines)).replace("\n", "\r\n") + "\r\n"


def publisher() -> str:
    return description(audio(), video())


def four_lines() -> str:
    """Client 2.18: tracks added, and a transceiver for each kind; media in the first of a kind."""
    return description(
        audio("0", "sendrecv"),
        video("1", "sendrecv"),
        audio("2", "sendonly", 1003),
        video("3", "sendonly", 2003, 2004),
        mids="0 1 2 3",
    )


def simulcast() -> str:
    return description(audio(), video(ssrc=0) + "\n" + LAYERS)


def receiver() -> str:
    """A subscriber's offer in the other negotiation shape."""
    return description(audio(direction="recvonly", ssrc=0), video(direction="recvonly", ssrc=0))
