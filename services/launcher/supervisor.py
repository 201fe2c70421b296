"""Keeps processes alive, and stops all of them together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from .children import Child, StartFailed

_logger = structlog.get_logger(__name__)


class GaveUp(Exception):
    """A process died again and again; `str()` is for the user."""


class Supervisor:
    """Starts `children`, starts again what dies, stops all together.

    `foundation` is what the others stand on (the broker): it is stopped after them. A child that
    dies within `quick` seconds of its start for the `limit`th time in a row is given up. `pauses`:
    seconds before it is started again, by how often in a row it died so; the last one stays.
    `grace`: seconds that the children have to end, all at the same time; `foundation_grace`: then
    the foundation. A child that ends for a restart is started again at once, after `renew`.
    """

    def __init__(
        self,
        children: Sequence[Child],
        *,
        foundation: Child | None = None,
        renew: Callable[[], None] = lambda: None,
        quick: float = 10.0,
        limit: int = 6,
        pauses: Sequence[float] = (0.1, 0.2, 0.5, 1.0, 2.0),
        grace: float = 3.0,
        foundation_grace: float = 1.5,
    ) -> None:
        self._children = children
        self._foundation = foundation
        self._renew = renew
        self._quick = quick
        self._limit = limit
        self._pauses = pauses
        self._grace = grace
        self._foundation_grace = foundation_grace

    async def run(self) -> None:
        """Until cancelled. Raises `GaveUp`; nothing is left running in either case."""
        children = [*self._children, *([self._foundation] if self._foundation else [])]
        try:
            async with asyncio.TaskGroup() as group:
                for child in children:
                    group.create_task(self._keep(child), name=child.name)
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            await self._stop()

    async def _keep(self, child: Child) -> None:
        loop = asyncio.get_running_loop()
        deaths = 0
        while True:
            started = loop.time()
            try:
                await child.start()
                how, restart = await child.ended()
            except StartFailed as error:
                how, restart = str(error), False
            if restart:
                _logger.info("a process ended, as was asked for", process=child.name)
                self._renew()
                deaths = 0
                continue
            deaths = deaths + 1 if loop.time() - started < self._quick else 1
            if deaths >= self._limit:
                raise GaveUp(f"{child.name} ended {deaths} times in a row at its start: {how}")
            pause = self._pauses[min(deaths, len(self._pauses)) - 1]
            _logger.error("a process ended, it is started again", process=child.name, how=how)
            await asyncio.sleep(pause)

    async def _stop(self) -> None:
        async with asyncio.TaskGroup() as group:
            for child in self._children:
                group.create_task(child.stop(self._grace))
        if self._foundation is not None:
            await self._foundation.stop(self._foundation_grace)
