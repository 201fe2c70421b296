"""What the reports of one client say about its own way. Pure."""

from __future__ import annotations

from typing import NamedTuple

from .path import Source
from .rtcp import Block

REPORTED = 10  # packets that a share lost has to be of


class Loss(NamedTuple):
    """Packets lost, of how many; of none: nothing came for a while, which says nothing of a
    rate."""

    lost: int
    packets: int


class _Totals(NamedTuple):
    source: Source
    highest: int
    lost: int
    missing: int
    sent: int


class Reception:
    __slots__ = ("_before", "_is_cut_off")

    def __init__(self) -> None:
        self._before: _Totals | None = None
        self._is_cut_off = False

    def judge(self, source: Source, block: Block, *, missing: int, sent: int) -> Loss | None:
        """The loss since it was told last, if there is enough to tell of. `missing` packets of the
        source have been lost before us, `sent` packets went to the client, since the start."""
        totals = _Totals(source, block.highest, block.lost, missing, sent)
        before = self._before
        if before is None or before.source is not source:
            self._before = totals
            return None
        packets = block.highest - before.highest
        if 0 <= packets < REPORTED:
            self._is_cut_off = not packets and sent - before.sent >= REPORTED
            return Loss(0, 0) if self._is_cut_off else None
        self._before = totals
        if self._is_cut_off or packets < 0:
            self._is_cut_off = False
            return Loss(0, 0)
        lost = block.lost - before.lost - max(0, missing - before.missing)
        return Loss(min(max(0, lost), packets), packets)
