"""A TCP relay before a server, to cut connections and to hold them."""

from __future__ import annotations

import asyncio


class Relay:
    def __init__(self, target: int) -> None:
        """`target`: port on loopback."""
        self.port = 0
        self._target = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self._open.set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """End all connections on both sides; new ones are welcome."""
        for writer in self._writers:
            writer.transport.abort()

    def hold(self) -> None:
        """Nothing passes any more, and nobody is told."""
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.release()
        self.cut()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, onward = await asyncio.open_connection("127.0.0.1", self._target)
        both = {writer, onward}
        self._writers |= both
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pass(reader, onward))
                tasks.create_task(self._pass(there, writer))
        finally:
            self._writers -= both
            for end in both:
                end.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        writer.transport.abort()
