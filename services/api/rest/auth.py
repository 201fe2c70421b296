"""Basic authentication: user OPENVIDUAPP, password OPENVIDU_SECRET."""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException
from litestar.handlers import BaseRouteHandler

REALM = "tertulia"
PROTECTED = ("/openvidu/api", "/openvidu/recordings")
MESSAGE = "The Authorization header is missing or wrong"


def knows_secret(headers: Mapping[str, str], secret: str) -> bool:
    """In constant time for headers of one length."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    wanted = b64encode(f"OPENVIDUAPP:{secret}".encode()).rstrip(b"=")
    same = hmac.compare_digest(given.strip().rstrip("=").encode("latin-1", "replace"), wanted)
    return same and scheme.lower() == "basic"


def is_protected(path: str) -> bool:
    """Are paths like this one answered only to who knows the secret, whether they exist or not?"""
    return any(path == root or path.startswith(root + "/") for root in PROTECTED)


async def authenticated(
    connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler
) -> None:
    """Guard of the routes under `/openvidu/api`, and of recordings that are not public.

    Asynchronous, as Litestar calls others in a thread."""
    if not knows_secret(connection.headers, connection.app.state.secret):
        raise NotAuthorizedException(MESSAGE)
