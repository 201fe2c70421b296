"""Answers: JSON bytes, made once."""

from __future__ import annotations

from typing import Any, cast

import msgspec
from litestar import MediaType, Response
from litestar.types import Receive, Scope, Send

Reply = Response[Any]

_encoder = msgspec.json.Encoder()


class Json(Response[bytes]):
    """JSON that is bytes already. Litestar's own way looks for encoders, cookies and the like,
    which takes longer than all that the server does for a read."""

    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        head = {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(self.content)),
                *((key.lower().encode(), value.encode()) for key, value in self.headers.items()),
            ],
        }
        body = {"type": "http.response.body", "body": self.content}

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            await send(cast(Any, head))
            await send(cast(Any, body))

        return answer


def ok(content: object, status: int = 200) -> Reply:
    return rendered(_encoder.encode(content), status)


def rendered(content: bytes, status: int = 200) -> Reply:
    """Of what is JSON already."""
    return Json(content, status_code=status)


def page(content: list[dict[str, Any]]) -> Reply:
    return ok({"numberOfElements": len(content), "content": content})


def empty(status: int) -> Reply:
    return Response(None, status_code=status, media_type=MediaType.TEXT)


def text(content: str, status: int) -> Reply:
    return Response(content, status_code=status, media_type=MediaType.TEXT)
