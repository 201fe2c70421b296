"""Janus as a forwarder: the VideoRoom over the WebSocket API, a handle for each peer."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.janus import PLUGIN, janus

from .client import BenchPeer, Publisher, Subscriber

ANSWER_SECONDS = 15.0
QUEUED = 256  # events of one handle

Message = dict[str, Any]


class Api:
    """One WebSocket and one session. `run` takes what comes."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._session = 0
        self._transactions = count(1)
        self._waiting: dict[str, asyncio.Future[Message]] = {}
        self._events: dict[int, asyncio.Queue[Message]] = {}

    async def run(self) -> None:
        async for frame in self._socket:
            message = frame.json()
            kind = message["janus"]
            if kind in ("event", "webrtcup"):
                queue = self._events.get(message["sender"])
                if queue is not None and not queue.full():
                    queue.put_nowait(message)
                continue
            waiting = self._waiting.pop(message.get("transaction", ""), None)
            if waiting is not None:
                waiting.set_result(message)

    async def open(self) -> None:
        self._session = (await self._ask({"janus": "create"}))["data"]["id"]

    async def attach(self) -> int:
        reply = await self._ask({"janus": "attach", "plugin": PLUGIN})
        handle: int = reply["data"]["id"]
        self._events[handle] = asyncio.Queue(QUEUED)
        return handle

    async def message(self, handle: int, body: Message, jsep: Message | None = None) -> None:
        more = {"jsep": jsep} if jsep else {}
        await self._ask({"janus": "message", "handle_id": handle, "body": body, **more})

    async def event(self, handle: int, kind: str) -> str:
        """The description in the next event of that kind, "" if it has none."""
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                event = await self._events[handle].get()
                data = event.get("plugindata", {}).get("data", {})
                if "error" in data:
                    raise SystemExit(f"Janus: {data['error']}")
                if kind in (data.get("videoroom"), event["janus"]):
                    return str(event.get("jsep", {}).get("sdp", ""))

    async def _ask(self, message: Message) -> Message:
        transaction = str(next(self._transactions))
        waiting = self._waiting[transaction] = asyncio.get_running_loop().create_future()
        session = {"session_id": self._session} if self._session else {}
        await self._socket.send_json({**message, **session, "transaction": transaction})
        async with asyncio.timeout(ANSWER_SECONDS):
            reply: Message = await waiting
        if reply["janus"] == "error":
            raise SystemExit(f"Janus: {reply['error']}")
        return reply


class VideoRoom:
    """A room for each stream."""

    def __init__(self, pid: int, api: Api) -> None:
        self.pid, self._api = pid, api
        self._rooms: dict[str, int] = {}  # stream -> room, which is the id of its feed, too

    async def publish(self, publisher: Publisher, stream: str) -> None:
        publisher.move(own_address())
        room = self._rooms[stream] = len(self._rooms) + 1
        handle = await self._api.attach()
        settings = {"room": room, "publishers": 1, "videocodec": "vp8", "bitrate": 0}
        await self._api.message(handle, {"request": "create", **settings})
        join = {"request": "join", "ptype": "publisher", "room": room, "id": room}
        await self._api.message(handle, join)
        await self._api.event(handle, "joined")
        # Active, so that Janus is the DTLS server in both directions, as the media process is.
        offer = publisher.offer().replace("setup:actpass", "setup:active")
        jsep = {"type": "offer", "sdp": with_candidate(publisher, offer)}
        await self._api.message(handle, {"request": "publish"}, jsep)
        answer = await self._api.event(handle, "event")
        publisher.negotiated(answer)
        await publisher.connect(answer)
        await self._api.event(handle, "webrtcup")  # before, nobody can subscribe

    async def subscribe(self, subscriber: Subscriber, stream: str, name: str) -> None:
        subscriber.move(own_address())
        subscriber.controlled = True
        handle = await self._api.attach()
        room = self._rooms[stream]
        join = {"request": "join", "ptype": "subscriber", "room": room, "streams": [{"feed": room}]}
        await self._api.message(handle, join)
        offer = await self._api.event(handle, "attached")
        jsep = {"type": "answer", "sdp": with_candidate(subscriber, subscriber.answer())}
        subscriber.aim(offer)
        await self._api.message(handle, {"request": "start"}, jsep)
        await subscriber.connect(offer)


def with_candidate(peer: BenchPeer, description: str) -> str:
    host, port = peer.socket.getsockname()
    line = f"a=candidate:1 1 udp 2015363327 {host} {port} typ host\r\n"
    return description.replace("a=rtcp-mux\r\n", f"a=rtcp-mux\r\n{line}a=end-of-candidates\r\n")


def own_address() -> str:
    """libnice gathers no 127.0.0.1: the machine's own address, over the loopback device as well.
    "" if it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))  # sends nothing
        except OSError:
            return ""
        return str(probe.getsockname()[0])


@asynccontextmanager
async def videoroom(loops: int) -> AsyncIterator[VideoRoom]:
    """`loops` = 0: a thread for each handle."""
    with tempfile.TemporaryDirectory() as folder:
        peer = janus(Path(folder), "websockets", address=own_address(), loops=loops)
        async with peer as (process, port), aiohttp.ClientSession() as http:
            url = f"ws://127.0.0.1:{port}"
            async with (
                http.ws_connect(url, protocols=("janus-protocol",), max_msg_size=0) as connection,
                asyncio.TaskGroup() as group,
            ):
                api = Api(connection)
                running = group.create_task(api.run())
                await api.open()
                yield VideoRoom(process.pid, api)
                running.cancel()
