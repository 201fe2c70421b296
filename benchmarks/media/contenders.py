"""The servers side by side, each a process of its own, ended by its pid.

Each offers the same two steps: `publish` connects a publisher, `subscribe` a subscriber to it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import aiohttp
import msgspec

from benchmarks.api.servers import free_port, listening, running, tail
from services.conference.calls import (
    AcceptAnswer,
    Answer,
    Call,
    Done,
    Offer,
    PrepareOffer,
    Publish,
    Reply,
    call_subject,
    heartbeat_subject,
)
from services.eventlog.jetstream import JetStreamLog, connect
from services.eventlog.server import NatsServer

from .client import BenchPeer, Publisher, Subscriber

NODE = "media_bench"
TOKEN = "bench"
ANSWER_SECONDS = 10.0


class Contender(Protocol):
    name: str
    pid: int

    async def publish(self, publisher: Publisher, stream: str) -> None: ...

    async def subscribe(self, subscriber: Subscriber, stream: str, name: str) -> None: ...


Start = AbstractAsyncContextManager[Contender]


def pumps() -> tuple[str, ...]:
    """The media paths there are: the C pump and its twin in Python."""
    return ("c", "python") if find_spec("services.media.pump") else ("python",)


class Tertulia:
    def __init__(self, name: str, pid: int, client: object) -> None:
        self.name, self.pid, self._client = name, pid, client

    async def publish(self, publisher: Publisher, stream: str) -> None:
        call = Publish("bench", f"con_{stream}", stream, publisher.offer(), True, True)
        reply = await self._ask(call)
        assert isinstance(reply, Answer), reply
        publisher.negotiated(reply.sdp_answer)
        await publisher.connect(reply.sdp_answer)

    async def subscribe(self, subscriber: Subscriber, stream: str, name: str) -> None:
        offer = await self._ask(PrepareOffer("bench", f"con_{name}", stream))
        assert isinstance(offer, Offer), offer
        done = await self._ask(AcceptAnswer(f"con_{name}", stream, subscriber.answer()))
        assert isinstance(done, Done), done
        await subscriber.connect(offer.sdp_offer)

    async def _ask(self, call: Call) -> Reply:
        message = await self._client.request(  # type: ignore[attr-defined]
            call_subject(NODE, type(call)), msgspec.json.encode(call), timeout=5
        )
        reply: Reply = msgspec.json.decode(message.data, type=Reply)
        return reply


@asynccontextmanager
async def tertulia(pump: str) -> AsyncIterator[Tertulia]:
    """A nats-server and `python -m services.media`, as they run in earnest."""
    with tempfile.TemporaryDirectory() as folder:
        server = NatsServer(Path(folder) / "nats", token=TOKEN)
        await server.start()
        environment = os.environ | {
            "DOTENV_PATH": "",
            "OPENVIDU_SECRET": "bench",
            "TERTULIA_MEDIA_PORT": "0",
            "TERTULIA_MEDIA_PUMP": pump,
            "TERTULIA_NATS_TOKEN": TOKEN,
            "TERTULIA_NATS_URL": server.url,
            "TERTULIA_NODE_ID": NODE,
        }
        client = await connect(server.url, token=TOKEN, name="bench")
        try:
            await JetStreamLog.open(client)
            beats = await client.subscribe(heartbeat_subject(NODE))
            command = (sys.executable, "-m", "services.media")
            async with running(command, Path(folder) / "media.out", environment) as process:
                await beats.next_msg(timeout=15)
                await beats.unsubscribe()
                try:
                    yield Tertulia(f"Tertulia, {pump}", process.pid, client)
                except AssertionError:
                    print(tail(Path(folder) / "media.out"), file=sys.stderr)
                    raise
        finally:
            await client.close()
            await server.stop()


class Janus:
    """The VideoRoom over the HTTP API, one session of the API for each peer."""

    def __init__(self, name: str, pid: int, url: str, http: aiohttp.ClientSession) -> None:
        self.name, self.pid = name, pid
        self._url, self._http = url, http
        self._feeds: dict[str, tuple[int, int]] = {}  # stream -> room, feed

    async def publish(self, publisher: Publisher, stream: str) -> None:
        publisher.move(own_address())
        session, handle = await self._attach()
        room = len(self._feeds) + 1
        settings = {"room": room, "publishers": 10, "videocodec": "vp8", "bitrate": 0}
        await self._message(handle, {"request": "create", **settings})
        join = {"request": "join", "ptype": "publisher", "room": room, "id": room}
        await self._message(handle, join)
        await self._event(session, "joined")
        # Active, so that Janus is the DTLS server in both directions, as the media process is.
        offer = publisher.offer().replace("setup:actpass", "setup:active")
        jsep = {"type": "offer", "sdp": with_candidate(publisher, offer)}
        await self._message(handle, {"request": "publish"}, jsep)
        answer = await self._event(session, "event")
        publisher.negotiated(answer)
        self._feeds[stream] = room, room
        await publisher.connect(answer)

    async def subscribe(self, subscriber: Subscriber, stream: str, name: str) -> None:
        subscriber.move(own_address())
        subscriber.controlled = True
        session, handle = await self._attach()
        room, feed = self._feeds[stream]
        streams = [{"feed": feed}]
        join = {"request": "join", "ptype": "subscriber", "room": room, "streams": streams}
        await self._message(handle, join)
        offer = await self._event(session, "attached")
        jsep = {"type": "answer", "sdp": with_candidate(subscriber, subscriber.answer())}
        await self._message(handle, {"request": "start"}, jsep)
        await subscriber.connect(offer)

    async def _attach(self) -> tuple[str, str]:
        session = f"{self._url}/{(await self._post(self._url, {'janus': 'create'}))['data']['id']}"
        plugin = {"janus": "attach", "plugin": "janus.plugin.videoroom"}
        return session, f"{session}/{(await self._post(session, plugin))['data']['id']}"

    async def _message(
        self, handle: str, body: dict[str, object], jsep: dict[str, str] | None = None
    ) -> None:
        more = {"jsep": jsep} if jsep else {}
        await self._post(handle, {"janus": "message", "body": body, **more})

    async def _post(self, url: str, message: dict[str, object]) -> dict:  # type: ignore[type-arg]
        async with self._http.post(url, json={**message, "transaction": "bench"}) as answer:
            return await answer.json()  # type: ignore[no-any-return]

    async def _event(self, session: str, kind: str) -> str:
        """The description in the next event of that kind, "" if it has none."""
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                async with self._http.get(session, params={"maxev": "1"}) as answer:
                    event = await answer.json()
                data = event.get("plugindata", {}).get("data", {})
                if "error" in data:
                    raise SystemExit(f"Janus: {data['error']}")
                if data.get("videoroom") == kind:
                    return str(event.get("jsep", {}).get("sdp", ""))


def with_candidate(peer: BenchPeer, description: str) -> str:
    port = peer.socket.getsockname()[1]
    line = f"a=candidate:1 1 udp 2015363327 {peer.socket.getsockname()[0]} {port} typ host\r\n"
    return description.replace("a=rtcp-mux\r\n", f"a=rtcp-mux\r\n{line}a=end-of-candidates\r\n")


CONFIG = """
general: {{
  configs_folder = "{folder}/conf"
  plugins_folder = "{folder}/plugins"
  transports_folder = "{folder}/transports"
  events_folder = "{folder}/events"
  loggers_folder = "{folder}/loggers"
  debug_level = 0
  session_timeout = 0
  {loops}
}}
nat: {{
  ice_enforce_list = "{address}"
  ignore_mdns = true
}}
"""
HTTP = """
general: {{ json = "compact", base_path = "/janus", http = true, https = false,
  ip = "127.0.0.1", port = {port} }}
admin: {{ admin_http = false }}
"""


def _libraries() -> Path:
    return next(Path("/usr/lib").glob("*/janus"))


def own_address() -> str:
    """libnice gathers no 127.0.0.1: the machine's own address, over the loopback device as well."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("198.51.100.1", 9))  # sends nothing
        return str(probe.getsockname()[0])


@asynccontextmanager
async def janus(loops: int) -> AsyncIterator[Janus]:
    """Debian's package, VideoRoom and HTTP only, no log. `loops` = 0: a thread for each handle."""
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        for part in ("conf", "plugins", "transports", "events", "loggers"):
            (folder / part).mkdir()
        libraries = _libraries()
        for file in ("plugins/libjanus_videoroom.so", "transports/libjanus_http.so"):
            (folder / file).symlink_to(libraries / file)
        line = f"event_loops = {loops}" if loops else ""
        config = CONFIG.format(folder=folder, loops=line, address=own_address())
        (folder / "conf/janus.jcfg").write_text(config)
        (folder / "conf/janus.transport.http.jcfg").write_text(HTTP.format(port=port))
        (folder / "conf/janus.plugin.videoroom.jcfg").write_text("general: {\n}\n")
        output = folder / "janus.out"
        async with running(("janus", "-F", str(folder / "conf")), output) as process:
            await listening(process, port, output)
            timeout = aiohttp.ClientTimeout(total=60)
            connector = aiohttp.TCPConnector(limit=0)
            async with aiohttp.ClientSession(timeout=timeout, connector=connector) as http:
                title = "Janus, event_loops = 1" if loops else "Janus, default"
                yield Janus(title, process.pid, f"http://127.0.0.1:{port}/janus", http)


class Floor:
    """Receives and sends, looks at nothing."""

    name = "bare UDP"

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.pid, self._process, self._port = process.pid, process, port

    async def publish(self, publisher: Publisher, stream: str) -> None:
        publisher.plain = True
        publisher.server = ("127.0.0.1", self._port)

    async def subscribe(self, subscriber: Subscriber, stream: str, name: str) -> None:
        """It was told of all the subscribers at its start."""


@asynccontextmanager
async def floor(subscribers: list[Subscriber]) -> AsyncIterator[Floor]:
    ports = [str(one.socket.getsockname()[1]) for one in subscribers]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.udp_floor",
        *ports,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        yield Floor(process, int(await asyncio.wait_for(process.stdout.readline(), 10)))
    finally:
        process.kill()
        await process.wait()
