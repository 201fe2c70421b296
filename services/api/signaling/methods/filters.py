"""Filters (`signaling.md` 3.13 to 3.16): who may use them is checked, none can be applied.

As no stream ever has a filter, 405 (there already is one) and 407 (no such listener) never occur.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from services.api.signaling.call import Call, Caller, Result, find_publisher
from services.api.signaling.errors import Code, RpcError
from services.conference.model import Role


class ApplyFilter(Struct, rename="camel"):
    """`options` is the JSON text of an object."""

    stream_id: str
    type: str
    options: str = "{}"


class RemoveFilter(Struct, rename="camel"):
    stream_id: str


class ExecFilterMethod(Struct, rename="camel"):
    """`params` is the JSON text of an object."""

    stream_id: str
    method: str
    params: str = "{}"


class FilterEventListener(Struct, rename="camel"):
    stream_id: str
    event_type: str


async def apply_filter(call: Call, params: ApplyFilter) -> Result:
    caller = await call.caller()
    options = caller.connection.kurento_options
    allowed = (options and options.allowed_filters) or ()
    if not (owns(caller, params.stream_id) and params.type in allowed):
        caller.require(Role.MODERATOR)
    check_object("options", params.options)
    find_publisher(caller.session, params.stream_id)
    raise RpcError(Code.FILTER_NOT_APPLIED, f"Filter {params.type} is not supported")


async def remove_filter(call: Call, params: RemoveFilter) -> Result:
    raise no_filter(await call.caller(), params.stream_id)


async def exec_filter_method(call: Call, params: ExecFilterMethod) -> Result:
    error = no_filter(await call.caller(), params.stream_id)
    check_object("params", params.params)
    raise error


async def filter_event_listener(call: Call, params: FilterEventListener) -> Result:
    """To add one and to remove one are the same: there is no filter to listen to."""
    raise no_filter(await call.caller(), params.stream_id)


def no_filter(caller: Caller, stream_id: str) -> RpcError:
    if not owns(caller, stream_id):
        caller.require(Role.MODERATOR)
    find_publisher(caller.session, stream_id)
    return RpcError(Code.FILTER_NOT_APPLIED, "The stream has no filter")


def owns(caller: Caller, stream_id: str) -> bool:
    stream = caller.connection.stream
    return stream is not None and stream.id == stream_id


def check_object(name: str, text: str) -> None:
    try:
        msgspec.json.decode(text, type=dict[str, Any])
    except (ValueError, RecursionError):  # of Unicode and of msgspec
        raise RpcError(Code.FILTER_NOT_APPLIED, f"{name} is not the text of an object") from None
