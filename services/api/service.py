"""The api put together: everything that one process runs, in its order of start and stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import structlog
from litestar.types import ControllerRouterHandler
from nats.aio.client import Client

from services.eventlog.bus import CommandBus, utc_ms
from services.eventlog.log import EventLog
from services.eventlog.restarts import Restarts
from services.settings import Settings

from . import metrics
from .announcements import cluster_id
from .app import create_app
from .commands import Commands
from .database import Database, default_url
from .feed import Feed
from .middleware import Surrounded
from .nodes import Nodes
from .projections import Projector
from .proxies import Proxies
from .reactors import Reactors
from .reactors.garbage import GarbageCollector
from .reactors.membership import Membership
from .reactors.nodes import NodeWatch
from .reactors.recordings import RecordingTimers
from .registry import Registry
from .reports import Reports
from .rest.api import Api
from .rest.auth import Door
from .rest.limits import Logins
from .restarting import Restarting
from .server import serve
from .signaling import Gateway, websocket_handler
from .tls import certificate_files
from .tracks import Tracks
from .traffic import Traffic
from .views import Views

CATCH_UP_SECONDS = 600.0
RECORDING_START_SECONDS = 15.0  # a recorder waits 10 s for media (`recording.md` 4.3)
WITHOUT_FILE = {"DOTENV_PATH": ""}

log = structlog.get_logger(__name__)

Pages = Callable[[Api], Sequence[ControllerRouterHandler]]


@asynccontextmanager
async def service(
    settings: Settings,
    client: Client,
    event_log: EventLog,
    *,
    pages: Pages = lambda api: (),
    environ: Mapping[str, str] = WITHOUT_FILE,
) -> AsyncIterator[int]:
    """The api runs inside the context; gives the port it listens on.

    The door opens when answers show all that was in the log at the start. Leaving stops serving
    first; sessions stay as they are, the log has them. `pages`: routes beside REST and signaling.
    `environ`: that of the process, where a restart keeps new settings.
    """
    database = Database(default_url(settings.storage))
    registry = Registry()
    nodes = Nodes(client, registry.runs)
    bus = CommandBus(event_log)
    views = Views(database, settings.access)
    access = settings.access
    logins = Logins(access.login_failures, access.login_window)
    gateway = Gateway(settings, bus, nodes, client, logins=logins)
    membership = Membership(nodes, registry, cluster_id(settings))
    reactors = Reactors(
        bus,
        (
            GarbageCollector(settings.sessions, utc_ms()),
            RecordingTimers(settings.recording),
            NodeWatch(nodes, registry, lambda: client.is_connected),
            membership,
        ),
    )
    feed = Feed(
        event_log, Projector(database), views, bus, (gateway, reactors), in_memory=(registry,)
    )
    nodes.on_beat = lambda heartbeat: reactors.wake() if membership.hear(heartbeat) else None
    commands = Commands(bus, feed)
    restarting = Restarting(Restarts(client), commands, views, access.secret, environ)
    api = Api(
        settings, bus, feed, commands, views, nodes, registry, restarting, RECORDING_START_SECONDS
    )
    more = [websocket_handler(gateway), *pages(api)]
    listeners = [gateway.hear] if settings.sessions.network_quality else []
    traffic = Traffic() if settings.metrics.enabled else None
    if traffic is not None:
        tracks = Tracks(settings.metrics.tracks)
        listeners.append(tracks.hear)
        sources = metrics.Sources(api, event_log, database, client, logins, traffic, tracks)
        more += metrics.routes(settings, sources)
    app = Surrounded(
        create_app(api, Door(access.secret, logins), more),
        access_log=settings.access_log,
        traffic=traffic,
        proxies=Proxies(access.trusted_proxies) if access.trusted_proxies else None,
    )
    reports = Reports(client, lost=[gateway.transport_lost], statistics=listeners)
    try:
        await nodes.start()
        await reports.start()
        await restarting.start()
        await feed.start()
        async with asyncio.TaskGroup() as tasks:
            running = {tasks.create_task(part.run()) for part in (feed, reactors)}
            try:
                await feed.wait_for(await event_log.last_sequence(), CATCH_UP_SECONDS)
                # Now: the grace time of adopted clients must not pass before the door is open.
                running |= {tasks.create_task(part.run()) for part in (gateway, restarting)}
                await gateway.opened.wait()
                async with serve(
                    app,
                    host=access.listen_host,
                    port=access.listen_port,
                    tls=None if access.plain_http else certificate_files(settings),
                ) as port:
                    log.info("serving", url=access.public_url, host=access.listen_host, port=port)
                    yield port
            finally:
                await _stop(running)
    finally:
        await reports.stop()
        await nodes.stop()
        await database.close()


async def _stop(running: set[asyncio.Task[None]]) -> None:
    """A request to the broker that is answered just now may swallow a cancellation (`wait_for` of
    Python 3.11 does), so one may not be enough."""
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=1)
