"""The types a setting can have (`config.md` section 2): each parses a text.

Parsed values are JSON-able, in the type that `GET /config` shows. `ValueError` carries the sentence
for the user.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

MAX_INT = 2**31 - 1

_HTTP = frozenset({"http", "https"})
_WS = frozenset({"ws", "wss"})

_INTEGER = re.compile(r"-?[0-9]+")
_DECIMAL = re.compile(r"[0-9]+(\.[0-9]+)?")
_SECRET = re.compile(r"[a-zA-Z0-9_-]+")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_STRING_ITEM = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([^\s:/=#;,\[\]"']+))\s*""")


class Kind(NamedTuple):
    """`accepts` completes "accepts …"; `parse` raises `ValueError`, with or without a reason."""

    accepts: str
    parse: Callable[[str], Any]


def parse(kind: Kind, raw: str) -> Any:
    """Raises `ValueError` with a message that always names what is accepted."""
    try:
        return kind.parse(raw)
    except ValueError as error:
        reason = str(error)
        raise ValueError(
            f"{reason}; accepts {kind.accepts}" if reason else f"accepts {kind.accepts}"
        ) from None


def optional(kind: Kind, empty: Any = "") -> Kind:
    """As `kind`, but an empty text stands for `empty`."""
    return Kind(f"{kind.accepts}, or empty", lambda raw: kind.parse(raw) if raw.strip() else empty)


def integer(minimum: int = 0, maximum: int = MAX_INT, *also: int) -> Kind:
    def read(raw: str) -> int:
        if not _INTEGER.fullmatch(raw) or len(raw) > 20:
            raise ValueError("not an integer")
        value = int(raw)
        if not minimum <= value <= maximum and value not in also:
            raise ValueError("out of range")
        return value

    span = f"{minimum} or more" if maximum == MAX_INT else f"{minimum} to {maximum}"
    others = "".join(f", or {value}" for value in also)
    return Kind(f"a decimal integer, {span}{others}", read)


def enum(*names: str) -> Kind:
    def read(raw: str) -> str:
        if raw not in names:
            raise ValueError
        return raw

    return Kind("one of " + ", ".join(name or "(empty)" for name in names), read)


def _boolean(raw: str) -> bool:
    match raw.lower():
        case "true":
            return True
        case "false":
            return False
    raise ValueError


def _seconds(raw: str) -> float:
    if not _DECIMAL.fullmatch(raw) or float(raw) > MAX_INT:
        raise ValueError
    return float(raw)


def _not_empty(raw: str) -> str:
    if not raw.strip():
        raise ValueError("it is empty")
    return raw


def _secret(raw: str) -> str:
    if not _SECRET.fullmatch(raw):
        raise ValueError
    return raw


def is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_host(text: str) -> bool:
    """An IP address or a name that could resolve. Nothing is looked up: a start must not depend
    on a DNS server."""
    if is_ip(text):
        return True
    labels = text.removesuffix(".").split(".")
    return (
        len(text) <= 253
        and all(_LABEL.fullmatch(label) for label in labels)
        and not labels[-1].isdigit()  # 300.1.1.1 is a mistyped address, not a name
    )


def is_ipv4(text: str) -> bool:
    return is_ip(text) and ipaddress.ip_address(text).version == 4


def _ip(raw: str) -> str:
    if not is_ip(raw):
        raise ValueError
    return raw


def is_unspecified(text: str) -> bool:
    """An address that means all of a machine."""
    return is_ip(text) and ipaddress.ip_address(text).is_unspecified


def is_loopback(host: str) -> bool:
    return host == "localhost" or (is_ip(host) and ipaddress.ip_address(host).is_loopback)


def _host(raw: str) -> str:
    if not is_host(raw):
        raise ValueError
    return raw


def _turn_address(raw: str) -> str:
    """`auto-ipv4` of the original's start scripts: we detect nothing, so it means unset."""
    return "" if raw in {"", "auto-ipv4", "auto-ipv6"} else _host(raw)


def _url(raw: str, schemes: frozenset[str] = frozenset()) -> str:
    url = raw.strip()
    parts = urlsplit(url)
    if not parts.scheme or not parts.hostname:
        raise ValueError("a scheme or a host is missing")
    if schemes and parts.scheme not in schemes:
        raise ValueError(f"the scheme is {parts.scheme}")
    if any(char.isspace() or not char.isprintable() for char in url):
        raise ValueError("it has white space inside")
    _ = parts.port  # raises ValueError if it is none
    return url


def _path(raw: str) -> str:
    if not raw.strip() or "\0" in raw:
        raise ValueError
    return raw if raw.endswith("/") else raw + "/"


def _file(raw: str) -> str:
    if not raw.strip() or "\0" in raw:
        raise ValueError
    return raw


def _strings(raw: str) -> list[str]:
    text = raw.replace("\\", "").strip()
    if not text:
        return []
    if not (text.startswith("[") and text.endswith("]") and len(text) >= 2):
        raise ValueError("it is no list in brackets")
    inner = text[1:-1]
    if not inner.strip():
        return []
    items: list[str] = []
    position = 0
    while True:
        found = _STRING_ITEM.match(inner, position)
        if found is None:
            raise ValueError(f"item {len(items) + 1} is not readable, perhaps it needs quotes")
        items.append(next(group for group in found.groups() if group is not None))
        position = found.end()
        if position == len(inner):
            return [] if items == [""] else items
        if inner[position] != ",":
            raise ValueError(f"a comma or a quote is missing after item {len(items)}")
        position += 1


def strings(accepts: str, check: Callable[[str], object]) -> Kind:
    """A list of strings, each of which `check` takes or refuses with `ValueError`. All bad items
    are named in one message."""

    def read(raw: str) -> list[str]:
        items = _strings(raw)
        bad = []
        for number, item in enumerate(items, 1):
            try:
                check(item)
            except ValueError as error:
                bad.append(f"item {number}: {error}" if str(error) else f"item {number} is wrong")
        if bad:
            raise ValueError("; ".join(bad))
        return items

    return Kind(f'a list like ["…","…"] of {accepts}', read)


def _mapping(raw: str) -> dict[str, str]:
    if not raw.strip():
        return {}
    try:
        return msgspec.json.decode(raw, type=dict[str, str])
    except msgspec.DecodeError:
        raise ValueError from None


def _ip_pair(item: str) -> None:
    parts = item.split(":")
    if len(parts) != 2 or not all(map(is_ipv4, parts)):
        raise ValueError("not two IPv4 addresses")


def _event_name(names: frozenset[str]) -> Callable[[str], None]:
    def check(item: str) -> None:
        if item not in names:
            raise ValueError(f"no event is called {item}")

    return check


def event_names(names: frozenset[str]) -> Kind:
    return strings("the names " + ", ".join(sorted(names)), _event_name(names))


def header(item: str) -> tuple[str, str]:
    """`Name: value` of an HTTP header."""
    name, _, value = item.partition(": ")
    if not name or not value:
        raise ValueError('name or value is missing around ": "')
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
        raise ValueError("the name is no header name")
    if not value.isprintable():
        raise ValueError("the value has control characters")
    return name, value


def _image(raw: str) -> str:
    if raw and raw.count(":") != 1:
        raise ValueError
    return raw


def _ip_list(raw: str) -> str:
    if not all(is_ip(part.strip()) for part in raw.split(",")):
        raise ValueError
    return raw


def _networks(raw: str) -> str:
    for part in raw.split(","):
        ipaddress.ip_network(part.strip(), strict=False)
    return raw


TEXT = Kind("any text", lambda raw: raw)
TEXT_REQUIRED = Kind("a text that is not empty", _not_empty)
BOOL = Kind("true or false", _boolean)
BOOL_OPTIONAL = optional(BOOL, empty=False)
COUNT = integer()
PERCENT = integer(0, 100)
PORT = integer(1, 65535)
UDP_PORT = integer(0, 65535)
SECONDS = Kind("seconds, a decimal number, 0 or more", _seconds)
SECRET = Kind("letters, digits, - and _", _secret)
HOST = Kind("a host name, an IPv4 or an IPv6 address", _host)
IP = Kind("an IP address", _ip)
IP_OPTIONAL = optional(Kind("an IPv4 or IPv6 address or a host name", _host))
TURN_ADDRESS = Kind("an address, a host name, auto-ipv4, auto-ipv6, or empty", _turn_address)
URL_OPTIONAL = optional(Kind("a URL with scheme and host", _url))
HTTP_URL_OPTIONAL = optional(
    Kind("a URL that begins with http:// or https://", lambda raw: _url(raw, _HTTP))
)
PATH = Kind("a path", _path)
FILE_OPTIONAL = optional(Kind("the path of a file", _file))
STRINGS = strings("strings", lambda item: None)
IP_PAIRS = strings("private:public pairs of IPv4 addresses", _ip_pair)
WS_URIS = strings("ws:// or wss:// URIs", lambda item: _url(item, _WS))
HEADERS = strings('"Name: value" headers', header)
MAPPING = Kind('a JSON object of strings like {"name":"value"}, or empty', _mapping)
IMAGE = Kind("<image>:<tag> with one colon, or empty", _image)
IP_LIST = optional(Kind("IP addresses with commas between", _ip_list))
NETWORKS = optional(Kind("IP addresses or networks (CIDR) with commas between", _networks))
