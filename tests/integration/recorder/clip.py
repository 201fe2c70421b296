"""A real clip: VP8 frames of a moving picture and Opus packets of a tone, and their RTP."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from itertools import pairwise
from struct import pack
from typing import NamedTuple

import av

FRAME_RATE = 30
AUDIO_RATE = 50  # packets a second
VIDEO_TYPE = 96
AUDIO_TYPE = 111
VIDEO_CLOCK = 90_000
AUDIO_CLOCK = 48_000
NTP_EPOCH = 2_208_988_800  # seconds from 1900 to 1970


class Clip(NamedTuple):
    """`video` holds (frame, is a key frame), `audio` packets of 20 ms."""

    video: list[tuple[bytes, bool]]
    audio: list[bytes]
    width: int
    height: int


def picture(index: int, width: int, height: int) -> av.VideoFrame:
    """A bright bar walks over a gradient."""
    left = index * 7 % (width - 30)
    frame = av.VideoFrame(width, height, "yuv420p")
    luma, *chroma = frame.planes
    row = bytearray(60 + column * 100 // width for column in range(width))
    row[left : left + 30] = b"\xeb" * 30
    luma.update(bytes(row.ljust(luma.line_size, b"\0")) * height)
    for plane in chroma:
        plane.update(b"\x80" * plane.buffer_size)
    return frame


def luma(frame: av.VideoFrame) -> bytes:
    """The brightness of every fourth pixel of the middle row."""
    plane = frame.planes[0]
    start = plane.line_size * (frame.height // 2)
    return bytes(plane)[start : start + frame.width : 4]


@cache
def make_clip(
    seconds: float = 4.0, width: int = 320, height: int = 240, codec: str = "libvpx", gop: int = 30
) -> Clip:
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height = width, height
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = Fraction(1, FRAME_RATE)
    encoder.framerate = Fraction(FRAME_RATE)
    encoder.bit_rate = 800_000
    encoder.options = {
        "deadline": "realtime",
        "cpu-used": "8",
        "lag-in-frames": "0",
        "auto-alt-ref": "0",
        "g": str(gop),
        "keyint_min": str(gop),
        "error-resilient": "default",
    }
    packets = []
    for index in range(int(seconds * FRAME_RATE)):
        frame = picture(index, width, height)
        frame.pts = index
        frame.time_base = encoder.time_base
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    video = [(bytes(packet), packet.is_keyframe) for packet in packets]

    speaker = av.CodecContext.create("libopus", "w")
    speaker.sample_rate = AUDIO_CLOCK
    speaker.layout = "stereo"
    speaker.format = "s16"
    speaker.bit_rate = 48_000
    samples = AUDIO_CLOCK // AUDIO_RATE
    sound = []
    for index in range(int(seconds * AUDIO_RATE)):
        audio = av.AudioFrame(format="s16", layout="stereo", samples=samples)
        tone = array("h")
        for sample in range(index * samples, (index + 1) * samples):
            tone.extend([int(12_000 * math.sin(2 * math.pi * 440 * sample / AUDIO_CLOCK))] * 2)
        audio.planes[0].update(tone.tobytes().ljust(audio.planes[0].buffer_size, b"\0"))
        audio.sample_rate = AUDIO_CLOCK
        audio.pts = index * samples
        sound += speaker.encode(audio)
    return Clip(video, [bytes(packet) for packet in sound], width, height)


def rtp(
    payload_type: int, sequence: int, timestamp: int, ssrc: int, payload: bytes, *, marker: bool
) -> bytes:
    return (
        pack(
            "!BBHII",
            0x80,
            payload_type | (0x80 if marker else 0),
            sequence & 0xFFFF,
            timestamp & 0xFFFFFFFF,
            ssrc,
        )
        + payload
    )


def sender_report(ssrc: int, unix_time: float, timestamp: int) -> bytes:
    ntp = unix_time + NTP_EPOCH
    seconds = int(ntp)
    fraction = int((ntp - seconds) * 2**32)
    report = pack(
        "!BBHIIIIII", 0x80, 200, 6, ssrc, seconds, fraction, timestamp & 0xFFFFFFFF, 1, 100
    )
    description = pack("!BBHIBB2sBB2s", 0x81, 202, 3, ssrc, 1, 2, b"me", 0, 0, b"")[:16]
    return report + description


def vp8_payloads(frame: bytes, picture_id: int, *, mtu: int = 1100) -> Iterator[bytes]:
    for offset in range(0, len(frame), mtu):
        descriptor = pack("!BBH", 0x90 if offset == 0 else 0x80, 0x80, 0x8000 | picture_id & 0x7FFF)
        yield descriptor + frame[offset : offset + mtu]


def vp9_payloads(frame: bytes, picture_id: int, key: bool, *, mtu: int = 1100) -> Iterator[bytes]:
    for offset in range(0, len(frame), mtu):
        first = 0x80 | (0 if key else 0x40) | (0x08 if offset == 0 else 0)
        if offset + mtu >= len(frame):
            first |= 0x04
        yield pack("!BH", first, 0x8000 | picture_id & 0x7FFF) + frame[offset : offset + mtu]


class VideoSource:
    """Packetises the clip's frames; `first_*` choose where its counters begin."""

    def __init__(
        self,
        clip: Clip,
        ssrc: int,
        *,
        first_sequence: int = 0,
        first_timestamp: int = 0,
        vp9: bool = False,
    ) -> None:
        self.ssrc = ssrc
        self._clip = clip
        self._sequence = first_sequence
        self._first_timestamp = first_timestamp
        self._vp9 = vp9
        self._index = 0

    def timestamp(self, seconds: float) -> int:
        return self._first_timestamp + int(seconds * VIDEO_CLOCK)

    def seek_key_frame(self) -> None:
        """The next frame will be a key frame, as an encoder does when it is asked for one."""
        while not self._clip.video[self._index % len(self._clip.video)][1]:
            self._index += 1

    def next(self, seconds: float) -> list[bytes]:
        """The packets of the next frame, taken at `seconds` of the source's clock."""
        frame, key = self._clip.video[self._index % len(self._clip.video)]
        payloads = list(
            vp9_payloads(frame, self._index, key) if self._vp9 else vp8_payloads(frame, self._index)
        )
        packets = []
        for number, payload in enumerate(payloads):
            packets.append(
                rtp(
                    VIDEO_TYPE,
                    self._sequence,
                    self.timestamp(seconds),
                    self.ssrc,
                    payload,
                    marker=number == len(payloads) - 1,
                )
            )
            self._sequence += 1
        self._index += 1
        return packets


class AudioSource:
    def __init__(
        self, clip: Clip, ssrc: int, *, first_sequence: int = 0, first_timestamp: int = 0
    ) -> None:
        self.ssrc = ssrc
        self._clip = clip
        self._sequence = first_sequence
        self._first_timestamp = first_timestamp
        self._index = 0

    def timestamp(self, seconds: float) -> int:
        return self._first_timestamp + int(seconds * AUDIO_CLOCK)

    def next(self, seconds: float) -> bytes:
        packet = rtp(
            AUDIO_TYPE,
            self._sequence,
            self.timestamp(seconds),
            self.ssrc,
            self._clip.audio[self._index % len(self._clip.audio)],
            marker=False,
        )
        self._sequence += 1
        self._index += 1
        return packet


class Probe(NamedTuple):
    """What PyAV makes of a file. Times in seconds, `frames` are lines of pictures (`luma`)."""

    format: str
    duration: float | None
    codecs: dict[str, str]
    size: tuple[int, int] | None
    times: dict[str, list[float]]
    frames: list[bytes]
    samples: int


def probe(path: object) -> Probe:
    with av.open(str(path)) as container:
        codecs = {stream.type: stream.codec_context.name for stream in container.streams}
        video = container.streams.video[0] if container.streams.video else None
        size = (video.codec_context.width, video.codec_context.height) if video else None
        duration = container.duration / 1e6 if container.duration else None
        name = container.format.name
        times: dict[str, list[float]] = {}
        frames: list[bytes] = []
        samples = 0
        for packet in container.demux():
            if packet.pts is None:
                continue
            times.setdefault(packet.stream.type, []).append(float(packet.pts * packet.time_base))
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    frames.append(luma(frame))
                else:
                    samples += frame.samples
    return Probe(name, duration, codecs, size, times, frames, samples)


def assert_moving_pictures(frames: list[bytes]) -> None:
    """A gradient from 60 to 160 with a bar of 235 that is elsewhere in each."""
    assert frames
    bars = []
    for number, line in enumerate(frames):
        assert 80 < sum(line) / len(line) < 160, f"frame {number} is not of the clip"
        bars.append(line.index(max(line)))
    still = sum(a == b for a, b in pairwise(bars))
    assert still <= len(frames) // 10, f"{still} of {len(frames)} frames do not move"
