"""Request bodies: hostile until they fit a struct. What does not fit is a 400 that says where."""

from __future__ import annotations

import asyncio
import re
from typing import Any, TypeVar

import msgspec

from . import misfit
from .api import HttpRequest
from .errors import ApiError

MAX_BODY = 1024 * 1024  # bytes; more is answered with 413
BODY_SECONDS = 30.0  # for a client to send it, else 408

T = TypeVar("T")

_JSON = re.compile(r"application/([a-z0-9.+-]+\+)?json", re.IGNORECASE)


def _number(text: str) -> int | float:
    """`25.0` and `2.5e1` are the integer 25, as in JSON Schema; what is too large is infinite."""
    number = float(text)
    return int(number) if number.is_integer() else number


_decoder = msgspec.json.Decoder(float_hook=_number)


def json_object(raw: bytes) -> dict[str, Any]:
    """A JSON object; nothing at all is an empty one. Of a repeated key the last value counts."""
    if not raw.strip():
        return {}
    try:
        found = _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ApiError(400, f"The body is not JSON in UTF-8: {error}") from None
    if not isinstance(found, dict):
        raise ApiError(400, "The body is not a JSON object")
    return found


def fit(found: dict[str, Any], form: type[T]) -> T:
    """Unknown fields are ignored; null is a field that was not given."""
    try:
        return msgspec.convert(found, form)
    except (msgspec.ValidationError, OverflowError, RecursionError) as error:
        raise ApiError(400, misfit.sentence(found, form) or str(error)) from None


async def read(request: HttpRequest) -> dict[str, Any]:
    """The body, which must be called JSON: a form of a foreign page then cannot send one."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            raw = await request.body()
    except TimeoutError:
        raise ApiError(408, "The body did not come in time") from None
    if raw and not _JSON.fullmatch(request.content_type[0]):
        raise ApiError(400, "The Content-Type of the body must be application/json")
    return json_object(raw)


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
    raise ApiError(400, f"The query parameter {name} must be true or false")
