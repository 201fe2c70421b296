"""RTP packets and RTCP sender reports (RFC 3550), as a tap sends both to one port.

Everything here comes from the network: what is malformed gives `None` or nothing, no exception.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

_header = Struct("!BBHII")
_words = Struct("!H")
_sender_info = Struct("!IIII")  # SSRC, NTP seconds and fraction, RTP time

_SENDER_REPORT = 200
_NTP_FRACTION = 2.0**32


class Packet(NamedTuple):
    """`arrival` is in seconds of the event loop's clock. Padding is gone from `payload`."""

    ssrc: int
    payload_type: int
    sequence: int
    timestamp: int
    marker: bool
    payload: bytes
    arrival: float


class SenderReport(NamedTuple):
    """The sender's wall clock (`ntp`, seconds) at one RTP time."""

    ssrc: int
    ntp: float
    timestamp: int


def is_rtcp(datagram: bytes) -> bool:
    """Told apart on one port as RFC 5761 section 4 says."""
    return len(datagram) >= 2 and 192 <= datagram[1] <= 223


def parse(datagram: bytes, arrival: float) -> Packet | None:
    end = len(datagram)
    if end < 12:
        return None
    first, second, sequence, timestamp, ssrc = _header.unpack_from(datagram)
    if first >> 6 != 2:
        return None
    offset = 12 + 4 * (first & 0x0F)
    if first & 0x10:
        if offset + 4 > end:
            return None
        offset += 4 + 4 * _words.unpack_from(datagram, offset + 2)[0]
    if first & 0x20:
        end -= datagram[-1]
    if offset > end:
        return None
    return Packet(
        ssrc, second & 0x7F, sequence, timestamp, second >= 0x80, datagram[offset:end], arrival
    )


def sender_reports(datagram: bytes) -> list[SenderReport]:
    """Of a compound packet; reading stops at the first malformed part."""
    found = []
    offset = 0
    while offset + 4 <= len(datagram) and datagram[offset] >> 6 == 2:
        size = 4 + 4 * _words.unpack_from(datagram, offset + 2)[0]
        if offset + size > len(datagram):
            break
        if datagram[offset + 1] == _SENDER_REPORT and size >= 28:
            ssrc, seconds, fraction, timestamp = _sender_info.unpack_from(datagram, offset + 4)
            found.append(SenderReport(ssrc, seconds + fraction / _NTP_FRACTION, timestamp))
        offset += size
    return found
