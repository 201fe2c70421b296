"""Publishers, subscribers and strangers around one packet path, driven step by step.

Real sockets and real SRTP, no loop: `settle` reads what came. All that anybody got or was told is
in `story`, without what depends on the time, so that two paths can be compared.
"""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from typing import Any

from pylibsrtp import Error, Policy, Session

from services.media import dtls, rtp
from services.media.path import Edge, Endpoint, Source
from services.media.port import Port
from services.media.udp import BUFFER

# Nobody else sends there: not to us, and not to the former owner of a port of ours.
HOST = f"127.1.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"
HERE = (HOST, range(1))
STAMP, LEVEL, TRANSPORT = 2, 1, 3  # header extensions
PUBLISHERS = SUBSCRIBERS = 2
# Of a publisher: codec, payload type, history. The last is the first's repair, `LEARNED` is
# added when its first packet comes.
SOURCES = (("VP8", 96, 8), ("opus", 111, 4), ("H264", 102, 8), ("VP8", 97, 1))
LEARNED = ("VP8", 96, 8)
REPAIR = 3
EDGES = ((0, 96), (7000, 96), (8000, 120))  # SSRC (0: as the first source of all), payload type

FORMS = (  # first byte, what follows the fixed header
    (0x80, b""),
    (0x90, b"\xbe\xde\0\3" + b"\x10\xaa\x22abc\x31\1\2\0\0\0"),
    (0x90, b"\x10\0\0\4" + b"\1\1\x55\0\2\3abc\3\2\7\7\0\0\0\0"),
    (0x92, bytes(8) + b"\xbe\xde\0\1" + b"\xf0\x10\xaa\0"),  # sources, id 15
    (0x90, b"\xbe\xde\0\2" + b"\x21ab\x22abc\x3f"),  # too short, too long
    (0x90, b"\x10\0\0\1" + b"\1\0\2\3"),
    (0x90, b"\xbe\xde\0\xff"),  # no end
    (0x90, b"\0\1\0\0"),  # another profile
    (0xB0, b"\xbe\xde\0\0"),
    (0xA0, b""),  # padded, where the payload's last byte says so
)
PAYLOADS = (
    b"\x10\0key",
    b"\x10\1delta",
    b"\0\0middle",
    b"\x90\x80\x05\0key, 7 bits",
    b"\x90\xc0\x92\x34\7\1delta, 15 bits",
    b"\x90\xf0\xff\xff\xff\x20\0key, all fields",
    b"\x80\xff\xff",
    b"\x90",
    b"",
    b"\x65IDR",
    b"\x67SPS",
    b"\x7c\x85fragment",
    b"\x78\0\3\x67a",
    b"\x41delta" * 100,
    b"\0\0\0\4",  # nothing but padding
    b"\x90\xc0\x92\x34\7\1delta, padded\0\0\3",
)
LOOKED_AT = (
    *("ssrc", "base", "highest", "packets", "bytes", "jitter", "last_timestamp", "level", "lost"),
    *("key_frames", "key_frame_timestamp", "mask"),
)
OF_EDGES = (
    *("ssrc", "payload_type", "paused", "is_starting", "needs_key_frame", "since", "rewrite"),
    *("sequence_offset", "timestamp_offset", "picture_offset", "level_offset"),
    *("packets", "bytes", "dropped"),
)

Plan = list[list[tuple[Any, ...]]]


def bound() -> socket.socket:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setblocking(False)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    udp.bind((HOST, 0))
    return udp


def received(udp: socket.socket) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(udp.recv(2048))
        except BlockingIOError:
            return found


def sessions(number: int) -> tuple[Session, Session]:
    """One way of a connection: that which protects and that which takes."""
    key = bytes((number,)) * 30
    outgoing = Policy(key=key, ssrc_type=Policy.SSRC_ANY_OUTBOUND)
    outgoing.allow_repeat_tx = True
    return Session(outgoing), Session(Policy(key=key, ssrc_type=Policy.SSRC_ANY_INBOUND))


class Client:
    """A connected endpoint. It is the owner of all that it publishes."""

    def __init__(self, world: World, number: int) -> None:
        self.world, self.number = world, number
        self.socket = bound()
        self.address = self.socket.getsockname()
        self.send, receive = sessions(number)
        send, self.take = sessions(number + 100)
        self.keys = dtls.Keys(dtls.SrtpContext(receive), dtls.SrtpContext(send))
        self.sources: list[Source] = []
        self.sequences = [65530, 5, 0, 0, 65535]
        self.timestamps = [0xFFFFF000, 7, 0, 0, 99]
        self.edges: list[Edge] = []
        port = world.port
        self.endpoint: Endpoint = port.make_endpoint(self)
        port.route(self.address, self.endpoint)
        port.aim(self.endpoint, self.address)
        port.open(self.endpoint, self.keys)

    def publish(self) -> None:
        for index, (codec, payload_type, history) in enumerate(SOURCES):
            repairs = self.sources[0] if index == REPAIR else None
            self._add(index, codec if not repairs else "", payload_type, history, repairs)
        self.world.port.learn(self.endpoint)
        self.world.port.watch_arrivals(self.endpoint, TRANSPORT)

    def _add(
        self, index: int, codec: str, payload_type: int, history: int, repairs: Source | None
    ) -> Source:
        port = self.world.port
        source = port.make_source(
            self,
            ssrc=self.ssrc(index),
            payload_type=payload_type,
            clock_rate=0,  # no time passes
            history=history,
            codec=codec,
            repairs=repairs,
            level_extension=LEVEL,
            abs_send_time_extension=STAMP,
        )
        port.add_source(self.endpoint, source)
        self.sources.append(source)
        return source

    def ssrc(self, index: int) -> int:
        return self.number * 1000 + index

    def packet(self, index: int, sequence: int, timestamp: int, form: int, payload: int) -> bytes:
        first, extensions = FORMS[form]
        payload_type = (*SOURCES, LEARNED)[index][1]
        numbers = (sequence & 0xFFFF, timestamp & 0xFFFFFFFF, self.ssrc(index))
        return struct.pack("!BBHII", first, payload_type, *numbers) + extensions + PAYLOADS[payload]

    def protected(self, packet: bytes) -> None:
        with suppress(Error):  # libsrtp refuses what has no sound header
            self.socket.sendto(self.send.protect(packet), self.world.port.address)

    def read(self, datagram: bytes) -> tuple[Any, ...]:
        """What came to it, but for the time in it."""
        try:
            if 192 <= datagram[1] <= 223:
                return "rtcp", self.take.unprotect_rtcp(datagram)
            return "rtp", rtp.stamp_abs_send_time(self.take.unprotect(datagram), STAMP, 0)
        except Error:  # a number for the second time
            return "unreadable", len(datagram)

    # From the packet path

    def dtls_received(self, datagram: bytes) -> None:
        self.world.told("dtls", self.number, datagram)

    def rtcp_received(self, compound: bytes, now: float) -> None:
        self.world.told("rtcp", self.number, compound)

    def unknown_received(self, packet: bytes, now: float) -> None:
        index = int.from_bytes(packet[8:12], "big") - self.number * 1000
        if index == len(SOURCES) and len(self.sources) == index:
            self._add(index, *LEARNED, None)
        self.world.told("unknown", self.number, packet)

    def gap(self, source: Source, first: int, count: int, now: float) -> None:
        self.world.told("gap", source.ssrc, first, count)

    def filled(self, source: Source, sequence: int) -> None:
        self.world.told("filled", source.ssrc, sequence)

    def repair(self, repairing: Source, packet: bytes) -> None:
        source = repairing.repairs
        assert source is not None
        original = rtp.unpack_rtx(packet, source.payload_type, source.ssrc)
        if original is not None and source.highest >= 0:
            self.world.port.inject(source, original)
        self.world.told("repair", repairing.ssrc, packet)


class World:
    def __init__(self, port: Port) -> None:
        self.port = port
        self.story: list[tuple[Any, ...]] = []
        self.reactions: list[tuple[Any, ...]] = []
        self.clients: list[Client] = []  # publishers first
        self.tap, self.stranger = bound(), bound()
        self._numbers = self._sent = 0
        port._stun_received = self._stun_received
        for _ in range(PUBLISHERS):
            self.clients.append(self._client())
            self.clients[-1].publish()
        for _ in range(SUBSCRIBERS):
            self.clients.append(self._subscriber())

    def _client(self) -> Client:
        self._numbers += 1
        return Client(self, self._numbers)

    def _subscriber(self) -> Client:
        client = self._client()
        for ssrc, payload_type in EDGES:
            number = ssrc or self.clients[0].sources[0].ssrc
            client.edges.append(self.port.make_edge(client.endpoint, number, payload_type))
        return client

    def close(self) -> None:
        for client in self.clients:
            self._end(client)
        self.port.close()
        self.tap.close()
        self.stranger.close()

    def _end(self, client: Client) -> None:
        self.port.shut(client.endpoint)
        self.port.unroute(client.address)
        client.socket.close()

    def _stun_received(self, datagram: bytes, address: Any) -> None:
        """Ports differ, so who it was tells his place."""
        clients = [index for index, one in enumerate(self.clients) if one.address == address]
        self.told("stun", datagram, clients)

    def told(self, *what: Any) -> None:
        """A callback: part of the story, and the time for a step that was put off to it."""
        self.story.append(what)
        if not self.reactions:
            return
        if what[0] in ("gap", "filled") and self.reactions[0][0] == "renew":
            return  # the end of a publisher while his packet is looked at may drop it or not
        name, *arguments = self.reactions.pop(0)
        getattr(self, name)(*arguments)

    # Steps

    def run(self, plan: Plan) -> None:
        """What a part of the plan sends is there before any of it is read."""
        for steps in plan:
            for name, *arguments in steps:
                getattr(self, name)(*arguments)
            self.story.append(steps)
            self.settle()
        self.look()

    def settle(self) -> None:
        for _ in range(8):  # wake-ups; each reads only so much
            self.port._readable()
        self.collect()

    def collect(self) -> None:
        for index, client in enumerate(self.clients):
            for datagram in received(client.socket):
                self.story.append((index, *client.read(datagram)))
        self.story += [("tapped", datagram) for datagram in received(self.tap)]

    def packet(self, who: int, index: int, on: tuple[int, int], form: int, payload: int) -> None:
        """The next packet of a source: so many numbers and ticks behind the last."""
        client = self.clients[who]
        client.sequences[index] += on[0]
        client.timestamps[index] += on[1]
        numbers = client.sequences[index], client.timestamps[index]
        client.protected(client.packet(index, *numbers, form, payload))

    def burst(self, who: int, index: int, count: int) -> None:
        for _ in range(count):
            self.packet(who, index, (1, 3000), 1, 4)

    def stray(self, who: int, index: int) -> None:
        """Of a payload type that is not that of its source."""
        client = self.clients[who]
        packet = bytearray(client.packet(index, client.sequences[index] + 1, 0, 0, 0))
        packet[1] = 99
        client.protected(bytes(packet))

    def repeat(self, who: int, back: int) -> None:
        """A packet of the first source on its repair stream."""
        client = self.clients[who]
        wanted = client.sequences[0] - back
        original = client.packet(0, wanted, wanted * 10, 0, 0)
        client.sequences[REPAIR] += 1
        again = rtp.pack_rtx(original, 97, client.sequences[REPAIR] & 0xFFFF, client.ssrc(REPAIR))
        assert again is not None
        client.protected(again)

    def raw(self, who: int, first: int, size: int) -> None:
        """Garbage of a client; of a stranger where there is no such client."""
        garbage = (bytes((first,)) * size)[:size]
        udp = self.clients[who].socket if who < len(self.clients) else self.stranger
        udp.sendto(garbage, self.port.address)

    def report(self, who: int, sender: int = 1, count: int = 1, is_sound: bool = True) -> None:
        """Reports of so many SSRCs."""
        client = self.clients[who]
        for ssrc in range(sender, sender + count):
            compound = struct.pack("!BBHI", 0x80, 201, 1, ssrc)
            datagram = client.send.protect_rtcp(compound)
            if not is_sound:
                datagram = datagram[:-1] + bytes((datagram[-1] ^ 1,))
            client.socket.sendto(datagram, self.port.address)

    # Control

    def connect(
        self, who: int, edge: int, origin: tuple[int, int], late: bool, offset: int | None
    ) -> None:
        publisher, index = origin
        sources = self.clients[publisher].sources
        if index < len(sources) and index != REPAIR:
            self.port.connect(
                self._edge(who, edge),
                sources[index],
                at_key_frame=late,
                timestamp_offset=offset,
            )

    def disconnect(self, who: int, edge: int) -> None:
        self.port.disconnect(self._edge(who, edge))

    def pause(self, who: int, edge: int) -> None:
        self.port.pause(self._edge(who, edge))

    def resume(self, who: int, edge: int, late: bool) -> None:
        self.port.resume(self._edge(who, edge), at_key_frame=late)

    def _edge(self, who: int, edge: int) -> Edge:
        return self.clients[PUBLISHERS + who].edges[edge]

    def copy(self, who: int, index: int, times: int) -> None:
        """Taps."""
        self.port.tap(self.clients[who].sources[index], (self.tap.getsockname(),) * times)

    def inject(self, who: int, back: int) -> None:
        client = self.clients[who]
        if client.sources[0].highest >= 0:
            number = client.sources[0].highest - back
            self.port.inject(client.sources[0], client.packet(0, number, number * 10, 1, 1))

    def route(self, who: int, there: bool) -> None:
        client = self.clients[who]
        if there:
            self.port.route(client.address, client.endpoint)
        else:
            self.port.unroute(client.address)

    def aim(self, who: int, well: bool) -> None:
        client = self.clients[who]
        self.port.aim(client.endpoint, client.address if well else ("255.255.255.255", 9))

    def send(self, who: int) -> None:
        self._sent += 1
        packet = struct.pack("!BBHII", 0x80, 97, self._sent, 0, 9999) + b"padding"
        self.port.send_rtp(self.clients[who].endpoint, packet)
        compound = struct.pack("!BBHI", 0x80, 201, 1, who)
        self.port.send_rtcp(self.clients[who].endpoint, compound)

    def renew(self, who: int) -> None:
        """The client goes and another takes his place."""
        self._end(self.clients[who])
        if who < PUBLISHERS:
            self.clients[who] = self._client()
            self.clients[who].publish()
        else:
            self.clients[who] = self._subscriber()

    def later(self, *step: Any) -> None:
        """Inside the next callback."""
        self.reactions.append(step)

    def look(self) -> None:
        """Whatever control may look at."""
        self.story.append(("counters", {k: v for k, v in self.port.counters.items() if v}))
        self.story.append(("forwarded", self.port.forwarded))
        for client in self.clients:
            self.story.append([n for n, _ in self.port.arrivals(client.endpoint)])  # type: ignore[arg-type]
            for source in client.sources:
                self.story.append(("source", *(getattr(source, name) for name in LOOKED_AT)))
                self.story.append(tuple(self._edge_name(edge) for edge in source.edges))
                self.story.append(tuple(self._edge_name(edge) for edge in source.waiters))
                kept = [source.kept(number & 0xFFFF) for number in range(-20, 20)]
                self.story.append(tuple(kept))
            for edge in client.edges:
                self.story.append(("edge", *(getattr(edge, name) for name in OF_EDGES)))
                for source in (edge.source, edge.waiting):
                    self.story.append(("of", source and source.ssrc))
                self.story.append((edge in client.endpoint.edges,))
                self.story.append((edge.rewritten(client.packet(0, 7, 9, 0, 3)),))

    def _edge_name(self, edge: Edge) -> tuple[int, int]:
        owner = edge.endpoint.leg
        assert isinstance(owner, Client)
        return owner.number, owner.edges.index(edge)
