"""`Idempotency-Key`: a POST that is safe to repeat.

The key names the command. A repetition finds the first commit in the log and is answered from it,
however late and by whichever process. The ids that a request makes are drawn from its key, so a
repetition makes the same command. What was refused left nothing behind and is judged anew.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from hashlib import sha256

from msgspec.structs import replace

from services.conference.commands import AdmitNode, Command, CreateConnection

from .errors import ApiError

HEADER = "Idempotency-Key"
USED = f"The {HEADER} was used for another request"

_KEY = re.compile(rb"[!-~]{1,200}")


def key_of(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Of the headers as ASGI has them. Raises `ApiError` 400 for one that is no key."""
    given = [value for name, value in headers if name == b"idempotency-key"]
    if not given:
        return None
    if len(given) > 1 or not _KEY.fullmatch(given[0]):
        raise ApiError(400, f"{HEADER} takes 1 to 200 visible ASCII characters")
    return given[0].decode("ascii")


def command_id(operation: str, key: str) -> str:
    """Keys are the caller's own, for each operation; the log shows none of them."""
    return "key-" + sha256(f"{operation} {key}".encode()).hexdigest()


class Drawn:
    """A random source (`conference/ids.py`) that gives the same again for the same key, and that
    nobody can tell who does not know `secret`: tokens are made of it."""

    def __init__(self, secret: str, purpose: str) -> None:
        self._secret = secret.encode()
        self._purpose = purpose.encode()
        self._count = 0

    def randrange(self, stop: int, /) -> int:
        """`stop` far below 2**512, so that no value is more likely than another."""
        self._count += 1
        drawn = hmac.digest(self._secret, b"%d %b" % (self._count, self._purpose), "sha512")
        return int.from_bytes(drawn, "big") % stop


def check_same(first: Command, now: Command) -> None:
    """Raises `ApiError` 422 if a key was used before for something else."""
    if _asked(first) != _asked(now):
        raise ApiError(422, USED)


def _asked(command: Command) -> object:
    """What the caller asked for: not what the server found out or made for that moment."""
    match command:
        case CreateConnection():
            return replace(command, custom_ice_servers=())  # credentials have a time in them
        case AdmitNode():
            return command.node_id
    return command
