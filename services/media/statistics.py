"""Figures of every track, as the other services hear them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from services.conference.calls import TrackStatistics
from services.conference.model import Direction

from .stream import Publication
from .subscription import Subscription
from .track import Track


class _Seen(NamedTuple):
    at: float
    bytes: int
    packets: int
    lost: int


_Key = tuple[str, str, str]  # connection, stream, kind


class Sampler:
    """Remembers the counters of the period before."""

    def __init__(self) -> None:
        self._before: dict[_Key, _Seen] = {}

    def sample(self, publications: Iterable[Publication], now: float) -> list[TrackStatistics]:
        seen: dict[_Key, _Seen] = {}
        result = []
        for publication in publications:
            for track in publication.tracks.values():
                result.append(self._published(publication, track, seen, now))
                result.extend(
                    self._sent(publication, track, subscription, seen, now)
                    for subscription in publication.subscriptions.values()
                    if track.kind in subscription.edges
                )
        self._before = seen
        return result

    def _period(self, key: _Key, now: _Seen, seen: dict[_Key, _Seen]) -> tuple[int, float]:
        """Bit/s and share lost since the last time."""
        before = self._before.get(key)
        seen[key] = now
        if before is None or now.at <= before.at or now.bytes < before.bytes:
            return 0, 0.0  # a new track, or a new transport
        bitrate = int((now.bytes - before.bytes) * 8 / (now.at - before.at))
        lost = max(0, now.lost - before.lost)
        expected = now.packets - before.packets + lost
        return bitrate, round(lost / expected, 4) if expected > 0 else 0.0

    def _published(
        self, publication: Publication, track: Track, seen: dict[_Key, _Seen], now: float
    ) -> TrackStatistics:
        packets, octets, lost = track.totals
        key = (publication.connection_id, publication.stream_id, track.kind)
        bitrate, fraction = self._period(key, _Seen(now, octets, packets, lost), seen)
        trips = [layer.missing.round_trip for layer in track.layers]
        trip = next((trip for trip in trips if trip is not None), None)
        top = track.source
        return TrackStatistics(
            publication.session_id,
            publication.connection_id,
            publication.stream_id,
            Direction.OUTBOUND,
            track.kind,
            packets=packets,
            bytes=octets,
            lost=lost,
            repaired=track.repaired,
            nacks=track.nacks,
            key_frame_requests=publication.plis if track.kind == "video" else 0,
            bitrate=bitrate,
            jitter=round(top.jitter * 1000 / top.clock_rate, 2) if top is not None else 0.0,
            fraction_lost=fraction,
            round_trip=None if trip is None else round(trip * 1000, 2),
            level=top.level if track.kind == "audio" and top is not None else None,
        )

    def _sent(
        self,
        publication: Publication,
        track: Track,
        subscription: Subscription,
        seen: dict[_Key, _Seen],
        now: float,
    ) -> TrackStatistics:
        kind, edge = track.kind, subscription.edges[track.kind]
        key = (subscription.connection_id, publication.stream_id, kind)
        lost = subscription.lost[kind]
        bitrate, _ = self._period(key, _Seen(now, edge.bytes, edge.packets, lost), seen)
        trip = subscription.round_trip
        layer = track.layer_of(edge.source)
        return TrackStatistics(
            publication.session_id,
            subscription.connection_id,
            publication.stream_id,
            Direction.INBOUND,
            kind,
            packets=edge.packets,
            bytes=edge.bytes,
            lost=lost,
            repaired=subscription.repeated[kind],
            nacks=subscription.nacked[kind],
            key_frame_requests=subscription.key_frames if kind == "video" else 0,
            bitrate=bitrate,
            jitter=round(subscription.jitters[kind], 2),
            fraction_lost=round(subscription.fractions[kind], 4),
            round_trip=None if trip is None else round(trip * 1000, 2),
            estimate=subscription.estimate,
            layer=layer.rid if layer is not None else "",
        )


def in_parts(tracks: list[TrackStatistics], size: int) -> Iterator[tuple[TrackStatistics, ...]]:
    for start in range(0, len(tracks), size):
        yield tuple(tracks[start : start + size])
