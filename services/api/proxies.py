"""The address of a client behind proxies that we trust."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from services.settings import Network

Address = IPv4Address | IPv6Address


class Proxies:
    """Only what one of these networks says of a client counts."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks
        self._trusts = lru_cache(1024)(self._look_up)

    def unveil(self, scope: Any) -> None:
        """Put the client's address into an ASGI scope: of those in `X-Forwarded-For`, which each
        proxy makes longer at its end, the last that is no proxy's.

        `X-Real-IP`, which signaling heeds (`signaling.md` section 1), is taken away where anybody
        could have written it: from others, and where a proxy tells the address in its own words.
        """
        client = scope["client"]
        trusted = client is not None and self._trusts(client[0])
        forwarded = self._forwarded(scope["headers"]) if trusted else None
        if forwarded is not None:
            scope["client"] = (forwarded, 0)
        if forwarded is not None or not trusted:
            scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"x-real-ip"]

    def _forwarded(self, headers: Sequence[tuple[bytes, bytes]]) -> str | None:
        lines = [value for name, value in headers if name == b"x-forwarded-for"]
        client = None
        for part in reversed(b",".join(lines).split(b",")):
            address = _address(part.decode("latin-1").strip())
            if address is None:
                break
            client = str(address)
            if not self._trusts(client):
                break
        return client

    def _look_up(self, host: str) -> bool:
        address = _address(host)
        return address is not None and any(address in network for network in self._networks)


def _address(text: str) -> Address | None:
    """Some proxies write a port behind it: `192.0.2.1:5000`, `[2001:db8::1]:5000`."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return (isinstance(found, IPv6Address) and found.ipv4_mapped) or found
