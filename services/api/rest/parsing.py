"""Request bodies: hostile until they fit a struct. What does not fit is a 400 that says where."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

import msgspec

from .api import HttpRequest
from .errors import ApiError

MAX_BODY = 1024 * 1024  # bytes; more is answered with 413
BODY_SECONDS = 30.0  # for a client to send it, else 408

T = TypeVar("T")


def json_object(raw: bytes) -> dict[str, Any]:
    """A JSON object; nothing at all is an empty one."""
    if not raw.strip():
        return {}
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ApiError(400, f"The body is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise ApiError(400, "The body is not a JSON object")
    return found


def fit(found: dict[str, Any], form: type[T]) -> T:
    """Unknown fields are ignored; null is a field that was not given."""
    try:
        return msgspec.convert(found, form)
    except (msgspec.ValidationError, OverflowError, RecursionError) as error:
        raise ApiError(400, f"Problem with a body parameter: {error}") from None


async def read(request: HttpRequest) -> dict[str, Any]:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return json_object(await request.body())
    except TimeoutError:
        raise ApiError(408, "The body did not come in time") from None


async def parse(request: HttpRequest, form: type[T]) -> T:
    return fit(await read(request), form)


def flag(request: HttpRequest, name: str, *, default: bool) -> bool:
    """A query parameter `true` or `false`."""
    given = request.query_params.get(name)
    if given is None:
        return default
    match given.lower():
        case "true":
            return True
        case "false":
            return False
    raise ApiError(400, f"The query parameter {name} is neither true nor false")
