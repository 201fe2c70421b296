"""From what went wrong to a status and a body: the one table of the REST edge."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import Any

import structlog
from litestar import Request
from litestar.exceptions import HTTPException

from services.api.database import DatabaseAway
from services.api.nodes import NodeUnavailable
from services.conference import errors
from services.eventlog.log import CommitRefused, LogUnavailable

from . import replies
from .auth import REALM, admit, is_protected
from .replies import Reply

log = structlog.get_logger(__name__)

STATUSES: dict[type[errors.ConferenceError], int] = {
    errors.SessionNotFound: 404,
    errors.SessionExists: 409,
    errors.SessionInUse: 409,
    errors.ConnectionExists: 409,
    errors.ConnectionNotFound: 404,
    errors.InvalidToken: 400,
    errors.NotAllowed: 405,
    errors.StreamNotFound: 404,
    errors.AlreadyPublishing: 409,
    errors.NotPublishing: 404,
    errors.OwnStream: 400,
    errors.InvalidProperty: 400,
    errors.UnknownReceiver: 406,
    errors.NoParticipants: 406,
    errors.RecordingNotFound: 404,
    errors.RecordingInProgress: 409,
    errors.RecordingStarting: 406,
    errors.NotRouted: 409,
    errors.NothingToRecord: 422,
    errors.NodeNotFound: 404,
    errors.NodeExists: 409,
    errors.NodeRemoved: 409,
    errors.NodeBusy: 409,
    errors.TransitionNotAllowed: 400,
}

# Where the contract differs, by operation id.
OPERATIONS: dict[str, dict[type[errors.ConferenceError], int]] = {
    "getConnection": {errors.SessionNotFound: 400},
    "removeConnection": {errors.SessionNotFound: 400},
    "unpublishStream": {errors.SessionNotFound: 400},
}

# Operations on recordings answer these with an empty body (`recording.md` 14).
EMPTY = frozenset({404, 406, 409})


class ApiError(Exception):
    """A request the edge itself refuses, with the status to answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


_EXPECTED = (ApiError, LogUnavailable, NodeUnavailable, DatabaseAway)  # told where they arise


def handle(request: Request[Any, Any, Any], error: Exception) -> Reply:
    """Litestar's handler for whatever a route raised."""
    status = _status(request, error)
    if status in {404, 405} and is_protected(request.scope["path"]):
        try:
            admit(request.scope)
        except HTTPException as refusal:
            status, error = refusal.status_code, refusal
    if status >= 500 and not isinstance(error, _EXPECTED):
        log.error("request failed", path=_path(request), exc_info=error)
    if isinstance(error, errors.ConferenceError) and _of_recordings(request) and status in EMPTY:
        return replies.empty(status)
    reply = replies.ok(body(request, status, _message(error, status)), status)
    if status == 401:
        reply.headers["WWW-Authenticate"] = f'Basic realm="{REALM}"'
    if isinstance(error, HTTPException) and error.headers:
        reply.headers.update(error.headers)
    return reply


def body(request: Request[Any, Any, Any], status: int, message: str) -> dict[str, object]:
    return {
        "timestamp": time.time_ns() // 1_000_000,
        "status": status,
        "error": HTTPStatus(status).phrase,
        "message": message,
        "path": _path(request),
    }


def _operation(request: Request[Any, Any, Any]) -> str:
    operation = getattr(request.scope.get("route_handler"), "operation_id", None)
    return operation if isinstance(operation, str) else ""


def _of_recordings(request: Request[Any, Any, Any]) -> bool:
    return _operation(request).endswith(("Recording", "Recordings"))


def _path(request: Request[Any, Any, Any]) -> str:
    return str(request.scope["path"])


def _status(request: Request[Any, Any, Any], error: Exception) -> int:
    match error:
        case errors.ConferenceError():
            special = OPERATIONS.get(_operation(request), {})
            return special.get(type(error)) or STATUSES[type(error)]
        case ApiError():
            return error.status
        case HTTPException():
            return error.status_code
        case CommitRefused():
            return 400
        case LogUnavailable() | NodeUnavailable() | DatabaseAway():
            return 503
    return 500


def _message(error: Exception, status: int) -> str:
    if status == 500 and not isinstance(error, ApiError):
        return "Unexpected error"  # whatever it is, it is in our log
    return error.detail if isinstance(error, HTTPException) else str(error)
