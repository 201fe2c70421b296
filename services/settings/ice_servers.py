"""The items of `OPENVIDU_WEBRTC_ICE_SERVERS` (`config.md` 4.5)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from services.conference.model import IceServer

from .kinds import is_host, strings

MASK = "***"

_KEYS = ("url", "username", "credential", "staticAuthSecret")
_HIDDEN = ("credential", "staticAuthSecret")
_URL = re.compile(
    r"(?P<scheme>stuns?|turns?):(?P<host>\[[0-9a-fA-F:.]+\]|[^\[\]:?]+)"
    r"(:(?P<port>[0-9]{1,5}))?(?P<transport>\?transport=(udp|tcp))?"
)


def fields(item: str) -> dict[str, str]:
    """`url=…,username=…,credential=…` taken apart and checked. `ValueError` says what is wrong."""
    found: dict[str, str] = {}
    for part in item.split(","):
        key, separator, value = part.partition("=")
        if key.strip() not in _KEYS:
            raise ValueError(f"the key {key.strip()[:20]!r} is none of {', '.join(_KEYS)}")
        if not separator or not value:
            raise ValueError(f"{key.strip()} has no value")
        found[key.strip()] = value
    if "url" not in found:
        raise ValueError("url is missing")
    _check_url(found["url"])
    given = found.keys() - {"url"}
    if found["url"].startswith("stun"):
        if given:
            raise ValueError("a STUN server takes no credentials")
    elif given not in ({"staticAuthSecret"}, {"username", "credential"}):
        raise ValueError("a TURN server takes username and credential, or staticAuthSecret alone")
    return found


def _check_url(url: str) -> None:
    match = _URL.fullmatch(url)
    if match is None:
        raise ValueError("url must be stun:, stuns:, turn: or turns:, a host and perhaps a port")
    host, port = match["host"], match["port"]
    if not is_host(host.strip("[]")):
        raise ValueError(f"url has no valid host: {host[:60]!r}")
    if port is not None and not 1 <= int(port) <= 65535:
        raise ValueError(f"url has no valid port: {port}")
    if match["transport"] and match["scheme"].startswith("stun"):
        raise ValueError("only turn: and turns: may have ?transport=")


def servers(items: Iterable[str]) -> tuple[IceServer, ...]:
    taken_apart = [fields(item) for item in items]
    return tuple(
        IceServer(found["url"], found.get("username"), found.get("credential"))
        for found in taken_apart
    )


def static_auth_secrets(items: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """URL and secret of the servers whose credentials are made anew for each Connection."""
    taken_apart = [fields(item) for item in items]
    return tuple(
        (found["url"], found["staticAuthSecret"])
        for found in taken_apart
        if "staticAuthSecret" in found
    )


def hidden_values(items: Iterable[str]) -> set[str]:
    return {found[key] for found in map(fields, items) for key in _HIDDEN if key in found}


def masked(items: Iterable[str]) -> list[str]:
    """The items as they may be shown."""
    return [
        ",".join(
            f"{key}={MASK if key in _HIDDEN else value}" for key, value in fields(item).items()
        )
        for item in items
    ]


ICE_SERVERS = strings(
    "ICE servers, each url=…[,username=…,credential=…] or url=…,staticAuthSecret=…", fields
)
