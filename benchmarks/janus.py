"""Janus, the video room server in C: Debian's package `janus` (1.1.2), as a peer of benchmarks.

With the VideoRoom, one transport of its API and nothing else, in a folder of its own, without log.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.api.servers import free_port, listening, running

PLUGIN = "janus.plugin.videoroom"

CONFIG = """
general: {{
  configs_folder = "{folder}/conf"
  plugins_folder = "{folder}/plugins"
  transports_folder = "{folder}/transports"
  events_folder = "{folder}/events"
  loggers_folder = "{folder}/loggers"
  debug_level = 1
  session_timeout = 0
  {loops}
}}
nat: {{
  ice_enforce_list = "{address}"
  ignore_mdns = true
}}
"""
TRANSPORTS = {
    "http": """
general: {{ json = "compact", base_path = "/janus", http = true, https = false,
  ip = "127.0.0.1", port = {port} }}
admin: {{ admin_http = false }}
""",
    "websockets": """
general: {{ json = "compact", ws = true, wss = false, ws_ip = "127.0.0.1", ws_port = {port} }}
admin: {{ admin_ws = false }}
""",
}


class Janus(NamedTuple):
    process: asyncio.subprocess.Process
    port: int  # of the API


def installed() -> bool:
    return shutil.which("janus") is not None and bool(_libraries())


def _libraries() -> list[Path]:
    return list(Path("/usr/lib").glob("*/janus"))


@asynccontextmanager
async def janus(
    folder: Path, transport: str, *, address: str = "lo", loops: int = 0
) -> AsyncIterator[Janus]:
    """`address`: where media is taken, or the interface. `loops` = 0: a thread for each handle."""
    port = free_port()
    for name in ("conf", "plugins", "transports", "events", "loggers"):
        (folder / name).mkdir(parents=True)
    libraries = _libraries()[0]
    for name in ("plugins/libjanus_videoroom.so", f"transports/libjanus_{transport}.so"):
        (folder / name).symlink_to(libraries / name)
    conf, output = folder / "conf", folder / "janus.out"
    line = f"event_loops = {loops}" if loops else ""
    (conf / "janus.jcfg").write_text(CONFIG.format(folder=folder, loops=line, address=address))
    settings = TRANSPORTS[transport].format(port=port)
    (conf / f"janus.transport.{transport}.jcfg").write_text(settings)
    (conf / f"{PLUGIN}.jcfg").write_text("general: {\n}\n")
    async with running(("janus", "-F", str(conf)), output) as process:
        await listening(process, port, output)
        yield Janus(process, port)
