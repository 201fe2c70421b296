"""Answers: JSON bytes, made once."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import MediaType, Response

Reply = Response[Any]

_encoder = msgspec.json.Encoder()


def ok(content: object, status: int = 200) -> Reply:
    return Response(_encoder.encode(content), status_code=status, media_type=MediaType.JSON)


def rendered(content: bytes) -> Reply:
    """Of what is JSON already."""
    return Response(content, status_code=200, media_type=MediaType.JSON)


def page(content: list[dict[str, Any]]) -> Reply:
    return ok({"numberOfElements": len(content), "content": content})


def empty(status: int) -> Reply:
    return Response(None, status_code=status, media_type=MediaType.TEXT)


def text(content: str, status: int) -> Reply:
    return Response(content, status_code=status, media_type=MediaType.TEXT)
