"""The events of the log in the two forms of `events.md` section 1: webhook body and CDR line."""

from __future__ import annotations

from collections.abc import Container, Iterable

import msgspec

from services.conference.cdr import records
from services.eventlog.follower import Step

from .outbox import Outgoing
from .store import Cursor

_encoder = msgspec.json.Encoder()


def outgoing(steps: Iterable[Step], wanted: Container[str]) -> list[Outgoing]:
    """What a webhook endpoint gets. `event_id` follows from the log alone: it is the same in
    every repetition, and differs between two logs."""
    events = []
    for step in steps:
        recorded = step.recorded
        for position, record in enumerate(records(step.before, recorded.commit.events)):
            if record.name in wanted:
                events.append(
                    Outgoing(
                        sequence=recorded.sequence,
                        position=position,
                        event_id=f"evt_{recorded.sequence}_{position}_{recorded.digest[:16]}",
                        session_id=step.session_id,
                        event=record.name,
                        body=_encoder.encode({**record.fields, "event": record.name}),
                    )
                )
    return events


def cdr_lines(steps: Iterable[Step]) -> bytes:
    return b"".join(
        _encoder.encode({record.name: record.fields}) + b"\n"
        for step in steps
        for record in records(step.before, step.recorded.commit.events)
    )


def end_of(steps: list[Step]) -> Cursor:
    last = steps[-1].recorded
    return Cursor(last.sequence, last.digest)
