"""One connection to the broker, kept for the life of a process."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import structlog
from nats.aio.client import Client

from .log import LogUnavailable

CONNECT_TIMEOUT = 15.0  # seconds, for the first connection of a process
PENDING_BYTES = 1024 * 1024  # of publications kept while the broker is away

_logger = structlog.get_logger(__name__)


async def connect(
    url: str, *, token: str = "", name: str, wait_up_to: float = CONNECT_TIMEOUT
) -> Client:
    """Connect to the nats-server(s) at `url` (several: comma-separated), and reconnect for ever.

    `name` shows in the server's lists. Raises `LogUnavailable` if nothing answers in time or the
    token is refused.
    """
    servers = [part.strip() for part in url.split(",") if part.strip()]
    where = ", ".join(_without_credentials(server) for server in servers)
    log = _logger.bind(broker=where)
    client = Client()
    seen: set[str] = set()  # one line for each kind of trouble, not one a second
    last = ""

    async def on_error(error: Exception) -> None:
        nonlocal last
        last = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        if last not in seen and len(seen) < 20:
            seen.add(last)
            log.warning("broker trouble", error=last)

    async def on_disconnect() -> None:
        if not client.is_closed:
            log.warning("broker lost, reconnecting")

    async def on_reconnect() -> None:
        seen.clear()
        log.info("broker back")

    async def on_close() -> None:
        log.debug("broker connection closed")

    try:
        async with asyncio.timeout(wait_up_to):
            await client.connect(
                servers=servers,
                name=name,
                token=token or None,
                connect_timeout=3,
                max_reconnect_attempts=-1,
                reconnect_time_wait=1,
                ping_interval=10,
                max_outstanding_pings=2,
                pending_size=PENDING_BYTES,
                error_cb=on_error,
                disconnected_cb=on_disconnect,
                reconnected_cb=on_reconnect,
                closed_cb=on_close,
            )
    except TimeoutError:
        trouble = last or str(client.last_error or "no answer")
        await client.close()
        raise LogUnavailable(f"The broker at {where} cannot be used: {trouble}") from None
    seen.clear()
    return client


def _without_credentials(server: str) -> str:
    parts = urlsplit(server if "//" in server else f"//{server}")
    return parts.netloc.rpartition("@")[2] or server.rpartition("@")[2]
