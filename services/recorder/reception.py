"""From the datagrams of one tap to the samples of one file. No I/O and no waiting in here.

Only sources the media node has named are taken. What comes from another is kept for a moment, for
the next answer of the node may name it: so nothing is lost when a publisher reconnects.
"""

from __future__ import annotations

from collections import deque
from math import inf

from services.conference.calls import Tapped, Track

from .frames import FrameAssembler, PayloadFormat, Unsupported
from .jitter import WAIT, JitterBuffer
from .rtp import Packet, is_rtcp, parse, sender_reports
from .timeline import TrackTimeline
from .vp8 import Vp8
from .vp9 import Vp9
from .webm import AUDIO_TRACK, VIDEO_TRACK, Sample, VideoFormat

MAX_PENDING = 32 * 1024 * 1024  # bytes of samples not yet taken
HOLD = 1000.0 * (WAIT + 0.2)  # ms until no other track can bring anything earlier
_STASH = 1024  # datagrams of sources not named yet
_MAX_IGNORED = 64
_FORMER = 1.0  # seconds until a source that was replaced may be the one again (a layer)

_FORMATS: dict[str, type[PayloadFormat]] = {"VP8": Vp8, "VP9": Vp9}


class _Input:
    """One track of the tap and where it stands in the file."""

    def __init__(self, number: int, track: Track) -> None:
        if track.clock_rate <= 0:
            raise Unsupported(f"A clock of {track.clock_rate} Hz cannot be recorded")
        self.number = number
        self.track = track
        self.timeline = TrackTimeline(track.clock_rate)
        self.jitter = JitterBuffer()
        self.frames: FrameAssembler | None = None
        self.last = -1  # ms
        if number == VIDEO_TRACK:
            payload_format = _FORMATS.get(track.codec)
            if payload_format is None:
                raise Unsupported(f"{track.codec} cannot be recorded, only VP8 and VP9")
            self.frames = FrameAssembler(payload_format())
        elif track.codec.lower() != "opus":
            raise Unsupported(f"{track.codec} cannot be recorded, only Opus")

    def switch(self, track: Track) -> None:
        """The publisher came back as another source."""
        if (track.codec, track.clock_rate) != (self.track.codec, self.track.clock_rate):
            raise Unsupported(f"the publisher changed from {self.track.codec} to {track.codec}")
        self.track = track
        self.timeline.restart()
        if self.frames is not None:
            self.frames.restart()


class Reception:
    """`started` is the arrival of the first sample: time 0 of the file. Once `failure` is set
    there is nothing more to expect."""

    def __init__(self, *, audio: bool, video: bool) -> None:
        self.started: float | None = None
        self.video_format: VideoFormat | None = None
        self.failure: str | None = None
        self.puzzled = False  # a source came that the next answer of the node may name
        self._wanted = {AUDIO_TRACK: audio, VIDEO_TRACK: video}
        self._inputs: dict[int, _Input] = {}  # by track number
        self._sources: dict[int, _Input] = {}  # by SSRC
        self._ignored: dict[int, float] = {}  # by SSRC, until which arrival
        self._arrival = 0.0  # of the last packet
        self._stash: deque[Packet] = deque(maxlen=_STASH)
        self._samples: list[Sample] = []
        self._pending = 0  # bytes

    def yields(self, *, audio: bool, video: bool) -> bool:
        """Whether there was media of each of these."""
        return (not audio or self._has(AUDIO_TRACK)) and (not video or self._has(VIDEO_TRACK))

    @property
    def needs_key_frame(self) -> bool:
        video = self._inputs.get(VIDEO_TRACK)
        return video is not None and video.frames is not None and video.frames.waiting

    def tapped(self, reply: Tapped) -> None:
        """What the media node says it sends, each time it says so."""
        try:
            for number, track in ((AUDIO_TRACK, reply.audio), (VIDEO_TRACK, reply.video)):
                if track is not None:
                    self._name(number, track)
        except Unsupported as error:
            self.failure = str(error)
            return
        stash, self._stash = self._stash, deque(maxlen=_STASH)
        for packet in stash:
            if packet.ssrc in self._sources:
                self._take(packet)
            else:
                self._ignore(packet.ssrc)
        self.puzzled = False

    def datagram(self, data: bytes, arrival: float) -> None:
        if is_rtcp(data):
            self._reports(data)
            return
        packet = parse(data, arrival)
        if packet is None or self.failure is not None:
            return
        self._arrival = arrival
        if packet.ssrc in self._sources:
            self._take(packet)
        elif arrival > self._ignored.get(packet.ssrc, -inf):
            self._stash.append(packet)
            self.puzzled = True

    def tick(self, now: float) -> None:
        """To be called a few times a second, for packets that wait for lost ones."""
        for source in self._inputs.values():
            self._release(source, source.jitter.expire(now))

    def take(self, now: float) -> list[Sample]:
        """The samples whose time has come."""
        if self.started is None:
            return []
        horizon = (now - self.started) * 1000.0 - HOLD
        ready = [sample for sample in self._samples if sample.time <= horizon]
        if ready:
            self._samples = [sample for sample in self._samples if sample.time > horizon]
            self._pending = sum(len(sample.data) for sample in self._samples)
        return ready

    def finish(self) -> list[Sample]:
        """All that is left."""
        for source in self._inputs.values():
            self._release(source, source.jitter.flush())
        rest, self._samples, self._pending = self._samples, [], 0
        return rest

    def _has(self, number: int) -> bool:
        source = self._inputs.get(number)
        return source is not None and source.last >= 0

    def _name(self, number: int, track: Track) -> None:
        if not self._wanted[number]:
            self._ignore(track.ssrc)
            return
        source = self._inputs.get(number)
        if source is None:
            source = self._inputs[number] = _Input(number, track)
        elif source.track != track:
            self._release(source, source.jitter.flush())
            self._sources.pop(source.track.ssrc, None)
            self._ignore(source.track.ssrc, self._arrival + _FORMER)
            source.switch(track)
        self._sources[track.ssrc] = source
        self._ignored.pop(track.ssrc, None)

    def _ignore(self, ssrc: int, until: float = inf) -> None:
        if len(self._ignored) >= _MAX_IGNORED:
            self._ignored.clear()
        self._ignored[ssrc] = until

    def _take(self, packet: Packet) -> None:
        source = self._sources[packet.ssrc]
        if packet.payload_type == source.track.payload_type:
            self._release(source, source.jitter.push(packet))

    def _release(self, source: _Input, packets: tuple[Packet, ...] | list[Packet]) -> None:
        if source.frames is None:
            for packet in packets:
                if packet.payload:
                    self._add(source, packet.timestamp, packet.arrival, True, packet.payload)
            return
        try:
            for packet in packets:
                frame = source.frames.push(packet)
                if frame is None:
                    continue
                if frame.size is not None and self.video_format is None:
                    self.video_format = VideoFormat(source.track.codec, *frame.size)
                self._add(
                    source, frame.timestamp, frame.arrival, frame.size is not None, frame.data
                )
        except Unsupported as error:
            self.failure = str(error)

    def _add(self, source: _Input, timestamp: int, arrival: float, key: bool, data: bytes) -> None:
        if self._pending > MAX_PENDING:
            self.failure = "The disk is too slow for the stream"
            return
        if self.started is None:
            self.started = arrival
        place = source.timeline.place(timestamp, (arrival - self.started) * 1000.0)
        source.last = max(round(place), source.last + 1)
        self._samples.append(Sample(source.number, source.last, key, data))
        self._pending += len(data)

    def _reports(self, data: bytes) -> None:
        for report in sender_reports(data):
            source = self._sources.get(report.ssrc)
            if source is not None:
                source.timeline.report(report.ntp, report.timestamp)
        audio, video = self._inputs.get(AUDIO_TRACK), self._inputs.get(VIDEO_TRACK)
        if audio is not None and video is not None:
            video.timeline.follow(audio.timeline)
