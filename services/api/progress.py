"""A position in the log that grows, and waiting for it."""

from __future__ import annotations

import asyncio


class Progress:
    """`sequence`: how far it has come."""

    def __init__(self) -> None:
        self.sequence = 0
        self._waiting: dict[asyncio.Future[None], int] = {}

    def reach(self, sequence: int) -> None:
        self.sequence = sequence
        for reached, wanted in self._waiting.items():
            if wanted <= sequence and not reached.done():
                reached.set_result(None)

    async def wait_for(self, sequence: int, timeout: float) -> None:  # noqa: ASYNC109
        """Until it has come to `sequence`. Raises `TimeoutError` after `timeout` seconds."""
        if self.sequence >= sequence:
            return
        reached = asyncio.get_running_loop().create_future()
        self._waiting[reached] = sequence
        try:
            async with asyncio.timeout(timeout):
                await reached
        finally:
            del self._waiting[reached]
