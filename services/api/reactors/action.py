"""What a reactor is, and what it wants done."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from services.conference.commands import Command
from services.conference.state import State


class Action(NamedTuple):
    """A command, if it still applies to the latest state of the session or media node.

    `timer` names the cause in the log. With a `command_id`, several api processes do it once.
    """

    timer: str
    session_id: str
    command: Command
    applies: Callable[[State], bool]
    command_id: str | None = None


class Reactor(Protocol):
    """Neither method may block or wait."""

    def see(self, session_id: str, before: State | None, after: State) -> bool:
        """A session or media node as it is now; `before` is `None` when it is adopted at the
        start. True if something is due at once."""
        ...

    def due(self, now: int) -> Iterable[Action]:
        """What is due at `now` (UTC ms), again and again until a state says that it is done."""
        ...
