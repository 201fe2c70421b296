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


FIREFOX = f"""v=0
o=mozilla...THIS_IS_SDPARTA-99.0 5390138211 0 IN IP4 0.0.0.0
s=-
t=0 0
a=sendrecv
a=fingerprint:sha-256 {FINGERPRINT}
a=group:BUNDLE 0 1
a=ice-options:trickle
a=msid-semantic:WMS *
m=audio 9 UDP/TLS/RTP/SAVPF 109 9 0 8 101
c=IN IP4 0.0.0.0
a=sendonly
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2/recvonly urn:ietf:params:rtp-hdrext:csrc-audio-level
a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid
a=fmtp:109 maxplaybackrate=48000;stereo=1;useinbandfec=1
a=fmtp:101 0-15
a=ice-pwd:9dd6d1ba4bd6a5c06a9d2fa4a1d47c5a
a=ice-ufrag:8dc8bb4f
a=mid:0
a=msid:{{1c4cb4d1-0d6a-4bd6-9e5f-0a8f3f1f7f10}} {{2c4cb4d1-0d6a-4bd6-9e5f-0a8f3f1f7f10}}
a=rtcp-mux
a=rtpmap:109 opus/48000/2
a=rtpmap:9 G722/8000/1
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000/1
a=setup:actpass
a=ssrc:31 cname:{{8b6f4e5b-56aa-44c7-a4f6-8f2c0a5a6c51}}
m=video 9 UDP/TLS/RTP/SAVPF 120 124 121 125 126 127 97 98
c=IN IP4 0.0.0.0
a=sendonly
a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:4 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:5 urn:ietf:params:rtp-hdrext:toffset
a=extmap:6/recvonly http://www.webrtc.org/experiments/rtp-hdrext/playout-delay
a=extmap:7 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=fmtp:126 profile-level-id=42e01f;level-asymmetry-allowed=1;packetization-mode=1
a=fmtp:97 profile-level-id=42e01f;level-asymmetry-allowed=1
a=fmtp:120 max-fs=12288;max-fr=60
a=fmtp:124 apt=120
a=fmtp:121 max-fs=12288;max-fr=60
a=fmtp:125 apt=121
a=fmtp:127 apt=126
a=fmtp:98 apt=97
a=ice-pwd:9dd6d1ba4bd6a5c06a9d2fa4a1d47c5a
a=ice-ufrag:8dc8bb4f
a=mid:1
a=msid:{{1c4cb4d1-0d6a-4bd6-9e5f-0a8f3f1f7f10}} {{3c4cb4d1-0d6a-4bd6-9e5f-0a8f3f1f7f10}}
a=rtcp-fb:120 nack
a=rtcp-fb:120 nack pli
a=rtcp-fb:120 ccm fir
a=rtcp-fb:120 goog-remb
a=rtcp-fb:120 transport-cc
a=rtcp-fb:126 nack
a=rtcp-fb:126 nack pli
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:120 VP8/90000
a=rtpmap:124 rtx/90000
a=rtpmap:121 VP9/90000
a=rtpmap:125 rtx/90000
a=rtpmap:126 H264/90000
a=rtpmap:127 rtx/90000
a=rtpmap:97 H264/90000
a=rtpmap:98 rtx/90000
a=setup:actpass
a=ssrc:41 cname:{{8b6f4e5b-56aa-44c7-a4f6-8f2c0a5a6c51}}
a=ssrc:42 cname:{{8b6f4e5b-56aa-44c7-a4f6-8f2c0a5a6c51}}
a=ssrc-group:FID 41 42"""
"""As Firefox orders it: attributes before the rtpmap they are about, the fingerprint for all."""

SAFARI = f"""{HEAD.format(mids="0 1")}
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
{TRANSPORT}
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendonly
a=msid:stream-1 audio-1
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=ssrc:1001 cname:QYgw2rNmGzVP7dYv
m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 100 101 127
{TRANSPORT}
a=mid:1
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:13 urn:3gpp:video-orientation
a=sendonly
a=msid:stream-1 video-1
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:96 H264/90000
a=rtcp-fb:96 goog-remb
a=rtcp-fb:96 transport-cc
a=rtcp-fb:96 ccm fir
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:98 H264/90000
a=fmtp:98 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640c1f
a=rtpmap:99 rtx/90000
a=fmtp:99 apt=98
a=rtpmap:100 VP8/90000
a=rtcp-fb:100 goog-remb
a=rtcp-fb:100 transport-cc
a=rtcp-fb:100 nack
a=rtpmap:101 rtx/90000
a=fmtp:101 apt=100
a=rtpmap:127 ulpfec/90000
a=ssrc-group:FID 2001 2002
a=ssrc:2001 cname:QYgw2rNmGzVP7dYv
a=ssrc:2002 cname:QYgw2rNmGzVP7dYv"""


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


def simulcast(layers: str = LAYERS) -> str:
    return description(audio(), video(ssrc=0) + "\n" + layers)


def ssrc_simulcast() -> str:
    """The old way: three streams, told apart by their SSRCs."""
    groups = "a=ssrc-group:SIM 2001 2003 2005\n"
    more = "".join(
        f"\na=ssrc-group:FID {ssrc} {ssrc + 1}\na=ssrc:{ssrc} cname:QYgw2rNmGzVP7dYv"
        for ssrc in (2003, 2005)
    )
    line = video().replace("a=ssrc-group:FID", groups + "a=ssrc-group:FID", 1)
    return description(audio(), line + more)


def firefox(*, simulcast: bool = False) -> str:
    text = FIREFOX
    if simulcast:
        rids = "".join(f"a=rid:{rid} send\n" for rid in "fhq")
        ids = "a=extmap:10/sendonly urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\n"
        text = text.replace("a=ssrc:41", f"{ids}{rids}a=simulcast:send f;h;q\na=ssrc:41", 1)
    return text.replace("\n", "\r\n") + "\r\n"


def safari() -> str:
    return SAFARI.replace("\n", "\r\n") + "\r\n"


def receiver() -> str:
    """A subscriber's offer in the other negotiation shape."""
    return description(audio(direction="recvonly", ssrc=0), video(direction="recvonly", ssrc=0))
