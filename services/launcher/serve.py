"""`tertulia serve`: the nats-server and the four services as one thing to start and stop."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
import structlog

from services.eventlog.jetstream import JetStreamLog, connect
from services.eventlog.log import LogError
from services.eventlog.server import NatsServer
from services.settings import Settings

from . import ports
from .children import Broker, Service, StartFailed
from .data_folder import DataFolder, InUse
from .output import Lines, Output
from .supervisor import GaveUp, Supervisor
from .surroundings import Surroundings

SERVICES = ("media", "recorder", "webhooks", "api")
PATIENCE = 60.0  # seconds for the API to answer before a line says that it does not
PROBE_PAUSE = 0.2  # seconds
BROKER_GRACE = 1.5  # seconds for the nats-server to end

_logger = structlog.get_logger(__name__)


class _Bus(NamedTuple):
    """Where the log is. `broker`: our own nats-server, if it is."""

    url: str
    token: str
    broker: Broker | None = None


async def serve(settings: Settings, output: Output, say: Callable[[str], None]) -> int:
    """Runs until cancelled; the exit code if it ends by itself.

    `output` gets the log and what went wrong, `say` what the user waits for.
    """
    folder = DataFolder(settings.storage.data_dir)
    try:
        with folder.locked("serve"):
            ports.check(settings)
            async with _bus(settings, folder) as bus:
                await _prepare_log(bus)
                surroundings = Surroundings(settings, folder, bus.url, bus.token)
                supervisor = Supervisor(
                    _services(surroundings, output, as_json=settings.log_format == "json"),
                    foundation=bus.broker,
                    renew=surroundings.renew,
                    foundation_grace=BROKER_GRACE,
                )
                await _together(supervisor.run(), _tell_when_ready(settings, folder, say))
    except (InUse, ports.PortTaken, StartFailed, LogError, GaveUp) as error:
        output.write(str(error))
        return 1
    return 0


async def _together(*coroutines: Coroutine[Any, Any, None]) -> None:
    """All at once; the first error itself, not a group of them, and then nothing of the others."""
    try:
        async with asyncio.TaskGroup() as group:
            for coroutine in coroutines:
                group.create_task(coroutine)
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None


@asynccontextmanager
async def _bus(settings: Settings, folder: DataFolder) -> AsyncIterator[_Bus]:
    storage = settings.storage
    folder.forget_broker()
    if storage.nats_url:
        yield _Bus(storage.nats_url, storage.nats_token)
        return
    token = folder.nats_token()
    server = NatsServer(folder.nats_directory, token=token)
    broker = Broker(server)
    try:
        await broker.start()
        with folder.announced(server.url):
            yield _Bus(server.url, token, broker)
    finally:
        await broker.stop(BROKER_GRACE)


async def _prepare_log(bus: _Bus) -> None:
    """Make the stream before four services try to, and say at once what is wrong with it."""
    client = await connect(bus.url, token=bus.token, name="launcher")
    try:
        await (await JetStreamLog.open(client)).close()
    finally:
        await client.close()


def _services(surroundings: Surroundings, output: Output, *, as_json: bool) -> list[Service]:
    return [
        Service(
            name,
            (sys.executable, "-m", f"services.{name}"),
            surroundings.environ,
            Lines(name, output, surroundings.mask, as_json=as_json),
        )
        for name in SERVICES
    ]


async def _tell_when_ready(
    settings: Settings, folder: DataFolder, say: Callable[[str], None]
) -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    complained = False
    async with aiohttp.ClientSession(
        auth=aiohttp.BasicAuth("OPENVIDUAPP", settings.access.secret),
        timeout=aiohttp.ClientTimeout(total=5),
        connector=aiohttp.TCPConnector(ssl=False),  # our own process, perhaps self-signed
    ) as client:
        while not await _answers(client, _health_url(settings)):
            if not complained and loop.time() - started > PATIENCE:
                complained = True
                _logger.warning("the API does not answer yet", seconds=PATIENCE)
            await asyncio.sleep(PROBE_PAUSE)
    say(_banner(settings, folder))


async def _answers(client: aiohttp.ClientSession, url: str) -> bool:
    """Is the API up, with a media node?"""
    try:
        async with client.get(url) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


def _health_url(settings: Settings) -> str:
    access = settings.access
    scheme = "https" if access.tls else "http"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(access.listen_host, access.listen_host)  # noqa: S104
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}:{access.listen_port}/openvidu/api/health"


def _banner(settings: Settings, folder: DataFolder) -> str:
    storage = settings.storage
    log = storage.nats_url or str(folder.nats_directory)
    return (
        f"Tertulia is ready: {settings.access.public_url}/\n"
        f"  data folder: {folder.path}\n"
        f"  event log:   {log}\n"
        f"  recordings:  {settings.recording.path.resolve()}"
    )
