"""Basic authentication: user OPENVIDUAPP, password OPENVIDU_SECRET."""

from __future__ import annotations

import hmac
from base64 import b64encode
from hashlib import sha256

from litestar.exceptions import NotAuthorizedException, TooManyRequestsException
from litestar.types import ASGIApp, Receive, Scope, Send
from litestar.utils import normalize_path

from .limits import Logins

REALM = "tertulia"
PROTECTED = ("/openvidu/api", "/openvidu/recordings")


class Door:
    """Lets those in who know the secret."""

    def __init__(self, secret: str, logins: Logins) -> None:
        wanted = b64encode(f"OPENVIDUAPP:{secret}".encode()).rstrip(b"=")
        self._wanted = sha256(wanted).digest()
        self._logins = logins

    def admit(self, scope: Scope) -> None:
        """Raises `HTTPException` 401, or 429 for an address that failed too often: it may know the
        secret by now, so the right one does not help. A request without the header is how browsers
        ask, and no failure."""
        address = scope["client"][0] if scope["client"] else None
        if seconds := self._logins.wait(address):
            self._logins.refused += 1
            raise TooManyRequestsException(
                f"Too many wrong secrets came from your address; wait {seconds} s",
                headers={"Retry-After": str(seconds)},
            )
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(given) == 1 and self._knows(given[0]):
            return
        if given:
            self._logins.failure(address)
        raise NotAuthorizedException("The Authorization header is missing or wrong")

    def _knows(self, header: bytes) -> bool:
        """Digests are compared, so the time tells nothing of the secret, its length included."""
        scheme, _, given = header.partition(b" ")
        found = sha256(given.strip().rstrip(b"=")).digest()
        return hmac.compare_digest(found, self._wanted) and scheme.lower() == b"basic"


def is_protected(path: str) -> bool:
    """Are paths like this one answered only to who knows the secret, whether they exist or not?"""
    path = normalize_path(path)
    return any(path == root or path.startswith(root + "/") for root in PROTECTED)


def admit(scope: Scope) -> None:
    """As `Door.admit`."""
    door: Door = scope["litestar_app"].state.door
    door.admit(scope)


def authenticated(app: ASGIApp) -> ASGIApp:
    """Around the routes under `/openvidu/api`, and recordings that are not public.

    A middleware, as Litestar copies a handler for each guard that it asks."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        admit(scope)
        await app(scope, receive, send)

    return guarded
