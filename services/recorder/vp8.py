"""VP8 in RTP (RFC 7741)."""

from __future__ import annotations

from .frames import Fragment, Malformed


class Vp8:
    def open(self, payload: bytes) -> Fragment:
        try:
            first = payload[0]
            size = 1
            picture_id, mask = None, 0x7F
            if first & 0x80:  # X
                extension = payload[1]
                size = 2
                if extension & 0x80:  # I
                    picture_id = payload[size]
                    size += 1
                    if picture_id & 0x80:  # M: 15 bits
                        picture_id = (picture_id & 0x7F) << 8 | payload[size]
                        mask = 0x7FFF
                        size += 1
                if extension & 0x40:  # L
                    size += 1
                if extension & 0x30:  # T, K
                    size += 1
        except IndexError:
            raise Malformed from None
        if size >= len(payload):
            raise Malformed
        starts_frame = first & 0x17 == 0x10  # S, and partition 0
        return Fragment(payload[size:], starts_frame, picture_id, mask)

    def key_frame_size(self, data: bytes) -> tuple[int, int] | None:
        """RFC 6386, section 9.1."""
        if len(data) < 3:
            raise Malformed
        if data[0] & 0x01:
            return None
        if len(data) < 10 or data[3:6] != b"\x9d\x01\x2a":
            raise Malformed
        width = int.from_bytes(data[6:8], "little") & 0x3FFF
        height = int.from_bytes(data[8:10], "little") & 0x3FFF
        if not width or not height:
            raise Malformed
        return width, height
