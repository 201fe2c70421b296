"""What the packet path looks at inside a packet: header extensions, key frames, VP8's numbers.

All offsets are into the whole packet; 0 says that the field is not there. Any bytes are safe.
"""

from __future__ import annotations

from typing import NamedTuple

from .rtp import elements, payload_offset

IDR, SPS, STAP_A, FU_A = 5, 7, 24, 28  # H.264 NAL unit types (RFC 6184)


class Numbers(NamedTuple):
    """Places of a VP8 payload descriptor's fields (RFC 7741 4.2), and where the frame begins."""

    picture: int
    is_wide: bool  # 15 bits, not 7
    level: int  # TL0PICIDX
    frame: int


def extension_place(packet: bytes, wanted: int, size: int) -> int:
    """Where the data of a header extension begins; 0 if it is not there or shorter than `size`."""
    for identifier, start, end in elements(packet):
        if identifier == wanted:
            return start if end - start >= size else 0
    return 0


def vp8_numbers(packet: bytes) -> Numbers | None:
    """`None` where no frame follows, as in padding."""
    offset = payload_offset(packet)
    if offset is None:
        return None
    end = len(packet) - (packet[-1] if packet[0] & 0x20 else 0)
    if offset >= end:
        return None
    first = packet[offset]
    offset += 1
    picture, is_wide, level = 0, False, 0
    if first & 0x80:
        if offset >= end:
            return None
        flags = packet[offset]
        offset += 1
        if flags & 0x80:
            if offset >= end:
                return None
            picture, is_wide = offset, bool(packet[offset] & 0x80)
            offset += 2 if is_wide else 1
        if flags & 0x40:
            level = offset
            offset += 1
        if flags & 0x30:
            offset += 1
    return Numbers(picture, is_wide, level, offset) if offset < end else None


def picture_number(packet: bytes, numbers: Numbers) -> int:
    if numbers.is_wide:
        return (packet[numbers.picture] & 0x7F) << 8 | packet[numbers.picture + 1]
    return packet[numbers.picture]


def renumber(
    packet: bytearray | memoryview, numbers: Numbers, picture_offset: int, level_offset: int
) -> None:
    """Add to a VP8 packet's picture id and TL0PICIDX, in the form they have."""
    place = numbers.picture
    if place and numbers.is_wide:
        number = ((packet[place] & 0x7F) << 8 | packet[place + 1]) + picture_offset
        packet[place], packet[place + 1] = 0x80 | number >> 8 & 0x7F, number & 0xFF
    elif place:
        packet[place] = packet[place] + picture_offset & 0x7F
    if numbers.level:
        packet[numbers.level] = packet[numbers.level] + level_offset & 0xFF


def begins_key_frame(packet: bytes, codec: str) -> bool:
    """Is this the first packet of a key frame? H.264 may say so again within the frame."""
    if codec == "VP8":
        numbers = vp8_numbers(packet)
        if numbers is None:
            return False
        start = payload_offset(packet) or 0
        return packet[start] & 0x17 == 0x10 and not packet[numbers.frame] & 1
    if codec != "H264":
        return False
    offset = payload_offset(packet)
    if offset is None or offset + 1 >= len(packet):
        return False
    kind = packet[offset] & 0x1F
    if kind == FU_A:
        return packet[offset + 1] & 0x9F == 0x80 | IDR
    if kind == STAP_A:
        return offset + 3 < len(packet) and packet[offset + 3] & 0x1F in (IDR, SPS)
    return kind in (IDR, SPS)
