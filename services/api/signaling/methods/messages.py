"""Signals, and what is only answered (`signaling.md` 3.9, 3.18 to 3.22)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from services.api.signaling.call import Call, Result
from services.api.signaling.errors import Code, RpcError
from services.conference.commands import SendSignal

SIGNAL_PREFIX = "signal:"


class SendMessage(Struct, rename="camel"):
    """`message` is the JSON text of a `Signal`."""

    message: str


class Signal(Struct):
    to: list[Any] | None = None
    type: str | None = None
    data: str | None = None


class VideoData(Struct, rename="camel"):
    height: float = 0
    width: float = 0
    video_active: bool = False
    audio_active: bool = False


class SessionStatus(Struct, rename="camel"):
    session_id: str = ""


class SpeechToText(Struct, rename="camel"):
    connection_id: str = ""


async def send_message(call: Call, params: SendMessage) -> Result | None:
    try:
        signal = msgspec.json.decode(params.message, type=Signal)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise RpcError(
            Code.SIGNAL_FORMAT_INVALID, f"The signal has a wrong form: {error}"
        ) from None
    to = tuple(receiver for receiver in signal.to or () if isinstance(receiver, str))
    if len(to) != len(signal.to or ()):
        raise RpcError(Code.SIGNAL_TO_INVALID, "A receiver of the signal is no connection id")
    caller = await call.caller()
    kind = None if signal.type is None else signal.type.removeprefix(SIGNAL_PREFIX)
    return await call.commit(
        SendSignal(sender=caller.connection.id, to=to, type=kind, data=signal.data)
    )


async def answer_only(_call: Call, _params: Struct) -> Result:
    return {}


async def session_status(_call: Call, _params: SessionStatus) -> Result:
    """Only a client that was told its server's `life` asks, and we tell none."""
    return {"life": 0}


async def speech_to_text(_call: Call, _params: SpeechToText) -> Result:
    raise RpcError(Code.WRONG_EDITION, "Speech to text is not available")
