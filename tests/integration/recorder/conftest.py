"""A conference on a real log, a media node that sends real RTP, and the real recorder process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from nats.aio.client import Client

from services.conference.commands import (
    CloseSession,
    CreateConnection,
    DeleteRecording,
    InitializeSession,
    JoinSession,
    LeaveSession,
    ModifyConnection,
    PublishStream,
    StartRecording,
    StopRecording,
    UnpublishStream,
)
from services.conference.model import (
    MediaOptions,
    OutputMode,
    Reason,
    RecordingOptions,
    RecordingStatus,
    SessionProperties,
    VideoSource,
)
from services.conference.state import Recording, State
from services.eventlog.bus import CommandBus, Outcome
from services.eventlog.commit import Actor, ActorKind
from services.eventlog.jetstream import JetStreamLog
from services.eventlog.log import LogUnavailable
from services.eventlog.server import NatsServer

from .media_node import NODE_ID, MediaNode, Publisher

ROOT = Path(__file__).parents[3]
SESSION = "ses_A"
_ACTOR = Actor(ActorKind.REST)


class Conference:
    """One session, driven by commands as the API would send them."""

    def __init__(self, log: JetStreamLog, node: MediaNode) -> None:
        self.log = log
        self.node = node
        self._bus = CommandBus(log)

    async def do(self, command: Any) -> Outcome:
        """The broker may be away for a while."""
        command_id = uuid4().hex
        deadline = time.monotonic() + 60
        while True:
            try:
                return await self._bus.execute(
                    SESSION, command, actor=_ACTOR, command_id=command_id
                )
            except LogUnavailable:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.1)

    async def state(self) -> State:
        return await self._bus.load(SESSION)

    async def open(self) -> None:
        await self.do(InitializeSession(SESSION, SessionProperties(custom_session_id=SESSION)))

    async def join(self, name: str, *, record: bool = True) -> str:
        connection_id = f"con_{name}"
        await self.do(
            CreateConnection(
                connection_id, f"tok_{name}", record=record, server_data=f"server-{name}"
            )
        )
        await self.do(
            JoinSession(
                token=f"tok_{name}",
                platform="test",
                client_data=f"client-{name}",
                rpc_digest="0" * 64,
                media_node_id=NODE_ID,
                media_instance="one",
            )
        )
        return connection_id

    async def publish(
        self,
        name: str,
        *,
        has_audio: bool = True,
        has_video: bool = True,
        audio_active: bool = True,
        video_active: bool = True,
        absent: bool = False,
        **options: Any,
    ) -> Publisher:
        """Publish as somebody who joined; `absent`: the media node knows nothing of it."""
        stream_id = self.stream(name)
        publisher = self.node.publish(stream_id, audio=has_audio, video=has_video, **options)
        if absent:
            del self.node.publishers[stream_id]
        await self.do(
            PublishStream(
                f"con_{name}",
                stream_id,
                MediaOptions(
                    has_audio=has_audio,
                    has_video=has_video,
                    audio_active=audio_active if has_audio else None,
                    video_active=video_active if has_video else None,
                    type_of_video=VideoSource.CAMERA if has_video else None,
                    frame_rate=30 if has_video else None,
                    video_dimensions='{"width":320,"height":240}' if has_video else None,
                ),
                created_at=time.time_ns() // 1_000_000,
            )
        )
        return publisher

    @staticmethod
    def stream(name: str) -> str:
        return f"str_CAM_Ab1C_con_{name}"

    async def unpublish(self, name: str) -> None:
        await self.do(UnpublishStream(self.stream(name)))
        del self.node.publishers[self.stream(name)]

    async def leave(self, name: str) -> None:
        await self.do(LeaveSession(f"con_{name}"))

    async def set_record(self, name: str, record: bool) -> None:
        await self.do(ModifyConnection(f"con_{name}", record=record))

    async def start_recording(self, **options: Any) -> str:
        options.setdefault("output_mode", OutputMode.INDIVIDUAL)
        outcome = await self.do(StartRecording(RecordingOptions(**options)))
        return outcome.events[0].recording_id  # type: ignore[union-attr]

    async def stop_recording(self, recording_id: str) -> None:
        await self.do(StopRecording(recording_id))

    async def delete_recording(self, recording_id: str) -> None:
        await self.do(DeleteRecording(recording_id))

    async def close(self) -> None:
        await self.do(CloseSession(Reason.SESSION_CLOSED_BY_SERVER))

    async def status(self, recording_id: str, *wanted: str, seconds: float = 60.0) -> Recording:
        """The recording, once it has one of these statuses."""
        deadline = time.monotonic() + seconds
        while True:
            recording = (await self.state()).recordings[recording_id]
            if recording.status in wanted:
                return recording
            assert recording.status not in (RecordingStatus.READY, RecordingStatus.FAILED), (
                f"{recording.status}: {recording.message}"
            )
            assert time.monotonic() < deadline, f"still {recording.status}, not {wanted}"
            await asyncio.sleep(0.02)

    async def reports(self) -> list[str]:
        """The recording events of the session, in order, as `<event>`."""
        return [
            type(event).__name__
            async for recorded in self.log.read(SESSION)
            for event in recorded.commit.events
            if type(event).__name__.startswith("Recording")
        ]


class RecorderProcess:
    def __init__(self, server: NatsServer, token: str, path: Path) -> None:
        self.path = path
        self._environment = {
            **{key: value for key, value in os.environ.items() if "OPENVIDU" not in key},
            "DOTENV_PATH": "",
            "TERTULIA_NATS_URL": server.url,
            "TERTULIA_NATS_TOKEN": token,
            "OPENVIDU_RECORDING": "true",
            "OPENVIDU_RECORDING_PATH": str(path),
        }
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, *, wait: bool = True) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.recorder", cwd=ROOT, env=self._environment
        )
        if wait:
            deadline = time.monotonic() + 60
            position = self.path / ".recorder-position"
            before = position.stat().st_mtime_ns if position.exists() else 0
            while not position.exists() or position.stat().st_mtime_ns == before:
                assert self.process.returncode is None, "the recorder ended"
                assert time.monotonic() < deadline, "the recorder does not start"
                await asyncio.sleep(0.02)

    async def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def terminate(self) -> int:
        """Its exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), 60)

    def files(self, recording_id: str) -> list[str]:
        folder = self.path / recording_id
        return sorted(os.listdir(folder)) if folder.is_dir() else []

    def size(self, recording_id: str, name: str) -> int:
        try:
            return (self.path / recording_id / name).stat().st_size
        except FileNotFoundError:
            return 0

    def entity(self, recording_id: str) -> dict[str, Any]:
        path = self.path / recording_id / f".recording.{recording_id}"
        return json.loads(path.read_bytes())  # type: ignore[no-any-return]

    def unzip(self, recording_id: str, name: str, to: Path) -> dict[str, Any]:
        """Extract the zip and give its synchronisation file."""
        with zipfile.ZipFile(self.path / recording_id / f"{name}.zip") as zipped:
            assert zipped.testzip() is None
            zipped.extractall(to)
        return json.loads((to / f"{name}.json").read_bytes())  # type: ignore[no-any-return]


@pytest.fixture
async def node(nats_client: Client) -> AsyncIterator[MediaNode]:
    node = MediaNode(nats_client)
    await node.start()
    sender = asyncio.ensure_future(node.run())
    try:
        yield node
    finally:
        sender.cancel()
        await asyncio.wait({sender})
        node.close()


@pytest.fixture
async def conference(event_log: JetStreamLog, node: MediaNode) -> Conference:
    conference = Conference(event_log, node)
    await conference.open()
    return conference


@pytest.fixture
async def recorder(
    nats: NatsServer, nats_token: str, event_log: JetStreamLog, tmp_path: Path
) -> AsyncIterator[RecorderProcess]:
    """The recorder on an empty directory; not started yet. Must end well after a SIGTERM."""
    recorder = RecorderProcess(nats, nats_token, tmp_path / "recordings")
    try:
        yield recorder
    finally:
        if recorder.process is not None and recorder.process.returncode is None:
            assert await recorder.terminate() == 0
