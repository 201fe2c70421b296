"""One client's subscription to one stream: its edges and the feedback it sends.

NACKs are answered from the history, requests for key frames go to the publication, which merges
them. Reports end here, and feed the estimate of what this client's way carries.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from secrets import randbelow
from typing import Any, Protocol

from . import rtcp, rtp
from .bandwidth import Estimator
from .layers import Hunger, Layer, wanted
from .leg import Leg
from .negotiation import Format
from .padding import write_padding
from .path import Edge, Source
from .port import Port
from .reception import Reception
from .repair import Allowance, Repeats

REPEATS = 1000  # packets a second
ASKED = 2000  # packets a second that may be asked for
MISSES = 200  # NACKs a second for packets we do not have; beyond, a key frame is asked for
SENDER_REPORTS = 16  # remembered for the round trip
ATTENTION = 0.25  # seconds between two looks at the subscriptions, if nothing happens
MAX_PADDING = 60  # packets at once
SILENCE = 2.5  # seconds without a word of the client that are an outage
SOUND = 65_000  # bit/s that a browser sets aside for it, whatever it sends
LOSSY = 0.08  # share lost, whatever is sent, with which each repeat goes out twice
HOPELESS = 2.0  # seconds between two key frames in place of repeats


class Stream(Protocol):
    """What a subscription wants of its publication."""

    stream_id: str

    def connect(self, subscription: Subscription, now: float) -> None: ...

    def want_key_frame(self, now: float, source: Source | None = None) -> None: ...

    def missing(self, source: Source) -> int:
        """Packets of this source that the publisher's way lost for good, or until now."""
        ...


@dataclass(frozen=True, slots=True)
class Promise:
    """How one track reaches this client: what its SDP says. `abs_send_time` is the number of
    that header extension, 0 = none."""

    format: Format
    ssrc: int
    rtx_ssrc: int
    abs_send_time: int = 0


class Subscription:
    def __init__(
        self,
        port: Port,
        stream: Stream,
        leg: Leg,
        *,
        connection_id: str,
        promises: Mapping[str, Promise],
        gone: Callable[[Subscription, str], None],
        limit: int = 0,
        floor: int = 0,
    ) -> None:
        """`gone` is called when the transport has ended by itself. `limit` and `floor` of what
        the client is sent are in kbit/s, 0 = none; the floor is that of the limit, for nobody can
        have more than the way carries."""
        self.connection_id = connection_id
        self.stream = stream
        self.leg = leg
        self.limit = max(limit, floor) * 1000 if limit else 0  # bit/s
        self.mids: dict[str, str] = {}  # of an offer that waits for its answer: mid -> kind
        self.edges = {
            kind: port.make_edge(leg.endpoint, promise.ssrc, promise.format.payload_type)
            for kind, promise in promises.items()
        }
        self.nacked, self.repeated, self.lost = (dict.fromkeys(promises, 0) for _ in range(3))
        self.misses = 0
        self.key_frames = 0
        self.round_trip: float | None = None  # seconds
        self.fractions = dict.fromkeys(promises, 0.0)  # lost, of the last report
        self.jitters = dict.fromkeys(promises, 0.0)  # ms
        self.estimator = Estimator()
        self._hunger = Hunger()
        self.promises = dict(promises)
        self._gone = gone
        self._port = port
        self._rtx_sequences = {kind: randbelow(0x8000) for kind in promises}
        self._again = {kind: Repeats() for kind in promises}
        self._reported: deque[tuple[int, float]] = deque(maxlen=SENDER_REPORTS)
        self._second, self._repeats_left, self._misses_left = 0.0, REPEATS, MISSES
        self._asked_left = ASKED
        self._attended = 0.0
        self._is_padding = False
        self._repeated_bytes = 0
        self._padded_bytes = 0
        self._credit = 0.0  # bytes of padding that are due
        self._allowance = Allowance()
        self._reception = Reception()
        self._heard_at = float("inf")
        self._hopeless_at = float("-inf")
        self._wants_key_frame = False
        leg.users.append(self)

    @property
    def estimate(self) -> int:
        """Bit/s of the picture, 0 while nothing speaks against any rate."""
        return self.estimator.estimate

    @property
    def allowed(self) -> int:
        """Bit/s this client can take, with sound, 0 = anything."""
        estimate = self.estimate and self.estimate + (SOUND if "audio" in self.edges else 0)
        return min(estimate or self.limit, self.limit or estimate)

    @property
    def is_starved(self) -> bool:
        return self._hunger.is_starved

    def keep(self, formats: Mapping[str, Format]) -> None:
        """The client takes these kinds only, by kind; maybe without RTX."""
        self.edges = {kind: edge for kind, edge in self.edges.items() if kind in formats}
        for kind, taken in formats.items():
            self.promises[kind] = replace(self.promises[kind], format=taken)

    def ready(self, now: float) -> None:
        self.stream.connect(self, now)

    def closed(self, reason: str) -> None:
        self._gone(self, reason)

    def unknown(self, packet: bytes, now: float) -> None:
        """A subscriber sends no media."""

    # Feedback of the client

    def feedback(self, compound: bytes, now: float) -> None:
        if now - self._second >= 1:
            self._second, self._repeats_left, self._misses_left = now, REPEATS, MISSES
            self._asked_left = ASKED
        if now - self._heard_at > SILENCE:
            self.estimator.silent(now)
        self._heard_at = now
        before = self.estimator.estimate
        for packet in rtcp.packets(compound):
            if packet.type == rtcp.RTPFB:
                self._nack(packet, now)
            elif packet.type == rtcp.PSFB:
                self._payload_feedback(packet, now)
            else:
                self._reports(packet, now)
        if self.estimator.estimate != before:
            self._attended = 0.0

    def _payload_feedback(self, packet: rtcp.Packet, now: float) -> None:
        bits = rtcp.remb(packet)
        if bits is not None:
            self.estimator.remb(bits, now)
        asked = rtcp.key_frames_wanted(packet)
        edge = self.edges.get("video")
        if edge is not None and edge.ssrc in asked:
            self.key_frames += 1
            if not edge.paused:
                self.stream.want_key_frame(now, edge.waiting or edge.source)

    def _reports(self, packet: rtcp.Packet, now: float) -> None:
        for block in rtcp.blocks(packet):
            for kind, edge in self.edges.items():
                if edge.ssrc == block.ssrc and edge.source is not None:
                    self._report(kind, edge.source, block, now)

    def _report(self, kind: str, source: Source, block: rtcp.Block, now: float) -> None:
        self.fractions[kind] = block.fraction / 256
        self.lost[kind] = max(0, block.lost)
        self.jitters[kind] = block.jitter * 1000 / source.clock_rate
        for middle, at in self._reported:
            if middle == block.last_report != 0:  # 0: it has seen no report
                self.round_trip = max(0.0, now - at - block.delay / 65536)
                if "video" in self.edges:  # of sound alone there is nothing to choose
                    self.estimator.round_trip(self.round_trip, now)
                break
        # Of a picture that pauses for want of bandwidth there is nothing to lose
        if kind == ("audio" if self.is_starved else "video"):
            self._judge(kind, source, block, now)

    def _judge(self, kind: str, source: Source, block: rtcp.Block, now: float) -> None:
        sent, missing = self.edges[kind].packets, self.stream.missing(source)
        loss = self._reception.judge(source, block, missing=missing, sent=sent)
        if loss is not None and loss.packets:
            self.estimator.lost(*loss, now)
        elif loss is not None:
            self.estimator.silent(now)

    def _nack(self, packet: rtcp.Packet, now: float) -> None:
        asked = rtcp.nacked(packet) if self._asked_left > 0 else None
        if asked is None:
            return
        ssrc, sequences = asked
        del sequences[self._asked_left :]
        self._asked_left -= len(sequences)
        kind = next((k for k, edge in self.edges.items() if edge.ssrc == ssrc), None)
        if kind is None:
            return
        found = 0
        for sequence in sequences:
            self.nacked[kind] += 1
            is_new = sequence not in self._again[kind]
            if not self._again[kind].may(sequence, self.round_trip, now):
                continue
            kept = self._kept(kind, sequence)
            if kept is None:
                self.misses += 1
                self._misses_left -= 1
            else:
                found += is_new
                self._repeat(kind, kept, now)
            if self._misses_left <= 0:
                self.stream.want_key_frame(now, self.edges[kind].source)
                break
            if self._repeats_left <= 0:
                break
        if kind == "video" and found:
            self.estimator.nacked(found, now)

    def _kept(self, kind: str, sequence: int) -> bytes | None:
        """The packet of the history that this edge sent under this number."""
        edge = self.edges[kind]
        source = edge.source
        if source is None or edge.paused:
            return None
        number = sequence - edge.sequence_offset & 0xFFFF
        if source.highest - (source.highest - number & 0xFFFF) < edge.since:
            return None
        return self._port.fetch(source, number)

    def _repeat(self, kind: str, packet: bytes, now: float) -> None:
        edge, promise = self.edges[kind], self.promises[kind]
        estimate = self.estimate
        if estimate and self._is_outdated(edge, packet):
            return
        if not self._allowance.take(len(packet), self.estimator.rate, estimate, now):
            if now - self._hopeless_at >= HOPELESS:
                self._hopeless_at = now
                self._wants_key_frame = True
            return
        self.repeated[kind] += 1
        self._repeats_left -= 1
        payload_type = promise.format.rtx_payload_type
        is_lossy = not estimate and self.estimator.floor > LOSSY
        for _ in range(2 if is_lossy else 1):  # the client waits long before it asks again
            again: bytes | None = edge.rewritten(packet)
            if again is not None and payload_type is not None:
                again = rtp.pack_rtx(again, payload_type, self._next_rtx(kind), promise.rtx_ssrc)
            if again is not None:
                self._repeated_bytes += len(again)
                self._port.send_rtp(edge.endpoint, again)

    @staticmethod
    def _is_outdated(edge: Edge, packet: bytes) -> bool:
        """Is it of a picture before the newest key frame, with which a decoder goes on anyway?"""
        source = edge.source
        if source is None or not source.key_frames:
            return False
        age = source.key_frame_timestamp - int.from_bytes(packet[4:8], "big") & 0xFFFFFFFF
        return 0 < age < 0x80000000

    def _next_rtx(self, kind: str) -> int:
        number = self._rtx_sequences[kind]
        self._rtx_sequences[kind] = number + 1 & 0xFFFF
        return number

    # What we send of our own

    def report(self, edge: Edge, report: rtcp.SenderReport, cname: str, now: float) -> None:
        """The publisher's sender report in the numbers of this edge."""
        timestamp = report.timestamp + edge.timestamp_offset & 0xFFFFFFFF
        told = report._replace(ssrc=edge.ssrc, timestamp=timestamp)
        self._reported.append((report.middle, now))
        self._port.send_rtcp(edge.endpoint, rtcp.write_sender_report(told, cname))

    @property
    def is_urgent(self) -> bool:
        return self._is_padding or not self._attended

    def attend(self, states: Sequence[Layer], current: int, ceiling: int, now: float) -> bool:
        """Measure, and try more where it would be good: `current` of the layers is on its way, the
        number of layers where none is to come; `ceiling` as in `wanted`. True if the picture has to
        pause or go on. For who takes a picture."""
        elapsed, self._attended = min(now - self._attended, ATTENTION), now
        edge = self.edges["video"]
        octets = edge.bytes + self._repeated_bytes
        self.estimator.sent(octets, self._padded_bytes, edge.packets, now)
        if self._wants_key_frame:
            self._wants_key_frame = False
            self.stream.want_key_frame(now, edge.source)
        estimate = self.estimate
        lowest = next((state.rate for state in states if state.is_living), 0)
        changed = self._hunger.judge(estimate, lowest, now)
        if self._hunger.is_starved:
            current = -1
        better = 0
        if current < len(states):
            better = wanted(states, estimate, self.limit, current, ceiling)
        if self._hunger.is_starved:
            better = max(better, int(lowest * 1.2))
        extra = self.estimator.grow(better, elapsed, now)
        if extra and self.promises["video"].format.rtx_payload_type is None:
            self.estimator.forgive(now)  # nothing can be tried, so time has to do
            extra = 0
        self._is_padding = extra > 0
        if extra:
            self._credit = min(self._credit + extra * elapsed / 8, MAX_PADDING * 300)
            self._pad(now)
        return changed

    def _pad(self, now: float) -> None:
        """Padding on the RTX stream: a receiver counts it and throws it away."""
        edge, promise = self.edges["video"], self.promises["video"]
        payload_type = promise.format.rtx_payload_type
        while self._credit > 0 and payload_type is not None:
            number = self._next_rtx("video")
            packet = write_padding(
                payload_type,
                number,
                promise.rtx_ssrc,
                promise.abs_send_time,
                now,
            )
            self._credit -= len(packet)
            self._padded_bytes += len(packet)
            self._port.send_rtp(edge.endpoint, packet)

    def statistics(self) -> dict[str, Any]:
        return {
            "packets": sum(edge.packets for edge in self.edges.values()),
            "bytes": sum(edge.bytes for edge in self.edges.values()),
            "dropped": sum(edge.dropped for edge in self.edges.values()),
            "nacked": sum(self.nacked.values()),
            "repeats": sum(self.repeated.values()),
            "misses": self.misses,
            "key_frames": self.key_frames,
            "fraction_lost": round(max(self.fractions.values(), default=0.0), 3),
            "round_trip": self.round_trip,
            "estimate": self.estimate,
        }
