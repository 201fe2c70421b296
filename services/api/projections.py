"""The projector: what a batch of commits changes in the tables, written in one transaction with
the position."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import URL, Connection, Table, bindparam, or_, update

from services.conference import state
from services.eventlog.follower import Step, replay
from services.eventlog.log import EventLog

from . import tables
from .database import Database, Position
from .rows import ManyRows, Values

_encoder = msgspec.json.Encoder()
_SESSION_FIELDS = tuple(name for name in state.Session.__struct_fields__ if name != "connections")

log = structlog.get_logger(__name__)


class ProjectionShared(Exception):
    """Another process writes the same database."""


class Row(Struct):
    """A row to be. `ordinal` is `None` for one that is there already and keeps its own."""

    value: state.Session | state.Connection | state.Recording
    ordinal: int | None
    recording: bool = False  # of a session


Key = tuple[str, ...]
Rows = dict[Key, Row | None]  # None: the row goes


class Changes:
    """What the tables need after a batch of steps; only the last value of each row counts."""

    def __init__(self, steps: Iterable[Step] = ()) -> None:
        self.sessions: Rows = {}
        self.connections: Rows = {}
        self.recordings: Rows = {}
        for step in steps:
            self._take(step)

    def _take(self, step: Step) -> None:
        before, after, ordinal = step.before, step.after, step.recorded.sequence
        if before.recordings is not after.recordings:
            _diff(self.recordings, (), before.recordings, after.recordings, ordinal)
        was = before.active_recording is not None
        recording = after.active_recording is not None
        key = (step.session_id,)
        old, new = before.session, after.session
        if old is not new:
            _diff(
                self.connections,
                key,
                old.connections if old else {},
                new.connections if new else {},
                ordinal,
            )
        if new is None:
            if old is not None:
                self.sessions[key] = None
        elif old is None:
            self.sessions[key] = Row(new, ordinal, recording)
        elif was != recording or any(
            getattr(old, name) is not getattr(new, name) for name in _SESSION_FIELDS
        ):
            _put(self.sessions, key, new, recording)


def _diff(
    rows: Rows,
    prefix: Key,
    before: dict[str, Any],
    after: dict[str, Any],
    ordinal: int,
) -> None:
    for name in before:
        if name not in after:
            rows[(*prefix, name)] = None
    for name, value in after.items():
        known = before.get(name)
        if known is None:
            rows[(*prefix, name)] = Row(value, ordinal)
        elif known is not value:
            _put(rows, (*prefix, name), value)


def _put(rows: Rows, key: Key, value: Any, recording: bool = False) -> None:
    earlier = rows.get(key)
    rows[key] = Row(value, earlier.ordinal if earlier else None, recording)


_KEYS = {
    tables.sessions: ("id",),
    tables.connections: ("session_id", "id"),
    tables.recordings: ("id",),
}


_MOVE = (
    update(tables.position)
    .where(
        tables.position.c.id == 1,
        or_(
            tables.position.c.sequence == bindparam("was"),
            tables.position.c.sequence == bindparam("target"),
        ),
    )
    .values(sequence=bindparam("new_sequence"), digest=bindparam("new_digest"))
)


class Projector:
    """Keeps the database at a position of the log. `apply` one batch after the other."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.position = Position()
        self._tables = {
            table: ManyRows(table, keys, database.dialect) for table, keys in _KEYS.items()
        }

    async def open(self, event_log: EventLog) -> Position:
        """Where the database stands, after emptying one that does not fit the log."""
        self.position = await self._database.open()
        if self.position.sequence and not await self._fits(event_log):
            log.warning("projection of another log, rebuilding", position=self.position.sequence)
            await self.reset()
        return self.position

    async def _fits(self, event_log: EventLog) -> bool:
        recorded = await event_log.get(self.position.sequence)
        return recorded is not None and recorded.digest == self.position.digest

    async def reset(self) -> None:
        self.position = await self._database.reset()

    async def apply(self, steps: list[Step]) -> None:
        """Write a batch, all or nothing. Repeating a batch that failed is harmless.

        Raises `ProjectionShared`, and errors of SQLAlchemy.
        """
        changes = Changes(steps)
        last = steps[-1].recorded
        target = Position(last.sequence, last.digest)

        def work(connection: Connection) -> None:
            self._move(connection, target)
            self._write(connection, tables.sessions, changes.sessions)
            self._write(connection, tables.connections, changes.connections)
            self._write(connection, tables.recordings, changes.recordings)

        await self._database.write(work)
        self.position = target

    def _move(self, connection: Connection, target: Position) -> None:
        """The new position; the target itself if an earlier try was done but not acknowledged."""
        moved = connection.execute(
            _MOVE,
            {
                "was": self.position.sequence,
                "target": target.sequence,
                "new_sequence": target.sequence,
                "new_digest": target.digest,
            },
        )
        if moved.rowcount != 1:
            raise ProjectionShared(
                "The projection is not where this process left it: another one writes the same "
                "database. Give each api process a TERTULIA_DATABASE_URL of its own."
            )

    def _write(self, connection: Connection, table: Table, rows: Rows) -> None:
        gone: Values = []
        new: Values = []
        changed: Values = []
        for key, row in rows.items():
            if row is None:
                gone.append(key)
            else:
                (changed if row.ordinal is None else new).append(_columns(key, row))
        many = self._tables[table]
        many.remove(connection, gone)
        many.put(connection, new)
        many.change(connection, changed)


def _columns(key: Key, row: Row) -> tuple[Any, ...]:
    """In the order of the table; without the ordinal if it keeps its own."""
    ordinal = () if row.ordinal is None else (row.ordinal,)
    match row.value:
        case state.Session() as session:
            value: Any = replace(session, connections={})
            return (*key, *ordinal, row.recording, _document(value))
        case state.Connection() as value:
            status = "active" if value.active else "pending"
            return (*key, *ordinal, status, _document(value))
        case state.Recording() as value:
            return (*key, value.session_id, *ordinal, value.status.value, _document(value))


def _document(value: Any) -> str:
    return _encoder.encode(value).decode()


async def rebuild(event_log: EventLog, url: str | URL, *, up_to: int | None = None) -> int:
    """Make the projection anew in the database at `url`; returns the position it then has."""
    database = Database(url)
    try:
        projector = Projector(database)
        await database.open()
        await projector.reset()
        async for steps in replay(event_log, up_to=up_to):
            await projector.apply(steps)
        return projector.position.sequence
    finally:
        await database.close()
