"""Two clients who talk by signals, and intruders on the same gateway: hostile frames, bytes that
are no frames, floods, giants, sockets left half open, and slow readers."""

from __future__ import annotations

import asyncio
import json
import os
import struct
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.fuzz import samples
from tests.fuzz.child import Child
from tests.fuzz.living_gateway import SECRET
from tests.fuzz.mutation import Mutator
from tests.fuzz.outcome import Outcome
from tests.unit.signaling.harness import Client

GOOD, BAD = "good", "bad"
HALF_OPEN = 60  # sockets left behind at a time
FRAMES = 40  # of one intruder before it is looked at
UPGRADE = (
    b"GET /openvidu?sessionId=bad HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
)
GONE = (OSError, EOFError, WebSocketException, AssertionError)


class Unanswered(AssertionError):
    """The gateway left somebody without an answer."""


class Siege:
    def __init__(self, child: Child, seed: int, http: aiohttp.ClientSession) -> None:
        self.child = child
        self.mutator = Mutator(seed)
        self.tried: Counter[str] = Counter()
        self.recent: deque[str] = deque(maxlen=200)
        self.rounds = 0
        self._http = http
        self._port = int(child.hello["port"])
        self._talkers: list[Client] = []
        self._keeper: Client
        self._streams: list[str] = []
        self._connections: list[str] = []
        self._left: deque[asyncio.StreamWriter] = deque()

    async def rest(self, outcome: Outcome) -> int:
        """Only the conference is left: the memory of the api."""
        outcome.take(await self.child.ask("report"))
        await self.clear()
        await self.check()
        return outcome.take(await self.child.ask("report"))

    # REST, as the application uses it

    async def _post(self, path: str, **body: Any) -> Any:
        async with self._http.post(f"/openvidu/api/{path}", json=body) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def _token(self, session: str) -> str:
        return str((await self._post(f"sessions/{session}/connection"))["token"])

    async def _client(self) -> Client:
        socket = await connect(
            f"ws://127.0.0.1:{self._port}/openvidu", max_size=None, ping_interval=None, proxy=None
        )
        return Client(socket)

    # The conference

    async def begin(self) -> None:
        await self._post("sessions", customSessionId=GOOD)
        self._talkers = [await self._resident(GOOD), await self._resident(GOOD)]
        await self._open_bad()
        stream = await self._talkers[0].publish()
        await self._talkers[1].subscribe(stream)
        self._streams, self._connections = [stream], [talker.id for talker in self._talkers]

    async def _resident(self, session: str) -> Client:
        client = await self._client()
        await client.result("ping", {"interval": 60_000})
        await client.join(session, await self._token(session))
        return client

    async def _open_bad(self) -> None:
        """With somebody who stays, or it would end with each intruder."""
        await self._post("sessions", customSessionId=BAD)
        self._keeper = await self._resident(BAD)

    async def check(self) -> None:
        """A signal goes from one to the other, and both hear their pongs."""
        speaker, listener = self._talkers
        text = json.dumps({"to": [listener.id], "type": "signal:n", "data": str(self.rounds)})
        try:
            await speaker.result("sendMessage", {"message": text})
            await listener.note("sendMessage", data=str(self.rounds))
            for talker in (*self._talkers, self._keeper):
                await talker.settle()
        except TimeoutError:
            raise Unanswered(f"the conference in round {self.rounds}") from None
        for talker in (*self._talkers, self._keeper):
            talker.frames.clear()

    # The intruders

    async def round(self) -> None:
        self.rounds += 1
        if self.rounds % 100 == 0:
            await self.clear()
        await self.mutator.random.choice(self._tricks())()
        await self.check()

    def _tricks(self) -> list[Callable[[], Awaitable[None]]]:
        return [
            self._stranger, self._stranger, self._member, self._member, self._member, self._bytes,
            self._flood, self._giant, self._half_open, self._slow_reader, self._rivals,
        ]  # fmt: skip

    def _frame(self) -> str | bytes:
        mutator, chance = self.mutator, self.mutator.random
        text = chance.choice(samples.FRAMES)
        kind = chance.random()
        if kind < 0.75:
            text = json.dumps(mutator.json(json.loads(text)))
        elif kind < 0.9:
            text = mutator.octets(text.encode()).decode(errors="replace")
        elif kind < 0.95:
            return mutator.octets(text.encode())
        text = text.replace("str_CAM_KDeZ_con_Ud1Rk3GbYu", chance.choice(self._streams))
        return text.replace("con_Ud1Rk3GbYu", chance.choice(self._connections))

    async def _send(self, client: Client, frames: int) -> None:
        """They are all sent, and then the socket is closed or goes on."""
        with suppress(*GONE):
            for _ in range(frames):
                frame = self._frame()
                self.recent.append(frame if isinstance(frame, str) else frame.hex())
                self.tried["frames"] += 1
                await client.raw(frame)
        await self._settle(client)
        if self.mutator.random.random() < 0.5:
            await client.drop()
        else:
            await client.close()

    async def _settle(self, client: Client) -> None:
        """It is closed, or its ping is answered."""
        try:
            await client.settle()
        except TimeoutError:  # one of `GONE` as well
            raise Unanswered(f"an intruder in round {self.rounds}") from None
        except GONE:
            pass

    async def _stranger(self) -> None:
        await self._send(await self._client(), FRAMES)

    async def _member(self) -> None:
        """Joined, mostly publishing, in a session of its own or in the good one."""
        chance = self.mutator.random
        session = chance.choice((GOOD, BAD))
        client = await self._client()
        await client.join(session, await self._token(session), chance.choice(("", "{}", "\0")))
        self._connections = [*(talker.id for talker in self._talkers), client.id]
        if chance.random() < 0.7:
            self._streams = [self._streams[0], await client.publish()]
        await self._send(client, FRAMES)
        self._streams = self._streams[:1]

    async def _rivals(self) -> None:
        """Two sockets fight for one participant."""
        first = await self._client()
        await first.join(BAD, await self._token(BAD))
        rivals = [first, await self._client(), await self._client()]
        for _ in range(10):
            rival = self.mutator.random.choice(rivals[1:])
            self.tried["reconnections"] += 1
            with suppress(*GONE):
                await rival.send("connect", {"sessionId": first.rpc_id})
                await rival.raw(self._frame())
        for rival in rivals:
            await rival.drop()

    async def _flood(self) -> None:
        client = await self._client()
        with suppress(*GONE):
            for _ in range(1500):
                await client.send("ping")
                self.tried["flood"] += 1
        await client.drop()

    async def _giant(self) -> None:
        chance = self.mutator.random
        depth = chance.choice((1000, 100_000, 500_000))
        frame = chance.choice(
            (
                "[" * depth,
                '{"a":' * depth,
                samples.frame("echo", {})[:-1] + ',"x":' + "[" * depth + "]" * depth + "}",
                '{"jsonrpc":"2.0","method":"sendMessage","id":1,"params":{"message":"'
                + "[" * depth + '"}}',
                samples.frame("publishVideo", {"sdpOffer": "v=0\r\n" * depth}),
                "x" * (1 << chance.choice((16, 20, 21, 24))),
                "é" * (1 << 19),
                samples.frame("x" * depth, {}),
                "1" * depth,
            )
        )  # fmt: skip
        self.tried["giants"] += 1
        self.recent.append(f"giant {frame[:60]} {len(frame)}")
        client = await self._client()
        if chance.random() < 0.5:
            await client.join(BAD, await self._token(BAD))
        with suppress(*GONE):
            await client.raw(frame)
        await self._settle(client)
        await client.drop()

    async def _bytes(self) -> None:
        """Frames with wrong heads, wrong lengths, no masks; heads of HTTP without end."""
        chance = self.mutator.random
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        head = UPGRADE + b"\r\n"
        if chance.random() < 0.3:
            head = chance.choice(
                (self.mutator.octets(head), UPGRADE + b"X: y\r\n" * 20_000, head[:-2], b"\0" * 999)
            )
        with suppress(*GONE, TimeoutError):
            writer.write(head)
            await writer.drain()
            async with asyncio.timeout(1):
                await reader.read(65536)
            for _ in range(20):
                frame = _websocket_frame(chance.choice(samples.FRAMES).encode())
                data = self.mutator.octets(frame[:14]) + frame[14:]
                self.recent.append(data.hex())
                self.tried["bytes"] += 1
                writer.write(data)
                await writer.drain()
        await _abort(writer)

    async def _half_open(self) -> None:
        """Opened, and left so."""
        for _ in range(5):
            _, writer = await asyncio.open_connection("127.0.0.1", self._port)
            head = UPGRADE + b"\r\n"
            writer.write(head[: self.mutator.random.choice((0, 20, len(head) - 2, len(head)))])
            self._left.append(writer)
            self.tried["half open"] += 1
        while len(self._left) > HALF_OPEN:
            await _abort(self._left.popleft())

    async def _slow_reader(self) -> None:
        """Asks for much and reads nothing."""
        _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(UPGRADE + b"\r\n")
        ping = _websocket_frame(samples.frame("joinRoom", {"token": "x" * 4000}).encode())
        with suppress(*GONE, TimeoutError):
            async with asyncio.timeout(1):
                for _ in range(300):
                    writer.write(ping)
                    self.tried["unread"] += 1
                    await writer.drain()
        self._left.append(writer)

    def keep(self, folder: Path, name: str) -> Path:
        """The last frames, one a line: JSON texts, those that were binary in hex."""
        file = folder / f"gateway-{name}.jsonl"
        file.write_text("".join(json.dumps(frame) + "\n" for frame in self.recent))
        return file

    async def clear(self) -> None:
        """All intruders leave, and their session ends."""
        while self._left:
            await _abort(self._left.popleft())
        async with self._http.delete(f"/openvidu/api/sessions/{BAD}") as response:
            assert response.status == 204, await response.text()
        await self._keeper.note("participantEvicted", connectionId=self._keeper.id)
        await self._keeper.close()
        await self._open_bad()

    async def end(self) -> None:
        while self._left:
            await _abort(self._left.popleft())
        for talker in (*self._talkers, self._keeper):
            await talker.drop()


async def _abort(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


def _websocket_frame(payload: bytes) -> bytes:
    """One masked TEXT frame (RFC 6455 5.2)."""
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + struct.pack("!H", size)
    mask = os.urandom(4)
    return b"\x81" + length + mask + bytes(b ^ mask[i & 3] for i, b in enumerate(payload))


@asynccontextmanager
async def siege(child: Child, seed: int) -> AsyncIterator[Siege]:
    async with aiohttp.ClientSession(
        base_url=f"http://127.0.0.1:{child.hello['port']}",
        headers={"Authorization": aiohttp.encode_basic_auth("OPENVIDUAPP", SECRET)},
        timeout=aiohttp.ClientTimeout(total=30),
    ) as http:
        made = Siege(child, seed, http)
        await made.begin()
        try:
            yield made
        finally:
            await made.end()
