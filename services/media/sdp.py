"""Session descriptions of clients (RFC 8866, 8829), read with bounds; nothing in them is trusted.

Every value that can come back in a description of ours is checked against a narrow pattern, so
no client can inject a line into what another client gets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from .dtls import FINGERPRINTS, Fingerprint

MAX_SIZE = 256 * 1024
MAX_LINES = 5000
MAX_MEDIA = 16
MAX_FORMATS = 128
MAX_ATTRIBUTES = 64  # SSRCs, extensions, rids of one m-line

TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`{|}~]{1,64}", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`{|}~/=@:]{1,128}", re.ASCII)  # msid, cname
_ICE = re.compile(r"[A-Za-z0-9+/]{4,256}", re.ASCII)
_FINGERPRINT = re.compile(r"(sha-\d{3}) ((?:[0-9A-Fa-f]{2}:){31,63}[0-9A-Fa-f]{2})", re.ASCII)
_MEDIA = re.compile(
    r"(audio|video|application|text|image|message) (\d{1,5})(?:/\d+)? (\S{3,40}) (.+)", re.ASCII
)
_RTPMAP = re.compile(r"(\d{1,3}) ([A-Za-z0-9.\-]{1,32})/(\d{1,8})(?:/(\d))?", re.ASCII)
_FMTP = re.compile(r"(\d{1,3}) ([\x20-\x7e]{1,255})", re.ASCII)
_FEEDBACK = re.compile(r"(\d{1,3}|\*) ([a-z0-9\- ]{1,32})", re.ASCII)
_EXTMAP = re.compile(r"(\d{1,3})(?:/[a-z]+)? (\S{1,128})(?: .*)?", re.ASCII)
_SSRC = re.compile(r"(\d{1,10}) ([a-z]{1,16}):(.{1,256})", re.ASCII)
_FID = re.compile(r"FID (\d{1,10}) (\d{1,10})", re.ASCII)
_RID = re.compile(r"([A-Za-z0-9_\-]{1,16}) send(?: .*)?", re.ASCII)
_SIMULCAST = re.compile(r"(?:^| )send (\S{1,1024})", re.ASCII)  # before or behind "recv …"
_DIRECTIONS = frozenset({"sendrecv", "sendonly", "recvonly", "inactive"})
_SETUPS = frozenset({"actpass", "active", "passive"})


class SdpInvalid(ValueError):
    """The description cannot be used; `str(error)` says why."""


@dataclass(slots=True)
class RtpMap:
    name: str
    clock_rate: int
    channels: int
    fmtp: str = ""
    feedback: list[str] = field(default_factory=list)

    @property
    def parameters(self) -> dict[str, str]:
        pairs = (item.strip().partition("=") for item in self.fmtp.split(";"))
        return {name: value for name, _, value in pairs if name}


class Msid(NamedTuple):
    stream: str
    track: str


@dataclass(slots=True)
class MediaLine:
    """One m-line. `formats` keeps the order of preference; `ssrc` and `rtx_ssrc` are those of the
    first encoding, 0 where the description names none."""

    kind: str
    port: int
    protocol: str
    formats: list[str]
    mid: str = ""
    direction: str = "sendrecv"
    maps: dict[int, RtpMap] = field(default_factory=dict)
    extensions: dict[int, str] = field(default_factory=dict)
    ssrcs: list[int] = field(default_factory=list)
    repairs: dict[int, int] = field(default_factory=dict)
    rids: list[str] = field(default_factory=list)
    simulcast: list[str] = field(default_factory=list)
    cname: str = ""
    msid: Msid | None = None
    mux: bool = False
    bundle_only: bool = False
    ufrag: str = ""
    setup: str = ""
    fingerprints: list[Fingerprint] = field(default_factory=list)

    @property
    def rejected(self) -> bool:
        return self.port == 0 and not self.bundle_only

    @property
    def sends(self) -> bool:
        return not self.rejected and self.direction in ("sendrecv", "sendonly")

    @property
    def receives(self) -> bool:
        return not self.rejected and self.direction in ("sendrecv", "recvonly")

    @property
    def ssrc(self) -> int:
        return next(iter(self.repairs), self.ssrcs[0] if self.ssrcs else 0)

    @property
    def rtx_ssrc(self) -> int:
        return self.repairs.get(self.ssrc, 0)


@dataclass(slots=True)
class Description:
    lines: list[MediaLine] = field(default_factory=list)
    bundle: list[str] = field(default_factory=list)
    ufrag: str = ""
    setup: str = ""
    fingerprints: list[Fingerprint] = field(default_factory=list)


def parse(sdp: str) -> Description:
    """Raises `SdpInvalid`. The transport values of the first bundled line stand for all."""
    if len(sdp) > MAX_SIZE:
        raise SdpInvalid("the description is too long")
    description = Description()
    line: MediaLine | None = None
    later: list[tuple[MediaLine, str, str]] = []  # Firefox tells of formats before it maps them
    for kind, value in _lines(sdp):
        if kind == "m":
            if len(description.lines) >= MAX_MEDIA:
                raise SdpInvalid("too many m-lines")
            line = _media(value)
            description.lines.append(line)
        elif kind == "a":
            name, _, text = value.partition(":")
            _transport(description if line is None else line, name, text)
            if line is not None and name in ("fmtp", "rtcp-fb"):
                later.append((line, name, text))
            elif line is not None:
                _attribute(line, name, text)
            elif name == "group" and text.startswith("BUNDLE"):
                description.bundle = text.split()[1:][:MAX_MEDIA]
    for owner, name, text in later:
        _format(owner, name, text)
    _check(description)
    return description


def _lines(text: str) -> Iterator[tuple[str, str]]:
    lines = text.split("\n", MAX_LINES)
    if len(lines) > MAX_LINES:
        raise SdpInvalid("too many lines")
    if not lines[0].startswith("v=0"):
        raise SdpInvalid("this is no session description")
    for line in lines:
        if len(line) >= 2 and line[1] == "=":
            yield line[0], line[2:].rstrip("\r")


def _media(value: str) -> MediaLine:
    if not (found := _MEDIA.fullmatch(value)):
        raise SdpInvalid("malformed m-line")
    kind, port, protocol, formats = found.groups()
    if not TOKEN.fullmatch(protocol.replace("/", "")):
        raise SdpInvalid("malformed m-line")
    names = formats.split()
    if not 0 < len(names) <= MAX_FORMATS or not all(TOKEN.fullmatch(name) for name in names):
        raise SdpInvalid("malformed m-line")
    return MediaLine(kind, int(port), protocol, names)


def _transport(owner: Description | MediaLine, name: str, value: str) -> None:
    if name == "ice-ufrag" and _ICE.fullmatch(value):
        owner.ufrag = value
    elif name == "setup" and value in _SETUPS:
        owner.setup = value
    elif name == "fingerprint" and (found := _FINGERPRINT.fullmatch(value)):
        algorithm, digits = found.groups()
        if algorithm in FINGERPRINTS and len(owner.fingerprints) < 8:
            owner.fingerprints.append(Fingerprint(algorithm, digits.upper()))


def _attribute(line: MediaLine, name: str, value: str) -> None:
    if name in _DIRECTIONS:
        line.direction = name
    elif name == "mid" and TOKEN.fullmatch(value):
        line.mid = value
    elif name == "rtcp-mux":
        line.mux = True
    elif name == "bundle-only":
        line.bundle_only = True
    elif name == "rtpmap":
        _format(line, name, value)
    elif name == "extmap" and (found := _EXTMAP.fullmatch(value)):
        if len(line.extensions) < MAX_ATTRIBUTES and 1 <= int(found[1]) <= 255:
            line.extensions.setdefault(int(found[1]), found[2])
    elif name == "msid":
        line.msid = _msid(value) or line.msid
    elif name in ("ssrc", "ssrc-group"):
        _source(line, name, value)
    elif name == "rid" and (found := _RID.fullmatch(value)):
        if len(line.rids) < MAX_ATTRIBUTES:
            line.rids.append(found[1])
    elif name == "simulcast" and (found := _SIMULCAST.search(value)):
        layers = found[1].split(";")
        line.simulcast = [layer.split(",")[0].lstrip("~") for layer in layers[:MAX_ATTRIBUTES]]


def _format(line: MediaLine, name: str, value: str) -> None:
    if name == "rtpmap" and (found := _RTPMAP.fullmatch(value)):
        payload_type = int(found[1])
        if payload_type <= 127 and found[1] in line.formats:
            line.maps.setdefault(payload_type, RtpMap(found[2], int(found[3]), int(found[4] or 1)))
    elif name == "fmtp" and (found := _FMTP.fullmatch(value)):
        if known := line.maps.get(int(found[1])):
            known.fmtp = found[2]
    elif name == "rtcp-fb" and (found := _FEEDBACK.fullmatch(value)):
        maps = line.maps
        named = maps if found[1] == "*" else {int(found[1])} & maps.keys()
        for payload_type in named:
            if len(maps[payload_type].feedback) < MAX_ATTRIBUTES:
                maps[payload_type].feedback.append(found[2])


def _source(line: MediaLine, name: str, value: str) -> None:
    if name == "ssrc-group":
        if (found := _FID.fullmatch(value)) and len(line.repairs) < MAX_ATTRIBUTES:
            media, repair = int(found[1]), int(found[2])
            if 0 < media <= 0xFFFFFFFF and 0 < repair <= 0xFFFFFFFF and media != repair:
                line.repairs.setdefault(media, repair)
    elif found := _SSRC.fullmatch(value):
        ssrc = int(found[1])
        if not 0 < ssrc <= 0xFFFFFFFF or len(line.ssrcs) >= MAX_ATTRIBUTES:
            return
        if ssrc not in line.ssrcs:
            line.ssrcs.append(ssrc)
        if found[2] == "cname" and _ID.fullmatch(found[3]):
            line.cname = line.cname or found[3]
        elif found[2] == "msid":
            line.msid = line.msid or _msid(found[3])


def _msid(value: str) -> Msid | None:
    stream, _, track = value.partition(" ")
    if not _ID.fullmatch(stream) or not _ID.fullmatch(track):
        return None
    return Msid(stream, track)


def _check(description: Description) -> None:
    lines = [line for line in description.lines if not line.rejected]
    if not lines:
        raise SdpInvalid("no usable m-line")
    mids = [line.mid for line in description.lines if line.mid]
    if len(set(mids)) < len(mids):
        raise SdpInvalid("an m-line identification is used twice")
    if len(lines) > 1 and not all(line.mid and line.mid in description.bundle for line in lines):
        raise SdpInvalid("all m-lines must be in one BUNDLE group")
    if not all(line.mux for line in lines if line.kind in ("audio", "video")):
        raise SdpInvalid("rtcp-mux is needed")
    first = lines[0]
    description.ufrag = first.ufrag or description.ufrag
    description.setup = first.setup or description.setup
    description.fingerprints = first.fingerprints or description.fingerprints
    if not description.ufrag:
        raise SdpInvalid("no ICE credentials")
    if not description.fingerprints:
        raise SdpInvalid("no usable fingerprint")
