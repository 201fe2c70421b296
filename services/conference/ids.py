"""Identifiers in the contract's forms (`signaling.md` 2.2).

The caller gives the random source: services use `secrets.SystemRandom()`, tests a seeded one.
Alphabets: U = A-Z, N = 0-9A-Za-z.
"""

from __future__ import annotations

import re
from string import ascii_letters, ascii_uppercase, digits
from typing import Protocol

from .model import MediaOptions

ALPHANUMERIC = digits + ascii_letters
SESSION_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
NODE_ID = SESSION_ID
AGGREGATE_ID = re.compile(f"(node:)?{SESSION_ID.pattern}")
"""What has commits of its own: a session, by its id, or a media node, as `node:<nodeId>`."""


class RandomSource(Protocol):
    def randrange(self, stop: int, /) -> int: ...


def _mark(rng: RandomSource, length: int) -> str:
    number = rng.randrange(len(ascii_uppercase) * len(ALPHANUMERIC) ** (length - 1))
    letters = ""
    for _ in range(length - 1):
        number, digit = divmod(number, len(ALPHANUMERIC))
        letters += ALPHANUMERIC[digit]
    return ascii_uppercase[number] + letters


def session_id(rng: RandomSource) -> str:
    return f"ses_{_mark(rng, 10)}"


def connection_id(rng: RandomSource) -> str:
    return f"con_{_mark(rng, 10)}"


def token(rng: RandomSource) -> str:
    return f"tok_{_mark(rng, 16)}"


def stream_id(rng: RandomSource, media: MediaOptions, connection: str) -> str:
    """`str_<CAM|SCR|CUS|IPC|MIC>_<4>_<connection id>`; MIC is a stream without video."""
    kind = media.type_of_video.value[:3] if media.has_video and media.type_of_video else "MIC"
    return f"str_{kind}_{_mark(rng, 4)}_{connection}"


def session_of_recording(recording_id: str) -> str:
    """The session id in `<session id>` or `<session id>~<n>` (`recording.md` section 3)."""
    return recording_id.partition("~")[0]


def aggregate_of_node(node_id: str) -> str:
    return f"node:{node_id}"


def unique_session_id(session: str, created_at: int) -> str:
    return f"{session}_{created_at}"
