"""`/metrics` of the api process, in the text format of Prometheus."""

from __future__ import annotations

import asyncio
import hmac
from base64 import b64decode
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import chain

import structlog
from litestar import Response, get
from litestar.exceptions import NotAuthorizedException
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct
from nats.aio.client import Client
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from sqlalchemy import func, select

from services.conference.calls import Heartbeat
from services.eventlog.bus import Counters
from services.eventlog.log import EventLog, LogError
from services.settings import Settings
from services.settings.kinds import is_loopback

from . import tables
from .database import Database, DatabaseAway
from .rest.api import Api, HttpRequest
from .rest.limits import Logins
from .tracks import Tracks
from .traffic import Traffic

ASK_SECONDS = 3.0  # for the log and the database; without their answer the rest is told

_SESSIONS, _CONNECTIONS = tables.sessions.c, tables.connections.c
_COUNTS = select(
    select(func.count(_SESSIONS.id)).scalar_subquery(),
    select(func.count(_SESSIONS.id)).where(_SESSIONS.recording).scalar_subquery(),
    select(func.count()).where(_CONNECTIONS.status == "active").scalar_subquery(),
    select(func.count()).where(_CONNECTIONS.status == "pending").scalar_subquery(),
)

log = structlog.get_logger(__name__)


class Sources(Struct, frozen=True):
    """Where the numbers come from. Nothing is global: a process may run several apis."""

    api: Api
    event_log: EventLog
    database: Database
    client: Client
    logins: Logins
    traffic: Traffic
    tracks: Tracks


class _Page:
    """What `generate_latest` wants of a registry."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def routes(settings: Settings, sources: Sources) -> list[HTTPRouteHandler]:
    if not settings.metrics.token and not is_loopback(settings.access.listen_host):
        log.warning("/metrics is open to whoever reaches the API; set TERTULIA_METRICS_TOKEN")
    wanted = _digest(settings.metrics.token.encode())
    process = ProcessCollector(registry=None)

    @get("/metrics", include_in_schema=False)
    async def metrics(request: HttpRequest) -> Response[bytes]:
        if settings.metrics.token:
            given = _digest(_given(request.scope["headers"]))
            if not hmac.compare_digest(given, wanted):
                raise NotAuthorizedException("The token is missing or wrong")
        asked = await asyncio.gather(_of_the_log(sources), _of_the_database(sources.database))
        page = _Page([*_of_the_process(sources), *chain(*asked), *process.collect()])
        return Response(generate_latest(page), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [metrics]


def _digest(token: bytes) -> bytes:
    return sha256(token).digest()


def _given(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The token that a request brings, empty if none."""
    given = [value for name, value in headers if name == b"authorization"]
    if len(given) != 1:
        return b""
    scheme, _, token = given[0].partition(b" ")
    match scheme.lower():
        case b"bearer":
            return token.strip()
        case b"basic":
            try:
                return b64decode(token.strip(), validate=True).partition(b":")[2]
            except ValueError:
                return b""
    return b""


def _of_the_process(sources: Sources) -> Iterator[Metric]:
    yield from sources.traffic.collect()
    yield from _of_the_bus(sources.api.bus.counters)
    yield from _of_the_nodes(sources.api.nodes.alive())
    yield from sources.tracks.collect()
    yield CounterMetricFamily(
        "tertulia_logins_failed", "REST requests with a wrong secret.", sources.logins.failed
    )
    yield CounterMetricFamily(
        "tertulia_logins_limited",
        "REST requests refused as their address sent too many wrong secrets.",
        sources.logins.refused,
    )
    yield GaugeMetricFamily(
        "tertulia_nats_connected",
        "1 while the connection to NATS stands.",
        sources.client.is_connected,
    )
    yield GaugeMetricFamily(
        "tertulia_projection_position",
        "Sequence of the last commit that answers show.",
        sources.api.feed.position,
    )


def _of_the_bus(counters: Counters) -> Iterator[Metric]:
    yield CounterMetricFamily(
        "tertulia_commits", "Commits that this process appended.", counters.commits
    )
    yield CounterMetricFamily(
        "tertulia_commands_repeated",
        "Commands answered with their first outcome.",
        counters.repeated,
    )
    yield CounterMetricFamily(
        "tertulia_commit_conflicts",
        "Appends that another writer of the session preceded.",
        counters.conflicts,
    )
    yield CounterMetricFamily(
        "tertulia_commits_unanswered",
        "Appends that NATS did not answer in time.",
        counters.unanswered,
    )


def _of_the_nodes(nodes: Sequence[Heartbeat]) -> Iterator[Metric]:
    yield GaugeMetricFamily("tertulia_media_nodes", "Media nodes alive.", len(nodes))
    load = GaugeMetricFamily(
        "tertulia_media_node_load_ratio",
        "CPU time of the node's process per time, 1 is a whole core.",
        labels=["node"],
    )
    streams = GaugeMetricFamily(
        "tertulia_media_node_streams",
        "Streams that the node takes from publishers and sends to subscribers.",
        labels=["node", "direction"],
    )
    for node in nodes:
        load.add_metric([node.node_id], node.load / 100)
        streams.add_metric([node.node_id, "in"], node.publishers)
        streams.add_metric([node.node_id, "out"], node.subscribers)
    yield load
    yield streams


async def _of_the_log(sources: Sources) -> list[Metric]:
    try:
        async with asyncio.timeout(ASK_SECONDS):
            end = await sources.event_log.last_sequence()
    except (LogError, TimeoutError):
        return []
    lag = max(0, end - sources.api.feed.position)
    return [
        GaugeMetricFamily("tertulia_log_position", "Sequence of the log's last commit.", end),
        GaugeMetricFamily(
            "tertulia_projection_lag_commits", "Commits that answers do not show yet.", lag
        ),
    ]


async def _of_the_database(database: Database) -> list[Metric]:
    try:
        async with asyncio.timeout(ASK_SECONDS):
            ((sessions, recorded, active, pending),) = await database.read(_COUNTS)
    except (DatabaseAway, TimeoutError):
        return []
    connections = GaugeMetricFamily(
        "tertulia_connections", "Connections of open sessions.", labels=["status"]
    )
    connections.add_metric(["active"], active)
    connections.add_metric(["pending"], pending)
    return [
        GaugeMetricFamily("tertulia_sessions", "Open sessions.", sessions),
        GaugeMetricFamily("tertulia_sessions_recorded", "Sessions being recorded.", recorded),
        connections,
    ]
