"""Which lost transports are told, and when."""

from __future__ import annotations

from time import monotonic

from services.conference.model import Direction
from services.media.losses import CLOSED, MAX_LOSSES, PATIENCE, Losses


def test_a_loss_is_told_once() -> None:
    losses = Losses()
    losses.note("ses", "con", "str", Direction.OUTBOUND, "consent lost")
    [loss] = losses.due(monotonic())
    assert loss == ("ses", "con", "str", Direction.OUTBOUND, "consent lost")
    assert not list(losses.due(monotonic() + 60))


def test_a_client_that_closed_may_say_why_first() -> None:
    losses = Losses()
    losses.note("ses", "con_1", "str_1", Direction.INBOUND, CLOSED)
    losses.note("ses", "con_2", "str_1", Direction.INBOUND, CLOSED)
    losses.note("ses", "con_3", "str_1", Direction.INBOUND, CLOSED)
    losses.note("ses", "con_4", "str_2", Direction.INBOUND, CLOSED)
    losses.forget("con_1", "str_1")
    losses.forget_connection("con_2")
    losses.forget_stream("str_2")
    assert not list(losses.due(monotonic()))
    later = monotonic() + PATIENCE
    assert [loss.connection_id for loss in losses.due(later)] == ["con_3"]


def test_there_is_an_end_to_what_is_kept() -> None:
    losses = Losses()
    for number in range(MAX_LOSSES + 5):
        losses.note("ses", f"con_{number}", "str", Direction.INBOUND, "consent lost")
    kept = [loss.connection_id for loss in losses.due(monotonic())]
    assert len(kept) == MAX_LOSSES
    assert kept[0] == "con_5"
