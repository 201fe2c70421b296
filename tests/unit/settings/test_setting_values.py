"""Every type of setting: what it takes, and that a refusal says what it would take."""

from __future__ import annotations

from typing import Any

import pytest

from services.settings import kinds
from services.settings.ice_servers import ICE_SERVERS
from services.settings.kinds import Kind, parse

EVENTS = kinds.event_names(frozenset({"sessionCreated", "signalSent"}))
LIST = kinds.STRINGS

TAKEN: list[tuple[Kind, str, Any]] = [
    (kinds.TEXT, "", ""),
    (kinds.TEXT, "  'raw' ", "  'raw' "),
    (kinds.TEXT_REQUIRED, "x", "x"),
    (kinds.BOOL, "true", True),
    (kinds.BOOL, "False", False),
    (kinds.BOOL, "TRUE", True),
    (kinds.BOOL_OPTIONAL, "", False),
    (kinds.BOOL_OPTIONAL, "true", True),
    (kinds.COUNT, "0", 0),
    (kinds.COUNT, "2147483647", 2147483647),
    (kinds.integer(3, 2**31 - 1, -1), "-1", -1),
    (kinds.PERCENT, "100", 100),
    (kinds.PORT, "65535", 65535),
    (kinds.UDP_PORT, "0", 0),
    (kinds.SECONDS, "2.5", 2.5),
    (kinds.SECONDS, "10", 10.0),
    (kinds.SECRET, "aZ0_-", "aZ0_-"),
    (kinds.HOST, "localhost", "localhost"),
    (kinds.HOST, "conf.example.org", "conf.example.org"),
    (kinds.HOST, "my_container", "my_container"),
    (kinds.HOST, "192.0.2.7", "192.0.2.7"),
    (kinds.HOST, "2001:db8::1", "2001:db8::1"),
    (kinds.IP, "192.0.2.7", "192.0.2.7"),
    (kinds.IP, "::", "::"),
    (kinds.IP_OPTIONAL, "", ""),
    (kinds.TURN_ADDRESS, "auto-ipv4", ""),
    (kinds.TURN_ADDRESS, "192.0.2.7", "192.0.2.7"),
    (kinds.URL_OPTIONAL, "  ", ""),
    (kinds.URL_OPTIONAL, "ftp://host/x", "ftp://host/x"),
    (kinds.HTTP_URL_OPTIONAL, "https://u:p@host:8/x?y", "https://u:p@host:8/x?y"),
    (kinds.PATH, "/opt/x", "/opt/x/"),
    (kinds.PATH, "/opt/x/", "/opt/x/"),
    (kinds.FILE_OPTIONAL, "a.pem", "a.pem"),
    (kinds.enum("none", "all"), "all", "all"),
    (LIST, "", []),
    (LIST, "[]", []),
    (LIST, '[""]', []),
    (LIST, '["a","b"]', ["a", "b"]),
    (LIST, "['a', 'b']", ["a", "b"]),
    (LIST, "[a,b]", ["a", "b"]),
    (LIST, ' [ a , "b c" ] ', ["a", "b c"]),
    (LIST, r"[\"Authorization:\ Basic\ T1\"]", ["Authorization: Basic T1"]),
    (kinds.HEADERS, '["A: b","C: d: e"]', ["A: b", "C: d: e"]),
    (EVENTS, "[sessionCreated]", ["sessionCreated"]),
    (kinds.IP_PAIRS, '["10.0.0.1:192.0.2.1"]', ["10.0.0.1:192.0.2.1"]),
    (kinds.WS_URIS, '["wss://host/kurento"]', ["wss://host/kurento"]),
    (kinds.MAPPING, "", {}),
    (kinds.MAPPING, '{"a":"b"}', {"a": "b"}),
    (kinds.IMAGE, "", ""),
    (kinds.IMAGE, "openvidu/recording:2.32.1", "openvidu/recording:2.32.1"),
    (kinds.IP_LIST, "10.0.0.1, 10.0.0.2", "10.0.0.1, 10.0.0.2"),
    (kinds.NETWORKS, "10.0.0.0/8,::1", "10.0.0.0/8,::1"),
    (ICE_SERVERS, '["url=stun:stun.example.org"]', ["url=stun:stun.example.org"]),
    (
        ICE_SERVERS,
        '["url=turns:[2001:db8::1]:443?transport=tcp,username=u,credential=c=d"]',
        ["url=turns:[2001:db8::1]:443?transport=tcp,username=u,credential=c=d"],
    ),
    (
        ICE_SERVERS,
        '["url=turn:turn.example.org:3478,staticAuthSecret=s"]',
        ["url=turn:turn.example.org:3478,staticAuthSecret=s"],
    ),
]

REFUSED: list[tuple[Kind, str]] = [
    (kinds.TEXT_REQUIRED, " "),
    (kinds.BOOL, ""),
    (kinds.BOOL, "yes"),
    (kinds.BOOL, "true "),
    (kinds.COUNT, ""),
    (kinds.COUNT, "-1"),
    (kinds.COUNT, "1.5"),
    (kinds.COUNT, "0x10"),
    (kinds.COUNT, "٣"),
    (kinds.COUNT, " 1"),
    (kinds.COUNT, "2147483648"),
    (kinds.COUNT, "9" * 5000),
    (kinds.integer(3, 2**31 - 1, -1), "2"),
    (kinds.PERCENT, "101"),
    (kinds.PORT, "0"),
    (kinds.PORT, "65536"),
    (kinds.SECONDS, "-1"),
    (kinds.SECONDS, "1e3"),
    (kinds.SECONDS, "nan"),
    (kinds.SECRET, ""),
    (kinds.SECRET, "with space"),
    (kinds.SECRET, "umläut"),
    (kinds.SECRET, "line\n"),
    (kinds.HOST, ""),
    (kinds.HOST, "300.1.1.1"),
    (kinds.HOST, "http://host"),
    (kinds.HOST, "a..b"),
    (kinds.HOST, "-a"),
    (kinds.HOST, "a b"),
    (kinds.HOST, "x" * 300),
    (kinds.IP, "192.0.2.700"),
    (kinds.IP, "localhost"),
    (kinds.URL_OPTIONAL, "host/path"),
    (kinds.URL_OPTIONAL, "http://"),
    (kinds.URL_OPTIONAL, "http://host:99999"),
    (kinds.URL_OPTIONAL, "http://[::1"),
    (kinds.URL_OPTIONAL, "http://a b"),
    (kinds.HTTP_URL_OPTIONAL, "ftp://host"),
    (kinds.PATH, ""),
    (kinds.PATH, "a\0b"),
    (kinds.enum("none", "all"), "None"),
    (LIST, "a,b"),
    (LIST, "["),
    (LIST, '["a" "b"]'),
    (LIST, '["a",]'),
    (LIST, '["a'),
    (LIST, "[http://x]"),
    (LIST, "[a b]"),
    (kinds.HEADERS, '["A:b"]'),
    (kinds.HEADERS, '["A: "]'),
    (kinds.HEADERS, '[": b"]'),
    (kinds.HEADERS, '["A B: c"]'),
    (kinds.HEADERS, '["A: b\x01"]'),
    (EVENTS, "[sessioncreated]"),
    (kinds.IP_PAIRS, '["10.0.0.1"]'),
    (kinds.IP_PAIRS, '["10.0.0.1:host"]'),
    (kinds.IP_PAIRS, '["::1:10.0.0.1"]'),
    (kinds.WS_URIS, '["http://host"]'),
    (kinds.WS_URIS, '["ws://"]'),
    (kinds.MAPPING, "[]"),
    (kinds.MAPPING, '{"a":1}'),
    (kinds.MAPPING, "{"),
    (kinds.IMAGE, "no-tag"),
    (kinds.IMAGE, "host:5000/image:1"),
    (kinds.IP_LIST, "10.0.0.1,"),
    (kinds.NETWORKS, "10.0.0.0/99"),
    (ICE_SERVERS, '["stun:host"]'),
    (ICE_SERVERS, '["username=u"]'),
    (ICE_SERVERS, '["url=http:host"]'),
    (ICE_SERVERS, '["url=stun:"]'),
    (ICE_SERVERS, '["url=stun:host:0"]'),
    (ICE_SERVERS, '["url=stun:host?transport=udp"]'),
    (ICE_SERVERS, '["url=stun:host,username=u,credential=c"]'),
    (ICE_SERVERS, '["url=turn:host"]'),
    (ICE_SERVERS, '["url=turn:host,username=u"]'),
    (ICE_SERVERS, '["url=turn:host,username=u,credential=c,staticAuthSecret=s"]'),
    (ICE_SERVERS, '["url=turn:host?transport=sctp,staticAuthSecret=s"]'),
    (ICE_SERVERS, '["url=turn:host?transport=tcp&x=y,staticAuthSecret=s"]'),
    (ICE_SERVERS, '["url=turn:host,staticAuthSecret="]'),
    (ICE_SERVERS, '["url=turn:host,password=p"]'),
]


@pytest.mark.parametrize(("kind", "raw", "value"), TAKEN)
def test_a_good_value_is_taken(kind: Kind, raw: str, value: Any) -> None:
    parsed = parse(kind, raw)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(("kind", "raw"), REFUSED)
def test_a_bad_value_is_refused_with_what_would_be_accepted(kind: Kind, raw: str) -> None:
    with pytest.raises(ValueError, match=r".+") as caught:
        parse(kind, raw)
    assert str(caught.value).endswith(f"accepts {kind.accepts}")


def test_all_bad_items_of_a_list_are_named_at_once() -> None:
    with pytest.raises(ValueError, match=r"item 1: .*item 3: "):
        parse(kinds.HEADERS, '["A:b","B: c","D"]')


def test_an_error_about_an_ice_server_does_not_repeat_its_credential() -> None:
    with pytest.raises(ValueError, match="item 1") as caught:
        parse(ICE_SERVERS, '["url=turn:host,credential=hush"]')
    assert "hush" not in str(caught.value)
