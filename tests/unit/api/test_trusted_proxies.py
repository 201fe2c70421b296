"""The client's address behind proxies: theirs to say, nobody else's."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from services.api.proxies import Proxies
from services.settings.load import SettingsError, load

PROXIES = Proxies([ip_network("10.0.0.0/8"), ip_network("2001:db8:ffff::/48")])


def seen(peer: str | None, **headers: str | list[str]) -> tuple[str | None, str | None]:
    """The client's address, and the `X-Real-IP` that is left."""
    pairs = [
        (name.replace("_", "-").encode(), value.encode("latin-1"))
        for name, given in headers.items()
        for value in ([given] if isinstance(given, str) else given)
    ]
    scope: dict[str, Any] = {"client": peer and (peer, 1234), "headers": pairs}
    PROXIES.unveil(scope)
    real = dict(scope["headers"]).get(b"x-real-ip")
    return scope["client"] and scope["client"][0], real and real.decode()


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("::ffff:10.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("2001:db8:ffff::1", "2001:db8::9", "2001:db8::9"),
        ("192.0.2.9", "192.0.2.1", "192.0.2.9"),
        ("10.0.0.1", "6.6.6.6, 192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", "6.6.6.6, 192.0.2.1, 10.0.0.2", "192.0.2.1"),
        ("10.0.0.1", "10.0.0.3,10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "nonsense, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "192.0.2.1, nonsense", "10.0.0.1"),
        ("10.0.0.1", ["6.6.6.6", "192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", "192.0.2.1:5000", "192.0.2.1"),
        ("10.0.0.1", "[2001:db8::9]:5000", "2001:db8::9"),
        ("10.0.0.1", "[2001:db8::9", "2001:db8::9"),
        ("10.0.0.1", "::ffff:192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", ",,,", "10.0.0.1"),
        ("10.0.0.1", "\u00b2\u00b2", "10.0.0.1"),
        ("10.0.0.1", "1" * 10_000, "10.0.0.1"),
        (None, "192.0.2.1", None),
    ],
)
def test_whose_word_counts(peer: str | None, forwarded: str | list[str], client: str) -> None:
    assert seen(peer, x_forwarded_for=forwarded)[0] == client


def test_without_the_header_the_peer_is_the_client() -> None:
    assert seen("10.0.0.1")[0] == "10.0.0.1"


def test_a_real_ip_is_left_only_where_a_proxy_says_nothing_else() -> None:
    assert seen("10.0.0.1", x_real_ip="192.0.2.1") == ("10.0.0.1", "192.0.2.1")
    assert seen("192.0.2.9", x_real_ip="192.0.2.1") == ("192.0.2.9", None)
    both = seen("10.0.0.1", x_real_ip="6.6.6.6", x_forwarded_for="192.0.2.1")
    assert both == ("192.0.2.1", None)


def test_they_are_addresses_or_networks_in_the_settings() -> None:
    given = {"TERTULIA_TRUSTED_PROXIES": "10.0.0.1, 192.168.7.1/16,::1"}
    assert load(given).access.trusted_proxies == (
        ip_network("10.0.0.1/32"), ip_network("192.168.0.0/16"), ip_network("::1/128"),
    )  # fmt: skip
    assert load({}).access.trusted_proxies == ()
    for wrong in ("proxy.example", "10.0.0.0/33", "10.0.0.1;10.0.0.2", "10.0.0.1,"):
        with pytest.raises(SettingsError, match="TERTULIA_TRUSTED_PROXIES"):
            load({"TERTULIA_TRUSTED_PROXIES": wrong})
