"""One connection to the broker, kept for the life of a process."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import UnexpectedEOF

from .log import LogUnavailable

CONNECT_TIMEOUT = 15.0  # seconds, for the first connection of a process
MOST_TROUBLES = 20  # kinds that are logged between two connections
PENDING_BYTES = 1024 * 1024  # of publications kept while the broker is away

_logger = structlog.get_logger(__name__)


async def connect(
    url: str, *, token: str = "", name: str, wait_up_to: float = CONNECT_TIMEOUT
) -> Client:
    """Connect to the nats-server(s) at `url` (several: comma-separated), and reconnect for ever.

    `name` shows in the server's lists. Raises `LogUnavailable` if nothing answers in time or the
    token is refused.
    """
    servers = [part.strip() for part in url.split(",")]
    if not all(_is_url(server) for server in servers):
        raise LogUnavailable("The broker's URL must look like nats://host:4222.")
    where = ", ".join(_without_credentials(server) for server in servers)
    log = _logger.bind(broker=where)
    client = Client()
    seen: dict[str, None] = {}  # one line for each kind of trouble, not one a second
    connected = False

    async def on_error(error: Exception) -> None:
        trouble = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        if trouble not in seen and len(seen) < MOST_TROUBLES:
            seen[trouble] = None
            log.warning("broker trouble", error=trouble)
        if not connected and "authorization violation" in trouble.lower():
            raise error  # ends the first connection: waiting does not help

    async def on_disconnect() -> None:
        _fail_requests(client)
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
    except (TimeoutError, NatsError, OSError) as error:
        trouble = "; ".join(seen) or str(error) or "no answer"
        await client.close()
        raise LogUnavailable(f"The broker at {where} cannot be used: {trouble}") from None
    connected = True
    seen.clear()
    return client


async def request(
    client: Client,
    subject: str,
    payload: bytes = b"",
    *,
    wait_up_to: float,
    headers: dict[str, str] | None = None,
) -> Msg:
    """`Client.request`, but a cancellation is never lost. Raises `nats.errors.Error`.

    nats-py waits with `asyncio.wait_for`, which up to Python 3.11 drops a cancellation that comes
    in the same turn of the loop as the answer: the task would then run on for ever. Only a new
    cancellation counts, so that a cancelled task can still write while it cleans up.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    answer = await client.request(subject, payload, timeout=wait_up_to, headers=headers)
    if task and task.cancelling() > before:
        raise asyncio.CancelledError
    return answer


def _fail_requests(client: Client) -> None:
    """Answers to what was asked on a lost connection never come: do not wait for them.

    The map is not public; without it, callers wait for their time-out.
    """
    requests: dict[str, asyncio.Future[Any]] = getattr(client, "_resp_map", {})
    for future in list(requests.values()):
        if not future.done():
            future.set_exception(UnexpectedEOF())


def _is_url(server: str) -> bool:
    try:
        parts = urlsplit(server)
        return (
            parts.scheme in ("nats", "tls", "ws", "wss")
            and bool(parts.hostname)
            and parts.port != 0
        )
    except ValueError:
        return False


def _without_credentials(server: str) -> str:
    return server.rpartition("//")[2].rpartition("@")[2]
