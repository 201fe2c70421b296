"""One commit: a command and all its events, one message of the log.

The hash chain: each commit carries the SHA-256 of the encoded previous commit of its session, so
a changed or missing commit shows at its successor. A media node has commits of its own, as a
session has; where a session's id is asked for, its is `node:<nodeId>` (`ids.AGGREGATE_ID`).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from hashlib import sha256

import msgspec
from msgspec import Struct

from services.conference.commands import Command
from services.conference.events import Event
from services.conference.ids import aggregate_of_node
from services.conference.model import Value

GENESIS = ""  # `previous` of a session's first commit
ALL_NODES = "log.node.*"


class ActorKind(StrEnum):
    REST = "rest"
    CONNECTION = "connection"
    SERVICE = "service"
    TIMER = "timer"


class Actor(Value, frozen=True):
    """Who sent the command. `id`: a connection id, a service's name, a timer's name."""

    kind: ActorKind
    id: str = ""


class Commit(Value, frozen=True):
    """`id` is the command's id; `version` counts the session's commits from 1; `time` is UTC ms."""

    id: str
    session_id: str
    version: int
    time: int
    actor: Actor
    command: Command
    events: tuple[Event, ...]
    previous: str = GENESIS
    traceparent: str | None = None


class Recorded(Struct, frozen=True, gc=False):
    """A commit as the log holds it. `sequence` is its position in the whole log, from 1;
    `digest` the SHA-256 (hex) of its encoded bytes."""

    sequence: int
    commit: Commit
    digest: str


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Commit)


def encode(commit: Commit) -> bytes:
    """Raises `TypeError`, `ValueError` or `OverflowError` for what JSON cannot carry."""
    return _encoder.encode(commit)


def decode(payload: bytes) -> Commit:
    """Raises `msgspec.DecodeError` where the payload is no commit of a known version."""
    return _decoder.decode(payload)


def digest(payload: bytes) -> str:
    return sha256(payload).hexdigest()


def subject(session_id: str) -> str:
    """`log.session.<sessionId>` or `log.node.<nodeId>`."""
    kind, _, name = session_id.rpartition(":")
    return f"log.{kind or 'session'}.{name}"


def nodes_in(subjects: Iterable[str]) -> list[str]:
    """What the media nodes among them have as session ids."""
    prefix = ALL_NODES.removesuffix("*")
    return [
        aggregate_of_node(name.removeprefix(prefix)) for name in subjects if name.startswith(prefix)
    ]
