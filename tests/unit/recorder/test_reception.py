from __future__ import annotations

import random
from itertools import pairwise

import pytest

from services.conference.calls import Tapped, Track
from services.recorder.reception import MAX_PENDING, Reception
from services.recorder.webm import AUDIO_TRACK, VIDEO_TRACK, Sample, VideoFormat
from tests.integration.recorder.clip import (
    AUDIO_TYPE,
    VIDEO_TYPE,
    AudioSource,
    VideoSource,
    make_clip,
    rtp,
    sender_report,
)

CLIP = make_clip(4.0)
WALL = 1_700_000_000.0


def tracks(audio: int | None, video: int | None, codec: str = "VP8") -> Tapped:
    return Tapped(
        audio=Track("opus", AUDIO_TYPE, 48_000, audio, 2) if audio is not None else None,
        video=Track(codec, VIDEO_TYPE, 90_000, video) if video is not None else None,
    )


def media(
    video: VideoSource | None, audio: AudioSource | None, start: float, end: float
) -> list[tuple[float, bytes]]:
    """Datagrams and when they are sent, in that order."""
    found: list[tuple[float, bytes]] = []
    if video is not None:
        for index in range(round(start * 30), round(end * 30)):
            found += [(index / 30, packet) for packet in video.next(index / 30)]
    if audio is not None:
        for index in range(round(start * 50), round(end * 50)):
            found.append((index / 50, audio.next(index / 50)))
    return sorted(found, key=lambda item: item[0])


def play(reception: Reception, stream: list[tuple[float, bytes]]) -> list[Sample]:
    samples = []
    for at, datagram in stream:
        reception.datagram(datagram, 1000.0 + at)
        reception.tick(1000.0 + at)
        samples += reception.take(1000.0 + at)
    return samples


def times(samples: list[Sample], track: int) -> list[int]:
    return [sample.time for sample in samples if sample.track == track]


def test_media_come_out_with_the_times_of_their_timestamps() -> None:
    reception = Reception(audio=True, video=True)
    reception.tapped(tracks(1, 2))
    samples = play(reception, media(VideoSource(CLIP, 2), AudioSource(CLIP, 1), 0, 4))
    samples += reception.finish()
    assert times(samples, AUDIO_TRACK) == [number * 20 for number in range(200)]
    assert times(samples, VIDEO_TRACK) == [round(number * 1000 / 30) for number in range(120)]
    assert reception.video_format == VideoFormat("VP8", 320, 240)
    assert reception.started == 1000.0


def test_jitter_and_reordering_leave_no_trace() -> None:
    rng = random.Random(3)
    stream = media(VideoSource(CLIP, 2), AudioSource(CLIP, 1), 0, 4)
    late = sorted(((at + rng.random() * 0.1, datagram) for at, datagram in stream[9:]))
    reception = Reception(audio=True, video=True)
    reception.tapped(tracks(1, 2))
    samples = play(reception, stream[:9] + late) + reception.finish()
    assert times(samples, AUDIO_TRACK) == [number * 20 for number in range(200)]
    assert times(samples, VIDEO_TRACK) == [round(number * 1000 / 30) for number in range(120)]


def test_timestamps_and_sequence_numbers_wrap_around() -> None:
    video = VideoSource(CLIP, 2, first_sequence=65_500, first_timestamp=0xFFFFFFFF - 90_000)
    audio = AudioSource(CLIP, 1, first_sequence=65_530, first_timestamp=0xFFFFFFFF - 48_000)
    reception = Reception(audio=True, video=True)
    reception.tapped(tracks(1, 2))
    samples = play(reception, media(video, audio, 0, 4)) + reception.finish()
    assert times(samples, AUDIO_TRACK) == [number * 20 for number in range(200)]
    assert times(samples, VIDEO_TRACK) == [round(number * 1000 / 30) for number in range(120)]


def test_loss_is_a_gap_until_the_next_key_frame_and_nothing_moves() -> None:
    stream = media(VideoSource(CLIP, 2), AudioSource(CLIP, 1), 0, 4)
    holed = [
        (at, datagram)
        for at, datagram in stream
        if not (datagram[1] & 0x7F == VIDEO_TYPE and 0.5 <= at < 0.6)
    ]
    reception = Reception(audio=True, video=True)
    reception.tapped(tracks(1, 2))
    samples = play(reception, holed) + reception.finish()
    assert times(samples, AUDIO_TRACK) == [number * 20 for number in range(200)]
    expected = [*range(15), *range(30, 120)]
    assert times(samples, VIDEO_TRACK) == [round(number * 1000 / 30) for number in expected]


def test_a_loss_makes_it_ask_for_a_key_frame() -> None:
    reception = Reception(audio=False, video=True)
    reception.tapped(tracks(1, 2))
    assert reception.needs_key_frame
    source = VideoSource(CLIP, 2)
    play(reception, media(source, None, 0, 0.5))
    assert not reception.needs_key_frame
    source.next(0.5)
    play(reception, media(source, None, 0.6, 0.7))
    reception.tick(1010.0)
    assert reception.needs_key_frame


def test_what_comes_before_the_node_names_it_is_not_lost() -> None:
    reception = Reception(audio=True, video=True)
    early = play(reception, media(VideoSource(CLIP, 2), AudioSource(CLIP, 1), 0, 1))
    assert early == []
    assert reception.puzzled
    reception.tapped(tracks(1, 2))
    assert not reception.puzzled
    samples = reception.finish()
    assert len(times(samples, AUDIO_TRACK)) == 50
    assert len(times(samples, VIDEO_TRACK)) == 30


def test_a_publisher_that_comes_back_as_another_source_goes_on_in_the_same_time() -> None:
    reception = Reception(audio=True, video=True)
    reception.tapped(tracks(1, 2))
    samples = play(reception, media(VideoSource(CLIP, 2), AudioSource(CLIP, 1), 0, 2))
    video = VideoSource(CLIP, 22, first_sequence=9000, first_timestamp=123_456_789)
    audio = AudioSource(CLIP, 11, first_sequence=77, first_timestamp=987_654_321)
    back = media(video, audio, 2.5, 4)
    samples += play(reception, back[:40])
    assert reception.puzzled
    reception.tapped(tracks(11, 22))
    samples += play(reception, back[40:]) + reception.finish()
    for track, step, count in ((AUDIO_TRACK, 20, 175), (VIDEO_TRACK, 1000 / 30, 105)):
        found = times(samples, track)
        assert len(found) == count
        jumps = [b - a for a, b in pairwise(found) if b - a > step + 1]
        assert jumps == [pytest.approx(500 + step, abs=2)]
        assert found[-1] == pytest.approx(4000 - step, abs=2)


def test_packets_of_the_source_before_are_dropped_silently() -> None:
    reception = Reception(audio=True, video=False)
    reception.tapped(tracks(1, None))
    old = AudioSource(CLIP, 1)
    play(reception, media(None, old, 0, 1))
    reception.tapped(tracks(11, None))
    reception.datagram(old.next(1.0), 1001.0)
    assert not reception.puzzled


def test_a_layer_that_comes_back_is_asked_for_again() -> None:
    reception = Reception(audio=False, video=True)
    reception.tapped(tracks(None, 2))
    high, low = VideoSource(CLIP, 2), VideoSource(CLIP, 3, first_sequence=9000)
    play(reception, media(high, None, 0, 1))
    reception.tapped(tracks(None, 3))
    play(reception, media(high, None, 1, 1.5))  # late ones
    play(reception, media(low, None, 1.5, 2.5))
    assert not reception.puzzled
    samples = play(reception, media(high, None, 2.5, 3))
    assert reception.puzzled
    reception.tapped(tracks(None, 2))
    samples += play(reception, media(high, None, 3, 4)) + reception.finish()
    assert max(times(samples, VIDEO_TRACK)) > 3900


def test_a_source_nobody_names_is_asked_for_once() -> None:
    reception = Reception(audio=True, video=False)
    reception.tapped(tracks(1, None))
    reception.datagram(rtp(AUDIO_TYPE, 1, 1, 666, b"x", marker=False), 1000.0)
    assert reception.puzzled
    reception.tapped(tracks(1, None))
    reception.datagram(rtp(AUDIO_TYPE, 2, 1, 666, b"x", marker=False), 1000.1)
    assert not reception.puzzled
    assert reception.finish() == []


def test_only_the_wanted_tracks_are_taken() -> None:
    reception = Reception(audio=True, video=False)
    reception.tapped(tracks(1, 2, codec="H264"))
    stream = media(VideoSource(CLIP, 2), AudioSource(CLIP, 1), 0, 1)
    samples = play(reception, stream) + reception.finish()
    assert {sample.track for sample in samples} == {AUDIO_TRACK}
    assert not reception.puzzled
    assert reception.failure is None


def test_a_codec_that_cannot_be_recorded_is_named() -> None:
    reception = Reception(audio=True, video=True)
    reception.tapped(tracks(1, 2, codec="H264"))
    assert reception.failure is not None
    assert "H264" in reception.failure


def test_sender_reports_bring_sound_and_picture_together() -> None:
    """The picture is taken with the sound, but arrives 120 ms later."""
    video = VideoSource(CLIP, 2, first_timestamp=5000)
    audio = AudioSource(CLIP, 1, first_timestamp=7000)
    stream = [(at + 0.12, datagram) for at, datagram in media(video, None, 0, 4)]
    stream += media(None, audio, 0, 4)
    stream.append((1.0, sender_report(1, WALL + 0.98, audio.timestamp(0.98))))
    stream.append((1.01, sender_report(2, WALL + 0.5, video.timestamp(0.5))))
    reception = Reception(audio=True, video=True)
    reception.tapped(tracks(1, 2))
    samples = play(reception, sorted(stream, key=lambda item: item[0])) + reception.finish()
    assert times(samples, AUDIO_TRACK) == [number * 20 for number in range(200)]
    pictures = times(samples, VIDEO_TRACK)
    assert pictures[:20] == [round(120 + number * 1000 / 30) for number in range(20)]
    assert pictures[40:] == [round(number * 1000 / 30) for number in range(40, 120)]
    assert all(a < b for a, b in pairwise(pictures))


def test_a_disk_that_does_not_keep_up_ends_the_stream_instead_of_filling_the_memory() -> None:
    reception = Reception(audio=True, video=False)
    reception.tapped(tracks(1, None))
    payload = bytes(60_000)
    for number in range(2 * MAX_PENDING // len(payload)):
        datagram = rtp(AUDIO_TYPE, number, number * 960, 1, payload, marker=False)
        reception.datagram(datagram, 1000.0 + number / 50)
    assert reception.failure == "The disk is too slow for the stream"
    assert sum(len(sample.data) for sample in reception.finish()) <= MAX_PENDING + len(payload)


def test_noise_is_harmless() -> None:
    rng = random.Random(5)
    reception = Reception(audio=True, video=True)
    reception.tapped(tracks(1, 2))
    stream = media(VideoSource(CLIP, 2), AudioSource(CLIP, 1), 0, 4)
    for at, datagram in stream * 3:
        noisy = bytearray(datagram)
        for _ in range(rng.randrange(4)):
            noisy[rng.randrange(min(24, len(noisy)))] = rng.randrange(256)
        reception.datagram(bytes(noisy)[: rng.randrange(1, len(noisy) + 1)], 1000.0 + at)
        reception.tick(1000.0 + at)
    for track in (AUDIO_TRACK, VIDEO_TRACK):
        assert all(a < b for a, b in pairwise(times(reception.finish(), track)))
