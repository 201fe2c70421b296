"""What a joining client is told about ICE servers (`signaling.md` 2.4)."""

from __future__ import annotations

import hmac
import secrets
from base64 import b64encode
from collections.abc import Iterable
from typing import Any

from services.conference.ids import ALPHANUMERIC
from services.conference.model import IceServer
from services.settings import Ice, Settings

CREDENTIAL_SECONDS = 24 * 3600
_NO_SECRET = secrets.token_hex()  # of no server


def ice_fields(settings: Settings, own: Iterable[IceServer], now: int) -> dict[str, Any]:
    """The ICE members of the `joinRoom` result. `own`: those of the Connection; `now`: UTC ms.

    All of them are always there: a client that misses the ones it knows asks public STUN servers
    of third parties. Without a TURN server the list names our own host as a STUN server. Nothing
    need answer there: the media node's address stands in its SDP, and the client's address is
    learnt from its packets, so this only keeps browsers from talking to strangers. The credentials
    are good for nothing then: made with our secret they would let a client try out what it is.
    """
    ice = settings.ice
    host = ice.turn_host or settings.access.domain
    secret = ice.turn_secret or (settings.access.secret if ice.turn_enabled else _NO_SECRET)
    username, credential = turn_credentials(secret, now)
    address = f"[{host}]" if ":" in host and not host.startswith("[") else host
    if servers := [_entry(server) for server in (tuple(own) or _configured(settings.ice, now))]:
        pass
    elif ice.turn_enabled:
        turn = IceServer(f"turn:{address}:{ice.turn_port}", username, credential)
        servers = [_entry(turn)]
    else:
        servers = [_entry(IceServer(f"stun:{address}:{ice.turn_port}"))]
    return {
        "coturnIp": host,
        "coturnPort": ice.turn_port,
        "turnUsername": username,
        "turnCredential": credential,
        "customIceServers": servers,
    }


def _configured(ice: Ice, now: int) -> tuple[IceServer, ...]:
    """The servers of `OPENVIDU_WEBRTC_ICE_SERVERS`, with fresh credentials where they have a
    static secret."""
    secret_of = dict(ice.static_auth_secrets)
    return tuple(
        IceServer(server.url, *turn_credentials(secret_of[server.url], now))
        if server.username is None and server.url in secret_of
        else server
        for server in ice.servers
    )


def turn_credentials(secret: str, now: int) -> tuple[str, str]:
    """User name and password of the TURN REST scheme, valid for 24 hours."""
    mark = "".join(secrets.choice(ALPHANUMERIC) for _ in range(8))
    username = f"{now // 1000 + CREDENTIAL_SECONDS}:{mark}"
    digest = hmac.digest(secret.encode(), username.encode(), "sha1")
    return username, b64encode(digest).decode()


def _entry(server: IceServer) -> dict[str, str]:
    """The key is `url`: the client knows no `urls` here."""
    entry = {"url": server.url}
    if server.username is not None:
        entry["username"] = server.username
    if server.credential is not None:
        entry["credential"] = server.credential
    return entry
