"""Many rows of a table in one statement.

SQLite runs in a thread that needs the interpreter's lock after every row it was given. While the
event loop is busy, each time costs 5 ms: a batch took seconds. So it gets all rows at once, as
JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    bindparam,
    delete,
    func,
    literal_column,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

_encoder = msgspec.json.Encoder()

_given = func.json_each(bindparam("rows")).table_valued("value", name="given")

Values = list[tuple[Any, ...]]


class ManyRows:
    """Of `table`, whose primary key is `keys`, in `dialect`. Statements are made once: making them
    costs more than running them. A row has its columns in the table's order, keys first."""

    def __init__(self, table: Table, keys: Sequence[str], dialect: str) -> None:
        self._names = [column.name for column in table.c]
        self._keys = list(keys)
        self._changing = [name for name in self._names if name != "ordinal"]
        self._at_once = dialect == "sqlite"
        insert = sqlite.insert if self._at_once else postgresql.insert
        put = insert(table)
        given = {name: self._given(self._names, name) for name in self._names}
        if self._at_once:
            put = put.from_select(self._names, select(*given.values()).where(true()))
        else:
            put = put.values(given)
        self._put = put.on_conflict_do_update(
            index_elements=self._keys,
            set_={name: put.excluded[name] for name in self._names if name not in self._keys},
        )
        at = [table.c[name] for name in self._keys]
        new = {name: self._given(self._changing, name) for name in self._changing}
        self._change = (
            update(table)
            .where(*(column == new[column.name] for column in at))
            .values({name: value for name, value in new.items() if name not in self._keys})
        )
        gone = [self._given(self._keys, name) for name in self._keys]
        if self._at_once:
            self._remove = delete(table).where(tuple_(*at).in_(select(*gone)))
        else:
            self._remove = delete(table).where(
                *(column == one for column, one in zip(at, gone, strict=True))
            )

    def put(self, connection: Connection, rows: Values) -> None:
        """Insert rows, or replace those with the same keys."""
        self._run(connection, self._put, self._names, rows)

    def change(self, connection: Connection, rows: Values) -> None:
        """Of rows that are there, all but `ordinal`, which they are given without."""
        self._run(connection, self._change, self._changing, rows)

    def remove(self, connection: Connection, keys: Values) -> None:
        self._run(connection, self._remove, self._keys, keys)

    def _given(self, names: list[str], name: str) -> ColumnElement[Any]:
        if not self._at_once:
            return bindparam(f"given_{name}")
        return func.json_extract(_given.c.value, literal_column(f"'$[{names.index(name)}]'"))

    def _run(self, connection: Connection, statement: Any, names: list[str], rows: Values) -> None:
        if not rows:
            return
        if self._at_once:
            connection.execute(statement, {"rows": _encoder.encode(rows).decode()})
        else:
            given = [f"given_{name}" for name in names]
            connection.execute(statement, [dict(zip(given, row, strict=True)) for row in rows])
