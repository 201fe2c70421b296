"""One service, and all that acts on it: what situations are made with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from nats.aio.client import Client

from services.conference.commands import CreateConnection, ReportRecordingStarted
from services.conference.events import (
    ConnectionCreated,
    ParticipantJoined,
    WebrtcConnectionCreated,
)
from services.conference.model import ConnectionType, Direction, Role
from services.eventlog.commit import Commit
from services.eventlog.jetstream import JetStreamLog
from tests.integration.api.conftest import MEDIA, SERVICE, Room, Server
from tests.integration.signaling.conftest import responding

from .operations import Operation

NODE = "media_local"  # where the people of `Room` are
NODE_URI = "ws://127.0.0.1:8888/kurento"
INDIVIDUAL = {"outputMode": "INDIVIDUAL"}


@dataclass
class World:
    api: Server
    room: Room
    nats: Client
    log: JetStreamLog

    async def salon(self, **properties: object) -> str:
        """A session called `salon`."""
        return await self.api.new_session(customSessionId="salon", **properties)

    async def person(self, **properties: object) -> str:
        """Somebody in `salon`, as the api shows it; the connection id."""
        return await self.room.person(self.api, "salon", **properties)

    async def recording(self) -> str:
        """One that runs in `salon`, as the api shows it."""
        await self.salon()
        await self.person()
        recording = await self.room.record("salon")
        await self.api.until(f"/recordings/{recording}", lambda found: True)
        return recording

    @asynccontextmanager
    async def recorder(self, recording: str = "salon") -> AsyncIterator[None]:
        """Starts what it is asked to record."""

        async def asked() -> bool:
            return recording in (await self.room.bus.load("salon")).recordings

        async def run() -> None:
            await self.room.eventually(asked)
            await self.room.act("salon", ReportRecordingStarted(recording))

        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            tasks.create_task(run())
            yield

    @asynccontextmanager
    async def media_node(self) -> AsyncIterator[None]:
        """One is in the cluster and runs."""
        async with responding(self.nats, NODE, instance="one"):
            await self.api.until(f"/media-nodes/{NODE}", lambda found: found["status"] == "running")
            yield

    async def on_the_node(self) -> None:
        """`salon` is, with somebody in it, and the node's object shows it."""
        await self.salon()
        await self.person()
        path = f"/media-nodes/{NODE}?sessions=true"
        await self.api.until(path, lambda found: found["sessions"])

    async def camera(self) -> str:
        """An IP camera that publishes in `salon`, as a version that has some would log it; the id
        of its stream. Its commands are not known here, its events are."""
        name, stream = "ipc_IPCAM_rtsp_C4CU_cam", "str_IPC_SJmx_ipc_IPCAM_rtsp_C4CU_cam"
        last = [recorded async for recorded in self.log.read("salon")][-1]
        at = last.commit.time + 1
        commit = Commit(
            "of-a-later-version", "salon", last.commit.version + 1, at, SERVICE,
            CreateConnection(name, "tok_camera"),
            (
                ConnectionCreated(
                    name, "tok_camera", ConnectionType.IPCAM, Role.PUBLISHER,
                    record=True, server_data="", at=at,
                ),
                ParticipantJoined(name, at, "IPCAM", "", "unknown", ""),
                WebrtcConnectionCreated(name, stream, Direction.OUTBOUND, at, MEDIA),
            ),
            previous=last.digest,
        )  # fmt: skip
        await self.log.append(commit, expected=last.sequence)
        path = f"/sessions/salon/connection/{name}"
        await self.api.until(path, lambda found: found["publishers"])
        return stream

    async def path(self, operation: Operation) -> str:
        """Of things that exist, in `salon`."""
        path = operation.path.replace("<SESSION_ID>", "salon").replace("<MEDIA_NODE_ID>", NODE)
        if "<CONNECTION_ID>" in path:
            made = await self.api.new_connection("salon")
            path = path.replace("<CONNECTION_ID>", made["id"])
        return path

    async def everything(self) -> Any:
        """What the service shows, and how much is in the log: to see that nothing changed."""
        paths = ("/sessions?pendingConnections=true", "/recordings")
        shown = [(await self.api.get(path)).body for path in paths]
        return shown, await self.log.last_sequence()
