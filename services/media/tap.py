"""Copies in the clear for the recorder: where to, and until when.

A tap is a lease, so that a recorder that died is not sent to for ever.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from .stun import Address

LEASE = 10.0  # seconds between two requests of a holder
GRACE = 2.0  # more before the tap ends
MAX_TAPS = 16  # of one stream


class TapRefused(ValueError):
    """The request cannot be met; `str(error)` says why."""


class Taps:
    def __init__(self) -> None:
        self._leases: dict[str, tuple[Address, float]] = {}

    @property
    def addresses(self) -> tuple[Address, ...]:
        return tuple(dict.fromkeys(address for address, _ in self._leases.values()))

    def renew(self, tap_id: str, host: str, port: int, now: float) -> bool:
        """Take or renew a lease; true if it is new. Raises `TapRefused`."""
        try:
            address = (str(IPv4Address(host)), port)
        except ValueError:
            raise TapRefused("the host of a tap is an IPv4 address") from None
        if not 0 < port <= 0xFFFF:
            raise TapRefused("a tap needs a UDP port")
        is_new = tap_id not in self._leases
        if is_new and len(self._leases) >= MAX_TAPS:
            raise TapRefused("too many taps")
        self._leases[tap_id] = (address, now + LEASE + GRACE)
        return is_new

    def end(self, tap_id: str) -> bool:
        return self._leases.pop(tap_id, None) is not None

    def expire(self, now: float) -> bool:
        """Drop what was not renewed; true if something was."""
        late = [tap_id for tap_id, (_, until) in self._leases.items() if until < now]
        for tap_id in late:
            del self._leases[tap_id]
        return bool(late)
