"""VP9 in RTP (RFC 9628), one spatial layer."""

from __future__ import annotations

from .frames import Fragment, Malformed, Unsupported

_SRGB = 7


class Vp9:
    def open(self, payload: bytes) -> Fragment:
        try:
            size, starts_frame, picture_id, mask = _descriptor(payload)
        except IndexError:
            raise Malformed from None
        if size >= len(payload):
            raise Malformed
        return Fragment(payload[size:], starts_frame, picture_id, mask)

    def key_frame_size(self, data: bytes) -> tuple[int, int] | None:
        """The start of the uncompressed header (VP9 bitstream specification, 6.2)."""
        bits = _Bits(data)
        if bits.take(2) != 2:
            raise Malformed
        profile = bits.take(1) | bits.take(1) << 1
        if profile == 3:
            bits.take(1)
        if bits.take(1):  # shows an earlier frame
            return None
        if bits.take(1):  # not a key frame
            return None
        bits.take(2)  # shown, error resilient
        if bits.take(24) != 0x498342:
            raise Malformed
        if profile >= 2:
            bits.take(1)  # bit depth
        if bits.take(3) != _SRGB:
            bits.take(1 if profile in (0, 2) else 4)  # range, subsampling
        elif profile in (1, 3):
            bits.take(1)
        return bits.take(16) + 1, bits.take(16) + 1


def _descriptor(payload: bytes) -> tuple[int, bool, int | None, int]:
    """Size, whether a frame starts, picture id and its mask. Raises `IndexError` at the end."""
    first = payload[0]
    size = 1
    picture_id, mask = None, 0x7F
    if first & 0x80:  # I
        picture_id = payload[size]
        size += 1
        if picture_id & 0x80:  # M: 15 bits
            picture_id = (picture_id & 0x7F) << 8 | payload[size]
            mask = 0x7FFF
            size += 1
    if first & 0x20:  # L
        if payload[size] & 0x0E:
            raise Unsupported("VP9 with several spatial layers cannot be recorded")
        size += 1 if first & 0x10 else 2  # TL0PICIDX unless flexible
    if first & 0x50 == 0x50:  # P and F: up to three references
        for _ in range(3):
            size += 1
            if not payload[size - 1] & 0x01:
                break
        else:
            raise Malformed
    if first & 0x02:  # V
        size = _after_structure(payload, size)
    return size, first & 0x08 != 0, picture_id, mask


def _after_structure(payload: bytes, size: int) -> int:
    header = payload[size]
    size += 1
    if header & 0x10:  # Y: width and height of each layer
        size += 4 * ((header >> 5) + 1)
    if header & 0x08:  # G
        pictures = payload[size]
        size += 1
        for _ in range(pictures):
            size += 1 + (payload[size] >> 2 & 0x03)
    return size


class _Bits:
    def __init__(self, data: bytes) -> None:
        head = data[:16]
        self._value = int.from_bytes(head, "big")
        self._left = 8 * len(head)

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise Malformed
        return self._value >> self._left & (1 << count) - 1
