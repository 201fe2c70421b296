"""What to take from a client's description, and the descriptions we write (`signaling.md` 5).

A publisher's answer names one codec a line, so that the offer to a subscriber can repeat it and
RTP passes unchanged. Transport-wide feedback is between a publisher and us alone: a subscriber that
sees the numbers of another way would take what we leave out for loss.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import NamedTuple

from services.conference.model import VideoCodec

from .sdp import Description, MediaLine, Msid, RtpMap, SdpInvalid

VIDEO_CODECS = ("VP8", "VP9", "H264")
VIDEO_CLOCK = 90000
FEEDBACK = ("goog-remb", "nack", "nack pli", "ccm fir")  # what we act on
_URI = "urn:ietf:params:rtp-hdrext:"
_GOOGLE = "http://www.webrtc.org/experiments/rtp-hdrext/"
MID = f"{_URI}sdes:mid"
RID = f"{_URI}sdes:rtp-stream-id"
REPAIRED_RID = f"{_URI}sdes:repaired-rtp-stream-id"
TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
PUBLISHER_ONLY = frozenset({RID, REPAIRED_RID, TRANSPORT_CC})  # never told to subscribers
MAX_LAYERS = 4
HOST_PRIORITY = 126 << 24 | 65535 << 8 | 255  # RFC 8445 5.1.2.1
EXTENSIONS = frozenset(
    {
        MID,
        f"{_URI}ssrc-audio-level",
        f"{_URI}toffset",
        "urn:3gpp:video-orientation",
        f"{_GOOGLE}abs-send-time",
        f"{_GOOGLE}abs-capture-time",
        f"{_GOOGLE}playout-delay",
        f"{_GOOGLE}video-content-type",
        f"{_GOOGLE}video-timing",
        f"{_GOOGLE}color-space",
    }
)


class CodecMissing(Exception):
    """The description does not offer the codec it must (`signaling.md` 5.7)."""


@dataclass(frozen=True, slots=True)
class Format:
    """A codec as negotiated: payload types, parameters, feedback."""

    name: str
    clock_rate: int
    channels: int
    payload_type: int
    fmtp: str = ""
    feedback: tuple[str, ...] = ()
    rtx_payload_type: int | None = None


DEFAULTS = {
    "audio": Format("opus", 48000, 2, 111, "minptime=10;useinbandfec=1"),
    "video": Format("VP8", VIDEO_CLOCK, 1, 96, "", FEEDBACK, 97),
}  # for a kind that was declared without an m-line


class Incoming(NamedTuple):
    """One kind of media of a publisher, as our answer accepts it.

    `layers` are the rids of simulcast from the smallest picture to the full one. `ssrc` is 0 where
    the SSRCs are to be learned from the packets.
    """

    kind: str
    mid: str
    format: Format
    ssrc: int
    rtx_ssrc: int
    extensions: dict[int, str]
    cname: str
    msid: Msid | None
    layers: tuple[str, ...] = ()

    @property
    def announced(self) -> dict[int, str]:
        """The header extensions that subscribers may be told of."""
        return {n: uri for n, uri in self.extensions.items() if uri not in PUBLISHER_ONLY}

    @property
    def transport_cc(self) -> int:
        """The id of the transport-wide numbers; 0 if there are none."""
        return next((n for n, uri in self.extensions.items() if uri == TRANSPORT_CC), 0)


class Section(NamedTuple):
    """One m-line of ours. Without `format` it is rejected. `limit` is in kbit/s, 0 = none; `rids`
    are layers we take."""

    kind: str
    mid: str
    direction: str
    format: Format | None
    extensions: Mapping[int, str] = {}
    ssrc: int = 0
    rtx_ssrc: int = 0
    cname: str = ""
    msid: Msid | None = None
    rids: tuple[str, ...] = ()
    limit: int = 0
    protocol: str = "UDP/TLS/RTP/SAVPF"
    rejected_format: str = "0"


class Ice(NamedTuple):
    """Our side of a leg. `hosts` are the IP addresses clients are told, the best first."""

    ufrag: str
    password: str
    hosts: tuple[str, ...]
    port: int
    fingerprint: str


Chooser = Callable[[MediaLine], Format]


def chooser(codec: VideoCodec, allow_transcoding: bool) -> Chooser:
    """The codec of a new publication. `NONE` takes what the client likes best, and
    `MEDIA_SERVER_PREFERRED` is VP8 wherever there is VP8."""

    def choose(line: MediaLine) -> Format:
        if line.kind == "audio":
            return _pick(line, lambda m: m.name.lower() == "opus" and m.clock_rate == 48000)
        names: tuple[str, ...] = VIDEO_CODECS
        if codec is VideoCodec.MEDIA_SERVER_PREFERRED:
            names = ("VP8",)
        elif codec is not VideoCodec.NONE:
            names = (codec.value,)
        try:
            return _pick(line, lambda m: _is_video(m, names))
        except CodecMissing:
            if allow_transcoding or codec is VideoCodec.MEDIA_SERVER_PREFERRED:
                return _pick(line, lambda m: _is_video(m, VIDEO_CODECS))
            raise

    return choose


def matching(announced: Mapping[str, Format]) -> Chooser:
    """The same codecs again, for a publisher that reconnects and a subscriber that offers."""

    def choose(line: MediaLine) -> Format:
        wanted = announced[line.kind]
        return _pick(line, lambda m: _compatible(m, wanted))

    return choose


def _is_video(offered: RtpMap, names: tuple[str, ...]) -> bool:
    return offered.name.upper() in names and offered.clock_rate == VIDEO_CLOCK


def _compatible(offered: RtpMap, wanted: Format) -> bool:
    if (offered.name.lower(), offered.clock_rate) != (wanted.name.lower(), wanted.clock_rate):
        return False
    theirs = offered.parameters
    ours = RtpMap(wanted.name, wanted.clock_rate, wanted.channels, wanted.fmtp).parameters
    if wanted.name == "H264":
        same_mode = theirs.get("packetization-mode", "0") == ours.get("packetization-mode", "0")
        return same_mode and _profile(theirs) == _profile(ours)
    return wanted.name != "VP9" or theirs.get("profile-id", "0") == ours.get("profile-id", "0")


def _profile(parameters: Mapping[str, str]) -> str:
    """Of H264, the level apart: constrained baseline is written in several ways (RFC 6184 8.1)."""
    value = parameters.get("profile-level-id", "42e01f").lower()
    if not re.fullmatch("[0-9a-f]{6}", value):
        return value
    profile, constraints = value[:2], int(value[2:4], 16)
    needed = {"42": 0x40, "4d": 0x80, "58": 0xC0}.get(profile)
    if needed is not None and constraints & needed == needed:
        return "constrained baseline"
    return value[:4]


def _pick(line: MediaLine, wanted: Callable[[RtpMap], bool]) -> Format:
    """The first format that fits; of H264 rather what every browser has: constrained baseline in
    packetization mode 1."""
    fitting = [pt for pt in map(_number, line.formats) if pt in line.maps and wanted(line.maps[pt])]
    if not fitting:
        raise CodecMissing(f"no usable codec in the {line.kind} line")
    name = line.maps[fitting[0]].name.upper()
    same = [pt for pt in fitting if line.maps[pt].name.upper() == name]
    payload_type = min(same, key=lambda pt: _is_rare(line.maps[pt])) if name == "H264" else same[0]
    chosen = line.maps[payload_type]
    rtx = [
        pt
        for pt, other in line.maps.items()
        if other.name.lower() == "rtx" and other.parameters.get("apt") == str(payload_type)
    ]
    is_audio = line.kind == "audio"
    return Format(
        "opus" if is_audio else chosen.name.upper(),
        chosen.clock_rate,
        chosen.channels,
        payload_type,
        chosen.fmtp,
        () if is_audio else tuple(name for name in FEEDBACK if name in chosen.feedback),
        rtx[0] if rtx and not is_audio else None,
    )


def _number(name: str) -> int:
    return int(name) if name.isdecimal() and len(name) < 4 else -1


def _is_rare(h264: RtpMap) -> tuple[bool, bool]:
    parameters = h264.parameters
    is_old = parameters.get("packetization-mode") != "1"
    return is_old, _profile(parameters) != "constrained baseline"


def incoming(
    offer: Description,
    kinds: Sequence[str],
    choose: Chooser,
    promised: Mapping[str, tuple[str, Mapping[int, str]]] | None = None,
) -> dict[str, Incoming]:
    """The publisher's media: of each declared kind the first line that sends (`signaling.md` 5.3).

    `promised` are mid and header extensions by kind that subscribers know: a reconnecting
    publisher keeps only those that mean the same to them.
    """
    if offer.setup == "passive":
        raise SdpInvalid("the server is the DTLS server always")
    result: dict[str, Incoming] = {}
    for line in offer.lines:
        if line.kind not in kinds or line.kind in result or not line.sends:
            continue
        chosen = choose(line)
        layers = _layers(line)
        ssrc, rtx_ssrc = (0, 0) if layers else (line.ssrc, line.rtx_ssrc)
        allowed = set(EXTENSIONS)
        if layers:
            allowed |= {RID, REPAIRED_RID}
        if "transport-cc" in line.maps[chosen.payload_type].feedback:
            allowed.add(TRANSPORT_CC)
        extensions = {n: uri for n, uri in line.extensions.items() if uri in allowed}
        if promised is not None:
            mid, known = promised.get(line.kind, ("", {}))
            private = {
                n: uri for n, uri in extensions.items() if uri in PUBLISHER_ONLY and n not in known
            }
            extensions = shared_extensions(extensions, line.mid, known, mid) | private
        result[line.kind] = Incoming(
            line.kind,
            line.mid,
            chosen,
            ssrc,
            rtx_ssrc,
            extensions,
            line.cname,
            line.msid,
            layers,
        )
    return result


def shared_extensions(
    offered: Mapping[int, str], offered_mid: str, known: Mapping[int, str], known_mid: str
) -> dict[int, str]:
    """Header extensions that have the same number at both ends, so packets need no change; the
    mid only where it is the same m-line id. A receiver ignores numbers that were not negotiated."""
    return {
        number: uri
        for number, uri in offered.items()
        if known.get(number) == uri and (uri != MID or offered_mid == known_mid)
    }


def _layers(line: MediaLine) -> tuple[str, ...]:
    """The rids to take, low to high; none without simulcast, or if packets do not name them.

    Firefox names SSRCs as well, but not which is whose. One layer with an SSRC needs no rid.
    """
    rids = [rid for rid in dict.fromkeys(line.simulcast) if rid in line.rids]
    if RID not in line.extensions.values() or (len(rids) < 2 and line.ssrc):
        return ()
    if all(re.fullmatch(r"rdiv[0-9]{1,2}", rid) for rid in rids):
        rids.sort(key=lambda rid: -int(rid[4:]))
    elif all(re.fullmatch(r"r[0-9]", rid) for rid in rids):
        rids.sort()
    elif set(rids) <= set("qhf"):
        rids.sort(key="qhf".index)
    return tuple(rids[-MAX_LAYERS:])


def publisher_answer(
    offer: Description,
    accepted: Mapping[str, Incoming],
    returned: Mapping[str, Section],
    limit: int = 0,
) -> list[Section]:
    """Every line of the offer is answered; superfluous ones (client 2.18 has four) are inactive.

    `returned` is the own media sent back on this connection (loopback), by kind. `limit` is what
    the video may take in kbit/s, all its layers together; 0 = no limit.
    """
    sections = []
    for line in offer.lines:
        taken = accepted.get(line.kind)
        if taken is None or taken.mid != line.mid:
            sections.append(idle(line))
            continue
        back = returned.get(line.kind) if line.receives else None
        section = Section(
            line.kind,
            line.mid,
            "sendrecv" if back else "recvonly",
            taken.format,
            taken.extensions,
            rids=tuple(rid for rid in dict.fromkeys(line.simulcast) if rid in taken.layers),
            limit=limit if line.kind == "video" else 0,
        )
        if back:
            section = section._replace(
                ssrc=back.ssrc, rtx_ssrc=back.rtx_ssrc, cname=back.cname, msid=back.msid
            )
        sections.append(section)
    return sections


def idle(line: MediaLine) -> Section:
    """An m-line that carries nothing: inactive, or rejected if it was no media line at all."""
    payload_type = _number(line.formats[0])
    known = line.maps.get(payload_type)
    if line.rejected or line.kind not in ("audio", "video") or known is None:
        return Section(
            line.kind,
            line.mid,
            "inactive",
            None,
            protocol=line.protocol,
            rejected_format=line.formats[0],
        )
    format_ = Format(known.name, known.clock_rate, known.channels, payload_type, known.fmtp)
    return Section(line.kind, line.mid, "inactive", format_)


def write(sections: Sequence[Section], ice: Ice, setup: str) -> str:
    """`setup` is `actpass` in an offer of ours and `passive` in an answer."""
    bundled = " ".join(section.mid for section in sections if section.format and section.mid)
    lines = [
        "v=0",
        f"o=- {int.from_bytes(ice.ufrag.encode()[:7], 'big')} 1 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        *([f"a=group:BUNDLE {bundled}"] if bundled else []),
        "a=ice-lite",
        "a=extmap-allow-mixed",
        "a=msid-semantic: WMS *",
    ]
    for section in sections:
        lines += _rejected(section) if section.format is None else _written(section, ice, setup)
    return "\r\n".join(lines) + "\r\n"


def _rejected(section: Section) -> list[str]:
    mid = [f"a=mid:{section.mid}"] if section.mid else []
    head = f"m={section.kind} 0 {section.protocol} {section.rejected_format}"
    return [head, "c=IN IP4 0.0.0.0", *mid, "a=inactive"]


def _written(section: Section, ice: Ice, setup: str) -> list[str]:
    chosen = section.format
    assert chosen is not None  # noqa: S101 - the caller looked
    rtx = chosen.rtx_payload_type
    formats = str(chosen.payload_type) if rtx is None else f"{chosen.payload_type} {rtx}"
    channels = f"/{chosen.channels}" if chosen.channels > 1 else ""
    lines = [
        f"m={section.kind} {ice.port} {section.protocol} {formats}",
        f"c=IN IP{_version(ice.hosts[0])} {ice.hosts[0]}",
        *([f"b=AS:{section.limit}"] if section.limit else []),
        *([f"a=mid:{section.mid}"] if section.mid else []),
        "a=rtcp-mux",
        "a=rtcp-rsize",
        f"a=ice-ufrag:{ice.ufrag}",
        f"a=ice-pwd:{ice.password}",
        f"a=fingerprint:sha-256 {ice.fingerprint}",
        f"a=setup:{setup}",
        f"a={section.direction}",
        *(f"a=extmap:{number} {uri}" for number, uri in section.extensions.items()),
        f"a=rtpmap:{chosen.payload_type} {chosen.name}/{chosen.clock_rate}{channels}",
        *(f"a=rtcp-fb:{chosen.payload_type} {name}" for name in chosen.feedback),
    ]
    if TRANSPORT_CC in section.extensions.values():
        lines.append(f"a=rtcp-fb:{chosen.payload_type} transport-cc")
    if chosen.fmtp:
        lines.append(f"a=fmtp:{chosen.payload_type} {chosen.fmtp}")
    if rtx is not None:
        lines.append(f"a=rtpmap:{rtx} rtx/{chosen.clock_rate}")
        lines.append(f"a=fmtp:{rtx} apt={chosen.payload_type}")
    if section.rids:
        lines += [f"a=rid:{rid} recv" for rid in section.rids]
        lines.append(f"a=simulcast:recv {';'.join(section.rids)}")
    if section.ssrc:
        lines += _sources(section)
    lines += [
        f"a=candidate:{index + 1} 1 udp {HOST_PRIORITY - (index << 8)} {host} {ice.port} typ host"
        for index, host in enumerate(ice.hosts)
    ]
    lines.append("a=end-of-candidates")
    return lines


def _version(host: str) -> int:
    return ip_address(host).version


def _sources(section: Section) -> list[str]:
    msid = f"{section.msid.stream} {section.msid.track}" if section.msid else "- -"
    lines = [f"a=msid:{msid}"]
    ssrcs = [section.ssrc]
    if section.rtx_ssrc:
        ssrcs.append(section.rtx_ssrc)
        lines.append(f"a=ssrc-group:FID {section.ssrc} {section.rtx_ssrc}")
    for ssrc in ssrcs:
        lines.append(f"a=ssrc:{ssrc} cname:{section.cname}")
        lines.append(f"a=ssrc:{ssrc} msid:{msid}")
    return lines
