"""A reader of transport-wide feedback, for tests: the server only writes it."""

from __future__ import annotations

import struct
from typing import NamedTuple

from services.media import rtcp


class Feedback(NamedTuple):
    """`statuses` are all numbers from the base on, with the time in seconds or `None` for lost."""

    media_ssrc: int
    count: int
    statuses: dict[int, float | None]

    @property
    def arrivals(self) -> dict[int, float]:
        return {number: at for number, at in self.statuses.items() if at is not None}


def read(packet: rtcp.Packet) -> Feedback | None:
    """Raises `AssertionError` where the packet is not as the draft wants it."""
    if (packet.type, packet.format) != (rtcp.RTPFB, 15):
        return None
    _, media_ssrc, base, number_of, last = struct.unpack_from("!IIHHI", packet.body)
    symbols: list[int] = []
    offset = 16
    while len(symbols) < number_of:
        [chunk] = struct.unpack_from("!H", packet.body, offset)
        offset += 2
        if not chunk & 0x8000:
            symbols += [chunk >> 13] * (chunk & 0x1FFF)
        elif chunk & 0x4000:
            symbols += [chunk >> shift & 3 for shift in range(12, -1, -2)]
        else:
            symbols += [chunk >> shift & 1 for shift in range(13, -1, -1)]
    assert not any(symbols[number_of:]), "what fills a vector is not received"
    ticks = (last >> 8) << 8
    statuses: dict[int, float | None] = {}
    for index, symbol in enumerate(symbols[:number_of]):
        number = base + index & 0xFFFF
        assert symbol in (0, 1, 2)
        statuses[number] = None
        if symbol:
            [delta] = struct.unpack_from("!B" if symbol == 1 else "!h", packet.body, offset)
            offset += symbol
            ticks += delta
            statuses[number] = ticks / 4000
    assert offset == len(packet.body), "nothing behind the deltas"
    return Feedback(media_ssrc, last & 0xFF, statuses)
