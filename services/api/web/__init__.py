"""The demo page at `/`, and the one route it needs beyond the contract: tokens without the secret.

That route opens rooms to whoever reaches the server, so it exists only where `TERTULIA_DEMO` says
so (by default on loopback), and answers only to the page itself.
"""

from __future__ import annotations

from asyncio import to_thread
from contextlib import suppress
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from msgspec import Meta, Struct

from services.api.rest import replies
from services.api.rest.api import Api, HttpRequest
from services.api.rest.errors import ApiError
from services.api.rest.parsing import parse
from services.api.rest.replies import Reply
from services.conference import ids, views
from services.conference.commands import CreateConnection, InitializeSession
from services.conference.errors import SessionExists
from services.conference.model import Role, SessionProperties

STATIC = Path(__file__).parent / "static"
TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'self'; connect-src 'self' ws: wss:",
    "X-Content-Type-Options": "nosniff",
}


class RoomBody(Struct):
    room: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{1,64}\Z")]


def routes(api: Api) -> list[HTTPRouteHandler]:
    if not api.settings.access.demo:
        return []
    files = {f"/{file.name}": file for file in STATIC.iterdir()} | {"/": STATIC / "index.html"}

    @get(list(files), include_in_schema=False)
    async def page(request: HttpRequest) -> Response[bytes]:
        file = files[request.url.path]
        content = await to_thread(file.read_bytes)
        return Response(content, media_type=TYPES[file.suffix], headers=HEADERS)

    @post("/demo/tokens", include_in_schema=False, status_code=200)
    async def token(request: HttpRequest) -> Reply:
        """A token for a room, which is made if it is not there."""
        origin = request.headers.get("origin")
        if origin is None or urlsplit(origin).netloc != request.headers.get("host"):
            raise ApiError(403, "Only the page of this server may ask for demo tokens")
        body = await parse(request, RoomBody)
        streams = api.settings.streams
        properties = SessionProperties(
            custom_session_id=body.room,
            forced_video_codec=streams.forced_video_codec,
            allow_transcoding=streams.allow_transcoding,
        )
        with suppress(SessionExists):
            await api.execute(request, body.room, InitializeSession(body.room, properties))
        secret = ids.token(api.rng)
        command = CreateConnection(ids.connection_id(api.rng), secret, role=Role.PUBLISHER)
        await api.execute(request, body.room, command)
        url = views.token_url(body.room, secret, api.settings.access.websocket_url)
        return replies.ok({"token": url})

    return [page, token]
