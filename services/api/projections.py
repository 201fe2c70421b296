"""The projector: what a batch of commits changes in the tables, written in one transaction with
the position."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection, Table, bindparam, delete, update

from services.conference import state
from services.eventlog.follower import Step, replay
from services.eventlog.log import EventLog

from . import tables
from .database import Database, Position

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

    @property
    def touched(self) -> set[str]:
        """The ids of the sessions whose answers may have changed."""
        return {key[0] for key in self.sessions} | {key[0] for key in self.connections}

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


class Projector:
    """Keeps the database at a position of the log. `apply` one batch after the other."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.position = Position()

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

    async def apply(self, steps: list[Step]) -> Changes:
        """Write a batch, all or nothing. Repeating a batch that failed is harmless.

        Raises `ProjectionShared`, and errors of SQLAlchemy.
        """
        changes = Changes(steps)
        last = steps[-1].recorded
        target = Position(last.sequence, last.digest)

        def work(connection: Connection) -> None:
            self._move(connection, target)
            self._write(connection, tables.sessions, ("id",), changes.sessions)
            self._write(connection, tables.connections, _CONNECTION, changes.connections)
            self._write(connection, tables.recordings, ("id",), changes.recordings)

        await self._database.write(work)
        self.position = target
        return changes

    def _move(self, connection: Connection, target: Position) -> None:
        """The new position; the target itself if an earlier try was done but not acknowledged."""
        at = tables.position.c
        moved = connection.execute(
            update(tables.position)
            .where(at.id == 1, at.sequence.in_([self.position.sequence, target.sequence]))
            .values(sequence=target.sequence, digest=target.digest)
        )
        if moved.rowcount != 1:
            raise ProjectionShared(
                "The projection is not where this process left it: another one writes the same "
                "database. Give each api process a TERTULIA_DATABASE_URL of its own."
            )

    def _write(
        self, connection: Connection, table: Table, keys: tuple[str, ...], rows: Rows
    ) -> None:
        gone: list[dict[str, Any]] = []
        new: list[dict[str, Any]] = []
        changed: list[dict[str, Any]] = []
        for key, row in rows.items():
            names = dict(zip(keys, key, strict=True))
            at = {f"key_{name}": part for name, part in names.items()}
            if row is None:
                gone.append(at)
            elif row.ordinal is None:
                changed.append({**at, **_columns(row)})
            else:
                new.append({**names, **_columns(row), "ordinal": row.ordinal})
        at_key = [table.c[name] == bindparam(f"key_{name}") for name in keys]
        if gone:
            connection.execute(delete(table).where(*at_key), gone)
        if new:
            connection.execute(self._database.upsert(table, keys), new)
        if changed:
            connection.execute(update(table).where(*at_key), changed)


_CONNECTION = ("session_id", "id")


def _columns(row: Row) -> dict[str, Any]:
    match row.value:
        case state.Session() as session:
            value: Any = replace(session, connections={})
            columns: dict[str, Any] = {"recording": row.recording}
        case state.Connection() as value:
            columns = {"status": "active" if value.active else "pending"}
        case state.Recording() as value:
            columns = {"session_id": value.session_id, "status": value.status.value}
    return {**columns, "document": _encoder.encode(value).decode()}


async def rebuild(event_log: EventLog, url: str, *, up_to: int | None = None) -> int:
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
