"""Janus, the video room server in C, as a peer: rooms made and destroyed over its HTTP API.

Debian's package `janus` (1.1.2), with the VideoRoom plugin, the HTTP transport and nothing else,
its own configuration, compact JSON and no log of requests. A plain room is in memory only.
A permanent one is written to the configuration file, which is not synced: it survives the end of
the process as our commit does, but not a power cut. A higher durability Janus does not have.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp

from .load import Step
from .rest import http
from .servers import Server, free_port, listening, running

PLUGIN = "janus.plugin.videoroom"

CONFIG = """
general: {{
  configs_folder = "{folder}/conf"
  plugins_folder = "{folder}/plugins"
  transports_folder = "{folder}/transports"
  events_folder = "{folder}/events"
  loggers_folder = "{folder}/loggers"
  debug_level = 3
  session_timeout = 0
}}
nat: {{
  ice_enforce_list = "lo"
}}
"""
HTTP = """
general: {{
  json = "compact"
  base_path = "/janus"
  http = true
  https = false
  ip = "127.0.0.1"
  port = {port}
}}
admin: {{
  admin_http = false
}}
"""


class Janus(NamedTuple):
    """`handle`: path of the one that all clients use."""

    server: Server
    handle: str

    def rooms(self, permanent: bool) -> tuple[Step, Step]:
        """Make one and destroy it."""
        room = {"room": "%d", "permanent": permanent}
        named = {"publishers": 6, "description": "A room of the benchmark"}
        return (
            self._step({"request": "create", **room, **named}, b'"videoroom":"created"'),
            self._step({"request": "destroy", **room}, b'"videoroom":"destroyed"'),
        )

    def _step(self, body: dict[str, object], piece: bytes) -> Step:
        message = {"janus": "message", "transaction": "bench", "body": body}
        return Step(http("POST", self.handle, message), b"200", piece)


@asynccontextmanager
async def janus(folder: Path) -> AsyncIterator[Janus]:
    port = free_port()
    _prepare(folder, port)
    arguments = ("janus", "-F", str(folder / "conf"))
    async with running(arguments, folder / "janus.out") as process:
        await listening(process, port, folder / "janus.out")
        server = Server("janus", port, process.pid)
        yield Janus(server, await _attach(port))


def installed() -> bool:
    return shutil.which("janus") is not None and bool(_libraries())


def _libraries() -> list[Path]:
    return list(Path("/usr/lib").glob("*/janus"))


def _prepare(folder: Path, port: int) -> None:
    for name in ("conf", "plugins", "transports", "events", "loggers"):
        (folder / name).mkdir(parents=True)
    libraries = _libraries()[0]
    for name in ("plugins/libjanus_videoroom.so", "transports/libjanus_http.so"):
        (folder / name).symlink_to(libraries / name)
    conf = folder / "conf"
    (conf / "janus.jcfg").write_text(CONFIG.format(folder=folder))
    (conf / "janus.transport.http.jcfg").write_text(HTTP.format(port=port))
    (conf / f"{PLUGIN}.jcfg").write_text("general: {\n}\n")


async def _attach(port: int) -> str:
    path = "/janus"
    async with aiohttp.ClientSession() as client:
        for body in ({"janus": "create"}, {"janus": "attach", "plugin": PLUGIN}):
            url = f"http://127.0.0.1:{port}{path}"
            async with client.post(url, json={**body, "transaction": "bench"}) as answer:
                path += f"/{(await answer.json())['data']['id']}"
    return path
