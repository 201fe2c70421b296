"""What goes wrong, in the codes of `signaling.md` section 6. This is the one table."""

from __future__ import annotations

from enum import IntEnum

from services.api.nodes import NodeUnavailable
from services.conference import errors as conference
from services.conference.calls import Failure, FailureCode
from services.eventlog.log import LogError

from .rpc import INVALID_PARAMS, METHOD_NOT_FOUND


class Code(IntEnum):
    USER_GENERIC = 10
    USER_NOT_FOUND = 102
    EXISTING_USER_IN_ROOM = 104
    USER_NOT_STREAMING = 105
    USER_ALREADY_STREAMING = 106
    ROOM_NOT_FOUND = 202
    ROOM_CLOSED = 203
    ROOM_CANNOT_BE_CREATED = 204
    MEDIA_SDP = 302
    MEDIA_ENDPOINT = 303
    USER_UNAUTHORIZED = 401
    TOKEN_CANNOT_BE_CREATED = 404
    FILTER_NOT_APPLIED = 406
    SIGNAL_FORMAT_INVALID = 600
    SIGNAL_TO_INVALID = 601
    FORCED_CODEC_NOT_FOUND = 800
    TRANSPORT = 803
    WRONG_EDITION = 997
    GENERIC = 999
    RECONNECTION = 40007
    METHOD_NOT_FOUND = METHOD_NOT_FOUND
    INVALID_PARAMS = INVALID_PARAMS


class RpcError(Exception):
    """The answer to a request that failed. `text` is a sentence without its full stop."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text.rstrip(".")

    @property
    def message(self) -> str:
        """As on the wire: OpenVidu's own codes are repeated in the text."""
        own = self.code > 0 and self.code is not Code.RECONNECTION
        return f"{self.text}. Code: {self.code}" if own else self.text


_REFUSALS: dict[type[conference.ConferenceError], Code] = {
    conference.SessionNotFound: Code.ROOM_NOT_FOUND,
    conference.ConnectionNotFound: Code.USER_NOT_FOUND,
    conference.ConnectionExists: Code.TOKEN_CANNOT_BE_CREATED,
    conference.InvalidToken: Code.USER_UNAUTHORIZED,
    conference.NotAllowed: Code.USER_UNAUTHORIZED,
    conference.StreamNotFound: Code.USER_NOT_STREAMING,
    conference.AlreadyPublishing: Code.USER_ALREADY_STREAMING,
    conference.MediaRestarted: Code.MEDIA_ENDPOINT,
    conference.NotPublishing: Code.USER_NOT_STREAMING,
    conference.OwnStream: Code.USER_NOT_STREAMING,
    conference.InvalidProperty: Code.INVALID_PARAMS,
    conference.UnknownReceiver: Code.SIGNAL_TO_INVALID,
}

_FAILURES: dict[FailureCode, Code] = {
    FailureCode.STREAM_NOT_FOUND: Code.USER_NOT_STREAMING,
    FailureCode.SUBSCRIPTION_NOT_FOUND: Code.MEDIA_ENDPOINT,
    FailureCode.SDP_INVALID: Code.MEDIA_SDP,
    FailureCode.CODEC_MISSING: Code.FORCED_CODEC_NOT_FOUND,
    FailureCode.ENDPOINT_CLOSED: Code.MEDIA_ENDPOINT,
    FailureCode.OVERLOADED: Code.MEDIA_ENDPOINT,
}


def from_failure(failure: Failure) -> RpcError:
    return RpcError(_FAILURES.get(failure.code, Code.GENERIC), failure.message)


def from_exception(error: Exception) -> RpcError | None:
    """`None` for what nobody foresaw: a bug, to be logged with its traceback."""
    if isinstance(error, RpcError):
        return error
    if isinstance(error, conference.ConferenceError):
        return RpcError(_REFUSALS.get(type(error), Code.GENERIC), str(error))
    if isinstance(error, NodeUnavailable):
        return RpcError(Code.MEDIA_ENDPOINT, str(error))
    if isinstance(error, LogError):
        return RpcError(Code.GENERIC, "The server cannot record this now; try again")
    if isinstance(error, RecursionError):  # the decoder goes deeper than who writes it again
        return RpcError(Code.INVALID_PARAMS, "Invalid params: they are nested too deep")
    if isinstance(error, TimeoutError):
        return RpcError(Code.GENERIC, "The server did not get this done in time")
    return None
