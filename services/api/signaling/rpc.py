"""JSON-RPC 2.0 as the browsers' library speaks it (`signaling.md` 1.3)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

MAX_FRAME = 1024 * 1024  # bytes
MAX_ID = 64  # bytes

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602

_NOTHING = Raw()


class _Frame(Struct):
    jsonrpc: Raw = _NOTHING
    id: Raw = _NOTHING
    method: Raw = _NOTHING
    params: Raw = _NOTHING


class Request(Struct, frozen=True):
    """`id` is the JSON text to echo; `params` is the JSON text of an object, maybe `{}`."""

    id: Raw
    method: str
    params: Raw


class Malformed(Exception):
    """A frame that is no request. `id` is what to echo, if there was a usable one."""

    def __init__(self, code: int, message: str, id: Raw | None = None) -> None:  # noqa: A002
        super().__init__(message)
        self.code = code
        self.id = id


_frame = msgspec.json.Decoder(_Frame)
_id = msgspec.json.Decoder(int | float | str)
_string = msgspec.json.Decoder(str)
_encoder = msgspec.json.Encoder()


def parse(text: str | bytes) -> Request:
    """Raises `Malformed`, with nothing worse whatever the text is."""
    try:
        frame = _frame.decode(text)
    except msgspec.ValidationError:
        raise Malformed(INVALID_REQUEST, "A frame is one JSON object; no batches") from None
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise Malformed(PARSE_ERROR, f"No JSON: {error}") from None
    request_id = _usable_id(frame.id)
    if bytes(frame.jsonrpc) != b'"2.0"':
        raise Malformed(INVALID_REQUEST, 'jsonrpc is "2.0"', request_id)
    if request_id is None:
        raise Malformed(INVALID_REQUEST, "id is a number or a short string")
    try:
        method = _string.decode(frame.method)
    except (msgspec.MsgspecError, UnicodeError):
        raise Malformed(INVALID_REQUEST, "method is a string", request_id) from None
    params = bytes(frame.params)
    if params in (b"", b"null"):
        params = b"{}"
    return Request(request_id, method, Raw(params))


def _usable_id(raw: Raw) -> Raw | None:
    text = bytes(raw)
    if not 0 < len(text) <= MAX_ID:
        return None
    try:
        _id.decode(text)
    except (msgspec.MsgspecError, UnicodeError):
        return None
    return Raw(text)  # a copy: `raw` would keep the whole frame alive


def response(request_id: Raw, result: dict[str, Any]) -> str:
    return _text({"id": request_id, "result": result, "jsonrpc": "2.0"})


def error(request_id: Raw | None, code: int, message: str) -> str:
    """Without a usable id the member is left out: the client knows no null members."""
    body: dict[str, Any] = {} if request_id is None else {"id": request_id}
    return _text(body | {"error": {"code": code, "message": message}, "jsonrpc": "2.0"})


def notification(method: str, params: dict[str, Any]) -> str:
    return _text({"jsonrpc": "2.0", "method": method, "params": params})


def _text(body: dict[str, Any]) -> str:
    return _encoder.encode(body).decode()
