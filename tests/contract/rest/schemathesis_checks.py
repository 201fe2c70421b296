"""Holds the exceptions of `schemathesis.toml` to their reasons, and adds a check."""

from __future__ import annotations

import re
from itertools import count
from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response
from schemathesis.generation.meta import TestPhase

from tests.fuzz_api import NODES

KEY = re.compile(r"[!-~]{1,200}")

numbers = count()

# What the answer to a request that fits its schema says, by operation and status.
EXCEPTED = {
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


@schemathesis.hook
def before_call(_context: HookContext, case: Case, _kwargs: dict[str, Any]) -> None:
    """Keys that are good are made anew, for one that was used says 422 whatever the body is, or 200
    of what is gone by now. The node that hosts the sessions stays, or they would go with it.
    Recordings that follow from sessions are such as can start."""
    if KEY.fullmatch(case.headers.get("Idempotency-Key") or ""):
        case.headers["Idempotency-Key"] = f"key-{next(numbers)}"
    if (case.path_parameters or {}).get("media_node_id") == NODES[-1]:
        case.path_parameters["media_node_id"] = NODES[0]
    if _phase(case) is TestPhase.STATEFUL and _id(case) == "startRecording" and _is_good(case):
        case.body["outputMode"] = "INDIVIDUAL"


@schemathesis.check
def excepted(_context: CheckContext, response: Response, case: Case) -> None:
    reason = EXCEPTED.get((_id(case), response.status_code))
    assert reason is None or not _is_good(case) or re.search(reason, response.text), response.text


@schemathesis.check
def foreseen(_context: CheckContext, response: Response, _case: Case) -> None:
    """Errors that the api foresees say what is wrong; see `rest/errors.py`."""
    assert "Unexpected error" not in response.text


def _id(case: Case) -> str:
    return str(case.operation.definition.raw.get("operationId"))


def _phase(case: Case) -> TestPhase | None:
    return case.meta.phase.name if case.meta else None


def _is_good(case: Case) -> bool:
    return case.meta is not None and case.meta.generation.mode.is_positive
