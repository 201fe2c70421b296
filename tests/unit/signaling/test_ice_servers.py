"""`signaling.md` 2.4: every generation of clients finds the members it knows."""

from __future__ import annotations

import base64
import hashlib
import hmac

from services.api.signaling.ice import ice_fields
from services.conference.model import IceServer
from services.settings import Access, Ice, Settings

NOW = 1_700_000_000_123


def test_turn_credentials_are_valid_for_a_day_and_signed_with_the_secret() -> None:
    settings = Settings(ice=Ice(turn_enabled=True, turn_host="turn.example", turn_secret="shared"))
    fields = ice_fields(settings, (), NOW)
    username, credential = fields["turnUsername"], fields["turnCredential"]
    expiry, _, mark = username.partition(":")
    assert int(expiry) == 1_700_000_000 + 86_400
    assert len(mark) == 8
    assert mark.isalnum()
    signature = hmac.new(b"shared", username.encode(), hashlib.sha1).digest()
    assert base64.b64decode(credential) == signature
    assert fields["coturnIp"] == "turn.example"
    assert fields["coturnPort"] == 3478
    assert fields["customIceServers"] == [
        {"url": "turn:turn.example:3478", "username": username, "credential": credential}
    ]


def test_the_servers_of_the_connection_come_first_then_the_configured_ones() -> None:
    own = IceServer("turn:own.example", "u", "c")
    configured = IceServer("stun:configured.example")
    settings = Settings(ice=Ice(turn_enabled=True, servers=(configured,)))
    assert ice_fields(settings, (own,), NOW)["customIceServers"] == [
        {"url": "turn:own.example", "username": "u", "credential": "c"}
    ]
    assert ice_fields(settings, (), NOW)["customIceServers"] == [{"url": "stun:configured.example"}]


def test_a_configured_server_with_a_static_secret_gets_fresh_credentials() -> None:
    servers = (IceServer("turn:a.example"), IceServer("turn:b.example", "u", "c"))
    settings = Settings(ice=Ice(servers=servers, static_auth_secrets=(("turn:a.example", "s"),)))
    fresh, given = ice_fields(settings, (), NOW)["customIceServers"]
    signature = hmac.new(b"s", fresh["username"].encode(), hashlib.sha1).digest()
    assert base64.b64decode(fresh["credential"]) == signature
    assert given == {"url": "turn:b.example", "username": "u", "credential": "c"}


def test_without_a_turn_server_no_client_is_sent_to_strangers() -> None:
    settings = Settings(access=Access(domain="ov.example"))
    fields = ice_fields(settings, (), NOW)
    assert fields["customIceServers"] == [{"url": "stun:ov.example:3478"}]
    assert fields["coturnIp"] == "ov.example"
    username, credential = fields["turnUsername"], fields["turnCredential"]
    signature = hmac.digest(settings.access.secret.encode(), username.encode(), "sha1")
    assert len(base64.b64decode(credential)) == len(signature)
    assert base64.b64decode(credential) != signature, "it would let a client guess the secret"


def test_a_turn_server_without_a_secret_of_its_own_has_ours() -> None:
    settings = Settings(ice=Ice(turn_enabled=True))
    fields = ice_fields(settings, (), NOW)
    secret = settings.access.secret.encode()
    signature = hmac.digest(secret, fields["turnUsername"].encode(), "sha1")
    assert base64.b64decode(fields["turnCredential"]) == signature


def test_an_ipv6_address_stands_in_brackets_in_a_url() -> None:
    settings = Settings(ice=Ice(turn_host="2001:db8::1"))
    assert ice_fields(settings, (), NOW)["customIceServers"] == [{"url": "stun:[2001:db8::1]:3478"}]
