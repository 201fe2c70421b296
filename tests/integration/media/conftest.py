"""A media node in the test's process, real UDP, and clients for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.media.node import Node
from tests.integration.media.stage import Stage, until
from tests.pumps import need_pump


@pytest.fixture(params=["c", "python"])
def pump(request: pytest.FixtureRequest) -> str:
    """Each of the packet paths."""
    if request.param == "c":
        need_pump()
    return str(request.param)


@pytest.fixture
async def node(pump: str) -> AsyncIterator[Node]:
    node = Node("127.0.0.1", range(1), pump=pump)
    problems: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, problem: problems.append(problem))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(node.run())
        await until(lambda: node.serving, "the node serves")
        yield node
        running.cancel()
    assert problems == []  # an exception that left the port's callback would end here


@pytest.fixture
async def stage(node: Node) -> AsyncIterator[Stage]:
    stage = Stage(node)
    yield stage
    for peer in stage.peers:
        await peer.close()
