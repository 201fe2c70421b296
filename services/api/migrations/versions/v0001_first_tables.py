"""The first tables. They were made without Alembic, and named in `position.layout`."""

from __future__ import annotations

from alembic.operations import Operations
from sqlalchemy import BigInteger, Boolean, Column, Integer, MetaData, String, Table, Text

revision = "0001"
down_revision = None

LAYOUT = "1.a13dedfd1d8c4e92"  # with these tables, and documents that 0002 can read

metadata = MetaData()

Table(
    "position",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, nullable=False),
    Column("digest", String, nullable=False),
    Column("layout", String, nullable=False),
)
Table(
    "sessions",
    metadata,
    Column("id", String, primary_key=True),
    Column("ordinal", BigInteger, nullable=False, index=True),
    Column("recording", Boolean, nullable=False),
    Column("document", Text, nullable=False),
)
Table(
    "connections",
    metadata,
    Column("session_id", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("ordinal", BigInteger, nullable=False),
    Column("status", String, nullable=False),
    Column("document", Text, nullable=False),
)
Table(
    "recordings",
    metadata,
    Column("id", String, primary_key=True),
    Column("session_id", String, nullable=False, index=True),
    Column("ordinal", BigInteger, nullable=False, index=True),
    Column("status", String, nullable=False),
    Column("document", Text, nullable=False),
)


def upgrade(op: Operations) -> None:
    metadata.create_all(op.get_bind())
