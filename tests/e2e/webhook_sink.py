"""The webhook subscriber of the tests. It can be down for a while, as subscribers are."""

from __future__ import annotations

from typing import Any

from aiohttp import web


class WebhookSink:
    def __init__(self, port: int) -> None:
        self.port = port
        self.received: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}/webhook"

    async def up(self) -> None:
        app = web.Application()
        app.router.add_post("/webhook", self._take)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "localhost", self.port).start()

    async def down(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _take(self, request: web.Request) -> web.Response:
        delivery = request.headers["webhook-id"]
        if delivery not in self.ids:  # at least once: a repeat carries the same id
            self.ids.append(delivery)
            self.received.append(await request.json())
        return web.Response()

    def names(self, session: str) -> list[str]:
        return [event["event"] for event in self.received if event.get("sessionId") == session]

    def of(self, session: str, name: str) -> list[dict[str, Any]]:
        return [e for e in self.received if e.get("sessionId") == session and e["event"] == name]
