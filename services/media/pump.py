"""The packet path in C: the calls and attributes of the twin in `port.py`, on tables in C.

C decides what `native/path.c` says; the rest comes back one event at a time, with everything
before it sent, so callbacks come in the order of the twin and may call the port. Python owns the
structs; one that C points at is held: a source by its endpoint and by the edges it may be on, an
edge by its endpoint, an endpoint by its addresses.
"""

from __future__ import annotations

from collections import Counter
from hashlib import sha256
from itertools import count
from pathlib import Path
from secrets import randbits
from time import monotonic
from typing import Any, Unpack, cast
from weakref import WeakValueDictionary

from cffi import FFI

from . import dtls
from .path import (
    ARRIVALS,
    NEVER,
    SILENCE,
    Edge,
    Endpoint,
    EndpointOwner,
    Source,
    SourceOptions,
    SourceOwner,
)
from .port import Port
from .stun import Address

NATIVE = Path(__file__).parent / "native"
LIBRARY = NATIVE / "libpump.so"
DROPS = {  # of the struct, by the name of the counter
    "receive failed": "receive_failed",
    "bad size": "bad_size",
    "unknown protocol": "unknown_protocol",
    "media from elsewhere": "media_from_elsewhere",
    "DTLS from elsewhere": "dtls_from_elsewhere",
    "not authentic": "not_authentic",
    "unknown SSRC": "unknown_ssrc",
    "too many RTCP senders": "too_many_rtcp_senders",
    "unknown payload type": "unknown_payload_type",
    "copy or too late": "copy_or_too_late",
    "send failed": "send_failed",
}


CODECS = {"VP8": 1, "H264": 2}  # `enum pump_codec`
STUN, DTLS, RTCP, UNKNOWN, GAP, FILLED, REPAIR = range(1, 8)  # `enum pump_event`
Bytes = bytes  # where an attribute has that name, too


class PumpMissing(Exception):
    """`str(error)` says why the packet path in C cannot be used."""


def fingerprint(folder: Path) -> str:
    """Of the sources: a library made from others would have other structs."""
    files = sorted(file for file in folder.iterdir() if file.suffix in (".c", ".h"))
    return sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


ffi = FFI()
ffi.cdef(
    "\n".join(
        line for line in (NATIVE / "pump.h").read_text().splitlines() if not line.startswith("#")
    )
)

_ADDRESS, _ADDRESSES, _ENDPOINT, _SOURCE, _EDGE, _PUMP = (
    ffi.typeof(name)
    for name in (
        "pump_address *",
        "pump_address[]",
        "pump_endpoint *",
        "pump_source *",
        "pump_edge *",
        "pump *",
    )
)


def load(path: Path | None = None) -> Any:
    """The library. Raises `PumpMissing`."""
    path = path or LIBRARY
    if not path.exists():
        raise PumpMissing("it was not compiled when Tertulia was installed")
    try:
        library = ffi.dlopen(str(path))
        for name in dir(library):
            getattr(library, name)  # now: cffi takes a lock for the first use, finalizers use it
        made_from = ffi.string(library.pump_fingerprint()).decode()
    except (OSError, AttributeError) as error:
        raise PumpMissing(str(error)) from None
    if made_from != fingerprint(path.parent):
        raise PumpMissing("it was made from other sources; install Tertulia again")
    return library


def _struct(item: Endpoint | Source | Edge) -> Any:
    return cast(Any, item).struct


def _field(name: str) -> Any:
    """An attribute that lives in the struct."""

    def read(item: Any) -> Any:
        return getattr(item.struct, name)

    return property(read)


def _source(name: str) -> Any:
    """A source that the struct points at."""

    def read(edge: Any) -> Source | None:
        pointer = getattr(edge.struct, name)
        return next((source for source in edge.held if source.struct == pointer), None)

    return property(read)


def _edges(name: str) -> Any:
    """Edges that the struct lists."""

    def read(source: Any) -> tuple[Edge, ...]:
        found = getattr(source.struct, name)
        return tuple(source.all_edges[found.edges[i].number] for i in range(found.count))

    return property(read)


class PumpEndpoint(Endpoint):
    __slots__ = ("_lib", "_pump", "struct")

    def __init__(self, lib: Any, pump: Any, leg: EndpointOwner, number: int) -> None:
        super().__init__(leg)
        self._lib, self._pump = lib, pump
        self.struct = ffi.new(_ENDPOINT, {"number": number})

    def __del__(self) -> None:
        self._lib.pump_shut(self._pump, self.struct)


class PumpSource(Source):
    """What does not change and what control writes is kept here, the rest in the struct."""

    __slots__ = ("_lib", "_pump", "all_edges", "struct")

    def __init__(
        self,
        lib: Any,
        pump: Any,
        all_edges: WeakValueDictionary[int, Edge],
        owner: SourceOwner,
        options: SourceOptions,
    ) -> None:
        """`all_edges` are those of the port, by number."""
        self._lib, self._pump, self.all_edges = lib, pump, all_edges
        self._describe(owner, options)
        self.struct = ffi.new(_SOURCE)
        self.struct.ssrc = self.ssrc
        self.struct.payload_type = self.payload_type
        self.struct.clock_rate = self.clock_rate
        self.struct.codec = CODECS.get(self.codec, 0)
        self.struct.repairs = self.repairs is not None
        self.struct.level_extension = self.level_extension
        self.struct.abs_send_time_extension = self.abs_send_time_extension
        self.struct.mask = options["history"] - 1
        self.struct.level = SILENCE
        self.struct.base = self.struct.highest = -1

    def __del__(self) -> None:
        self._lib.pump_end_source(self._pump, self.struct)

    base = _field("base")
    bytes = _field("bytes")
    edges = _edges("edges")
    highest = _field("highest")
    jitter = _field("jitter")
    key_frame_at = _field("key_frame_at")
    key_frame_timestamp = _field("key_frame_timestamp")
    key_frames = _field("key_frames")
    last_arrival = _field("last_arrival")
    last_timestamp = _field("last_timestamp")
    level = _field("level")
    mask = _field("mask")
    packets = _field("packets")
    waiters = _edges("waiters")

    def kept(self, sequence: int) -> Bytes | None:
        if not self.struct.ring:  # the endpoint is shut
            return None
        slot = self.struct.ring[sequence & self.struct.mask]
        packet: Bytes = ffi.buffer(slot.bytes, slot.size)[:]
        return packet if packet and packet[2] << 8 | packet[3] == sequence else None


class PumpEdge(Edge):
    """`held` are the sources that C may point at."""

    __slots__ = ("__weakref__", "_lib", "held", "struct")

    def __init__(
        self, lib: Any, endpoint: Endpoint, ssrc: int, payload_type: int, number: int
    ) -> None:
        self._lib = lib
        self.endpoint = endpoint
        self.ssrc = ssrc
        self.payload_type = payload_type
        self.held: tuple[Source, ...] = ()
        self.struct = ffi.new(_EDGE)
        self.struct.endpoint = _struct(endpoint)
        self.struct.number = number
        self.struct.ssrc = ssrc
        self.struct.payload_type = payload_type
        self.struct.since = NEVER

    def __del__(self) -> None:
        self._lib.pump_disconnect(self.struct)

    bytes = _field("bytes")
    dropped = _field("dropped")
    is_starting = _field("is_starting")
    level_offset = _field("level_offset")
    needs_key_frame = _field("needs_key_frame")
    packets = _field("packets")
    paused = _field("paused")
    picture_offset = _field("picture_offset")
    rewrite = _field("rewrite")
    sequence_offset = _field("sequence_offset")
    since = _field("since")
    source = _source("source")
    timestamp_offset = _field("timestamp_offset")
    waiting = _source("waiting")

    def hold(self, *more: Source) -> None:
        """After a change: hold what C points at now, and be held by the endpoint meanwhile."""
        now = (self.struct.source, self.struct.waiting)
        self.held = tuple(
            source for source in dict.fromkeys((*self.held, *more)) if _struct(source) in now
        )
        edges = self.endpoint.edges
        if self.held and self not in edges:
            edges.append(self)
        elif not self.held and self in edges:
            edges.remove(self)


class Pump(Port):
    def __init__(self, host: str, ports: range) -> None:
        """Raises `PumpMissing`, and `OSError` as `Port`."""
        self._lib = load()
        super().__init__(host, ports)
        pump = self._pump = ffi.new(_PUMP)
        pump.fd = self._socket.fileno()
        pump.is_ipv6 = self._is_ipv6
        pump.protect, pump.unprotect, pump.unprotect_rtcp = (
            ffi.cast("pump_transform", function) for function in dtls.native()
        )
        pump.seed = randbits(64)
        self._made(self._lib.pump_open(pump))
        self._numbers = count(1)
        self._edges: WeakValueDictionary[int, Edge] = WeakValueDictionary()
        self._open: dict[int, Endpoint] = {}  # by number

    @staticmethod
    def _made(result: int) -> None:
        if result:
            raise MemoryError

    @property
    def forwarded(self) -> int:
        return int(self._pump.forwarded)

    @property
    def counters(self) -> Counter[str]:
        for name, field in DROPS.items():
            if drops := getattr(self._pump, field):
                self._counters[name] += drops
                setattr(self._pump, field, 0)
        return self._counters

    # Control → path

    def close(self) -> None:
        super().close()
        self._lib.pump_close(self._pump)

    def route(self, address: Address, endpoint: Endpoint) -> None:
        self._made(self._lib.pump_route_to(self._pump, self._parsed(address), _struct(endpoint)))
        super().route(address, endpoint)

    def unroute(self, address: Address) -> None:
        self._lib.pump_unroute(self._pump, self._parsed(address))
        super().unroute(address)

    def aim(self, endpoint: Endpoint, address: Address) -> None:
        super().aim(endpoint, address)
        struct = _struct(endpoint)
        struct.address, struct.has_address = self._parsed(address)[0], True

    def open(self, endpoint: Endpoint, keys: dtls.Keys) -> None:
        super().open(endpoint, keys)
        struct = _struct(endpoint)
        struct.receive, struct.send = endpoint.receive, endpoint.send
        self._open[struct.number] = endpoint

    def shut(self, endpoint: Endpoint) -> None:
        struct = _struct(endpoint)
        self._open.pop(struct.number, None)
        for edge in tuple(endpoint.edges):
            self.disconnect(edge)
        self._lib.pump_shut(self._pump, struct)
        endpoint.sources.clear()
        endpoint.receive = endpoint.send = endpoint.keys = None

    def make_endpoint(self, owner: EndpointOwner) -> Endpoint:
        return PumpEndpoint(self._lib, self._pump, owner, next(self._numbers))

    def make_source(self, owner: SourceOwner, **options: Unpack[SourceOptions]) -> Source:
        return PumpSource(self._lib, self._pump, self._edges, owner, options)

    def make_edge(self, endpoint: Endpoint, ssrc: int, payload_type: int) -> Edge:
        number = next(self._numbers)
        edge = self._edges[number] = PumpEdge(self._lib, endpoint, ssrc, payload_type, number)
        return edge

    def add_source(self, endpoint: Endpoint, source: Source) -> None:
        self._made(self._lib.pump_add_source(self._pump, _struct(endpoint), _struct(source)))
        super().add_source(endpoint, source)

    def learn(self, endpoint: Endpoint) -> None:
        self._made(self._lib.pump_learn(_struct(endpoint)))

    def watch_arrivals(self, endpoint: Endpoint, extension_id: int) -> None:
        self._made(self._lib.pump_watch_arrivals(_struct(endpoint), extension_id))

    def arrivals(self, endpoint: Endpoint) -> list[tuple[int, float]]:
        struct = _struct(endpoint)
        first, number_of = struct.arrival_first, struct.arrival_count
        struct.arrival_count = 0
        noted = (struct.arrivals[(first + i) % ARRIVALS] for i in range(number_of))
        return [(arrival.number, arrival.at) for arrival in noted]

    def connect(
        self,
        edge: Edge,
        source: Source,
        *,
        at_key_frame: bool = False,
        timestamp_offset: int | None = None,
    ) -> None:
        struct = _struct(edge)
        if source is not edge.source:
            struct.has_wanted_offset = timestamp_offset is not None
            struct.wanted_offset = (timestamp_offset or 0) & 0xFFFFFFFF
        self._made(self._lib.pump_connect(struct, _struct(source), at_key_frame))
        cast(PumpEdge, edge).hold(source)

    def disconnect(self, edge: Edge) -> None:
        self._lib.pump_disconnect(_struct(edge))
        cast(PumpEdge, edge).hold()

    def pause(self, edge: Edge) -> None:
        self._lib.pump_pause(_struct(edge))

    def resume(self, edge: Edge, *, at_key_frame: bool = False) -> None:
        self._lib.pump_resume(_struct(edge), at_key_frame)

    def tap(self, source: Source, addresses: tuple[Address, ...]) -> None:
        parsed = ffi.new(_ADDRESSES, [self._parsed(one)[0] for one in addresses])
        self._made(self._lib.pump_tap(_struct(source), parsed, len(addresses)))
        super().tap(source, addresses)

    def inject(self, source: Source, packet: bytes) -> None:
        self._lib.pump_inject(self._pump, _struct(source), packet, len(packet), monotonic())

    def _parsed(self, address: Address) -> Any:
        """Raises `ValueError`."""
        parsed = ffi.new(_ADDRESS)
        if self._lib.pump_parse(parsed, address[0].encode(), address[1]):
            raise ValueError(f"no IP address: {address[0]}")
        return parsed

    # The path

    def _readable(self) -> None:
        pump, receive = self._pump, self._lib.pump_receive
        event = receive(pump, True)
        try:
            while event:
                self._decide(event, pump)
                event = receive(pump, False)
        finally:
            if event and self._loop is not None:  # an exception: the batch is not at its end
                self._loop.call_soon(self._readable)

    def _decide(self, event: int, pump: Any) -> None:
        if event in (STUN, DTLS):
            data, address = _data(pump), (ffi.string(pump.host).decode(), pump.port)
            if event == STUN:
                self._stun_received(data, address)
            else:
                self._endpoints[address].leg.dtls_received(data)
            return
        endpoint = self._open[pump.endpoint]
        if event == RTCP:
            endpoint.leg.rtcp_received(_data(pump), pump.now)
        elif event == UNKNOWN:
            endpoint.leg.unknown_received(_data(pump), pump.now)
        else:
            source = endpoint.sources[pump.ssrc]
            if event == GAP:
                source.owner.gap(source, pump.first, pump.count, pump.now)
            elif event == FILLED:
                source.owner.filled(source, pump.first)
            else:
                source.owner.repair(source, _data(pump))


def _data(pump: Any) -> bytes:
    data: bytes = ffi.buffer(pump.data, pump.size)[:]
    return data
