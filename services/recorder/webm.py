"""A WebM file that is playable up to its last cluster at every moment.

Clusters are appended whole, one `write` each. What a player wants at the front and only the end
knows (duration, index, size) has its place reserved and is filled in by `close`, or by `repair`
where the writer was killed. The methods touch the disk: call them off the event loop.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from struct import Struct as Layout
from struct import pack
from typing import BinaryIO, NamedTuple

from msgspec import Struct

from . import ebml

AUDIO_TRACK = 1
VIDEO_TRACK = 2

_MAX_CLUSTER = 5000  # ms; times of blocks are 16 bits from their cluster's
_MAX_CLUSTER_BYTES = 16 * 1024 * 1024
_CUE_INTERVAL = 5000  # ms, where no key frame marks the place
_MAX_FRAME_TIME = 1000  # ms a last frame is taken to last
_APP = "Tertulia"

_block = Layout("!BhB")


class Sample(NamedTuple):
    """One frame of a track. `time` in ms from the file's start."""

    track: int
    time: int
    key: bool
    data: bytes


class VideoFormat(NamedTuple):
    codec: str  # "VP8" or "VP9"
    width: int
    height: int


class _Cue(NamedTuple):
    time: int
    track: int
    position: int


class Contents(Struct):
    """What a file holds. Times in ms; `last` and `step` by track."""

    last: dict[int, int] = {}
    step: dict[int, int] = {}
    cues: list[_Cue] = []

    def add(self, track: int, time: int) -> None:
        before = self.last.get(track)
        if before is not None and time > before:
            self.step[track] = min(time - before, _MAX_FRAME_TIME)
        self.last[track] = time

    def mark(self, time: int, track: int, key: bool, position: int) -> None:
        """A cluster begins: it is worth a cue if video can start there or none is near."""
        seekable = track == VIDEO_TRACK and key
        if seekable or not self.cues or time - self.cues[-1].time >= _CUE_INTERVAL:
            self.cues.append(_Cue(time, track, position))

    @property
    def duration(self) -> int:
        return max((time + self.step.get(track, 0) for track, time in self.last.items()), default=0)


# The front of every file, in this order; all sizes are constant, so that places can be filled in.
_HEADER = ebml.element(
    ebml.EBML,
    ebml.uint(b"\x42\x86", 1)  # EBMLVersion
    + ebml.uint(b"\x42\xf7", 1)  # EBMLReadVersion
    + ebml.uint(b"\x42\xf2", 4)  # EBMLMaxIDLength
    + ebml.uint(b"\x42\xf3", 8)  # EBMLMaxSizeLength
    + ebml.text(b"\x42\x82", "webm")  # DocType
    + ebml.uint(b"\x42\x87", 4)  # DocTypeVersion
    + ebml.uint(b"\x42\x85", 2),  # DocTypeReadVersion
)
_SEGMENT_SIZE_AT = len(_HEADER) + len(ebml.SEGMENT)
_SEGMENT_AT = _SEGMENT_SIZE_AT + 8  # positions inside count from here
_SEEK_HEAD_BYTES = 100
_DURATION_BYTES = 11
_INFO_FRONT = (
    ebml.uint(ebml.TIMESTAMP_SCALE, 1_000_000)
    + ebml.text(ebml.MUXING_APP, _APP)
    + ebml.text(ebml.WRITING_APP, _APP)
)
_INFO = ebml.element(ebml.INFO, _INFO_FRONT + ebml.void(_DURATION_BYTES))
_INFO_AT = _SEGMENT_AT + _SEEK_HEAD_BYTES
_TRACKS_AT = _INFO_AT + len(_INFO)
_DURATION_AT = _TRACKS_AT - _DURATION_BYTES
_OPUS_HEAD = pack("<8sBBHIhB", b"OpusHead", 1, 2, 0, 48000, 0, 0)
_AUDIO_ENTRY = ebml.element(
    ebml.TRACK_ENTRY,
    ebml.uint(ebml.TRACK_NUMBER, AUDIO_TRACK)
    + ebml.uint(ebml.TRACK_UID, AUDIO_TRACK)
    + ebml.uint(ebml.TRACK_TYPE, 2)
    + ebml.uint(ebml.FLAG_LACING, 0)
    + ebml.text(ebml.LANGUAGE, "und")
    + ebml.text(ebml.CODEC_ID, "A_OPUS")
    + ebml.element(ebml.CODEC_PRIVATE, _OPUS_HEAD)
    + ebml.uint(ebml.SEEK_PRE_ROLL, 80_000_000)
    + ebml.element(
        ebml.AUDIO,
        ebml.real(ebml.SAMPLING_FREQUENCY, 48000.0) + ebml.uint(ebml.CHANNELS, 2),
    ),
)


def _video_entry(video: VideoFormat) -> bytes:
    return ebml.element(
        ebml.TRACK_ENTRY,
        ebml.uint(ebml.TRACK_NUMBER, VIDEO_TRACK)
        + ebml.uint(ebml.TRACK_UID, VIDEO_TRACK)
        + ebml.uint(ebml.TRACK_TYPE, 1)
        + ebml.uint(ebml.FLAG_LACING, 0)
        + ebml.text(ebml.CODEC_ID, f"V_{video.codec}")
        + ebml.element(
            ebml.VIDEO,
            ebml.uint(ebml.PIXEL_WIDTH, video.width, 2)
            + ebml.uint(ebml.PIXEL_HEIGHT, video.height, 2),
        ),
    )


_UNKNOWN_VIDEO = VideoFormat("VP8", 640, 480)  # until the first key frame tells
_AUDIO_AT = _TRACKS_AT + len(ebml.TRACKS) + 1
_VIDEO_AT = _AUDIO_AT + len(_AUDIO_ENTRY)
_VIDEO_BYTES = len(_video_entry(_UNKNOWN_VIDEO))
_CLUSTERS_AT = _VIDEO_AT + _VIDEO_BYTES
_FRONT = (
    _HEADER
    + ebml.SEGMENT
    + ebml.UNKNOWN_SIZE
    + ebml.void(_SEEK_HEAD_BYTES)
    + _INFO
    + ebml.element(ebml.TRACKS, _AUDIO_ENTRY + _video_entry(_UNKNOWN_VIDEO))
)


class WebmWriter:
    """Writes Opus and VP8 or VP9 as they are. A track that never comes is left out in the end."""

    def __init__(self, path: Path) -> None:
        """Raises `OSError`; the file must not exist."""
        self._file = _open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        self._contents = Contents()
        self._time = 0
        self._end = len(_FRONT)  # of what was written whole
        try:
            _write_all(self._file, _FRONT)
        except BaseException:
            self._file.close()
            raise

    def describe_video(self, video: VideoFormat) -> None:
        """To be called before the first video sample."""
        os.pwrite(self._file.fileno(), _video_entry(video), _VIDEO_AT)

    def write(self, samples: list[Sample]) -> None:
        """Append samples, as one cluster or several. A sample before the last one written is
        moved to that one's time."""
        cluster: list[Sample] = []
        size = 0
        for sample in sorted(samples, key=_time):
            if cluster and (
                (sample.track == VIDEO_TRACK and sample.key)
                or sample.time - cluster[0].time > _MAX_CLUSTER
                or size > _MAX_CLUSTER_BYTES
            ):
                self._write_cluster(cluster)
                cluster, size = [], 0
            cluster.append(sample._replace(time=self._time) if sample.time < self._time else sample)
            size += len(sample.data)
        if cluster:
            self._write_cluster(cluster)

    def close(self) -> int:
        """Fill in what only the end knows and sync; the file's duration in ms."""
        try:
            self._file.truncate(self._end)
            self._file.seek(self._end)
            _seal(self._file, self._contents)
        finally:
            self._file.close()
        return self._contents.duration

    def abandon(self) -> None:
        """Close the file as it is; `repair` can finish it."""
        self._file.close()

    def _write_cluster(self, samples: list[Sample]) -> None:
        first = samples[0]
        parts = [ebml.uint(ebml.TIMESTAMP, first.time, 8)]
        for track, time, key, data in samples:
            parts += (
                ebml.SIMPLE_BLOCK,
                ebml.size(len(data) + 4),
                _block.pack(0x80 | track, time - first.time, 0x80 if key else 0),
                data,
            )
        body = b"".join(parts)
        _write_all(self._file, ebml.CLUSTER + ebml.long_size(len(body)) + body)
        self._contents.mark(first.time, first.track, first.key, self._end - _SEGMENT_AT)
        self._end = self._file.tell()
        for track, time, _, _ in samples:
            self._contents.add(track, time)
        self._time = samples[-1].time


def repair(path: Path) -> int:
    """Finish a file whose writer was killed; its duration in ms, 0 if it holds no frame.

    Raises `OSError`, or `ValueError` if it is not a file of ours. Repairing twice is harmless.
    """
    with _open(path, os.O_RDWR) as file:
        front = file.read(_CLUSTERS_AT)
        if len(front) < _CLUSTERS_AT:
            return 0
        if front[:_SEGMENT_SIZE_AT] != _FRONT[:_SEGMENT_SIZE_AT]:
            raise ValueError(f"{path.name} does not begin as a recording does")
        contents = Contents()
        end = _CLUSTERS_AT
        for position, body in _clusters(file):
            try:
                blocks = _blocks(body)
            except ValueError:
                break
            first = blocks[0]
            contents.mark(first.time, first.track, first.key, position - _SEGMENT_AT)
            for block in blocks:
                contents.add(block.track, block.time)
            end = file.tell()
        if not contents.last:
            return 0
        file.truncate(end)
        file.seek(end)
        _seal(file, contents)
        return contents.duration


def _seal(file: BinaryIO, contents: Contents) -> None:
    """The index goes to the end; then the places at the front are filled in."""
    cues_at = file.tell()
    if contents.cues:
        cues = b"".join(
            ebml.element(
                ebml.CUE_POINT,
                ebml.uint(ebml.CUE_TIME, cue.time)
                + ebml.element(
                    ebml.CUE_TRACK_POSITIONS,
                    ebml.uint(ebml.CUE_TRACK, cue.track)
                    + ebml.uint(ebml.CUE_CLUSTER_POSITION, cue.position),
                ),
            )
            for cue in contents.cues
        )
        _write_all(file, ebml.element(ebml.CUES, cues))
    end = file.tell()
    seek_head = ebml.element(
        ebml.SEEK_HEAD,
        _seek(ebml.INFO, _INFO_AT) + _seek(ebml.TRACKS, _TRACKS_AT) + _seek(ebml.CUES, cues_at),
    )
    descriptor = file.fileno()
    os.pwrite(descriptor, seek_head + ebml.void(_SEEK_HEAD_BYTES - len(seek_head)), _SEGMENT_AT)
    os.pwrite(descriptor, ebml.real(ebml.DURATION, float(contents.duration)), _DURATION_AT)
    if AUDIO_TRACK not in contents.last:
        os.pwrite(descriptor, ebml.void(len(_AUDIO_ENTRY)), _AUDIO_AT)
    if VIDEO_TRACK not in contents.last:
        os.pwrite(descriptor, ebml.void(_VIDEO_BYTES), _VIDEO_AT)
    os.pwrite(descriptor, ebml.long_size(end - _SEGMENT_AT), _SEGMENT_SIZE_AT)
    os.fsync(descriptor)


def _seek(identifier: bytes, position: int) -> bytes:
    return ebml.element(
        ebml.SEEK,
        ebml.element(ebml.SEEK_ID, identifier)
        + ebml.uint(ebml.SEEK_POSITION, position - _SEGMENT_AT, 8),
    )


def _clusters(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Position and body of each whole cluster; the file stands behind it."""
    position = _CLUSTERS_AT
    file.seek(position)
    while True:
        head = file.read(12)
        if len(head) < 12 or head[:4] != ebml.CLUSTER:
            return
        size = int.from_bytes(head[4:], "big") & (1 << 56) - 1
        if size > 2 * _MAX_CLUSTER_BYTES:
            return
        body = file.read(size)
        if len(body) < size:
            return
        yield position, body
        position += 12 + size


def _blocks(body: bytes) -> list[Sample]:
    """The samples of a cluster, without their data. Raises `ValueError` for a damaged one."""
    if body[:2] != ebml.TIMESTAMP + b"\x88":
        raise ValueError("no time")
    start = int.from_bytes(body[2:10], "big")
    offset = 10
    samples: list[Sample] = []
    while offset < len(body) or not samples:
        if body[offset : offset + 1] != ebml.SIMPLE_BLOCK:
            raise ValueError("no block")
        size, length = ebml.read_size(body, offset + 1)
        offset += 1 + length
        if size < _block.size or offset + size > len(body):
            raise ValueError("a block is cut off")
        track, time, flags = _block.unpack_from(body, offset)
        samples.append(Sample(track & 0x7F, start + time, flags & 0x80 != 0, b""))
        offset += size
    return samples


def _time(sample: Sample) -> int:
    return sample.time


def _open(path: Path, flags: int) -> BinaryIO:
    """Unbuffered: a cluster is in the kernel's hands when it is written."""
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o640)
    return os.fdopen(descriptor, "r+b", buffering=0)


def _write_all(file: BinaryIO, data: bytes) -> None:
    """A raw file may take less than it is given, for one when the disk gets full."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
