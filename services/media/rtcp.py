"""RTCP (RFC 3550, 4585, 5104, REMB): what we read of it and what we write, by struct.

Reading is safe against any bytes: a malformed packet ends the compound, nothing raises.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from struct import Struct
from typing import NamedTuple

SR, RR, SDES, BYE, RTPFB, PSFB = 200, 201, 202, 203, 205, 206
NACK, TRANSPORT = 1, 15  # of RTPFB
PLI, FIR, APPLICATION = 1, 4, 15  # of PSFB
MAX_PACKETS = 32  # read of one compound
SERVER_SSRC = 1  # of our reports and requests; we send no media of our own
TRANSPORT_REPORTED = 180  # packets told of in one feedback, which so stays below 1100 bytes
TRANSPORT_SPAN = 2048  # numbers from the first to the last of one feedback
TRANSPORT_FEEDBACKS = 16  # of one call

_header = Struct("!BBH")
_sender = Struct("!IQIII")
_block = Struct("!IIIIII")
_feedback = Struct("!II")
_nack = Struct("!HH")
_ssrc = Struct("!I")
_word = Struct("!H")
_remb = Struct("!BBH")
_transport = Struct("!HHI")


class Packet(NamedTuple):
    """`format` is the report count or the feedback format; `body` follows the common header."""

    type: int
    format: int
    body: bytes


class SenderReport(NamedTuple):
    ssrc: int
    ntp: int  # 64-bit NTP time
    timestamp: int
    packets: int
    octets: int

    @property
    def middle(self) -> int:
        """The 32 bits of the NTP time that reports refer to as LSR."""
        return self.ntp >> 16 & 0xFFFFFFFF


class Block(NamedTuple):
    """One report block. `fraction` is of 256, `delay` (DLSR) in 1/65536 s."""

    ssrc: int
    fraction: int
    lost: int
    highest: int
    jitter: int
    last_report: int
    delay: int


def packets(compound: bytes) -> Iterator[Packet]:
    offset, size = 0, len(compound)
    for _ in range(MAX_PACKETS):
        if offset + 4 > size:
            return
        first, kind, words = _header.unpack_from(compound, offset)
        end = offset + 4 + 4 * words
        if first >> 6 != 2 or end > size:
            return
        body_end = end
        if first & 0x20:
            body_end -= compound[end - 1]
            if body_end < offset + 4:
                return
        yield Packet(kind, first & 0x1F, compound[offset + 4 : body_end])
        offset = end


def sender_report(packet: Packet) -> SenderReport | None:
    if packet.type != SR or len(packet.body) < _sender.size:
        return None
    return SenderReport(*_sender.unpack_from(packet.body))


def blocks(packet: Packet) -> Iterator[Block]:
    """The report blocks of an SR or RR."""
    offset = {SR: _sender.size, RR: 4}.get(packet.type)
    if offset is None:
        return
    for _ in range(packet.format):
        if offset + _block.size > len(packet.body):
            return
        ssrc, loss, highest, jitter, last, delay = _block.unpack_from(packet.body, offset)
        lost = loss & 0xFFFFFF
        if lost & 0x800000:
            lost -= 1 << 24
        yield Block(ssrc, loss >> 24, lost, highest, jitter, last, delay)
        offset += _block.size


def nacked(packet: Packet) -> tuple[int, list[int]] | None:
    """The SSRC of a generic NACK and the sequence numbers it asks for."""
    if packet.type != RTPFB or packet.format != NACK or len(packet.body) < 8:
        return None
    wanted: list[int] = []
    for offset in range(8, len(packet.body) - 3, 4):
        first, following = _nack.unpack_from(packet.body, offset)
        wanted.append(first)
        while following:
            bit = following & -following
            wanted.append((first + bit.bit_length()) & 0xFFFF)
            following ^= bit
    return _ssrc.unpack_from(packet.body, 4)[0], wanted


def key_frames_wanted(packet: Packet) -> list[int]:
    """The SSRCs a PLI or FIR asks a key frame of."""
    if packet.type != PSFB or len(packet.body) < 8:
        return []
    if packet.format == PLI:
        return [_ssrc.unpack_from(packet.body, 4)[0]]
    if packet.format == FIR:
        return [
            _ssrc.unpack_from(packet.body, offset)[0]
            for offset in range(8, len(packet.body) - 7, 8)
        ]
    return []


def remb(packet: Packet) -> int | None:
    """The bits per second a REMB allows."""
    body = packet.body
    if packet.type != PSFB or packet.format != APPLICATION or len(body) < 16:
        return None
    if body[8:12] != b"REMB":
        return None
    _, scale, mantissa = _remb.unpack_from(body, 12)
    bits: int = ((scale & 0x03) << 16 | mantissa) << (scale >> 2)
    return bits


def _pack(kind: int, count: int, body: bytes) -> bytes:
    return _header.pack(0x80 | count, kind, len(body) // 4) + body


def write_report(reports: Sequence[Block] = ()) -> bytes:
    """A receiver report; without blocks it is what a compound packet must begin with."""
    body = _ssrc.pack(SERVER_SSRC)
    for block in reports[:31]:
        body += _block.pack(
            block.ssrc,
            block.fraction << 24 | block.lost & 0xFFFFFF,
            block.highest & 0xFFFFFFFF,
            min(block.jitter, 0xFFFFFFFF),
            block.last_report,
            block.delay,
        )
    return _pack(RR, min(len(reports), 31), body)


def write_sender_report(report: SenderReport, cname: str) -> bytes:
    """An SR without blocks and the SDES that names its source."""
    name = cname.encode()[:255]
    chunk = _ssrc.pack(report.ssrc) + bytes((1, len(name))) + name
    chunk += bytes(4 - len(chunk) % 4)
    return _pack(SR, 0, _sender.pack(*report)) + _pack(SDES, 1, chunk)


def write_nack(ssrc: int, sequences: Iterable[int]) -> bytes:
    """A generic NACK for sequence numbers in rising order (16 bit each)."""
    body = _feedback.pack(SERVER_SSRC, ssrc)
    first, following = -1, 0
    for sequence in sequences:
        distance = (sequence - first) & 0xFFFF
        if first >= 0 and 0 < distance <= 16:
            following |= 1 << (distance - 1)
            continue
        if first >= 0:
            body += _nack.pack(first, following)
        first, following = sequence, 0
    if first >= 0:
        body += _nack.pack(first, following)
    return _pack(RTPFB, NACK, body)


def write_pli(ssrc: int) -> bytes:
    return _pack(PSFB, PLI, _feedback.pack(SERVER_SSRC, ssrc))


def write_remb(bits_per_second: int, ssrcs: Sequence[int]) -> bytes:
    exponent = max(0, bits_per_second.bit_length() - 18)
    mantissa = bits_per_second >> exponent
    body = _feedback.pack(SERVER_SSRC, 0) + b"REMB"
    body += _remb.pack(len(ssrcs), exponent << 2 | mantissa >> 16, mantissa & 0xFFFF)
    return _pack(PSFB, APPLICATION, body + b"".join(map(_ssrc.pack, ssrcs)))


def write_transport_feedback(
    media_ssrc: int, arrivals: Sequence[tuple[int, float]], count: int, since: int | None = None
) -> list[bytes]:
    """Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1).

    `arrivals` are 16-bit numbers with their time in seconds, in any order; what is missing between
    them is reported lost. `since` is the highest number of the feedback before, so that losses just
    behind it are reported, too. `count` is that of the first packet, the following count on from
    there. A jump of the numbers or times that one packet cannot hold begins the next one.
    """
    known: dict[int, int] = {}
    last = since
    for number, at in arrivals:
        step = 0 if last is None else ((number - last + 0x8000) & 0xFFFF) - 0x8000
        last = number & 0xFFFF if last is None else last + step
        known.setdefault(last, round(at * 4000))  # units of 250 us
    groups: list[list[tuple[int, int]]] = []
    before = 0
    for number in sorted(known):
        ticks = known[number]
        if (
            not groups
            or len(groups[-1]) >= TRANSPORT_REPORTED
            or number - groups[-1][0][0] >= TRANSPORT_SPAN
            or not -0x8000 <= ticks - before <= 0x7FFF
        ):
            groups.append([])
        groups[-1].append((number, ticks))
        before = ticks
    result: list[bytes] = []
    for group in groups[:TRANSPORT_FEEDBACKS]:
        base = group[0][0]
        if since is not None and 0 < base - since <= TRANSPORT_SPAN:
            base = since + 1
        result.append(_transport_packet(media_ssrc, base, group, count + len(result) & 0xFF))
        since = group[-1][0]
    return result


def _transport_packet(
    media_ssrc: int, base: int, arrivals: list[tuple[int, int]], count: int
) -> bytes:
    reference = arrivals[0][1] >> 8  # units of 64 ms
    symbols = [0] * (arrivals[-1][0] - base + 1)  # 0 not received, 1 small delta, 2 large delta
    deltas = bytearray()
    before = reference << 8
    for number, ticks in arrivals:
        delta, before = ticks - before, ticks
        if 0 <= delta <= 0xFF:
            symbols[number - base] = 1
            deltas.append(delta)
        else:
            symbols[number - base] = 2
            deltas += delta.to_bytes(2, "big", signed=True)
    body = _feedback.pack(SERVER_SSRC, media_ssrc & 0xFFFFFFFF)
    body += _transport.pack(base & 0xFFFF, len(symbols), (reference & 0xFFFFFF) << 8 | count)
    body += b"".join(map(_word.pack, _status_chunks(symbols))) + deltas
    padding = -len(body) % 4
    if not padding:
        return _pack(RTPFB, TRANSPORT, body)
    packet = _pack(RTPFB, TRANSPORT, body + bytes(padding - 1) + bytes((padding,)))
    return bytes((packet[0] | 0x20,)) + packet[1:]


def _status_chunks(symbols: Sequence[int]) -> Iterator[int]:
    """Runs where there are long ones, else vectors of 14 one-bit or 7 two-bit symbols."""
    start, size = 0, len(symbols)
    while start < size:
        others = (n for n in range(start + 1, size) if symbols[n] != symbols[start])
        end = min(next(others, size), start + 0x1FFF)
        if end - start >= 14 or end == size or (symbols[start] == 2 and end - start >= 7):
            yield symbols[start] << 13 | end - start
            start = end
            continue
        width = 14 if max(symbols[start : start + 14]) < 2 else 7
        bits = 14 // width
        chunk = 0x8000 if bits == 1 else 0xC000
        for index, symbol in enumerate(symbols[start : start + width], 1):
            chunk |= symbol << (14 - bits * index)
        yield chunk
        start += width
