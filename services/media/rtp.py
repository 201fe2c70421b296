"""RTP headers (RFC 3550), header extensions (RFC 8285) and RTX payloads (RFC 4588), by struct.

Everything here takes bytes from the network: a malformed packet gives `None` or nothing, never an
exception.
"""

from __future__ import annotations

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


def extension(packet: bytes, wanted: int) -> bytes | None:
    """The data of one header extension, in the one-byte or the two-byte form."""
    end = payload_offset(packet)
    if end is None or not packet[0] & 0x10:
        return None
    offset = HEADER + 4 * (packet[0] & 0x0F)
    profile = _words.unpack_from(packet, offset)[0]
    one_byte = profile == 0xBEDE
    if not one_byte and profile >> 4 != 0x100:
        return None
    offset += 4
    while offset < end:
        first = packet[offset]
        if first == 0:
            offset += 1  # padding between elements
            continue
        if one_byte:
            identifier, length, start = first >> 4, (first & 0x0F) + 1, offset + 1
            if identifier == 15:
                return None
        else:
            if offset + 2 > end:
                return None
            identifier, length, start = first, packet[offset + 1], offset + 2
        if start + length > end:
            return None
        if identifier == wanted:
            return packet[start : start + length]
        offset = start + length
    return None


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
