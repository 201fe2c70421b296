"""Schemathesis against a real api: `python -m tests.fuzz_api --minutes 30` for long runs; the suite
runs it briefly (`tests/contract/rest/test_schemathesis.py`).

The world has a nats-server, the api with its SQLite, heartbeats of media nodes, and a company: who
plays browsers and the recorder, so that sessions have people, streams and recordings.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from unittest.mock import patch

import msgspec
from msgspec.structs import replace
from nats.aio.client import Client

from services.api.restarting import Restarting
from services.api.service import service
from services.conference.calls import Heartbeat, heartbeat_subject
from services.conference.commands import (
    Command,
    CreateConnection,
    JoinSession,
    PublishStream,
    ReportRecordingReady,
    ReportRecordingStarted,
)
from services.conference.errors import ConferenceError
from services.conference.events import (
    ConnectionCreated,
    Event,
    RecordingRequested,
    RecordingStopped,
    SessionCreated,
)
from services.conference.model import MediaOptions, VideoSource
from services.eventlog.bus import CommandBus
from services.eventlog.commit import Actor, ActorKind
from services.eventlog.jetstream import JetStreamLog, connect
from services.eventlog.log import EventLog
from services.eventlog.server import NatsServer
from services.settings import folders
from services.settings.load import load

SECRET = "A_SECRET_OF_THE_TESTS"
TOKEN = "only-for-tests"
NODES = ("media_1", "media_2", "media_home")  # the last one hosts all sessions
HOST = "con_Host"
ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "tests" / "contract" / "rest" / "schemathesis.toml"

_COMPANY = Actor(ActorKind.SERVICE, "company")
_MEDIA = MediaOptions(
    has_audio=True,
    has_video=True,
    audio_active=True,
    video_active=True,
    type_of_video=VideoSource.CAMERA,
    frame_rate=30,
    video_dimensions='{"width":640,"height":480}',
)


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[str]:
    """Everything runs inside the context; gives the URL of the api."""
    environ = {
        "OPENVIDU_SECRET": SECRET,
        "TERTULIA_DATA_DIR": str(folder / "data"),
        "OPENVIDU_RECORDING_PATH": str(folder / "recordings"),
        "DOTENV_PATH": str(folder / ".env"),
    }
    (folder / "data").mkdir()
    (folder / ".env").touch()
    settings = load(environ)
    settings = replace(settings, access=replace(settings.access, listen_port=0))
    server = NatsServer(folder / "nats", token=TOKEN)
    await server.start()
    try:
        client = await connect(server.url, token=TOKEN, name="fuzz")
        log = await JetStreamLog.open(client)
        with _no_restarts():
            async with (
                service(settings, client, log, environ=environ) as port,
                asyncio.TaskGroup() as tasks,
            ):
                files = settings.recording.path
                others = [tasks.create_task(company(log, files)), tasks.create_task(_beat(client))]
                yield f"http://127.0.0.1:{port}"
                for task in others:
                    task.cancel()
        await log.close()
        await client.close()
    finally:
        await server.stop()


@contextmanager
def _no_restarts() -> Iterator[None]:
    """They are asked for and stay so: nothing ends, and no folder is made of a fuzzed path."""

    async def rest(_: Restarting) -> None:
        await asyncio.Event().wait()

    with (
        patch.object(Restarting, "run", rest),
        patch.object(folders, "prepare", lambda settings, who: None),
    ):
        yield


async def company(log: EventLog, files: Path) -> None:
    """A host is in every session, or it would end with the first person who is removed. Every other
    connection is joined by somebody who publishes; recordings start and end."""
    bus = CommandBus(log)
    async for commits in log.subscribe(after=0):
        for recorded in commits:
            for event in recorded.commit.events:
                if isinstance(event, RecordingStopped):
                    (files / event.recording_id).mkdir(parents=True, exist_ok=True)
                    (files / event.recording_id / f"{event.recording_id}.zip").write_bytes(b"PK")
                for command in _replies(recorded.commit.session_id, event):
                    with suppress(ConferenceError):  # it has changed meanwhile
                        await bus.execute(recorded.commit.session_id, command, actor=_COMPANY)


def _replies(session: str, event: Event) -> list[Command]:
    match event:
        case SessionCreated():
            return [CreateConnection(HOST, f"tok_{session}")]
        case ConnectionCreated(connection_id=name) if name == HOST or ord(name[-1]) % 2:
            join = JoinSession(
                token=event.token,
                platform="Chrome 142",
                client_data="Ana",
                rpc_digest="0" * 64,
                media_node_id=NODES[-1],
                media_instance="one",
                ip="127.0.0.1",
            )
            return [join, PublishStream(name, f"str_CAM_Ab12_{name}", _MEDIA, created_at=1)]
        case RecordingRequested():
            return [ReportRecordingStarted(event.recording_id)]
        case RecordingStopped():
            return [ReportRecordingReady(event.recording_id, size=1000, duration=1.5)]
    return []


async def _beat(client: Client) -> None:
    started = time.time_ns() // 1_000_000
    while True:
        for node in NODES:
            beat = Heartbeat(node, "one", "127.0.0.1", started, 0.0, 0, 0)
            await client.publish(heartbeat_subject(node), msgspec.json.encode(beat))
        await asyncio.sleep(0.5)


async def fuzz(
    url: str, folder: Path, *options: str, output: int | None = None
) -> tuple[int, bytes]:
    """Run schemathesis with `schemathesis.toml`; its exit code (0: no failure) and, with `output`
    a pipe, its report. It leaves files in `folder`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "schemathesis.cli",
        f"--config-file={CONFIG}",
        "run",
        f"{url}/docs/openapi.json",
        f"--auth=OPENVIDUAPP:{SECRET}",
        "--no-color",
        *options,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{CONFIG.parent}:{ROOT}"},
        stdout=output,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        report, _ = await process.communicate()
        return process.returncode or 0, report or b""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz_api", description=__doc__)
    parser.add_argument("--minutes", type=float, help="how long; without, each phase once")
    parser.add_argument("more", nargs="*", help="options of `schemathesis run`, after --")
    given = parser.parse_args()
    options = [f"--max-time={round(given.minutes * 60)}"] if given.minutes else []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with world(folder) as url:
            code, _ = await fuzz(url, folder, "--continue-on-failure", *options, *given.more)
    return code


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
