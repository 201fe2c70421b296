"""The addresses that clients are told."""

from __future__ import annotations

import asyncio
import re

import pytest

from services.media.node import Node
from tests.integration.media.stage import until


@pytest.mark.parametrize(
    ("public", "hosts"),
    [
        ("", ["127.0.0.1"]),
        ("192.0.2.9", ["192.0.2.9"]),
        ("192.0.2.9, 2001:DB8::7,192.0.2.9", ["192.0.2.9", "2001:db8::7"]),
    ],
)
async def test_clients_are_told_all_public_addresses(public: str, hosts: list[str]) -> None:
    node = Node("127.0.0.1", range(1), public)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(node.run())
        await until(lambda: node.serving, "the node serves")
        assert list(node.legs.make().ice.hosts) == hosts
        running.cancel()


@pytest.mark.parametrize("public", ["0.0.0.0", "::", "192.0.2.1,::", "nonsense", "192.0.2.1,"])
def test_addresses_that_nobody_can_send_to_are_refused(public: str) -> None:
    with pytest.raises(ValueError, match=re.compile("PUBLIC_IP|address")):
        Node("127.0.0.1", range(1), public)
