from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.recorder.frames import Frame, FrameAssembler, Malformed, Unsupported
from services.recorder.rtp import Packet, parse
from services.recorder.vp8 import Vp8
from services.recorder.vp9 import Vp9
from tests.integration.recorder.clip import VideoSource, make_clip

CLIP = make_clip(1.0)


def packets(source: VideoSource, frames: int) -> list[Packet]:
    found = []
    for number in range(frames):
        for datagram in source.next(number / 30):
            packet = parse(datagram, number / 30)
            assert packet is not None
            found.append(packet)
    return found


def assemble(assembler: FrameAssembler, stream: list[Packet]) -> list[Frame]:
    return [frame for packet in stream if (frame := assembler.push(packet)) is not None]


def test_vp8_frames_come_out_as_they_were_encoded() -> None:
    frames = assemble(FrameAssembler(Vp8()), packets(VideoSource(CLIP, 1), 30))
    assert [frame.data for frame in frames] == [data for data, _ in CLIP.video]
    assert frames[0].size == (320, 240)
    assert all(frame.size is None for frame in frames[1:])


def test_nothing_comes_out_before_a_key_frame() -> None:
    stream = packets(VideoSource(CLIP, 1), 30)
    key_frame = stream[0].timestamp
    assembler = FrameAssembler(Vp8())
    assert assemble(assembler, [p for p in stream if p.timestamp != key_frame]) == []
    assert assembler.waiting


def test_after_a_lost_packet_it_waits_for_a_key_frame() -> None:
    source = VideoSource(make_clip(3.0, gop=30), 1)
    stream = packets(source, 90)
    times = sorted({packet.timestamp for packet in stream})
    broken = [packet for packet in stream if packet.timestamp != times[10]]
    assembler = FrameAssembler(Vp8())
    frames = assemble(assembler, broken)
    assert [frame.timestamp for frame in frames] == [*times[:10], *times[30:]]
    assert frames[10].size is not None


def test_lost_padding_between_frames_loses_nothing() -> None:
    stream = packets(VideoSource(CLIP, 1), 10)
    shifted = [
        packet._replace(sequence=packet.sequence + (7 if packet.timestamp > 3000 else 0))
        for packet in stream
    ]
    assert len(assemble(FrameAssembler(Vp8()), shifted)) == 10


def test_padding_packets_are_passed_over() -> None:
    stream = packets(VideoSource(CLIP, 1), 3)
    last = stream[-1]
    padding = last._replace(sequence=last.sequence + 1, payload=b"", marker=False)
    after = packets(VideoSource(CLIP, 1, first_sequence=last.sequence + 2), 1)
    assert len(assemble(FrameAssembler(Vp8()), [*stream, padding, *after])) == 4


def test_a_frame_without_its_first_packet_is_dropped() -> None:
    clip = make_clip(1.0, 1280, 720)
    stream = packets(VideoSource(clip, 1), 1)
    assert len(stream) > 1
    assembler = FrameAssembler(Vp8())
    assert assemble(assembler, stream[1:]) == []
    assert assemble(assembler, packets(VideoSource(clip, 1, first_sequence=500), 1))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x90",
        b"\x90\x80",
        b"\x90\x80\x80",
        b"\x90\x80\x80\x01",
        b"\x90\xf0\x01\x02",
        b"\x10",
        b"\x90\xff\xff\xff\xff\xff",
    ],
)
def test_a_vp8_payload_that_is_cut_off_is_malformed(payload: bytes) -> None:
    with pytest.raises(Malformed):
        Vp8().open(payload)


@pytest.mark.parametrize(
    ("payload", "data", "starts", "picture_id"),
    [
        (b"\x10abc", b"abc", True, None),
        (b"\x00abc", b"abc", False, None),
        (b"\x11abc", b"abc", False, None),
        (b"\x90\x80\x11abc", b"abc", True, 0x11),
        (b"\x90\x80\x81\x02abc", b"abc", True, 0x102),
        (b"\x90\xe0\x11\x05\x40abc", b"abc", True, 0x11),
        (b"\x90\x10\x40abc", b"abc", True, None),
    ],
)
def test_vp8_descriptors_are_read_as_rfc_7741_says(
    payload: bytes, data: bytes, starts: bool, picture_id: int | None
) -> None:
    fragment = Vp8().open(payload)
    assert (fragment.data, fragment.starts_frame, fragment.picture_id) == (data, starts, picture_id)


@given(st.lists(st.tuples(st.binary(max_size=40), st.booleans(), st.integers(0, 3)), max_size=60))
def test_hostile_payloads_give_no_exception_and_a_key_frame_first(
    stream: list[tuple[bytes, bool, int]],
) -> None:
    for payload_format, prefix in ((Vp8(), b"\x10"), (Vp9(), b"\x08"), (Vp8(), b""), (Vp9(), b"")):
        assembler = FrameAssembler(payload_format)
        frames = []
        for number, (payload, marker, timestamp) in enumerate(stream):
            packet = Packet(1, 96, number, timestamp, marker, prefix + payload, 0.0)
            try:
                frame = assembler.push(packet)
            except Unsupported:
                continue
            if frame is not None:
                frames.append(frame)
        assert not frames or frames[0].size is not None


def test_a_frame_that_never_ends_does_not_fill_the_memory() -> None:
    assembler = FrameAssembler(Vp8())
    first = b"\x10" + CLIP.video[0][0][:1000]
    assembler.push(Packet(1, 96, 0, 0, False, first, 0.0))
    for number in range(1, 6000):
        assembler.push(Packet(1, 96, number & 0xFFFF, 0, False, b"\x00" + bytes(1000), 0.0))
        assert assembler._bytes <= 4 * 1024 * 1024 + 1001
    assert assembler.waiting


def test_flipped_bits_in_a_real_stream_give_no_exception() -> None:
    rng = random.Random(7)
    assembler = FrameAssembler(Vp8())
    for packet in packets(VideoSource(CLIP, 1), 30) * 20:
        payload = bytearray(packet.payload)
        for _ in range(rng.randrange(3)):
            payload[rng.randrange(min(12, len(payload)))] ^= 1 << rng.randrange(8)
        assembler.push(packet._replace(payload=bytes(payload)))


def test_vp9_frames_come_out_as_they_were_encoded() -> None:
    clip = make_clip(1.0, codec="libvpx-vp9")
    stream = packets(VideoSource(clip, 1, vp9=True), len(clip.video))
    frames = assemble(FrameAssembler(Vp9()), stream)
    assert [frame.data for frame in frames] == [data for data, _ in clip.video]
    assert [frame.size for frame in frames[:2]] == [(320, 240), None]


def test_vp9_with_spatial_layers_is_refused_with_a_reason() -> None:
    with pytest.raises(Unsupported, match="spatial layers"):
        FrameAssembler(Vp9()).push(Packet(1, 98, 0, 0, True, b"\x28\x02\x00abc", 0.0))
