"""What REST shows: rows of the projection made into the contract's objects."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace
from sqlalchemy import Select, select

from services.conference.ids import SESSION_ID
from services.conference.state import Connection, Recording, Session, State
from services.conference.views import (
    connection_object,
    recording_object,
    session_object,
    token_object,
)
from services.settings import Access

from . import tables
from .database import Database

CAPACITY = 10_000  # sessions kept decoded

_RECORDING_ID = re.compile(f"{SESSION_ID.pattern}(~[0-9]+)?")

_session = msgspec.json.Decoder(Session)
_connection = msgspec.json.Decoder(Connection)
_recording = msgspec.json.Decoder(Recording)

Object = dict[str, Any]


class Found(NamedTuple):
    session: Session
    recording: bool


class Cache:
    """Sessions by id, as they were read. What is read while its session changes is not kept."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._found: OrderedDict[str, Found] = OrderedDict()
        self._loading: dict[str, object] = {}

    def get(self, session_id: str) -> Found | None:
        return self._found.get(session_id)

    def loading(self, session_id: str) -> object:
        """To be handed to `keep` with what was read after this call."""
        return self._loading.setdefault(session_id, object())

    def keep(self, session_id: str, found: Found | None, mark: object) -> None:
        if self._loading.get(session_id) is not mark:
            return
        del self._loading[session_id]
        if found is not None:
            self._found[session_id] = found
            if len(self._found) > self._capacity:
                self._found.popitem(last=False)

    def forget(self, session_ids: Iterable[str]) -> None:
        for session_id in session_ids:
            self._found.pop(session_id, None)
            self._loading.pop(session_id, None)


class Views:
    """Ids may be any text; for one that names nothing the answer is `None`."""

    def __init__(self, database: Database, access: Access, *, capacity: int = CAPACITY) -> None:
        self._database = database
        self._websocket_url = access.websocket_url
        self._public_url = access.public_url
        self.cache = Cache(capacity)

    async def session(self, session_id: str, *, pending: bool = False) -> Object | None:
        """`pending`: list the pending connections too."""
        found = await self._find(session_id)
        if found is None:
            return None
        return self.render_session(found.session, recording=found.recording, pending=pending)

    async def sessions(self, *, pending: bool = False) -> list[Object]:
        """In the order of their creation."""
        return [
            self.render_session(found.session, recording=found.recording, pending=pending)
            for found in await self._select(_SESSIONS)
        ]

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
        row = tables.recordings.c
        found = await self._recordings(select(row.document).where(row.id == recording_id))
        return self.render_recording(found[0]) if found else None

    async def recordings(self) -> list[Object]:
        """Newest first."""
        row = tables.recordings.c
        found = await self._recordings(select(row.document).order_by(row.ordinal.desc()))
        return [self.render_recording(recording) for recording in found]

    async def open_states(self) -> list[State]:
        """The states of all open sessions. Nothing may write meanwhile."""
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

    async def _find(self, session_id: str) -> Found | None:
        if known := self.cache.get(session_id):
            return known
        if not SESSION_ID.fullmatch(session_id):
            return None
        mark = self.cache.loading(session_id)
        try:
            rows = await self._select(_SESSIONS.where(tables.sessions.c.id == session_id))
        except BaseException:
            self.cache.keep(session_id, None, mark)
            raise
        found = rows[0] if rows else None
        self.cache.keep(session_id, found, mark)
        return found

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
