"""What one endpoint still has to get, on disk: one queue (lane) for each session.

Only the lanes whose turn it is come into memory, a bounded part of each; so an endpoint may be
down for days while the outbox grows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct
from sqlalchemy import (
    BindParameter,
    Row,
    Select,
    Update,
    and_,
    bindparam,
    column,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from .store import Cursor, Store, deliveries, endpoints, lanes, set_cursor

ROWS = 4096  # deliveries of one look, shared by its lanes

_END = 2**62  # above every id


class Outgoing(NamedTuple):
    """An event to deliver. `sequence` of its commit in the log, `position` in the commit."""

    sequence: int
    position: int
    event_id: str
    session_id: str
    event: str
    body: bytes


class Delivery(Struct, frozen=True):
    id: int
    sequence: int
    position: int
    previous: str
    event_id: str
    session_id: str
    event: str
    body: bytes
    attempts: int
    first_attempt_at: int | None


class Lane(Struct, frozen=True):
    """The next deliveries of one session, oldest first; there may be more on disk."""

    session_id: str
    deliveries: list[Delivery]

    @property
    def size(self) -> int:
        """Bytes of the bodies."""
        return sum(len(delivery.body) for delivery in self.deliveries)


class Due(NamedTuple):
    """`next_at`: when the next of the other lanes may be tried (UTC ms), if there is one."""

    lanes: list[Lane]
    next_at: int | None


class Failed(Struct, frozen=True):
    """`attempts` and `first_attempt_at` with this attempt counted; `dead_at` if it was the last."""

    id: int
    attempts: int
    first_attempt_at: int
    error: str
    dead_at: int | None = None


class Left(Struct, frozen=True):
    """A lane that is not worked on any more. `due_at` (UTC ms) if it must wait."""

    session_id: str
    due_at: int | None = None
    unreachable: bool = False


class Settlement(Struct):
    """What happened since the last one."""

    delivered: list[int] = []
    failed: list[Failed] = []
    left: list[Left] = []
    reached: bool = False  # the endpoint was away and answers again: nobody needs to wait for it

    def __bool__(self) -> bool:
        return bool(self.delivered or self.failed or self.left or self.reached)


class Totals(NamedTuple):
    waiting: int
    dead: int


class Outbox:
    """Of one endpoint. The cursor of its follower moves with what is enqueued."""

    def __init__(self, store: Store, endpoint: str) -> None:
        self._store = store
        self._endpoint = endpoint

    async def open(self, fingerprint: str, at: int) -> bool:
        """Make the endpoint known. If its fingerprint changed, gives true: all lanes are due."""

        async def work(connection: AsyncConnection) -> bool:
            await connection.execute(
                delete(lanes).where(lanes.c.endpoint == self._endpoint, ~_waiting.exists())
            )
            known = await connection.scalar(
                select(endpoints.c.fingerprint).where(endpoints.c.id == self._endpoint)
            )
            if known == fingerprint:
                return False
            if known is None:
                row = {"id": self._endpoint, "fingerprint": fingerprint, "last_position": ""}
                await connection.execute(insert(endpoints), row)
                return False
            await connection.execute(
                update(endpoints)
                .where(endpoints.c.id == self._endpoint)
                .values(fingerprint=fingerprint)
            )
            await connection.execute(
                update(lanes)
                .where(lanes.c.endpoint == self._endpoint, lanes.c.due_at > at)
                .values(due_at=at)
            )
            return True

        return await self._store.transaction(work)

    async def enqueue(self, events: Sequence[Outgoing], cursor: Cursor, at: int) -> None:
        """Events in the log's order and the cursor behind them, in one transaction."""

        async def work(connection: AsyncConnection) -> None:
            if events:
                await self._insert(connection, events, at)
            await set_cursor(connection, self._endpoint, cursor)

        await self._store.transaction(work)

    async def _insert(
        self, connection: AsyncConnection, events: Sequence[Outgoing], at: int
    ) -> None:
        previous = await connection.scalar(
            select(endpoints.c.last_position).where(endpoints.c.id == self._endpoint)
        )
        rows = []
        for event in events:
            rows.append({"endpoint": self._endpoint, "previous": previous, **event._asdict()})
            previous = f"{event.sequence}.{event.position}"
        await connection.execute(insert(deliveries), rows)
        await connection.execute(
            update(endpoints).where(endpoints.c.id == self._endpoint).values(last_position=previous)
        )
        await connection.execute(
            insert(lanes).on_conflict_do_nothing(),
            [
                {"endpoint": self._endpoint, "session_id": session_id, "due_at": at}
                for session_id in dict.fromkeys(event.session_id for event in events)
            ],
        )

    async def due(self, at: int, busy: Collection[str], *, lanes: int, room: int) -> Due:
        """At most so many lanes whose turn it is, the longest due first, without the `busy` ones.

        Their bodies have at most `room` bytes together, but one delivery is always given.
        """
        ours = {"endpoint": self._endpoint}

        async def work(connection: AsyncConnection) -> Due:
            values = {**ours, "busy": _list(busy), "at": at, "lanes": lanes}
            sessions = (await connection.scalars(_DUE, values)).all()
            taken: dict[str, list[Delivery]] = {}
            if sessions:
                values = {**ours, "sessions": _list(sessions), "burst": ROWS // len(sessions)}
                heads = (await connection.execute(_HEADS, values)).all()
                for delivery in await _load(connection, _fitting(heads, room)):
                    taken.setdefault(delivery.session_id, []).append(delivery)
            next_at = await connection.scalar(_NEXT, {**ours, "busy": _list([*busy, *taken])})
            return Due([Lane(*item) for item in taken.items()], next_at)

        return await self._store.transaction(work)

    async def settle(self, settlement: Settlement, at: int) -> None:
        """Harmless to repeat."""

        async def work(connection: AsyncConnection) -> None:
            if settlement.delivered:
                await connection.execute(_DELIVERED, {"ids": _list(settlement.delivered)})
            if settlement.reached:
                await connection.execute(self._hasten(at))
            for failed in settlement.failed:
                await connection.execute(
                    update(deliveries)
                    .where(deliveries.c.id == failed.id)
                    .values(
                        attempts=failed.attempts,
                        first_attempt_at=failed.first_attempt_at,
                        error=failed.error,
                        dead_at=failed.dead_at,
                    )
                )
            if settlement.left:
                await self._leave(connection, settlement.left, at)

        await self._store.transaction(work)

    async def _leave(self, connection: AsyncConnection, left: Sequence[Left], at: int) -> None:
        ours = {"of": self._endpoint}
        await connection.execute(
            _FORGET_DRAINED, {**ours, "sessions": _list([lane.session_id for lane in left])}
        )
        soon = [lane.session_id for lane in left if lane.due_at is None]
        await connection.execute(_SOON, {**ours, "sessions": _list(soon), "at": at})
        for lane in left:
            if lane.due_at is not None:
                await connection.execute(
                    update(lanes)
                    .where(lanes.c.endpoint == self._endpoint)
                    .where(lanes.c.session_id == lane.session_id)
                    .values(due_at=lane.due_at, unreachable=lane.unreachable)
                )

    async def probe(self, at: int) -> None:
        """Let one of the lanes that found the endpoint unreachable try now."""

        async def work(connection: AsyncConnection) -> None:
            one = (
                select(lanes.c.session_id)
                .where(lanes.c.endpoint == self._endpoint, lanes.c.due_at > at)
                .where(lanes.c.unreachable)
                .order_by(lanes.c.due_at)
                .limit(1)
                .scalar_subquery()
            )
            await connection.execute(self._hasten(at).where(lanes.c.session_id == one))

        await self._store.transaction(work)

    async def unreachable(self) -> bool:
        """Does any lane wait for the endpoint to be there again?"""

        async def work(connection: AsyncConnection) -> bool:
            query = select(lanes.c.session_id).where(
                lanes.c.endpoint == self._endpoint, lanes.c.unreachable
            )
            return (await connection.execute(query.limit(1))).first() is not None

        return await self._store.transaction(work)

    async def totals(self) -> Totals:
        async def work(connection: AsyncConnection) -> Totals:
            query = select(func.count(), func.count(deliveries.c.dead_at)).where(
                deliveries.c.endpoint == self._endpoint
            )
            everything, dead = (await connection.execute(query)).one()
            return Totals(everything - dead, dead)

        return await self._store.transaction(work)

    def _hasten(self, at: int) -> Update:
        return (
            update(lanes)
            .where(lanes.c.endpoint == self._endpoint, lanes.c.due_at > at, lanes.c.unreachable)
            .values(due_at=at)
        )


def _fitting(heads: Iterable[Row[int, int]], room: int) -> list[int]:
    ids: list[int] = []
    size = 0
    for head in heads:
        size += head.size
        if ids and size > room:
            break
        ids.append(head.id)
    return ids


async def _load(connection: AsyncConnection, ids: list[int]) -> list[Delivery]:
    rows = await connection.execute(_DELIVERIES, {"ids": _list(ids)})
    found = {row.id: Delivery(*row) for row in rows}
    return [found[number] for number in ids]


def _list(items: Collection[int] | Collection[str]) -> str:
    """A list as one value: the statement stays the same whatever its length, and one statement
    for many rows is one change of threads for the driver."""
    return msgspec.json.encode(items).decode()


def _listed(name: str) -> Select[Any]:
    return select(column("value")).select_from(func.json_each(bindparam(name)))


# Statements with names for what varies. `sessions`, `busy` and `ids` are made by `_list`.
_ours: BindParameter[str] = bindparam("endpoint")
_free = and_(lanes.c.endpoint == _ours, lanes.c.session_id.not_in(_listed("busy")))
_DUE = (
    select(lanes.c.session_id)
    .where(_free, lanes.c.due_at <= bindparam("at"))
    .order_by(lanes.c.due_at)
    .limit(bindparam("lanes"))
)
_NEXT = select(func.min(lanes.c.due_at)).where(_free)

# The first `burst` deliveries of each session, in the order of the sessions.
_turn = func.json_each(bindparam("sessions")).table_valued("key", "value")
_beyond = deliveries.alias()
_first_beyond = (
    select(_beyond.c.id)
    .where(_beyond.c.endpoint == _ours, _beyond.c.session_id == _turn.c.value)
    .where(_beyond.c.dead_at.is_(None))
    .order_by(_beyond.c.id)
    .limit(1)
    .offset(bindparam("burst"))
    .correlate(_turn)
    .scalar_subquery()
)
_HEADS = (
    select(deliveries.c.id, func.length(deliveries.c.body).label("size"))
    .join_from(_turn, deliveries, deliveries.c.session_id == _turn.c.value)
    .where(deliveries.c.endpoint == _ours, deliveries.c.dead_at.is_(None))
    .where(deliveries.c.id < func.coalesce(_first_beyond, _END))
    .order_by(_turn.c.key, deliveries.c.id)
)
_DELIVERIES = select(*(deliveries.c[field] for field in Delivery.__struct_fields__)).where(
    deliveries.c.id.in_(_listed("ids"))
)

_DELIVERED = delete(deliveries).where(deliveries.c.id.in_(_listed("ids")))
_left = and_(lanes.c.endpoint == bindparam("of"), lanes.c.session_id.in_(_listed("sessions")))
_waiting = (
    select(deliveries.c.id)
    .where(
        deliveries.c.endpoint == lanes.c.endpoint,
        deliveries.c.session_id == lanes.c.session_id,
        deliveries.c.dead_at.is_(None),
    )
    .correlate(lanes)
)
_FORGET_DRAINED = delete(lanes).where(_left, ~_waiting.exists())
_SOON = update(lanes).where(_left).values(due_at=bindparam("at"), unreachable=False)
