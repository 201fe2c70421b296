"""Pages of a real Chromium that run the unmodified openvidu-browser (`pages/client.js`)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web
from playwright.async_api import Browser, BrowserContext, Page

from .server_under_test import eventually

HERE = Path(__file__).parent
NEWEST = "2.32.2"
FOLDERS = {  # version of openvidu-browser → its package in package.json
    "2.18.0": "openvidu-browser-2.18",
    "2.20.0": "openvidu-browser-2.20",
    "2.27.0": "openvidu-browser-2.27",
    NEWEST: "openvidu-browser",
}
LIBRARIES = {
    version: HERE / f"node_modules/{folder}/static/js/openvidu-browser-{version}.min.js"
    for version, folder in FOLDERS.items()
}
LIBRARY = LIBRARIES[NEWEST]


class Received(NamedTuple):
    frames_decoded: int
    audio_packets: int
    brightness: float | None
    pixels: list[int] | None


class Client:
    """One page and the participant in it."""

    def __init__(self, context: BrowserContext, page: Page, version: str) -> None:
        """`version`: of the library; none if the page is one of its kind."""
        self.context = context
        self.page = page
        self.version = version
        self.id = ""

    async def call(self, method: str, *arguments: object) -> Any:
        return await self.page.evaluate(
            "([method, words]) => client[method](...words)", [method, list(arguments)]
        )

    async def join(self, token: str, data: str = "", **configuration: object) -> str:
        """`configuration`: what the application sets as advanced configuration."""
        self.id = await self.call("join", token, data, configuration)
        return self.id

    async def publish(self, **properties: object) -> str:
        return str(await self.call("publish", properties))

    async def mute(self, track: str, active: bool) -> None:
        method = {"audio": "publishAudio", "video": "publishVideo"}[track]
        await self.page.evaluate(
            "([method, on]) => { client.publisher[method](on); }", [method, active]
        )

    async def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        seen = await self.page.evaluate("client.events")
        return [event for event in seen if kind in (None, event["type"])]

    async def sees(self, kind: str, *, limit: float = 20.0, **fields: object) -> dict[str, Any]:
        """Wait until the page was told an event of this kind with these fields."""

        async def find() -> dict[str, Any] | None:
            for event in await self.events(kind):
                if all(event.get(key) == value for key, value in fields.items()):
                    return event
            return None

        found = await eventually(find, limit=limit, what=f"page sees {kind} {fields}")
        assert found is not None
        return found

    async def frames(self, method: str | None = None) -> list[dict[str, Any]]:
        """JSON-RPC messages both ways, in order; with a method: only those that name it."""
        seen = await self.page.evaluate("client.frames")
        return [frame for frame in seen if method in (None, frame.get("method"))]

    async def refused(self, method: str, *arguments: object) -> dict[str, Any]:
        """The error with which a method of the page rejects."""
        error = await self.call("refused", method, *arguments)
        assert error is not None, f"{method} is not refused"
        return dict(error)

    async def statistics(self, stream: str, kind: str) -> list[dict[str, Any]]:
        return list(await self.call("statistics", stream, kind))

    async def received(self, stream: str) -> Received:
        answer = await self.call("received", stream)
        picture = answer["picture"] or {}
        return Received(
            answer["framesDecoded"],
            answer["audioPackets"],
            picture.get("brightness"),
            picture.get("pixels"),
        )

    async def plays(self, stream: str, *, frames: int = 30, limit: float = 60.0) -> None:
        """Wait for 5 s in which so many more frames are decoded, audio arrives, and the picture
        is not black and changes. The first such windows may be those of a start."""

        async def window() -> bool:
            before = await self.received(stream)

            async def grown() -> bool:
                now = await self.received(stream)
                return (
                    now.frames_decoded >= before.frames_decoded + frames
                    and now.audio_packets > before.audio_packets
                    and now.pixels is not None
                    and now.pixels != before.pixels
                    and (now.brightness or 0) > 5
                )

            try:
                return await eventually(grown, limit=5, every=0.25)
            except AssertionError:
                return False

        await eventually(window, limit=limit, what=f"{stream} plays {frames} frames in 5 s")

    async def silent(self, stream: str, kind: str) -> None:
        """Wait until no packet of this kind has come for two seconds."""
        last, since = -1, time.monotonic()

        async def still() -> bool:
            nonlocal last, since
            reports = await self.statistics(stream, "inbound-rtp")
            now = sum(int(one["packetsReceived"]) for one in reports if one["kind"] == kind)
            if now != last:
                last, since = now, time.monotonic()
            return time.monotonic() - since > 2

        await eventually(still, what=f"no {kind} of {stream} any more")


class Pages:
    """Serves the test page on localhost, a secure context, and opens it in new contexts."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._runner: web.AppRunner | None = None
        self._url = ""
        self.contexts: list[BrowserContext] = []
        self._idle: dict[str, list[Client]] = {}  # by version
        self.console: list[str] = []

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/client.js", _sender(HERE / "pages/client.js"))
        for version, library in LIBRARIES.items():
            app.router.add_get(f"/{version}/", _sender(HERE / "pages/client.html"))
            app.router.add_get(f"/{version}/openvidu-browser.js", _sender(library))
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "localhost", 0)
        await site.start()
        server = site._server
        assert server is not None
        port = server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        self._url = f"http://localhost:{port}/"

    async def open(self, version: str = NEWEST, script: str = "") -> Client:
        """`script` runs in the page before anything else."""
        if not script and self._idle.get(version):
            client = self._idle[version].pop()
        else:
            context = await self._browser.new_context(ignore_https_errors=True)
            self.contexts.append(context)
            page = await context.new_page()
            page.on("console", lambda message: self.console.append(message.text))
            page.on("pageerror", lambda error: self.console.append(f"ERROR {error}"))
            if script:
                await page.add_init_script(script)
            client = Client(context, page, "" if script else version)
        await client.page.goto(f"{self._url}{version}/")
        return client

    async def leave(self, *clients: Client) -> None:
        """All leave, one after the other. Their pages are used again: a new one costs a second."""
        for client in clients:
            await client.call("leave")
            if client.version:
                await client.page.goto("about:blank")
                self._idle.setdefault(client.version, []).append(client)
            else:
                await client.context.close()

    async def stop(self) -> None:
        for context in self.contexts:
            await context.close()
        if self._runner is not None:
            await self._runner.cleanup()


def _sender(file: Path) -> Any:
    async def send(_: web.Request) -> web.FileResponse:
        return web.FileResponse(file, headers={"Cache-Control": "no-store"})

    return send
