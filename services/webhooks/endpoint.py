"""One HTTP endpoint: what is sent to it, and what of its answers counts (`events.md` section 7).

Beside the configured headers each request has, in the manner of Standard Webhooks,

- `webhook-id`: of the event, the same in every repetition; drop what you have seen,
- `webhook-timestamp`: of this attempt, UTC seconds,
- `webhook-sequence`: `<log sequence>.<position in its commit>`, growing from event to event,
- `webhook-previous-sequence`: the same of the event before, so that a receiver can prove that it
  has got all; absent at the very first one.
"""

from __future__ import annotations

import hashlib
import ssl
from base64 import b64encode
from collections.abc import Iterable

import aiohttp
from msgspec import Struct
from multidict import CIMultiDict
from yarl import URL

from .outbox import Delivery
from .schedule import parse_retry_after

CONNECT_TIMEOUT = 10.0  # seconds
RESPONSE_TIMEOUT = 10.0  # seconds without a byte of the response
TOTAL_TIMEOUT = 25.0  # seconds for all of a request, however slowly bytes drip
IDLE = 4.0  # seconds a connection is kept for; many servers drop theirs after 5
BODY_LIMIT = 64 * 1024  # bytes of a response that are read, to keep the connection

_OURS = frozenset(
    {
        "content-type",
        "content-length",
        "transfer-encoding",
        "webhook-id",
        "webhook-timestamp",
        "webhook-sequence",
        "webhook-previous-sequence",
    }
)
_AWAY = frozenset({502, 503, 504})  # what a proxy answers for a receiver that is not there


class Failure(Struct, frozen=True):
    """`error` has no secret. `unreachable`: the receiver did not see the event, or did not answer.
    `retry_after` in seconds, if the receiver asked for it."""

    error: str
    unreachable: bool
    retry_after: float | None = None


class Endpoint:
    """Use it as a context; one pool of connections is open meanwhile.

    Proxies of the environment are ignored, redirects are not followed, certificates are verified.
    """

    def __init__(
        self,
        url: str,
        headers: Iterable[tuple[str, str]] = (),
        *,
        connections: int = 16,
        connect_timeout: float = CONNECT_TIMEOUT,
        response_timeout: float = RESPONSE_TIMEOUT,
        total_timeout: float = TOTAL_TIMEOUT,
    ) -> None:
        parsed = URL(url)
        self._url = parsed.with_user(None).with_fragment(None)
        self._headers = CIMultiDict({"User-Agent": "Tertulia"})
        if parsed.user is not None:
            self._headers["Authorization"] = _basic(parsed.user, parsed.password or "")
        for name, value in headers:
            if name.lower() not in _OURS:
                self._headers[name] = value  # the last one wins
        self._headers["Content-Type"] = "application/json"
        self._connections = connections
        self._timeout = aiohttp.ClientTimeout(
            total=total_timeout,
            sock_connect=connect_timeout,
            sock_read=response_timeout,
        )
        self._client: aiohttp.ClientSession  # while open

    @property
    def name(self) -> str:
        """For logs: neither credentials nor path, which may be one."""
        return str(self._url.origin())

    @property
    def fingerprint(self) -> str:
        """Changes if the URL or a header changes."""
        text = "\n".join([str(self._url), *(f"{k}: {v}" for k, v in self._headers.items())])
        return hashlib.sha256(text.encode()).hexdigest()

    async def __aenter__(self) -> Endpoint:
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=IDLE),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._timeout,
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding"),
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def post(self, delivery: Delivery, now: float) -> Failure | None:
        """One attempt; `None` is success. `now` is the time in seconds."""
        try:
            async with self._client.post(
                self._url,
                data=delivery.body,
                headers=self._headers_of(delivery, now),
                allow_redirects=False,
            ) as response:
                # The original took nothing but 200, and dropped the event else. As we repeat, a
                # receiver that says 204 would be called for ever: any 2xx is success.
                success = 200 <= response.status < 300
                retry_after = response.headers.get("Retry-After")
                await _read(response)
        except Exception as error:  # whatever a hostile answer does to the client, it is no answer
            return Failure(_describe(error), unreachable=True)
        if success:
            return None
        wait = None if retry_after is None else parse_retry_after(retry_after, now)
        return Failure(
            f"status {response.status}",
            unreachable=response.status in _AWAY and wait is None,
            retry_after=wait,
        )

    def _headers_of(self, delivery: Delivery, now: float) -> CIMultiDict[str]:
        headers = self._headers.copy()
        headers["webhook-id"] = delivery.event_id
        headers["webhook-timestamp"] = str(int(now))
        headers["webhook-sequence"] = f"{delivery.sequence}.{delivery.position}"
        if delivery.previous:
            headers["webhook-previous-sequence"] = delivery.previous
        return headers


def _basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


async def _read(response: aiohttp.ClientResponse) -> None:
    """Take the rest of a short answer, so that its connection can be used again; the status has
    been said, so nothing in here makes a difference to the delivery."""
    size = 0
    try:
        while chunk := await response.content.readany():
            size += len(chunk)
            if size > BODY_LIMIT:
                response.close()
                return
    except Exception:
        response.close()


def _describe(error: BaseException) -> str:
    """Texts of HTTP errors may repeat the URL or what the receiver sent: only kinds are told."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError | aiohttp.ClientConnectorCertificateError):
        return "certificate not trusted"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "host name not found"
    if isinstance(error, OSError) and error.strerror:
        return f"{type(error).__name__}: {error.strerror}"
    return type(error).__name__
