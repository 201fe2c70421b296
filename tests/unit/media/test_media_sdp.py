from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.conference.model import VideoCodec
from services.media import negotiation, sdp
from services.media.negotiation import CodecMissing, Ice, Section
from services.media.sdp import SdpInvalid
from tests.unit.media import offers

ICE = Ice("ourufrag", "ourpassword", ("192.0.2.9",), 40000, offers.FINGERPRINT)
BOTH = ["audio", "video"]
OFFERS = (
    offers.publisher(),
    offers.four_lines(),
    offers.simulcast(),
    offers.ssrc_simulcast(),
    offers.firefox(simulcast=True),
    offers.safari(),
)


def answered(text: str, codec: VideoCodec = VideoCodec.VP8, *, transcoding: bool = False) -> str:
    offer = sdp.parse(text)
    accepted = negotiation.incoming(offer, BOTH, negotiation.chooser(codec, transcoding))
    sections = negotiation.publisher_answer(offer, accepted, {})
    return negotiation.write(sections, ICE, "passive")


def taken(text: str) -> dict[str, negotiation.Incoming]:
    return negotiation.incoming(sdp.parse(text), BOTH, negotiation.chooser(VideoCodec.VP8, False))


def media_lines(text: str) -> list[str]:
    return re.findall(r"^m=.*?(?=^m=|\Z)", text, re.MULTILINE | re.DOTALL)


def test_a_publisher_of_chromium_is_answered_with_one_codec_a_line() -> None:
    audio, video = media_lines(answered(offers.publisher()))
    assert audio.startswith("m=audio 40000 UDP/TLS/RTP/SAVPF 111\r\n")
    assert video.startswith("m=video 40000 UDP/TLS/RTP/SAVPF 96 97\r\n")
    assert "a=rtpmap:96 VP8/90000" in video
    assert "a=fmtp:97 apt=96" in video
    for line in (audio, video):
        assert "a=recvonly" in line
        assert "a=setup:passive" in line
        assert "a=candidate:1 1 udp 2130706431 192.0.2.9 40000 typ host" in line


def test_transport_wide_feedback_is_promised_for_all_media_to_who_offers_it() -> None:
    audio, video = media_lines(answered(offers.publisher()))
    for line, payload_type in ((audio, 111), (video, 96)):
        assert f"a=extmap:3 {negotiation.TRANSPORT_CC}" in line
        assert f"a=rtcp-fb:{payload_type} transport-cc" in line
    assert "a=rtcp-fb:96 goog-remb" in video
    assert "abs-send-time" in audio
    assert "abs-send-time" in video


@pytest.mark.parametrize("half", ["a=rtcp-fb:96 transport-cc", "a=extmap:3 "])
def test_half_an_offer_of_transport_wide_feedback_is_none(half: str) -> None:
    video = media_lines(answered(offers.publisher().replace(half, "a=x:")))[1]
    assert "transport-cc" not in video
    assert "transport-wide-cc" not in video


def test_subscribers_are_told_nothing_of_layers_and_transport_wide_numbers() -> None:
    accepted = taken(offers.simulcast())["video"]
    assert set(accepted.extensions.values()) >= negotiation.PUBLISHER_ONLY
    assert not negotiation.PUBLISHER_ONLY & set(accepted.announced.values())
    assert accepted.transport_cc == 3


def test_a_limit_of_the_video_is_told_in_its_line() -> None:
    offer = sdp.parse(offers.publisher())
    accepted = taken(offers.publisher())
    text = negotiation.write(negotiation.publisher_answer(offer, accepted, {}, 700), ICE, "passive")
    audio, video = media_lines(text)
    assert "c=IN IP4 192.0.2.9\r\nb=AS:700\r\n" in video
    assert "b=AS" not in audio
    assert "b=AS" not in answered(offers.publisher())


def test_every_announced_address_is_a_candidate() -> None:
    ice = ICE._replace(hosts=("2001:db8::7", "192.0.2.9"))
    offer = sdp.parse(offers.publisher())
    sections = negotiation.publisher_answer(offer, taken(offers.publisher()), {})
    video = media_lines(negotiation.write(sections, ice, "passive"))[1]
    assert "c=IN IP6 2001:db8::7\r\n" in video
    assert re.findall("a=candidate:(.*)\r", video) == [
        "1 1 udp 2130706431 2001:db8::7 40000 typ host",
        "2 1 udp 2130706175 192.0.2.9 40000 typ host",
    ]


def test_an_ice_lite_answer_bundles_all_lines() -> None:
    answer = answered(offers.publisher())
    assert "a=ice-lite\r\n" in answer
    assert "a=group:BUNDLE 0 1\r\n" in answer


@pytest.mark.parametrize(
    ("codec", "payload_types"),
    [(VideoCodec.VP8, "96 97"), (VideoCodec.VP9, "98 99"), (VideoCodec.H264, "104 105")],
)
def test_a_forced_codec_is_the_only_one_left(codec: VideoCodec, payload_types: str) -> None:
    video = media_lines(answered(offers.publisher(), codec))[1]
    assert video.startswith(f"m=video 40000 UDP/TLS/RTP/SAVPF {payload_types}\r\n")


def test_a_missing_forced_codec_fails_unless_transcoding_is_allowed() -> None:
    without = offers.publisher().replace("VP9/90000", "XX/90000")
    with pytest.raises(CodecMissing):
        answered(without, VideoCodec.VP9)
    assert "VP8/90000" in answered(without, VideoCodec.VP9, transcoding=True)


@pytest.mark.parametrize("rate", ["0", "1", "8000"])
def test_video_of_another_clock_is_no_video_whatever_is_allowed(rate: str) -> None:
    offer = offers.publisher().replace("/90000", f"/{rate}")
    for codec in (VideoCodec.VP8, VideoCodec.NONE, VideoCodec.MEDIA_SERVER_PREFERRED):
        with pytest.raises(CodecMissing):
            answered(offer, codec, transcoding=True)


def test_the_preferred_codec_is_vp8_where_there_is_vp8() -> None:
    assert "VP8" in answered(offers.publisher(), VideoCodec.MEDIA_SERVER_PREFERRED)
    without = offers.publisher().replace("VP8/90000", "XX/90000")
    assert "VP9" in answered(without, VideoCodec.MEDIA_SERVER_PREFERRED)


def test_four_lines_are_all_answered_and_the_first_of_each_kind_carries_the_media() -> None:
    lines = media_lines(answered(offers.four_lines()))
    assert len(lines) == 4
    directions = [re.search(r"a=(recvonly|inactive)", line)[1] for line in lines]  # type: ignore[index]
    assert directions == ["recvonly", "recvonly", "inactive", "inactive"]
    accepted = negotiation.incoming(
        sdp.parse(offers.four_lines()), BOTH, negotiation.chooser(VideoCodec.VP8, False)
    )
    assert (accepted["audio"].ssrc, accepted["video"].ssrc) == (1001, 2001)
    assert accepted["video"].rtx_ssrc == 2002


def test_of_simulcast_layers_the_full_one_is_taken() -> None:
    video = media_lines(answered(offers.simulcast()))[1]
    assert "a=rid:rdiv4 recv\r\na=rid:rdiv2 recv\r\na=rid:rdiv1 recv\r\n" in video
    assert "a=simulcast:recv rdiv4;rdiv2;rdiv1\r\n" in video
    assert "sdes:rtp-stream-id" in video
    assert "sdes:repaired-rtp-stream-id" in video


@pytest.mark.parametrize(
    ("offered", "layers"),
    [
        ("rdiv4;rdiv2;rdiv1", ("rdiv4", "rdiv2", "rdiv1")),
        ("rdiv1;rdiv2", ("rdiv2", "rdiv1")),
        ("r0;r1;r2", ("r0", "r1", "r2")),
        ("f;h;q", ("q", "h", "f")),
        ("~hi,other;lo", ("hi", "lo")),
        ("2;1;0", ("2", "1", "0")),
        ("a;b;c;d;e", ("b", "c", "d", "e")),
        ("a;a;b;unknown", ("a", "b")),
        ("only", ("only",)),
    ],
)
def test_layers_are_known_from_low_to_high(offered: str, layers: tuple[str, ...]) -> None:
    rids = "\n".join(f"a=rid:{rid} send" for rid in ("hi", "lo", *layers, *"abcde"))
    simulcast = f"{rids}\na=simulcast:send {offered}"
    found = taken(offers.simulcast(simulcast))["video"]
    assert found.layers == layers
    assert (found.ssrc, found.rtx_ssrc) == (0, 0)


@pytest.mark.parametrize("way", ["send b;a recv c", "recv c send b;a", "send b;a"])
def test_layers_are_those_that_the_client_sends(way: str) -> None:
    rids = "a=rid:a send\na=rid:b send\na=rid:c recv"
    found = taken(offers.simulcast(f"{rids}\na=simulcast:{way}"))["video"]
    assert found.layers == ("b", "a")


def test_a_reconnecting_publisher_keeps_what_is_between_it_and_us() -> None:
    choose = negotiation.chooser(VideoCodec.VP8, False)
    first = taken(offers.simulcast())
    promised = {kind: (found.mid, found.announced) for kind, found in first.items()}
    moved = offers.simulcast().replace("a=extmap:3 ", "a=extmap:9 ")
    again = negotiation.incoming(sdp.parse(moved), BOTH, choose, promised)["video"]
    assert again.transport_cc == 9
    assert negotiation.RID in again.extensions.values()
    # A number that means something else to subscribers is not taken for it.
    taken_number = offers.simulcast().replace("a=extmap:13 urn:3gpp", "a=extmap:12 urn:3gpp")
    taken_number = taken_number.replace("a=extmap:3 ", "a=extmap:13 ")
    again = negotiation.incoming(sdp.parse(taken_number), BOTH, choose, promised)["video"]
    assert again.transport_cc == 0


def test_without_names_in_the_packets_there_are_no_layers() -> None:
    found = taken(offers.simulcast().replace("sdes:rtp-stream-id", "x"))["video"]
    assert found.layers == ()


def test_of_layers_told_apart_by_ssrc_the_first_is_taken() -> None:
    found = taken(offers.ssrc_simulcast())["video"]
    assert (found.ssrc, found.rtx_ssrc, found.layers) == (2001, 2002, ())


def test_a_firefox_publisher_is_answered_line_by_line() -> None:
    audio, video = media_lines(answered(offers.firefox()))
    assert audio.startswith("m=audio 40000 UDP/TLS/RTP/SAVPF 109\r\n")
    assert video.startswith("m=video 40000 UDP/TLS/RTP/SAVPF 120 124\r\n")
    assert "transport-cc" not in audio
    assert "a=rtcp-fb:120 transport-cc" in video
    found = taken(offers.firefox())
    assert (found["audio"].ssrc, found["video"].ssrc, found["video"].rtx_ssrc) == (31, 41, 42)


def test_layers_of_firefox_are_learned_although_it_names_ssrcs() -> None:
    found = taken(offers.firefox(simulcast=True))["video"]
    assert (found.layers, found.ssrc) == (("q", "h", "f"), 0)


@pytest.mark.parametrize(
    ("codec", "payload_types"), [(VideoCodec.VP8, "100 101"), (VideoCodec.H264, "96 97")]
)
def test_a_safari_publisher_is_answered_line_by_line(codec: VideoCodec, payload_types: str) -> None:
    audio, video = media_lines(answered(offers.safari(), codec))
    assert audio.startswith("m=audio 40000 UDP/TLS/RTP/SAVPF 111\r\n")
    assert video.startswith(f"m=video 40000 UDP/TLS/RTP/SAVPF {payload_types}\r\n")


def test_a_subscriber_with_other_payload_types_gets_the_same_codec() -> None:
    formats = {kind: found.format for kind, found in taken(offers.publisher()).items()}
    audio, video = sdp.parse(offers.firefox()).lines
    choose = negotiation.matching(formats)
    assert choose(audio).payload_type == 109
    assert (choose(video).payload_type, choose(video).rtx_payload_type) == (120, 124)


def test_an_undeclared_kind_is_answered_inactive() -> None:
    offer = sdp.parse(offers.publisher())
    choose = negotiation.chooser(VideoCodec.VP8, False)
    accepted = negotiation.incoming(offer, ["audio"], choose)
    answer = negotiation.write(negotiation.publisher_answer(offer, accepted, {}), ICE, "passive")
    assert "a=inactive" in media_lines(answer)[1]


def test_a_line_of_data_is_rejected_with_port_zero() -> None:
    data = f"m=application 9 UDP/DTLS/SCTP webrtc-datachannel\n{offers.TRANSPORT}\na=mid:2"
    offer = offers.description(offers.audio(), offers.video(), data, mids="0 1 2")
    answer = answered(offer)
    assert "m=application 0 UDP/DTLS/SCTP webrtc-datachannel" in answer
    assert "a=group:BUNDLE 0 1\r\n" in answer


def test_a_reconnecting_publisher_keeps_what_means_the_same_to_subscribers() -> None:
    moved = offers.publisher().replace("a=extmap:13 urn:3gpp", "a=extmap:12 urn:3gpp")
    choose = negotiation.chooser(VideoCodec.VP8, False)
    first = negotiation.incoming(sdp.parse(offers.publisher()), BOTH, choose)
    promised = {kind: (found.mid, found.extensions) for kind, found in first.items()}
    again = negotiation.incoming(sdp.parse(moved), BOTH, choose, promised)
    assert 13 in first["video"].extensions
    assert 12 not in again["video"].extensions
    assert again["video"].extensions[4] == negotiation.MID


def test_the_mid_is_not_shared_between_different_lines() -> None:
    known = {4: negotiation.MID, 1: "urn:3gpp:video-orientation"}
    assert negotiation.shared_extensions(known, "0", known, "1") == {
        1: "urn:3gpp:video-orientation"
    }


def test_h264_matches_by_profile_and_packetization_mode() -> None:
    line = sdp.parse(offers.publisher()).lines[1]
    chosen = negotiation.chooser(VideoCodec.H264, False)(line)
    assert chosen.payload_type == 104
    assert negotiation.matching({"video": chosen})(line).payload_type == 104
    other = sdp.parse(
        offers.receiver().replace("profile-level-id=42001f", "profile-level-id=42e01f")
    )
    with pytest.raises(CodecMissing):
        negotiation.matching({"video": chosen})(other.lines[1])
    other = sdp.parse(
        offers.receiver().replace("profile-level-id=42001f", "profile-level-id=64001f")
    )
    with pytest.raises(CodecMissing):
        negotiation.matching({"video": chosen})(other.lines[1])


def test_h264_constrained_baseline_is_known_in_all_its_forms() -> None:
    safari = sdp.parse(offers.safari()).lines[1]
    chosen = negotiation.chooser(VideoCodec.H264, False)(safari)
    for value in ("42C02A", "42e01f", "4d801f", "42e034"):
        text = offers.receiver().replace("profile-level-id=42001f", f"profile-level-id={value}")
        assert negotiation.matching({"video": chosen})(sdp.parse(text).lines[1]).payload_type == 104


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: "hello", "no session description"),
        (lambda t: t.replace("a=ice-ufrag", "a=x"), "ICE"),
        (lambda t: t.replace("a=fingerprint", "a=x"), "fingerprint"),
        (lambda t: t.replace("a=rtcp-mux", "a=x"), "rtcp-mux"),
        (lambda t: t.replace("BUNDLE 0 1", "BUNDLE 0"), "BUNDLE"),
        (lambda t: t.replace("a=mid:1", "a=mid:0"), "twice"),
        (lambda t: t + "a=x:y\r\n" * 6000, "lines"),
        (lambda t: t + "a=" + "x" * 300_000, "long"),
        (lambda t: t + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n" * 20, "m-lines"),
        (lambda t: t.replace("m=audio 9", "m=audio -9"), "m-line"),
        (lambda t: t.replace("actpass", "passive"), "DTLS server"),
    ],
)
def test_an_unusable_offer_is_refused_with_its_reason(change: object, reason: str) -> None:
    with pytest.raises(SdpInvalid, match=reason):
        answered(change(offers.publisher()))  # type: ignore[operator]


@settings(deadline=None)
@given(st.text(max_size=2000))
def test_any_text_is_a_description_or_is_refused(text: str) -> None:
    with contextlib.suppress(SdpInvalid):
        sdp.parse("v=0\n" + text)


@settings(deadline=None)
@given(st.data())
def test_a_damaged_offer_is_answered_or_refused_and_injects_nothing(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(OFFERS))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(text) - 1))
        length = data.draw(st.integers(0, 12))
        text = text[:at] + data.draw(st.text(max_size=12)) + text[at + length :]
    try:
        answer = answered(text, VideoCodec.NONE)
        found = taken(text)
    except (SdpInvalid, CodecMissing):
        return
    for one in found.values():
        assert len(set(one.layers)) == len(one.layers) <= negotiation.MAX_LAYERS
        assert one.ssrc == 0 or not one.layers
    try:
        again = sdp.parse(answer)
    except SdpInvalid:
        assert not found  # no line was worth something
    else:
        assert len(again.lines) == len(sdp.parse(text).lines)
    lines = answer.split("\r\n")
    assert all(re.fullmatch(r"[vostmac]=[\x20-\x7e]*", line) for line in lines[:-1])
    assert lines[-1] == ""


def test_an_offer_to_a_subscriber_repeats_what_the_publisher_sends() -> None:
    choose = negotiation.chooser(VideoCodec.VP8, False)
    video = negotiation.incoming(sdp.parse(offers.publisher()), BOTH, choose)["video"]
    text = negotiation.write(
        [
            Section(
                "video",
                video.mid,
                "sendonly",
                video.format,
                video.extensions,
                video.ssrc,
                video.rtx_ssrc,
                video.cname,
                video.msid,
            )
        ],
        ICE,
        "actpass",
    )
    line = sdp.parse(text).lines[0]
    assert (line.ssrc, line.rtx_ssrc, line.cname) == (2001, 2002, "QYgw2rNmGzVP7dYv")
    assert line.mid == "1"
    assert line.msid == sdp.Msid("stream-1", "video-1")
    assert line.extensions == video.extensions


def test_of_h264_the_profile_that_every_browser_has_is_taken() -> None:
    """Chromium names 42001f first, Safari 640c1f."""
    text = offers.publisher()
    number = re.findall(r"a=rtpmap:(\d+) H264/90000", text)[-1]  # in mode 1
    first = re.search(rf"a=fmtp:{number} [^\n]*\n", text)[0]  # type: ignore[index]
    common = first.replace(f":{number} ", ":121 ")
    common = re.sub("profile-level-id=[0-9a-f]*", "profile-level-id=42e01f", common)
    text = re.sub(r"(m=video [^\r]*)", r"\1 121", text)
    text = text.replace(first, f"{first}a=rtpmap:121 H264/90000\r\n{common}")
    video = media_lines(answered(text, VideoCodec.H264))[1]
    assert "profile-level-id=42e01f" in video
    for viewer in (offers.firefox(), offers.safari()):
        line = next(line for line in sdp.parse(viewer).lines if line.kind == "video")
        offered = next(line for line in sdp.parse(text).lines if line.kind == "video")
        chosen = negotiation.chooser(VideoCodec.H264, False)(offered)
        assert negotiation.matching({"video": chosen})(line).name == "H264"


def test_what_the_client_likes_best_is_the_codec_not_its_profile() -> None:
    text = offers.publisher()
    numbers = re.findall(r"a=rtpmap:(\d+) H264/90000", text)
    line = re.search(r"m=video (\d+) (\S+) ([\d ]+)", text)
    assert line is not None
    others = [one for one in line[3].split() if one not in numbers]
    text = text.replace(line[0], f"m=video {line[1]} {line[2]} {' '.join([*numbers, *others])}")
    text = re.sub("profile-level-id=[0-9a-f]*", "profile-level-id=640c1f", text)
    assert "H264" in media_lines(answered(text, VideoCodec.NONE))[1]
