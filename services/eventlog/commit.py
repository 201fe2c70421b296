"""One commit: a command and all its events, one message of the log.

The hash chain: each commit carries the SHA-256 of the encoded previous commit of its session, so
a changed or missing commit shows at its successor.
"""

from __future__ import annotations

from enum import StrEnum
from hashlib import sha256

import msgspec
from msgspec import Struct

from services.conference.commands import Command
from services.conference.events import Event
from services.conference.model import Value

GENESIS = ""  # `previous` of a session's first commit


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


class Recorded(Struct, frozen=True):
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
    return f"log.session.{session_id}"
