"""One track of a published stream: its layers, and which of them each subscriber gets.

A track is what subscribers were promised; its layers are what feeds it now: one, or the simulcast
layers from low to high, whose SSRCs are learned from the rid in their first packets. When the
publisher reconnects the layers change and the edges go on, rewritten.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import NamedTuple

from . import layers, rtp
from .layers import Layer as LayerState
from .negotiation import FEEDBACK, MID, REPAIRED_RID, RID, Format
from .path import Edge, Endpoint, Source, SourceOwner
from .port import Port
from .repair import KeyFrameRequests, Missing
from .rtcp import SenderReport
from .sdp import Msid

VIDEO_HISTORY, AUDIO_HISTORY = 512, 64  # packets kept for repeats; powers of two
ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
SILENT = 2.0  # seconds without a packet after which a layer has ended
OUTLIVED = 0.8  # seconds, if a lower layer goes on: its encoder dropped this one
RATE_WINDOW = 0.5  # seconds
ASK_AGAIN = 1.0  # seconds an edge waits for a key frame before another is asked for
SEPARATE_CLOCKS = 30.0  # seconds between sender reports that still tell of one clock


@dataclass(slots=True, eq=False)
class Layer:
    """One RTP stream of the publisher; without `source` until its SSRC is known."""

    rid: str
    source: Source | None = None
    repair: Source | None = None
    missing: Missing = field(default_factory=Missing)
    key_frames: KeyFrameRequests = field(default_factory=KeyFrameRequests)
    rate: float = 0.0  # bit/s
    known_at: float = 0.0
    repaired: int = 0
    report: SenderReport | None = None
    _measured: tuple[float, int] | None = None

    @property
    def last_sign(self) -> float:
        """Monotonic seconds."""
        return max(self.source.last_arrival, self.known_at) if self.source is not None else 0.0

    def measure(self, now: float) -> None:
        if self.source is None:
            return
        if self._measured is not None and now - self._measured[0] < RATE_WINDOW:
            return
        octets = self.source.bytes
        before, self._measured = self._measured, (now, octets)
        if before is not None:
            rate = (octets - before[1]) * 8 / (now - before[0])
            self.rate = rate if not self.rate else self.rate + (rate - self.rate) / 3

    def rest(self) -> None:
        """Keep the rate: what comes from now on is not of it."""
        self._measured = None


class Totals(NamedTuple):
    """What came of a track, over all its transports."""

    packets: int = 0
    bytes: int = 0
    lost: int = 0


@dataclass(slots=True)
class Track:
    kind: str
    mid: str
    format: Format
    ssrc: int
    rtx_ssrc: int
    extensions: dict[int, str]
    cname: str
    msid: Msid
    is_active: bool = True  # not muted
    layers: list[Layer] = field(default_factory=list)
    repaired: int = 0
    given_up: int = 0
    nacks: int = 0
    tapped: Layer | None = None
    _past: Totals = field(default_factory=Totals)  # of former transports
    _before_mute: list[Layer] = field(default_factory=list)
    _incoming: Format | None = None  # of the transport now
    _numbers: dict[str, int] = field(default_factory=dict)  # header extensions by URI
    _mid: bytes = b""

    @property
    def offered(self) -> Format:
        """To a subscriber: all feedback we act on, whatever the publisher's side has."""
        return self.format if self.kind == "audio" else replace(self.format, feedback=FEEDBACK)

    @property
    def source(self) -> Source | None:
        """Of the highest layer that is known."""
        return next((one.source for one in reversed(self.layers) if one.source), None)

    @property
    def tap_source(self) -> Source | None:
        """What a tap gets."""
        return self.tapped.source if self.tapped is not None else self.source

    @property
    def totals(self) -> Totals:
        sources = [one.source for one in self.layers if one.source is not None]
        packets, octets, lost = self._past
        return Totals(
            packets + sum(source.packets for source in sources),
            octets + sum(source.bytes for source in sources),
            lost + max(0, sum(source.lost for source in sources)),
        )

    @property
    def is_layered(self) -> bool:
        return len(self.layers) > 1

    def layer_of(self, source: Source | None) -> Layer | None:
        return next((one for one in self.layers if source and one.source is source), None)

    def states(self, now: float) -> list[LayerState]:
        """For the choice: a single layer lives always."""
        living = self.living(now)
        return [LayerState(int(one.rate), one in living) for one in self.layers]

    def living(self, now: float) -> list[Layer]:
        """While the track is muted, those that lived before."""
        if not self.is_layered:
            return self.layers
        if not self.is_active:
            return self._before_mute
        found: list[Layer] = []
        lower = 0.0  # the last sign of the layers below
        for one in self.layers:
            if now - one.last_sign < SILENT and lower - one.last_sign < OUTLIVED:
                found.append(one)
            lower = max(lower, one.last_sign)
        return found

    def activate(self, is_active: bool, now: float) -> None:
        """Mute and unmute: while a muted client sends nothing its layers are not dead."""
        if not is_active:
            self._before_mute = self.living(now)
        self.is_active = is_active
        for one in self.layers:
            one.rest()
        for one in self._before_mute if is_active else ():
            one.known_at = now

    # Where the packets come from

    def feed(
        self, rids: Iterable[str], incoming: Format, numbers: dict[str, int], mid: str
    ) -> None:
        """A new transport: its layers are not known yet. A client sends them much as before."""
        self._past = self.totals
        rates = {one.rid: one.rate for one in self.layers}
        self.layers = [Layer(rid, rate=rates.get(rid, 0.0)) for rid in (*rids,) or ("",)]
        self.tapped = None
        self._before_mute = self.layers
        self._incoming, self._numbers, self._mid = incoming, numbers, mid.encode()

    def add(
        self, port: Port, endpoint: Endpoint, owner: SourceOwner, layer: Layer, ssrc: int
    ) -> None:
        """The SSRC of a layer is known."""
        incoming = self._incoming
        assert incoming is not None  # noqa: S101 - layers come with `feed`
        layer.known_at = monotonic()
        layer.source = port.make_source(
            owner,
            ssrc=ssrc,
            payload_type=incoming.payload_type,
            clock_rate=incoming.clock_rate,
            history=VIDEO_HISTORY if self.kind == "video" else AUDIO_HISTORY,
            codec=incoming.name,
            level_extension=self._numbers.get(AUDIO_LEVEL, 0),
            abs_send_time_extension=self._numbers.get(ABS_SEND_TIME, 0),
        )
        port.add_source(endpoint, layer.source)

    def add_repair(
        self, port: Port, endpoint: Endpoint, owner: SourceOwner, layer: Layer, ssrc: int
    ) -> None:
        incoming = self._incoming
        if incoming is None or incoming.rtx_payload_type is None:
            return
        layer.repair = port.make_source(
            owner,
            ssrc=ssrc,
            payload_type=incoming.rtx_payload_type,
            clock_rate=incoming.clock_rate,
            history=1,
            repairs=layer.source,
        )
        port.add_source(endpoint, layer.repair)

    def learn(
        self, port: Port, endpoint: Endpoint, owner: SourceOwner, packet: bytes
    ) -> Layer | None:
        """A packet of an unknown SSRC: the layer whose source it turned out to be, if any."""
        incoming, payload_type = self._incoming, packet[1] & 0x7F
        if incoming is None:
            return None
        mid = rtp.extension(packet, self._numbers[MID]) if MID in self._numbers else None
        if mid is not None and mid != self._mid:
            return None
        ssrc = int.from_bytes(packet[8:12], "big")
        if payload_type == incoming.payload_type:
            layer = self._named(packet, RID)
            if layer is None or layer.source is not None:
                return None
            self.add(port, endpoint, owner, layer, ssrc)
            return layer
        if payload_type == incoming.rtx_payload_type:
            layer = self._named(packet, REPAIRED_RID)
            if layer is not None and layer.source is not None and layer.repair is None:
                self.add_repair(port, endpoint, owner, layer, ssrc)
        return None

    def _named(self, packet: bytes, extension: str) -> Layer | None:
        if not self.layers[0].rid:
            return self.layers[0]
        number = self._numbers.get(extension, 0)
        rid = rtp.extension(packet, number) if number else None
        return next((one for one in self.layers if rid and one.rid.encode() == rid), None)

    # Where they go

    def steer(self, port: Port, edge: Edge, estimate: int, limit: int, now: float) -> None:
        """Bring the subscriber the layer that fits, from a key frame on."""
        known = [one for one in self.layers if one.source is not None]
        if not known:
            return
        going_to = self.layer_of(edge.waiting or edge.source)
        states = [s for s, one in zip(self.states(now), self.layers, strict=True) if one.source]
        current = next((n for n, one in enumerate(known) if one is going_to), -1)
        chosen = known[layers.choose(states, estimate, limit, current)]
        if chosen is not going_to:
            self._switch(port, edge, chosen)
            chosen.key_frames.wanted = True
        elif edge.waiting is not None and now - chosen.key_frames.last > ASK_AGAIN:
            chosen.key_frames.wanted = True

    def _switch(self, port: Port, edge: Edge, layer: Layer) -> None:
        source = layer.source
        assert source is not None  # noqa: S101 - only known layers are chosen
        before = self.layer_of(edge.source)
        offset = None
        if before is not None and before.report is not None and layer.report is not None:
            offset = same_time(before.report, layer.report, source.clock_rate)
        if offset is not None:
            offset = offset + edge.timestamp_offset & 0xFFFFFFFF
        port.connect(edge, source, at_key_frame=self.is_layered, timestamp_offset=offset)

    def retap(self, port: Port, addresses: tuple[tuple[str, int], ...], now: float) -> None:
        """Copies go out from the highest living layer alone."""
        known = [one for one in self.layers if one.source is not None]
        lives = self.living(now)
        living = [one for one in known if one in lives] or known
        best = living[-1] if living else None
        for one in known:
            if one.source is not None:
                port.tap(one.source, addresses if one is best else ())
        if best is not self.tapped and best is not None and addresses:
            best.key_frames.wanted = True
        self.tapped = best


def same_time(before: SenderReport, after: SenderReport, clock_rate: int) -> int | None:
    """What to add to timestamps of `after`'s stream so that they go on in the time of `before`'s;
    `None` where the reports cannot be of one clock."""
    seconds = (before.ntp - after.ntp) / (1 << 32)
    if abs(seconds) > SEPARATE_CLOCKS:
        return None
    return before.timestamp - (after.timestamp + round(seconds * clock_rate)) & 0xFFFFFFFF


def send_time_number(extensions: Mapping[int, str]) -> int:
    """The number of abs-send-time, 0 if it was not negotiated."""
    return next((number for number, uri in extensions.items() if uri == ABS_SEND_TIME), 0)
