"""RTP headers (RFC 3550), header extensions (RFC 8285) and RTX payloads (RFC 4588), by struct.

Everything here takes bytes from the network: a malformed packet gives `None` or nothing, never an
exception.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

HEADER = 12
_words = Struct("!H")
_rtx = Struct("!BBHII")


def payload_offset(packet: bytes) -> int | None:
    """Where the payload begins: after the header, its CSRC list and its extension."""
    size = len(packet)
    if size < HEADER or packet[0] >> 6 != 2:
        return None
    offset = HEADER + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        if offset + 4 > size:
            return None
        offset += 4 + 4 * _words.unpack_from(packet, offset + 2)[0]
    return offset if offset <= size else None


def elements(packet: bytes) -> Iterator[tuple[int, int, int]]:
    """Id, start and end of the data of each header extension, in the one- or two-byte form."""
    end = payload_offset(packet)
    if end is None or not packet[0] & 0x10:
        return
    offset = HEADER + 4 * (packet[0] & 0x0F)
    profile = _words.unpack_from(packet, offset)[0]
    one_byte = profile == 0xBEDE
    if not one_byte and profile >> 4 != 0x100:
        return
    offset += 4
    while offset < end:
        first = packet[offset]
        if first == 0:
            offset += 1  # padding between elements
            continue
        if one_byte:
            identifier, length, start = first >> 4, (first & 0x0F) + 1, offset + 1
            if identifier == 15:
                return
        else:
            if offset + 2 > end:
                return
            identifier, length, start = first, packet[offset + 1], offset + 2
        offset = start + length
        if offset > end:
            return
        yield identifier, start, offset


def extension(packet: bytes, wanted: int) -> bytes | None:
    """The data of one header extension."""
    for identifier, start, end in elements(packet):
        if identifier == wanted:
            return packet[start:end]
    return None


def identification(packet: bytes, wanted: int) -> str:
    """The text of a header extension that names a stream: mid, rid, repaired rid (RFC 7941).

    Empty where there is none; `wanted` 0 means that the extension was not negotiated.
    """
    data = extension(packet, wanted) if wanted else None
    return data.decode() if data is not None and data.isascii() else ""


def stamp_abs_send_time(packet: bytes, extension_id: int, now: float) -> bytes:
    """The packet with its abs-send-time set to `now`, in seconds of any clock.

    As it was if it has no such extension: a packet gets no room that it did not bring.
    """
    for identifier, start, end in elements(packet):
        if identifier == extension_id and end - start == 3:
            time = int(now * 0x40000) & 0xFFFFFF  # 6.18 bit fixed point
            return packet[:start] + time.to_bytes(3, "big") + packet[end:]
    return packet


def pack_rtx(packet: bytes, payload_type: int, sequence: int, ssrc: int) -> bytes | None:
    """A packet once more on its RTX stream: own header, original sequence before the payload."""
    offset = payload_offset(packet)
    if offset is None:
        return None
    header = _rtx.pack(
        packet[0],
        packet[1] & 0x80 | payload_type,
        sequence,
        int.from_bytes(packet[4:8], "big"),
        ssrc,
    )
    return header + packet[HEADER:offset] + packet[2:4] + packet[offset:]


def unpack_rtx(packet: bytes, payload_type: int, ssrc: int) -> bytes | None:
    """The original packet in an RTX packet; `None` for padding sent as a probe."""
    offset = payload_offset(packet)
    if offset is None:
        return None
    end = len(packet)
    if packet[0] & 0x20:
        end -= packet[-1]
    if end - offset <= 2:
        return None
    header = _rtx.pack(
        packet[0] & 0xDF,
        packet[1] & 0x80 | payload_type,
        _words.unpack_from(packet, offset)[0],
        int.from_bytes(packet[4:8], "big"),
        ssrc,
    )
    return header + packet[HEADER:offset] + packet[offset + 2 : end]
