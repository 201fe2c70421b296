"""Sessions that nobody ever joined are dropped (`OPENVIDU_SESSIONS_GARBAGE_*`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from services.conference.commands import CollectSession
from services.conference.state import State
from services.settings import Sessions

from .action import Action


class GarbageCollector:
    """Every `garbage_interval` seconds (0: never) those older than `garbage_threshold`."""

    def __init__(self, settings: Sessions, now: int) -> None:
        self._interval = settings.garbage_interval * 1000
        self._threshold = settings.garbage_threshold * 1000
        self._next = now + self._interval
        self._unjoined: dict[str, int] = {}  # time of creation by session id

    def see(self, session_id: str, before: State | None, after: State) -> bool:
        session = after.session
        if session is None or session.joined:
            self._unjoined.pop(session_id, None)
        else:
            self._unjoined[session_id] = session.created_at
        return False

    def due(self, now: int) -> Iterator[Action]:
        if not self._interval or now < self._next:
            return
        self._next = now + self._interval
        for session_id, created_at in self._unjoined.items():
            if now - created_at > self._threshold:
                yield Action("garbage", session_id, CollectSession(), _still(created_at))


def _still(created_at: int) -> Callable[[State], bool]:
    """Is it this session yet, not a later one with its id, and has nobody joined?"""
    return lambda state: (
        state.session is not None
        and state.session.created_at == created_at
        and not state.session.joined
    )
