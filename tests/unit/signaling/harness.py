"""A gateway on a real WebSocket server, and clients that see every frame."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, nullcontext, suppress
from typing import Any

import uvicorn
from litestar import Litestar
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from services.api.nodes import NodeUnavailable
from services.api.signaling import Gateway, websocket_handler
from services.conference import ids
from services.conference.calls import (
    AcceptAnswer,
    Answer,
    Call,
    Discard,
    Done,
    Heartbeat,
    Offer,
    PrepareOffer,
    Reply,
)
from services.conference.commands import Command, CreateConnection, InitializeSession
from services.conference.model import IceServer, KurentoOptions, Role, SessionProperties
from services.conference.state import State
from services.eventlog.bus import CommandBus, Outcome
from services.eventlog.commit import Actor, ActorKind
from services.eventlog.follower import follow
from services.eventlog.log import EventLog
from services.settings import Settings

SECONDS = 10.0  # no test waits longer for anything
REST = Actor(ActorKind.REST)
RANDOM = secrets.SystemRandom()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


class FakeNodes:
    """A media node in this process. `replies` overrides the answer by type of call: a reply, an
    exception to raise, or an event to wait for first."""

    def __init__(self) -> None:
        self.heartbeat: Heartbeat | None = Heartbeat("media_a", "i1", "127.0.0.1", 1, 0.0, 0, 0)
        self.calls: list[Call] = []
        self.replies: dict[type, Reply | Exception] = {}
        self.hold: dict[type, asyncio.Event] = {}

    def alive(self) -> list[Heartbeat]:
        return [self.heartbeat] if self.heartbeat else []

    def get(self, node_id: str) -> Heartbeat | None:
        return next((node for node in self.alive() if node.node_id == node_id), None)

    def choose(self, wanted: str | None = None) -> Heartbeat | None:
        return self.get(wanted) if wanted else self.heartbeat

    async def call(self, node_id: str, call: Call, timeout: float = 5) -> Reply:  # noqa: ASYNC109
        self.calls.append(call)
        if event := self.hold.get(type(call)):
            await event.wait()
        if self.get(node_id) is None:
            raise NodeUnavailable(f"Media node {node_id} does not answer")
        reply = self.replies.get(type(call))
        if isinstance(reply, Exception):
            raise reply
        return reply or answer_to(call)


def answer_to(call: Call) -> Reply:
    """A plausible answer of a media node, which tells what it answers."""
    if isinstance(call, PrepareOffer):
        return Offer(f"offer of {call.stream_id}")
    if isinstance(call, AcceptAnswer | Discard):
        return Done()
    return Answer(f"answer to {getattr(call, 'sdp_offer', '')}")


class Client:
    """One WebSocket. `frames` has every frame in the order of arrival."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.frames: list[dict[str, Any]] = []
        self.closed: tuple[int | None, str] | None = None
        self.id = ""  # connection id
        self.rpc_id = ""
        self._next = 0
        self._arrived = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for text in self.socket:
                assert isinstance(text, str), "frames are TEXT"
                async with self._arrived:
                    self.frames.append(check_frame(json.loads(text)))
                    self._arrived.notify_all()
        except ConnectionClosed:
            pass
        finally:
            self.closed = (self.socket.close_code, self.socket.close_reason or "")
            async with self._arrived:
                self._arrived.notify_all()

    async def close(self, code: int = 1000) -> None:
        await self.socket.close(code)
        await self._reader

    async def drop(self) -> None:
        """As a network that is gone: no close frame."""
        self.socket.transport.abort()
        await self._reader

    async def raw(self, text: str | bytes) -> None:
        await self.socket.send(text)

    async def send(self, method: str, params: dict[str, Any] | None = None) -> int:
        number, self._next = self._next, self._next + 1
        request: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "id": number}
        if params is not None:
            request["params"] = params
        await self.raw(json.dumps(request))
        return number

    async def call(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """The whole response frame."""
        number = await self.send(method, params)
        return await self.response(number)

    async def response(self, number: int) -> dict[str, Any]:
        return await self.wait(lambda frame: frame.get("id") == number)

    async def result(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        frame = await self.call(method, params)
        assert "result" in frame, frame
        return frame["result"]

    async def code(self, method: str, params: dict[str, Any] | None = None) -> int:
        frame = await self.call(method, params)
        assert "error" in frame, frame
        return frame["error"]["code"]

    async def note(self, method: str, **members: Any) -> dict[str, Any]:
        """Params of the first notification with these members."""
        frame = await self.wait(
            lambda frame: (
                frame.get("method") == method and members.items() <= frame["params"].items()
            )
        )
        return frame["params"]

    async def wait(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async with asyncio.timeout(SECONDS), self._arrived:
            while True:
                for frame in self.frames:
                    if wanted(frame):
                        return frame
                assert self.closed is None, f"closed {self.closed}: {self.frames}"
                await self._arrived.wait()

    async def wait_closed(self) -> tuple[int | None, str]:
        async with asyncio.timeout(SECONDS):
            await self._reader
        assert self.closed is not None
        return self.closed

    async def settle(self) -> None:
        """All that was under way for this client has arrived: a request and a ping went round."""
        await self.result("ping")

    def story(self, since: int = 0) -> list[str]:
        """Method of each notification, `result` or `error <code>` of each response."""
        return [describe(frame) for frame in self.frames[since:]]

    async def join(self, session_id: str, token: str, metadata: str = "") -> dict[str, Any]:
        result = await self.result("joinRoom", join_params(session_id, token, metadata))
        self.id, self.rpc_id = result["id"], result["sessionId"]
        return result

    async def publish(self, **others: Any) -> str:
        return (await self.result("publishVideo", {**PUBLISH, **others}))["id"]

    async def subscribe(self, stream_id: str) -> None:
        await self.result("prepareReceiveVideoFrom", {"sender": stream_id, "reconnect": False})
        await self.result("receiveVideoFrom", {"sender": stream_id, "sdpAnswer": "v=0"})


PUBLISH: dict[str, Any] = {
    "sdpOffer": "v=0 offer",
    "doLoopback": False,
    "hasAudio": True,
    "hasVideo": True,
    "audioActive": True,
    "videoActive": True,
    "typeOfVideo": "CAMERA",
    "frameRate": 30,
    "videoDimensions": '{"width":640,"height":480}',
}


def join_params(session_id: str, token: str, metadata: str = "") -> dict[str, Any]:
    """As 2.18 to 2.20 send them: the members they all have."""
    return {
        "token": token,
        "session": session_id,
        "platform": "Chrome 156.0.0.0 on Linux 64-bit",
        "metadata": metadata,
        "secret": "",
        "recorder": False,
    }


def check_frame(frame: Any) -> dict[str, Any]:
    """What holds for every frame a server sends (`signaling.md` 1.3)."""
    assert isinstance(frame, dict)
    assert frame["jsonrpc"] == "2.0"
    assert not has_null(frame), frame
    if "method" in frame:
        assert frame.keys() == {"jsonrpc", "method", "params"}
    else:
        assert ("result" in frame) != ("error" in frame), frame
        assert isinstance(frame.get("result", {}), dict)
        assert "dest" not in frame.get("result", {})
    return frame


def has_null(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(has_null, value.values()))
    if isinstance(value, list):
        return any(map(has_null, value))
    return value is None


def describe(frame: dict[str, Any]) -> str:
    if "method" in frame:
        return str(frame["method"])
    return "result" if "result" in frame else f"error {frame['error']['code']}"


class World:
    """One API replica: bus, feed, gateway, server."""

    def __init__(self, log: EventLog, bus: CommandBus, nodes: Any, gateway: Gateway, port: int):
        self.log = log
        self.bus = bus
        self.nodes = nodes
        self.gateway = gateway
        self.port = port
        self.clients: list[Client] = []

    async def execute(self, session_id: str, command: Command) -> Outcome:
        return await self.bus.execute(session_id, command, actor=REST)

    async def session(self, session_id: str = "S1", **properties: Any) -> str:
        properties.setdefault("custom_session_id", session_id)
        await self.execute(
            session_id, InitializeSession(session_id, SessionProperties(**properties))
        )
        return session_id

    async def token(
        self,
        session_id: str,
        role: Role = Role.PUBLISHER,
        *,
        data: str = "",
        kurento: KurentoOptions | None = None,
        ice: tuple[IceServer, ...] = (),
    ) -> str:
        """The whole token string, as REST gives it out."""
        token = ids.token(RANDOM)
        command = CreateConnection(
            ids.connection_id(RANDOM),
            token,
            role=role,
            server_data=data,
            kurento_options=kurento,
            custom_ice_servers=ice,
        )
        await self.execute(session_id, command)
        return f"ws://localhost:4443?sessionId={session_id}&token={token}"

    async def client(self, *, query: str = "sessionId=S1", **options: Any) -> Client:
        socket = await connect(
            f"ws://127.0.0.1:{self.port}/openvidu?{query}",
            max_size=None,
            ping_interval=None,
            proxy=None,
            **options,
        )
        client = Client(socket)
        self.clients.append(client)
        return client

    async def user(
        self, session_id: str = "S1", role: Role = Role.PUBLISHER, metadata: str = ""
    ) -> Client:
        """A client that has joined."""
        client = await self.client()
        await client.join(session_id, await self.token(session_id, role), metadata)
        return client

    async def state(self, session_id: str = "S1") -> State:
        return await self.bus.load(session_id)

    async def eventually(self, holds: Callable[[State], bool], session_id: str = "S1") -> State:
        async with asyncio.timeout(SECONDS):
            while True:
                state = await self.state(session_id)
                if holds(state):
                    return state
                await asyncio.sleep(0.02)

    async def commits(self, session_id: str = "S1") -> list[str]:
        """The names of the commands in the log."""
        return [
            type(recorded.commit.command).__name__ async for recorded in self.log.read(session_id)
        ]


async def come_back(world: World, client: Client) -> Client:
    """As the client does: a new socket, `connect`, then pings."""
    again = await world.client(query="sessionId=S1&reconnect=true")
    result = await again.result("connect", {"sessionId": client.rpc_id, "reconnect": True})
    assert result == {"value": "reconnection successful", "sessionId": client.rpc_id}
    again.id, again.rpc_id = client.id, client.rpc_id
    return again


@asynccontextmanager
async def replica(
    log: EventLog,
    settings: Settings,
    nodes: Any,
    nats_client: Any = None,
    *,
    linger: float = 10.0,
    adopt: tuple[State, ...] = (),
    after: int | None = None,
) -> AsyncIterator[World]:
    """A running replica, which follows the log from now on, or from a sequence on."""
    bus = CommandBus(log)
    gateway = Gateway(settings, bus, nodes, nats_client, linger=linger)
    gateway.adopt(adopt)
    position = await log.last_sequence() if after is None else after

    async def feed() -> None:
        async with aclosing(follow(log, after=position)) as batches:
            async for steps in batches:
                gateway.dispatch(steps)

    app = Litestar([websocket_handler(gateway)], openapi_config=None)
    config = uvicorn.Config(
        app, port=0, log_config=None, ws_max_size=2 * 1024 * 1024, lifespan="off"
    )
    server = uvicorn.Server(config)
    server.capture_signals = nullcontext  # the process's signals are the test runner's
    tasks = [
        asyncio.create_task(feed()),
        asyncio.create_task(gateway.run()),
        asyncio.create_task(server.serve()),
    ]
    async with asyncio.timeout(SECONDS):
        while not (server.started and gateway.open):
            await asyncio.sleep(0.01)
            assert not any(task.done() for task in tasks), tasks
    world = World(log, bus, nodes, gateway, server.servers[0].sockets[0].getsockname()[1])
    try:
        yield world
    finally:
        for client in world.clients:
            with suppress(Exception):
                await client.drop()
        server.should_exit = True
        for task in tasks[:2]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for failure in results:
            if isinstance(failure, Exception):
                raise failure
