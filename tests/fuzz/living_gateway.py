"""`python -m tests.fuzz.living_gateway`: the api with its signaling gateway for `child`, on a
nats-server, with a media node that answers every call without having media."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import uvloop
from msgspec.structs import replace

from services.api.service import service
from services.eventlog.jetstream import JetStreamLog, connect
from services.eventlog.server import NatsServer
from services.settings.load import load
from tests.fuzz.child import Problems, answer, reporter
from tests.fuzz.measure import Heartbeat
from tests.integration.signaling.conftest import responding

SECRET = "A_SECRET_OF_THE_TESTS"
TOKEN = "only-for-tests"


async def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data").mkdir()
        environ = {
            "OPENVIDU_SECRET": SECRET,
            "TERTULIA_DATA_DIR": str(folder / "data"),
            "OPENVIDU_RECORDING_PATH": str(folder / "recordings"),
        }
        settings = load(environ)
        settings = replace(settings, access=replace(settings.access, listen_port=0))
        server = NatsServer(folder / "nats", token=TOKEN)
        await server.start()
        try:
            await _serve(settings, server.url)
        finally:
            await server.stop()


async def _serve(settings: Any, url: str) -> None:
    problems, heartbeat = Problems(), Heartbeat()
    problems.listen(asyncio.get_running_loop())
    client = await connect(url, token=TOKEN, name="fuzz")
    log = await JetStreamLog.open(client)
    async with (
        responding(client, "media_local"),
        service(settings, client, log) as port,
        asyncio.TaskGroup() as tasks,
    ):
        beating = tasks.create_task(heartbeat.run())
        await answer({"port": port}, {"report": reporter(heartbeat, problems)})
        beating.cancel()
    await log.close()
    await client.close()


if __name__ == "__main__":
    uvloop.run(main())
