"""The UDP port of the worker and the packet path: receive, decrypt, keep, protect for each edge.

This is the part a pump in C replaces; its seam are the public calls of `Port` (control → path) and
`EndpointOwner` and `SourceOwner` (path → control). In the path nothing is logged or awaited, and
what cannot be handled is dropped and counted.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from socket import AF_INET6
from struct import Struct
from time import monotonic
from typing import Unpack

from . import dtls, rtp, udp
from .inspection import begins_key_frame, extension_place, renumber, vp8_numbers
from .path import (
    KEY_FRAME_CODECS,
    MAX_SENDERS,
    MAX_UNKNOWN,
    Edge,
    Endpoint,
    EndpointOwner,
    Source,
    SourceOptions,
    SourceOwner,
)
from .stun import Address

BATCH = 64  # datagrams a wake-up
DATAGRAM = 1600  # what fills it was cut off
TRAILER = 144 + 4  # libsrtp's largest
MAX_GAP = 256  # packets worth asking for again

_media = Struct("!HII")
_word = Struct("!I")


class Port:
    """Bind with `Port(...)`, then `start`; `close` ends it. `counters` names every drop."""

    def __init__(self, host: str, ports: range) -> None:
        """Takes the first free port of `ports`; raises `OSError` where there is none."""
        self._socket = udp.bind(host, ports)
        self.address: Address = udp.plain(self._socket.getsockname())
        self._is_ipv6 = self._socket.family == AF_INET6
        self.buffers = udp.buffers(self._socket)
        self.wanted_buffer = udp.BUFFER
        self._counters: Counter[str] = Counter()
        self._forwarded = 0
        self._endpoints: dict[Address, Endpoint] = {}
        self._in = dtls.Scratch(DATAGRAM)
        self._out = dtls.Scratch(DATAGRAM + TRAILER)
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def counters(self) -> Counter[str]:
        return self._counters

    @property
    def forwarded(self) -> int:
        return self._forwarded

    # Control → path

    def start(self, stun_received: Callable[[bytes, Address], None]) -> None:
        """Receive; every STUN datagram goes to `stun_received`."""
        self._stun_received = stun_received
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), self._readable)

    def close(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._loop = None
        self._socket.close()

    def route(self, address: Address, endpoint: Endpoint) -> None:
        """What comes from `address` belongs to `endpoint`."""
        self._endpoints[address] = endpoint

    def unroute(self, address: Address) -> None:
        self._endpoints.pop(address, None)

    def owner(self, address: Address) -> Endpoint | None:
        return self._endpoints.get(address)

    def aim(self, endpoint: Endpoint, address: Address) -> None:
        """Send to `address` from now on; it passed a check."""
        endpoint.address, endpoint.name = address, udp.named(self._socket, address)

    def open(self, endpoint: Endpoint, keys: dtls.Keys) -> None:
        """Media may flow to where `aim` said; `keys` are held until `shut`."""
        endpoint.keys = keys
        endpoint.receive, endpoint.send = keys.receive.pointer, keys.send.pointer

    def shut(self, endpoint: Endpoint) -> None:
        """No packet in or out any more."""
        for edge in tuple(endpoint.edges):
            self.disconnect(edge)
        for source in endpoint.sources.values():
            for edge in source.edges:
                edge.halt()  # it looks at the history
            source.ring = [None] * len(source.ring)  # else packets wait for the collector
        endpoint.sources.clear()
        endpoint.senders.clear()
        endpoint.learning = False
        endpoint.receive = endpoint.send = endpoint.keys = None

    def make_endpoint(self, owner: EndpointOwner) -> Endpoint:
        return Endpoint(owner)

    def make_source(self, owner: SourceOwner, **options: Unpack[SourceOptions]) -> Source:
        return Source(owner, **options)

    def make_edge(self, endpoint: Endpoint, ssrc: int, payload_type: int) -> Edge:
        return Edge(endpoint, ssrc, payload_type)

    def add_source(self, endpoint: Endpoint, source: Source) -> None:
        endpoint.sources[source.ssrc] = source

    def learn(self, endpoint: Endpoint) -> None:
        """Hand authentic packets of unknown SSRCs to the owner, of 64 SSRCs at most."""
        endpoint.learning = True

    def watch_arrivals(self, endpoint: Endpoint, extension_id: int) -> None:
        """Note the transport-wide sequence number of every RTP packet that comes."""
        endpoint.arrival_extension = extension_id

    def arrivals(self, endpoint: Endpoint) -> list[tuple[int, float]]:
        """Numbers (16 bit) and monotonic seconds since the last call, in order of arrival."""
        found = list(endpoint.arrivals)
        endpoint.arrivals.clear()
        return found

    def connect(
        self,
        edge: Edge,
        source: Source,
        *,
        at_key_frame: bool = False,
        timestamp_offset: int | None = None,
    ) -> None:
        """Forward `source` over `edge`, at once or when a key frame begins on it.

        An edge that has sent before goes on seamlessly: timestamps by `timestamp_offset`, else by
        the time that has passed.
        """
        self._unwait(edge)
        needs_key_frame = at_key_frame and source.codec in KEY_FRAME_CODECS
        if source is edge.source:
            edge.needs_key_frame = edge.needs_key_frame and needs_key_frame
            edge.waiting = source if edge.needs_key_frame else None
            return
        edge.wanted_offset = timestamp_offset
        if needs_key_frame:
            edge.waiting = source
            source.waiters = (*source.waiters, edge)
            if edge.source is None:
                edge.endpoint.edges.append(edge)
        else:
            self._move(edge, source)

    def disconnect(self, edge: Edge) -> None:
        self._unwait(edge)
        if edge.source is not None:
            self._leave(edge)
            edge.endpoint.edges.remove(edge)

    def pause(self, edge: Edge) -> None:
        """Send nothing over this edge."""
        if not edge.paused:
            edge.halt()
            edge.paused = True
            if edge.waiting is edge.source:
                edge.waiting = None

    def resume(self, edge: Edge, *, at_key_frame: bool = False) -> None:
        """Go on with the numbers that follow, at the next packet or key frame."""
        if not edge.paused:
            return
        edge.paused = False
        edge.needs_key_frame = (
            at_key_frame and edge.source is not None and edge.source.codec in KEY_FRAME_CODECS
        )
        if edge.needs_key_frame and edge.waiting is None:
            edge.waiting = edge.source

    def _move(self, edge: Edge, source: Source) -> None:
        if edge.source is None:
            edge.endpoint.edges.append(edge)
        else:
            self._leave(edge)
        edge.source = source
        edge.is_moved = edge.is_starting = True
        edge.needs_key_frame = False
        source.edges = (*source.edges, edge)

    def _leave(self, edge: Edge) -> None:
        source = edge.source
        if source is not None:
            edge.halt()
            source.edges = tuple(other for other in source.edges if other is not edge)
            edge.source = None

    def _unwait(self, edge: Edge) -> None:
        source, edge.waiting = edge.waiting, None
        if source is not None and source is not edge.source:
            source.waiters = tuple(other for other in source.waiters if other is not edge)
            if edge.source is None:
                edge.endpoint.edges.remove(edge)

    def tap(self, source: Source, addresses: tuple[Address, ...]) -> None:
        """Copy `source` in the clear to these addresses."""
        source.taps = addresses

    def fetch(self, source: Source, sequence: int) -> bytes | None:
        """A packet of the history, by its 16-bit sequence number at the publisher."""
        return source.kept(sequence)

    def inject(self, source: Source, packet: bytes) -> None:
        """Forward a packet that was repaired."""
        sequence = packet[2] << 8 | packet[3]
        age = source.highest - sequence & 0xFFFF
        if age <= source.mask:  # else a newer one has its place
            source.ring[sequence & source.mask] = packet
        extended = source.highest - age
        self._forward(source, packet, extended, monotonic())

    def send_datagram(self, datagram: bytes, address: Address) -> None:
        try:
            self._socket.sendto(datagram, udp.named(self._socket, address))
        except OSError:
            self._counters["send failed"] += 1

    def send_rtp(self, endpoint: Endpoint, packet: bytes) -> None:
        """Protect and send a packet that is already written for this endpoint."""
        self._protected(endpoint, packet, dtls.protect)

    def send_rtcp(self, endpoint: Endpoint, compound: bytes) -> None:
        self._protected(endpoint, compound, dtls.protect_rtcp)

    # The path

    def _readable(self) -> None:
        scratch = self._in
        receive, view = self._socket.recvfrom_into, scratch.view
        endpoints, counters = self._endpoints, self._counters
        now = monotonic()
        for _ in range(BATCH):
            try:
                size, address = receive(view)
            except BlockingIOError:
                return
            except OSError:
                counters["receive failed"] += 1  # an ICMP error of an earlier datagram
                continue
            if self._is_ipv6:
                address = udp.plain(address)
            if not 12 < size < DATAGRAM:
                counters["bad size"] += 1
                continue
            first = view[0]
            if 128 <= first <= 191:
                endpoint = endpoints.get(address)
                if endpoint is None or endpoint.receive is None:
                    counters["media from elsewhere"] += 1
                elif 192 <= view[1] <= 223:
                    self._rtcp(endpoint, size, now)
                else:
                    self._rtp(endpoint, size, now)
            elif first <= 3:
                self._stun_received(view[:size].tobytes(), address)
            elif 20 <= first <= 63:
                endpoint = endpoints.get(address)
                if endpoint is None:
                    counters["DTLS from elsewhere"] += 1
                else:
                    endpoint.leg.dtls_received(view[:size].tobytes())
            else:
                counters["unknown protocol"] += 1

    def _rtcp(self, endpoint: Endpoint, size: int, now: float) -> None:
        scratch = self._in
        sender = _word.unpack_from(scratch.view, 4)[0]
        is_new = sender not in endpoint.sources and sender not in endpoint.senders
        if is_new and len(endpoint.senders) >= MAX_SENDERS:
            self._counters["too many RTCP senders"] += 1
            return
        scratch.length[0] = size
        if dtls.unprotect_rtcp(endpoint.receive, scratch.pointer, scratch.length):
            self._counters["not authentic"] += 1
            return
        if is_new:
            endpoint.senders.add(sender)
        endpoint.leg.rtcp_received(scratch.view[: scratch.length[0]].tobytes(), now)

    def _rtp(self, endpoint: Endpoint, size: int, now: float) -> None:
        scratch = self._in
        view = scratch.view
        ssrc = _word.unpack_from(view, 8)[0]
        source = endpoint.sources.get(ssrc)
        if source is None and not (
            endpoint.learning and (ssrc in endpoint.unknown or len(endpoint.unknown) < MAX_UNKNOWN)
        ):
            self._counters["unknown SSRC"] += 1
            return
        scratch.length[0] = size
        if dtls.unprotect(endpoint.receive, scratch.pointer, scratch.length):
            self._counters["not authentic"] += 1
            return
        packet = view[: scratch.length[0]].tobytes()
        if len(packet) < rtp.HEADER:
            self._counters["bad size"] += 1
            return
        if endpoint.arrival_extension:
            place = extension_place(packet, endpoint.arrival_extension, 2)
            if place:
                endpoint.arrivals.append((packet[place] << 8 | packet[place + 1], now))
        if source is None:
            endpoint.unknown.add(ssrc)
            endpoint.leg.unknown_received(packet, now)
            source = endpoint.sources.get(ssrc)
            if source is None:
                return
        if packet[1] & 0x7F != source.payload_type:
            self._counters["unknown payload type"] += 1
            return
        if source.repairs is not None:
            source.packets += 1
            source.bytes += len(packet)
            source.owner.repair(source, packet)
            return
        sequence, timestamp, _ = _media.unpack_from(packet, 2)
        if source.level_extension:
            place = extension_place(packet, source.level_extension, 1)
            if place:
                source.level = packet[place] & 0x7F
        step = (sequence - source.highest) & 0xFFFF
        extended = source.highest + ((step + 0x8000 & 0xFFFF) - 0x8000)
        if source.highest < 0:
            extended = source.base = source.highest = sequence
            source.last_arrival, source.last_timestamp = now, timestamp
        elif step == 1:
            source.highest += 1
            # RFC 3550 6.4.1, in units of the media clock
            elapsed = (now - source.last_arrival) * source.clock_rate
            change = elapsed - (
                (timestamp - source.last_timestamp + 0x80000000 & 0xFFFFFFFF) - 0x80000000
            )
            source.jitter += (abs(change) - source.jitter) / 16
            source.last_arrival, source.last_timestamp = now, timestamp
        elif not self._irregular(source, packet, step, now):
            return
        source.ring[sequence & source.mask] = packet
        source.packets += 1
        source.bytes += len(packet)
        self._forward(source, packet, extended, now)

    def _irregular(self, source: Source, packet: bytes, step: int, now: float) -> bool:
        """A gap, a late packet or a copy: is it to be forwarded?"""
        sequence, timestamp, _ = _media.unpack_from(packet, 2)
        if 0 < step < 0x8000:
            if step <= MAX_GAP:
                source.owner.gap(source, source.highest + 1, step - 1, now)
            source.highest += step
            source.last_arrival, source.last_timestamp = now, timestamp
            return True
        age = -step & 0xFFFF
        if age > source.mask or source.kept(sequence) is not None:
            self._counters["copy or too late"] += 1
            return False
        source.owner.filled(source, source.highest - age)
        return True

    def _forward(self, source: Source, packet: bytes, extended: int, now: float) -> None:
        begins = False
        if source.codec in KEY_FRAME_CODECS and begins_key_frame(packet, source.codec):
            timestamp = int.from_bytes(packet[4:8], "big")
            begins = not source.key_frames or timestamp != source.key_frame_timestamp
            if begins:
                source.key_frames += 1
                source.key_frame_at, source.key_frame_timestamp = now, timestamp
                for edge in source.waiters:
                    if not edge.paused:
                        self._unwait(edge)
                        self._move(edge, source)
        self._fan_out(source, packet, extended, begins, now)
        for address in source.taps:
            self.send_datagram(packet, address)

    def _fan_out(
        self, source: Source, packet: bytes, extended: int, begins: bool, now: float
    ) -> None:
        original = packet
        if source.abs_send_time_extension:
            packet = rtp.stamp_abs_send_time(packet, source.abs_send_time_extension, now)
        size = len(packet)
        view, pointer, length = self._out.view, self._out.pointer, self._out.length
        protect, send = dtls.protect, self._socket.sendto
        sequence, timestamp, _ = _media.unpack_from(packet, 2)
        for edge in source.edges:
            if extended < edge.since:
                if not edge.may_join(source, original, extended, begins):
                    continue
                edge.join(source, original, extended, now)
            endpoint = edge.endpoint
            view[:size] = packet
            if edge.rewrite:
                view[1] = packet[1] & 0x80 | edge.payload_type
                _media.pack_into(
                    view,
                    2,
                    (sequence + edge.sequence_offset) & 0xFFFF,
                    (timestamp + edge.timestamp_offset) & 0xFFFFFFFF,
                    edge.ssrc,
                )
                if edge.picture_offset or edge.level_offset:
                    numbers = vp8_numbers(packet)
                    if numbers is not None:
                        renumber(view, numbers, edge.picture_offset, edge.level_offset)
            self._forwarded += 1
            length[0] = size
            if protect(endpoint.send, pointer, length):
                edge.dropped += 1
                continue
            try:
                send(view[: length[0]], endpoint.name)  # type: ignore[arg-type]
            except OSError:  # EAGAIN: the kernel's buffer is full
                edge.dropped += 1
                continue
            edge.packets += 1
            edge.bytes += size

    def _protected(self, endpoint: Endpoint, packet: bytes, protect: dtls.Transform) -> None:
        scratch = self._out
        if endpoint.send is None or endpoint.name is None or len(packet) > DATAGRAM:
            return
        scratch.view[: len(packet)] = packet
        scratch.length[0] = len(packet)
        if protect(endpoint.send, scratch.pointer, scratch.length):
            self._counters["not protected"] += 1
            return
        try:
            self._socket.sendto(scratch.view[: scratch.length[0]], endpoint.name)
        except OSError:
            self._counters["send failed"] += 1
