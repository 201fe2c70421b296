"""The UDP port of the worker and the packet path: receive, decrypt, keep, protect for each edge.

This is the part a pump in C replaces; its seam are the public calls of `Port` (control → path) and
`EndpointOwner` and `SourceOwner` (path → control). In the path nothing is logged or awaited, and
what cannot be handled is dropped and counted.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Address
from struct import Struct
from time import monotonic

from . import dtls, rtp
from .inspection import begins_key_frame, vp8_numbers
from .path import KEY_FRAME_CODECS, MAX_UNKNOWN, NEVER, Edge, Endpoint, Sent, Source
from .stun import Address

BUFFER = 4 * 1024 * 1024  # bytes, both ways: the default loses packets at 25,000 a second
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
        self._socket = _bind(str(IPv4Address(host)), ports)
        self.address: Address = self._socket.getsockname()
        self.buffers = (
            self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2,  # Linux doubles
            self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 2,
        )
        self.wanted_buffer = BUFFER
        self.counters: Counter[str] = Counter()
        self.forwarded = 0
        self._endpoints: dict[Address, Endpoint] = {}
        self._in = dtls.Scratch(DATAGRAM)
        self._out = dtls.Scratch(DATAGRAM + TRAILER)
        self._loop: asyncio.AbstractEventLoop | None = None

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
        endpoint.address = address

    def open(self, endpoint: Endpoint, keys: dtls.Keys) -> None:
        """Media may flow to where `aim` said; `keys` are held until `shut`."""
        endpoint.keys = keys
        endpoint.receive, endpoint.send = keys.receive.pointer, keys.send.pointer

    def shut(self, endpoint: Endpoint) -> None:
        """No packet in or out any more."""
        for edge in tuple(endpoint.edges):
            self.disconnect(edge)
        endpoint.sources.clear()
        endpoint.receive = endpoint.send = endpoint.keys = None

    def make_endpoint(self, owner):
        return Endpoint(owner)

    def make_source(self, owner, **keywords):
        return Source(owner, **keywords)

    def make_edge(self, endpoint, ssrc, payload_type):
        return Edge(endpoint, ssrc, payload_type)

    def add_source(self, endpoint, source):
        endpoint.sources[source.ssrc] = source

    def remove_source(self, endpoint, source):
        endpoint.sources.pop(source.ssrc, None)

    def learn(self, endpoint):
        endpoint.learning = True

    def watch_arrivals(self, endpoint, extension_id):
        endpoint.arrival_extension = extension_id

    def arrivals(self, endpoint):
        got = list(endpoint.arrivals)
        endpoint.arrivals.clear()
        return got

    def connect(self, edge, source, *, at_key_frame=False, timestamp_offset=None):
        self._unwait(edge)
        if edge.source is source:
            return
        edge.wanted_offset = timestamp_offset
        if at_key_frame and source.codec in KEY_FRAME_CODECS:
            edge.waiting = source
            source.waiters = (*source.waiters, edge)
        else:
            self._begin(edge, source)

    def _unwait(self, edge):
        if edge.waiting is not None:
            edge.waiting.waiters = tuple(e for e in edge.waiting.waiters if e is not edge)
            edge.waiting = None

    def _begin(self, edge, source):
        old = edge.source
        if old is not None:
            old.edges = tuple(e for e in old.edges if e is not edge)
        else:
            edge.endpoint.edges.append(edge)
        edge.source = source
        source.edges = (*source.edges, edge)
        edge.is_starting, edge.is_moved, edge.since = True, True, NEVER

    def disconnect(self, edge):
        self._unwait(edge)
        source = edge.source
        if source is not None:
            source.edges = tuple(e for e in source.edges if e is not edge)
            edge.endpoint.edges.remove(edge)
            edge.source = None

    def pause(self, edge):
        edge.paused = True

    def resume(self, edge, *, at_key_frame=False):
        edge.paused = False
        edge.is_starting = True
        edge.needs_key_frame = at_key_frame and edge.source is not None and edge.source.codec in KEY_FRAME_CODECS

    def tap(self, source: Source, addresses: tuple[Address, ...]) -> None:
        """Copy `source` in the clear to these addresses."""
        source.taps = addresses

    def fetch(self, source: Source, sequence: int) -> bytes | None:
        """A packet of the history, by its 16-bit sequence number at the publisher."""
        packet = source.ring[sequence & source.mask]
        if packet is None or (packet[2] << 8 | packet[3]) != sequence:
            return None
        return packet

    def inject(self, source: Source, packet: bytes) -> None:
        """Forward a packet that was repaired."""
        source.ring[(packet[2] << 8 | packet[3]) & source.mask] = packet
        self._forward(source, packet)

    def send_datagram(self, datagram: bytes, address: Address) -> None:
        try:
            self._socket.sendto(datagram, address)
        except OSError:
            self.counters["send failed"] += 1

    def send_rtp(self, endpoint: Endpoint, packet: bytes) -> None:
        """Protect and send a packet that is already written for this endpoint."""
        self._protected(endpoint, packet, dtls.protect)

    def send_rtcp(self, endpoint: Endpoint, compound: bytes) -> None:
        self._protected(endpoint, compound, dtls.protect_rtcp)

    # The path

    def _readable(self) -> None:
        scratch = self._in
        receive, view = self._socket.recvfrom_into, scratch.view
        endpoints, counters = self._endpoints, self.counters
        now = monotonic()
        for _ in range(BATCH):
            try:
                size, address = receive(view)
            except BlockingIOError:
                return
            except OSError:
                counters["receive failed"] += 1  # an ICMP error of an earlier datagram
                continue
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
        scratch.length[0] = size
        if dtls.unprotect_rtcp(endpoint.receive, scratch.pointer, scratch.length):
            self.counters["not authentic"] += 1
            return
        endpoint.leg.rtcp_received(scratch.view[: scratch.length[0]].tobytes(), now)

    def _rtp(self, endpoint: Endpoint, size: int, now: float) -> None:
        scratch = self._in
        view = scratch.view
        ssrc = _word.unpack_from(view, 8)[0]
        source = endpoint.sources.get(ssrc)
        if source is None and not (
            endpoint.learning and (ssrc in endpoint.unknown or len(endpoint.unknown) < MAX_UNKNOWN)
        ):
            self.counters["unknown SSRC"] += 1
            return
        scratch.length[0] = size
        if dtls.unprotect(endpoint.receive, scratch.pointer, scratch.length):
            self.counters["not authentic"] += 1
            return
        packet = view[: scratch.length[0]].tobytes()
        if endpoint.arrival_extension:
            data = rtp.extension(packet, endpoint.arrival_extension)
            if data is not None and len(data) == 2:
                endpoint.arrivals.append((int.from_bytes(data, "big"), now))
        if source is None:
            endpoint.unknown.add(ssrc)
            endpoint.leg.unknown_received(packet, now)
            source = endpoint.sources.get(ssrc)
            if source is None:
                return
        if len(packet) < rtp.HEADER or packet[1] & 0x7F != source.payload_type:
            self.counters["unknown payload type"] += 1
            return
        if source.repairs is not None:
            source.packets += 1
            source.bytes += len(packet)
            source.owner.repair(source, packet)
            return
        sequence, timestamp, _ = _media.unpack_from(packet, 2)
        step = (sequence - source.highest) & 0xFFFF
        if step == 1 and source.highest >= 0:
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
        self._forward(source, packet)

    def _irregular(self, source: Source, packet: bytes, step: int, now: float) -> bool:
        """A first packet, a gap, a late packet or a copy: is it to be forwarded?"""
        sequence, timestamp, _ = _media.unpack_from(packet, 2)
        if source.highest < 0:
            source.base = source.highest = sequence
            source.last_arrival, source.last_timestamp = now, timestamp
            source.owner.began(source, packet, now)
            return True
        if 0 < step < 0x8000:
            if step <= MAX_GAP:
                source.owner.gap(source, source.highest + 1, step - 1, now)
            source.highest += step
            source.last_arrival, source.last_timestamp = now, timestamp
            return True
        age = -step & 0xFFFF
        if age > source.mask or self.fetch(source, sequence) is not None:
            self.counters["copy or too late"] += 1
            return False
        source.owner.filled(source, source.highest - age)
        return True

    def _forward(self, source, packet):
        key = begins_key_frame(packet, source.codec)
        if key:
            source.key_frames += 1
            source.key_frame_at = monotonic()
            for edge in source.waiters:
                edge.waiting = None
                self._begin(edge, source)
            source.waiters = ()
        for edge in source.edges:
            self._send(edge, source, packet, key)
        for address in source.taps:
            self.send_datagram(packet, address)

    def _send(self, edge, source, packet, key):
        sequence, timestamp, _ = _media.unpack_from(packet, 2)
        extended = source.highest - (source.highest - sequence & 0xFFFF)
        if edge.paused or (edge.needs_key_frame and not key):
            return
        now = monotonic()
        numbers = vp8_numbers(packet) if source.codec == "VP8" else None
        if edge.is_starting:
            last = edge.last
            if last is None:
                edge.rewrite = (edge.ssrc, edge.payload_type) != (source.ssrc, source.payload_type)
            else:
                edge.rewrite = True
                edge.sequence_offset = last.sequence + 1 - sequence & 0xFFFF
                if edge.is_moved:
                    offset = edge.wanted_offset
                    if offset is None:
                        offset = last.timestamp + int((now - last.at) * source.clock_rate) - timestamp
                    edge.timestamp_offset = offset & 0xFFFFFFFF
            edge.is_starting = edge.is_moved = edge.needs_key_frame = False
            edge.since = extended
        if extended < edge.since:
            return
        out = edge.rewritten(packet)
        edge.last = Sent(int.from_bytes(out[2:4], "big"), int.from_bytes(out[4:8], "big"), now, None, None)
        self.forwarded += 1
        self.send_rtp(edge.endpoint, out)
        edge.packets += 1
        edge.bytes += len(out)

    def _protected(self, endpoint: Endpoint, packet: bytes, protect: dtls.Transform) -> None:
        scratch = self._out
        if endpoint.send is None or endpoint.address is None or len(packet) > DATAGRAM:
            return
        scratch.view[: len(packet)] = packet
        scratch.length[0] = len(packet)
        if protect(endpoint.send, scratch.pointer, scratch.length):
            self.counters["not protected"] += 1
            return
        try:
            self._socket.sendto(scratch.view[: scratch.length[0]], endpoint.address)
        except OSError:
            self.counters["send failed"] += 1


def _bind(host: str, ports: range) -> socket.socket:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        udp.setblocking(False)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        for port in ports:
            try:
                udp.bind((host, port))
            except OSError:
                if port == ports[-1]:
                    raise
            else:
                return udp
        raise OSError("no UDP port to try")
    except OSError:
        udp.close()
        raise
