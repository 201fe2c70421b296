"""From the tables of an older version to those of this one, by Alembic.

All happens in one transaction of the caller. `versions` has the scripts; `upgrade` gets its
operations as an argument, because Alembic's `op` is one for the whole process, whatever the number
of its databases. There is no way down: an older program makes its tables anew from the log.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import structlog
from alembic.autogenerate import compare_metadata
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, Table, inspect, select

from services.api import tables

FIRST = "0001"

_MARKS = {  # columns that tell our tables, of whatever version, from those of another program
    name: {"sequence", "digest"} if name == "position" else {"ordinal", "document"}
    for name in tables.metadata.tables
}

_scripts = ScriptDirectory(str(Path(__file__).parent))
_modules: dict[str, Any] = {  # by revision, oldest first
    script.revision: script.module for script in reversed([*_scripts.walk_revisions()])
}
NEWEST = next(reversed(_modules))

_version = Table("alembic_version", MetaData())

log = structlog.get_logger(__name__)


class ForeignTables(Exception):
    """The database is another program's; `str()` says so."""


def keep(connection: Connection) -> bool:
    """Bring the tables that are there to this version. False, and nothing is changed, if there are
    none, or they and their rows are not known well enough to answer from.

    Raises `ForeignTables`.
    """
    context = _context(connection)
    heads = context.get_current_heads()
    if not _has_ours(connection, heads):
        return False
    revision = heads[0] if heads else _unversioned(connection)
    if len(heads) < 2 and revision in _modules and _upgrade_if_sound(connection, revision):
        return True
    log.info("projection of another version, rebuilding", found=revision)
    return False


def make(connection: Connection) -> None:
    """New, empty tables, whatever was there."""
    tables.metadata.drop_all(connection)
    _version.drop(connection, checkfirst=True)
    _upgrade(connection, after=None)


def differences(connection: Connection, metadata: MetaData) -> list[Any]:
    """Of the database from tables as they should be; other tables in it do not matter."""
    return list(compare_metadata(_context(connection), metadata))


def _context(connection: Connection) -> MigrationContext:
    return MigrationContext.configure(connection, opts={"include_name": _is_ours})


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    return kind != "table" or name in _MARKS


def _has_ours(connection: Connection, heads: tuple[str, ...]) -> bool:
    """Whether there are tables of this program. Raises `ForeignTables` if others are in the way."""
    inspector = inspect(connection)
    found = _MARKS.keys() & set(inspector.get_table_names())
    for table in sorted(found):
        if not _MARKS[table] <= {column["name"] for column in inspector.get_columns(table)}:
            raise ForeignTables(f"its table {table} is another program's")
    if heads and not found:
        raise ForeignTables("its table alembic_version is another program's")
    return bool(found)


def _unversioned(connection: Connection) -> str | None:
    """`FIRST` if the tables are those that were made before there was a version."""
    first = _modules[FIRST]
    if differences(connection, first.metadata):
        return None
    layout = connection.scalar(select(first.metadata.tables["position"].c.layout))
    return FIRST if layout == first.LAYOUT else None


def _upgrade_if_sound(connection: Connection, revision: str) -> bool:
    try:
        with connection.begin_nested() as attempt:
            _upgrade(connection, after=revision)
            sound = not differences(connection, tables.metadata)
            if not sound:
                attempt.rollback()
    except Exception as error:  # tables that are not what their version says; `make` does not care
        log.warning("projection not migrated", found=revision, error=type(error).__name__)
        return False
    return sound


def _upgrade(connection: Connection, *, after: str | None) -> None:
    context = _context(connection)
    operations = Operations(context)
    if after is not None:
        context.stamp(_scripts, after)  # it may have no version yet
    known = [*_modules]
    for revision in known[known.index(after) + 1 if after else 0 :]:
        _modules[revision].upgrade(operations)
        context.stamp(_scripts, revision)
        if after is not None:
            log.info("projection migrated", revision=revision)
