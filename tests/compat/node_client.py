"""The real openvidu-node-client in a Node process, called from here (`node/bridge.js`)."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "node"
LIBRARY = HERE / "node_modules/openvidu-node-client"
CALL_LIMIT = 30.0  # seconds


class Rejected(Exception):
    """The client's promise was rejected; the text is that of its Error: the HTTP status."""


class Remote:
    """An OpenVidu or a Session of the client, as an application holds it."""

    def __init__(self, node: Node, handle: int) -> None:
        self._node = node
        self._handle = handle

    async def call(self, method: str, *arguments: object) -> Any:
        return await self._node.ask("call", on=self._handle, method=method, arguments=arguments)

    async def read(self) -> dict[str, Any]:
        """Its public properties; what is undefined in JavaScript is absent."""
        return dict(await self._node.ask("read", on=self._handle))

    async def session(self, session_id: str) -> Remote:
        """Of an OpenVidu: this one of its `activeSessions`."""
        found = await self._node.ask("pick", on=self._handle, sessionId=session_id)
        assert isinstance(found, Remote)
        return found

    async def connection(self, connection_id: str) -> dict[str, Any]:
        """Of a Session: what the client knows of this connection without asking the server."""
        found = (await self.read())["connections"]
        return dict(next(one for one in found if one["connectionId"] == connection_id))


class Node:
    def __init__(self) -> None:
        self._process: Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._last = 0
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}  # by the id of the request

    async def start(self) -> None:
        assert LIBRARY.exists(), "openvidu-node-client: run `npm ci` in tests/compat/node"
        self._process = await asyncio.create_subprocess_exec(
            "node", str(HERE / "bridge.js"), stdin=PIPE, stdout=PIPE, limit=2**24
        )
        assert self._process.stdout is not None
        self._reader = asyncio.create_task(self._read(self._process.stdout))

    async def stop(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._reader is not None
        self._process.stdin.close()  # it ends with its input
        async with asyncio.timeout(10):
            await self._reader
            assert await self._process.wait() == 0

    async def client(self, url: str, secret: str) -> Remote:
        opened = await self.ask("open", arguments=(url, secret))
        assert isinstance(opened, Remote)
        return opened

    async def ask(self, action: str, **fields: object) -> Any:
        """One request and its answer; several may be on their way."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._last += 1
        request = {"id": self._last, "do": action, **fields}
        self._waiting[self._last] = answer = asyncio.get_running_loop().create_future()
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        async with asyncio.timeout(CALL_LIMIT):
            told = await answer
        if "error" in told:
            raise Rejected(told["error"])
        value = told.get("value")
        if isinstance(value, dict) and value.keys() == {"object"}:
            return Remote(self, value["object"])
        return value

    async def _read(self, lines: asyncio.StreamReader) -> None:
        async for line in lines:
            told = json.loads(line)
            answer = self._waiting.pop(told["id"])
            if not answer.done():  # not too late
                answer.set_result(told)
        for answer in self._waiting.values():
            answer.cancel("the Node process ended; see its error output")


async def settled(client: Remote) -> None:
    """Nothing changes between two fetches. The first after an own call may find a change with
    any server: it puts the keys into another order."""
    await client.call("fetch")
    assert await client.call("fetch") is False
