"""Packets that carry nothing: a probe sends them on a subscriber's RTX stream, where a receiver
counts them and throws them away."""

from __future__ import annotations

from struct import Struct

PADDING = 255  # bytes: as much as RTP's one byte for it can tell
_header = Struct("!BBHII")
_extension = Struct("!HHB3s")


def write_padding(
    payload_type: int, sequence: int, ssrc: int, abs_send_time_extension: int, now: float
) -> bytes:
    """With the time of sending, if its extension was negotiated (not 0): only so a REMB counts
    it."""
    stamped = 0 < abs_send_time_extension < 15
    first = 0x80 | 0x20 | (0x10 if stamped else 0)
    head = _header.pack(first, payload_type, sequence, 0, ssrc)
    if stamped:
        time = (int(now * 0x40000) & 0xFFFFFF).to_bytes(3, "big")
        head += _extension.pack(0xBEDE, 1, abs_send_time_extension << 4 | 2, time)
    return head + bytes(PADDING - 1) + bytes((PADDING,))
