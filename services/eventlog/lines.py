"""A commit as text: one line for people, one line of JSON for machines. No secret in either."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import msgspec

from .commit import Recorded

MASK = "***"
SECRETS = frozenset({"credential", "rpcDigest"})  # keys whose value is a secret
_TOKEN = re.compile(r"\btok_\w+")
_WIDTH = 60  # characters of one value in the human form
_NOISE = frozenset({"event", "command", "at"})

_encoder = msgspec.json.Encoder()


def render(recorded: Recorded) -> str:
    """`sequence time session@version actor: command {…} -> event {…}, …`, secrets masked."""
    commit = recorded.commit
    when = datetime.fromtimestamp(commit.time / 1000, UTC).isoformat(timespec="milliseconds")
    actor = f"{commit.actor.kind.value}:{commit.actor.id}" if commit.actor.id else commit.actor.kind
    command = _masked(msgspec.to_builtins(commit.command))
    events = [_masked(msgspec.to_builtins(event)) for event in commit.events]
    happened = ", ".join(_named(event["event"], event) for event in events)
    return (
        f"{recorded.sequence} {when} {commit.session_id}@{commit.version} {_plain(actor)}: "
        f"{_named(command['command'], command)} -> {happened or 'nothing'}"
    )


def json_line(recorded: Recorded) -> str:
    """The commit with its `sequence` and `digest` as one JSON object, secrets masked.

    For reading and searching; a copy to restore from needs the bytes (`EventLog.stored`).
    """
    commit = _masked(msgspec.to_builtins(recorded.commit))
    line = {"sequence": recorded.sequence, "digest": recorded.digest, **commit}
    return _encoder.encode(line).decode()


def _named(tag: str, value: dict[str, Any]) -> str:
    fields = [f"{key}={_short(item)}" for key, item in value.items() if key not in _NOISE]
    name = tag.partition(".")[0]
    return f"{name}({' '.join(fields)})" if fields else name


def _short(value: Any) -> str:
    text = _plain(_encoder.encode(value).decode())
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"


def _plain(text: str) -> str:
    """Nothing a terminal would act upon, and no line break."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def _masked(value: Any) -> Any:
    match value:
        case dict():
            return {
                key: MASK if key in SECRETS and item else _masked(item)
                for key, item in value.items()
            }
        case list() | tuple():
            return [_masked(item) for item in value]
        case str():
            return _TOKEN.sub(f"tok_{MASK}", value)
        case _:
            return value
