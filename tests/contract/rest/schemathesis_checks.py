"""Holds the exceptions of `schemathesis.toml` to their reasons."""

from __future__ import annotations

import re

import schemathesis
from schemathesis import Case, CheckContext, Response

# What the answer to a request that fits its schema says, by operation and status.
EXCEPTED = {
    ("initializeSession", 422): "Idempotency-Key",
    ("sendSignal", 422): "Idempotency-Key",
    ("getConnection", 400): "The session does not exist",
    ("removeConnection", 400): "The session does not exist",
    ("unpublishStream", 400): "The session does not exist",
    ("initializeConnection", 400): r"customIceServers\[|rtspUri must be a URI",
    ("initializeConnection", 500): "IP cameras are not supported",
    ("generateToken", 400): r"customIceServers\[",
    ("startRecording", 501): "outputMode",
    ("addMediaNode", 400): "uri must be one such as",
    ("addMediaNode", 501): "uri is mandatory",
    ("modifyMediaNode", 400): "cannot become",
    ("restart", 400): "accepts|[A-Z_]{5}",
    ("getHealth", 503): "DOWN",
}


@schemathesis.check
def excepted(_context: CheckContext, response: Response, case: Case) -> None:
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    operation = case.operation.definition.raw.get("operationId")
    reason = EXCEPTED.get((operation, response.status_code))
    assert reason is None or re.search(reason, response.text), response.text


@schemathesis.check
def foreseen(_context: CheckContext, response: Response, _case: Case) -> None:
    """Errors that the api foresees say what is wrong; see `rest/errors.py`."""
    assert "Unexpected error" not in response.text
