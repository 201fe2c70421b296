"""What media nodes tell without being asked: lost transports and statistics.

Plain NATS messages (`services/conference/calls.py`); one that is lost is missed by nobody for long.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import msgspec
import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from services.conference.calls import (
    Statistics,
    TransportLost,
    lost_subject,
    statistics_subject,
)

MAX_BYTES = 1024 * 1024

Report = TypeVar("Report", TransportLost, Statistics)
Listeners = Sequence[Callable[[Report], None]]

log = structlog.get_logger(__name__)


class Reports:
    """Listeners must not block. What nobody listens to is not asked for."""

    def __init__(
        self,
        client: Client,
        *,
        lost: Listeners[TransportLost] = (),
        statistics: Listeners[Statistics] = (),
    ) -> None:
        self._client = client
        self._wanted: list[tuple[Any, Callable[[str], str], Listeners[Any]]] = [
            (TransportLost, lost_subject, lost),
            (Statistics, statistics_subject, statistics),
        ]
        self._subscriptions: list[Subscription] = []

    async def start(self) -> None:
        for kind, subject, listeners in self._wanted:
            if listeners:
                listen = _listening(kind, subject, listeners)
                self._subscriptions.append(await self._client.subscribe(subject("*"), cb=listen))
        await self._client.flush(timeout=2)

    async def stop(self) -> None:
        for subscription in self._subscriptions:
            with suppress(nats.errors.Error):
                await subscription.unsubscribe()
        self._subscriptions = []


def _listening(
    kind: Any, subject: Callable[[str], str], listeners: Listeners[Any]
) -> Callable[[Msg], Awaitable[None]]:
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(kind)

    async def listen(message: Msg) -> None:
        try:
            if len(message.data) > MAX_BYTES:
                return
            report = decoder.decode(message.data)
        except (ValueError, RecursionError):  # of Unicode and of msgspec
            return
        if message.subject != subject(report.node_id):
            return
        for listener in listeners:
            try:
                listener(report)
            except Exception:
                log.exception("report_failed", subject=message.subject)

    return listen
