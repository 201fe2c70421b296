"""Alembic's version says what `position.layout` said."""

from __future__ import annotations

from alembic.operations import Operations

revision = "0002"
down_revision = "0001"


def upgrade(op: Operations) -> None:
    with op.batch_alter_table("position") as table:  # SQLite before 3.35 cannot drop a column
        table.drop_column("layout")
