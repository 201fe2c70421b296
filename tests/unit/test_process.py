"""What every service process has in common."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from services.process import raise_swallowed


async def test_a_cancellation_that_was_swallowed_ends_the_service_once_it_has_started() -> None:
    async def start() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        raise_swallowed()

    starting = asyncio.create_task(start())
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting


async def test_nothing_is_raised_where_nothing_was_swallowed() -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.sleep(60)
    raise_swallowed()
