"""What REST shows: rows of the projection made into the contract's objects."""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Select, select

from services.conference.ids import SESSION_ID, session_of_recording
from services.conference.state import Connection, Recording, Session, State
from services.conference.views import (
    connection_object,
    recording_object,
    session_object,
    token_object,
)
from services.eventlog.follower import Step
from services.settings import Access

from . import tables
from .database import Database, DatabaseAway
from .progress import Progress

CAPACITY = 10_000  # sessions kept decoded
CHUNK = 500  # sessions of one statement, when many are read
SETTLE_SECONDS = 5.0  # for the database to have what was shown

_RECORDING_ID = re.compile(f"{SESSION_ID.pattern}(~[0-9]+)?")

_encoder = msgspec.json.Encoder()
_session = msgspec.json.Decoder(Session)
_connection = msgspec.json.Decoder(Connection)
_recording = msgspec.json.Decoder(Recording)

Object = dict[str, Any]


class Found(Struct):
    """A session and what it looks like in answers, made when it is first asked for."""

    session: Session
    recording: bool
    rendered: dict[bool, bytes] = {}  # JSON, by `pending`


def _found(session: Session, state: State) -> Found:
    return Found(session, state.active_recording is not None)


class Views:
    """Ids may be any text; for one that names nothing the answer is `None`.

    What the database does not have yet is kept here (`take`, `written`), and so are the sessions
    used last; others are read when they are asked for. The ids of all open sessions are known.
    """

    def __init__(self, database: Database, access: Access, *, capacity: int = CAPACITY) -> None:
        self._database = database
        self._websocket_url = access.websocket_url
        self._public_url = access.public_url
        self._capacity = capacity
        self._open: dict[str, None] = {}  # in order of creation
        self._kept: OrderedDict[str, Found] = OrderedDict()
        self._unwritten: dict[str, Step] = {}  # the latest step of each
        self._loading: dict[str, object] = {}
        self._written = Progress()
        self._taken = 0
        self._pages: dict[bool, tuple[int, bytes]] = {}  # by `pending`: the position, the answer

    async def open(self, position: int) -> list[State]:
        """Once, before the first `take`: the states of all open sessions, which the database has
        as they were at `position`."""
        states = await self._open_states()
        self._open = {state.session.id: None for state in states if state.session}
        self._taken = position
        self._written.reach(position)
        return states

    def take(self, steps: list[Step]) -> None:
        """Show these from now on; `written` will follow."""
        for step in steps:
            session_id, session = step.session_id, step.after.session
            self._unwritten[session_id] = step
            self._loading.pop(session_id, None)
            if session is None:
                self._open.pop(session_id, None)
                self._kept.pop(session_id, None)
            else:
                self._open[session_id] = None
                self._keep(session_id, _found(session, step.after))
        self._taken = steps[-1].recorded.sequence

    def written(self, steps: list[Step]) -> None:
        """The database has these now."""
        for step in steps:
            if self._unwritten.get(step.session_id) is step:
                del self._unwritten[step.session_id]
        self._written.reach(steps[-1].recorded.sequence)

    def open_sessions(self) -> list[str]:
        """The ids of all open sessions, in the order of their creation."""
        return list(self._open)

    async def session(self, session_id: str, *, pending: bool = False) -> bytes | None:
        """JSON. `pending`: list the pending connections too."""
        found = await self._find(session_id)
        return None if found is None else self._rendered(found, pending)

    async def sessions(self, *, pending: bool = False) -> bytes:
        """JSON: all of them in the order of their creation, with their number."""
        position = self._taken
        known = self._pages.get(pending)
        if known is not None and known[0] == position:
            return known[1]
        found = await self._find_all(self.open_sessions())
        content = b",".join(self._rendered(each, pending) for each in found)
        answer = b'{"numberOfElements":%d,"content":[%b]}' % (len(found), content)
        self._pages[pending] = (position, answer)
        return answer

    async def connection(self, session_id: str, connection_id: str) -> Object | None:
        """`None` without the session too: ask `connections` which of the two is missing."""
        found = await self._find(session_id)
        connection = found.session.connections.get(connection_id) if found else None
        return None if connection is None else self.render_connection(connection, session_id)

    async def connections(self, session_id: str, *, pending: bool = True) -> list[Object] | None:
        """In the order of their creation; `None` if there is no such session."""
        found = await self._find(session_id)
        if found is None:
            return None
        return [
            self.render_connection(connection, session_id)
            for connection in found.session.connections.values()
            if pending or connection.active
        ]

    async def recording(self, recording_id: str) -> Object | None:
        if not _RECORDING_ID.fullmatch(recording_id):
            return None
        step = self._unwritten.get(session_of_recording(recording_id))
        if step is not None:
            recording = step.after.recordings.get(recording_id)
            return None if recording is None else self.render_recording(recording)
        row = tables.recordings.c
        found = await self._recordings(select(row.document).where(row.id == recording_id))
        return self.render_recording(found[0]) if found else None

    async def recordings(self) -> list[Object]:
        """Newest first."""
        await self._settle()
        row = tables.recordings.c
        found = await self._recordings(select(row.document).order_by(row.ordinal.desc()))
        return [self.render_recording(recording) for recording in found]

    def render_session(self, session: Session, *, recording: bool, pending: bool = False) -> Object:
        return session_object(
            session, recording=recording, websocket_url=self._websocket_url, pending=pending
        )

    def render_connection(self, connection: Connection, session_id: str) -> Object:
        return connection_object(connection, session_id, self._websocket_url)

    def render_token(self, connection: Connection, session_id: str) -> Object:
        return token_object(connection, session_id, self._websocket_url)

    def render_recording(self, recording: Recording) -> Object:
        return recording_object(recording, self._public_url)

    def _rendered(self, found: Found, pending: bool) -> bytes:
        known = found.rendered.get(pending)
        if known is None:
            view = self.render_session(found.session, recording=found.recording, pending=pending)
            known = found.rendered[pending] = _encoder.encode(view)
        return known

    async def _settle(self) -> None:
        """Until the database has all that was taken up to now."""
        try:
            await self._written.wait_for(self._taken, SETTLE_SECONDS)
        except TimeoutError:
            raise DatabaseAway("The database of the answers lags behind") from None

    def _keep(self, session_id: str, found: Found) -> None:
        self._kept[session_id] = found
        self._kept.move_to_end(session_id)
        if len(self._kept) > self._capacity:
            self._kept.popitem(last=False)

    def _in_memory(self, session_id: str) -> Found | None:
        found = self._kept.get(session_id)
        if found is None and (step := self._unwritten.get(session_id)) and step.after.session:
            found = _found(step.after.session, step.after)
        return found

    async def _find(self, session_id: str) -> Found | None:
        found = self._in_memory(session_id)
        if found is not None or session_id not in self._open:
            return found
        # Kept only if nothing happened to the session while it was read.
        mark = self._loading.setdefault(session_id, object())
        try:
            rows = await self._select(_SESSIONS.where(tables.sessions.c.id == session_id))
        finally:
            unchanged = self._loading.get(session_id) is mark
            if unchanged:
                del self._loading[session_id]
        if not unchanged:
            return await self._find(session_id)
        if rows:
            self._keep(session_id, rows[0])
        return rows[0] if rows else None

    async def _find_all(self, session_ids: list[str]) -> list[Found]:
        """Those not in memory are read, and not kept: one look at everything must not drive out
        what is used."""
        missing = [each for each in session_ids if self._in_memory(each) is None]
        read: dict[str, Found] = {}
        for start in range(0, len(missing), CHUNK):
            some = tables.sessions.c.id.in_(missing[start : start + CHUNK])
            read |= {found.session.id: found for found in await self._select(_SESSIONS.where(some))}
        found = (self._in_memory(each) or read.get(each) for each in session_ids)
        return [each for each in found if each is not None]

    async def _open_states(self) -> list[State]:
        row = tables.recordings.c
        of_open = row.session_id.in_(select(tables.sessions.c.id))
        by_session: dict[str, dict[str, Recording]] = {}
        statement = select(row.document).where(of_open).order_by(row.ordinal)
        for recording in await self._recordings(statement):
            by_session.setdefault(recording.session_id, {})[recording.id] = recording
        return [
            State(found.session, by_session.get(found.session.id, {}))
            for found in await self._select(_SESSIONS)
        ]

    async def _select(self, statement: Select[Any]) -> list[Found]:
        found: list[Found] = []
        connections: dict[str, Connection] = {}
        last = ""
        for session_id, document, recording, attached in await self._database.read(statement):
            if session_id != last:
                last, connections = session_id, {}
                session = replace(_session.decode(document), connections=connections)
                found.append(Found(session, recording))
            if attached is not None:
                connection = _connection.decode(attached)
                connections[connection.id] = connection
        return found

    async def _recordings(self, statement: Select[Any]) -> list[Recording]:
        return [_recording.decode(document) for (document,) in await self._database.read(statement)]


_SESSIONS: Select[Any] = (
    select(
        tables.sessions.c.id,
        tables.sessions.c.document,
        tables.sessions.c.recording,
        tables.connections.c.document,
    )
    .outerjoin(tables.connections, tables.connections.c.session_id == tables.sessions.c.id)
    .order_by(tables.sessions.c.ordinal, tables.connections.c.ordinal)
)
