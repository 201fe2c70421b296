"""The tables behind REST's answers: a projection of the log, disposable at any time.

Documents are the JSON of state structs (`services/conference/state.py`), not of answers: settings
such as the public address are applied when an answer is made. `ordinal` is the log sequence of the
commit that made the row, hence the order of creation, the same after every rebuild.

Whatever changes here, in those structs or in what is written of the same log needs a revision in
`migrations/versions`, which changes the rows that are there or removes them.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Integer, MetaData, String, Table, Text

metadata = MetaData()

position = Table(
    "position",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("sequence", BigInteger, nullable=False),
    Column("digest", String, nullable=False),  # of the commit at that sequence
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String, primary_key=True),
    Column("ordinal", BigInteger, nullable=False, index=True),
    Column("recording", Boolean, nullable=False),
    Column("document", Text, nullable=False),
)

connections = Table(
    "connections",
    metadata,
    Column("session_id", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("ordinal", BigInteger, nullable=False),
    Column("status", String, nullable=False),
    Column("document", Text, nullable=False),
)

recordings = Table(
    "recordings",
    metadata,
    Column("id", String, primary_key=True),
    Column("session_id", String, nullable=False, index=True),
    Column("ordinal", BigInteger, nullable=False, index=True),
    Column("status", String, nullable=False),
    Column("document", Text, nullable=False),
)
