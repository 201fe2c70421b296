"""Filters (`signaling.md` 3.13 to 3.16): who may use them is checked, none can be applied."""

from __future__ import annotations

from msgspec import Struct

from services.api.signaling.call import Call, Caller, Result, find_publisher
from services.api.signaling.errors import Code, RpcError
from services.conference.model import Role


class ApplyFilter(Struct, rename="camel"):
    stream_id: str
    type: str
    options: str = "{}"


class OtherFilterCall(Struct, rename="camel"):
    stream_id: str


async def apply_filter(call: Call, params: ApplyFilter) -> Result:
    caller = await call.caller()
    options = caller.connection.kurento_options
    allowed = (options and options.allowed_filters) or ()
    if caller.connection.role is not Role.MODERATOR and params.type not in allowed:
        raise RpcError(Code.USER_UNAUTHORIZED, f"Filter {params.type} is not allowed")
    raise not_applied(caller, params.stream_id)


async def other_filter_call(call: Call, params: OtherFilterCall) -> Result:
    raise not_applied(await call.caller(), params.stream_id)


def not_applied(caller: Caller, stream_id: str) -> RpcError:
    own = caller.connection.stream is not None and caller.connection.stream.id == stream_id
    if not own:
        caller.require(Role.MODERATOR)
        find_publisher(caller.session, stream_id)
    return RpcError(Code.FILTER_NOT_APPLIED, "Filters are not supported")
