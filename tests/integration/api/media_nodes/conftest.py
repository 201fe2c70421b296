"""A media node as the api hears it, and what is asked of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from msgspec.json import encode
from nats.aio.client import Client

from services.conference.calls import Heartbeat, heartbeat_subject
from services.conference.commands import JoinSession
from services.conference.model import Reason

URI = "ws://10.0.4.21:40000/kurento"
NODE = "/media-nodes/media_w1"


class Worker:
    """Says what a media node says: one heartbeat with `beat`, five a second in `running`."""

    def __init__(self, client: Client, node_id: str = "media_w1", port: int = 40000) -> None:
        self._client = client
        self.id = node_id
        self.heartbeat = Heartbeat(
            node_id, "one", "10.0.4.21", 1, 12.456, 0, 0, port, 50 * 1024**2, "1.2", ("opus", "VP8")
        )

    async def beat(self) -> None:
        await self._client.publish(heartbeat_subject(self.id), encode(self.heartbeat))
        await self._client.flush()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Worker]:
        over = asyncio.Event()

        async def beats() -> None:
            while not over.is_set():
                await self.beat()
                with suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), 0.2)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(beats())
            try:
                yield self
            finally:
                over.set()


MakeWorker = Callable[..., Worker]


@pytest.fixture
def make_worker(nats_client: Client) -> MakeWorker:
    return lambda *args, **more: Worker(nats_client, *args, **more)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node counts as alive for long, so that a test decides when it is heard."""
    monkeypatch.setattr("services.api.nodes.ALIVE_SECONDS", 60.0)


@pytest.fixture
async def worker(make_worker: MakeWorker) -> AsyncIterator[Worker]:
    async with make_worker().running() as worker:
        yield worker


async def running(api: Any, node: str = NODE) -> dict[str, Any]:
    """The node, once it runs."""
    return dict(await api.until(node, lambda found: found["status"] == "running"))


async def statuses(event_log: Any, node: str = "node:media_w1") -> list[str]:
    """All that the node went through."""
    return [
        str(getattr(event, "status", "launching"))
        async for recorded in event_log.read(node)
        for event in recorded.commit.events
    ]


async def seat(room: Any, api: Any, session: str = "salon", node: str = "media_w1") -> None:
    """Somebody in a session on that node, as the api shows it."""
    await api.new_session(customSessionId=session)
    connection = await api.new_connection(session)
    token = connection["token"].rpartition("token=")[2]
    await room.act(session, JoinSession(token, "Chrome 142", "", "0" * 64, node, "one"))
    await api.until(f"/sessions/{session}", lambda found: found.get("mediaNodeId") == node)


async def reasons(event_log: Any, session: str) -> set[Reason]:
    return {
        event.reason
        async for recorded in event_log.read(session)
        for event in recorded.commit.events
        if hasattr(event, "reason")
    }


async def removed(api: Any, worker: Worker) -> None:
    await running(api)
    assert (await api.delete(f"/media-nodes/{worker.id}?wait=true")).status == 204
