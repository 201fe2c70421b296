"""TURN credentials of `joinRoom`, shown to a real coturn (`signaling.md` 2.4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aioice import turn
from aioice.stun import TransactionFailed

from services.api.signaling.ice import CREDENTIAL_SECONDS, turn_credentials
from services.eventlog.bus import utc_ms
from services.eventlog.memory import MemoryLog
from services.settings import Access, Ice, Settings
from tests.coturn import SECRET, Address, turn_server
from tests.unit.signaling.harness import SECONDS, FakeNodes, join_params, replica


@pytest.fixture
async def coturn(tmp_path: Path) -> AsyncIterator[Address]:
    async with turn_server(tmp_path) as address:
        yield address


class Received(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.first: asyncio.Future[tuple[bytes, Address]] = (
            asyncio.get_running_loop().create_future()
        )

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if not self.first.done():
            self.first.set_result((data, addr))


async def relays(server: Address, username: str, password: str) -> bool:
    """Does the server relay for these credentials? False: it refuses them."""
    loop = asyncio.get_running_loop()
    try:
        transport, _ = await turn.create_turn_endpoint(
            asyncio.DatagramProtocol, server, username=username, password=password
        )
    except TransactionFailed as refused:
        if refused.response.attributes["ERROR-CODE"][0] != 401:
            raise
        return False
    peer, received = await loop.create_datagram_endpoint(Received, ("127.0.0.1", 0))
    try:
        transport.sendto(b"through the relay", peer.get_extra_info("sockname"))
        async with asyncio.timeout(SECONDS):
            arrived = await received.first
    finally:
        peer.close()
        transport.close()
    assert arrived == (b"through the relay", transport.get_extra_info("sockname"))
    return True


async def joined(settings: Settings) -> dict[str, Any]:
    async with replica(MemoryLog(), settings, FakeNodes()) as world:
        await world.session("S1")
        client = await world.client()
        return await client.result("joinRoom", join_params("S1", await world.token("S1")))


async def test_a_client_of_any_version_gets_credentials_that_the_server_takes(
    coturn: Address,
) -> None:
    host, port = coturn
    ice = Ice(turn_host=host, turn_port=port, turn_secret=SECRET, turn_enabled=True)
    result = await joined(Settings(ice=ice))
    # From 2.21 on:
    (entry,) = result["customIceServers"]
    assert entry["url"] == f"turn:{host}:{port}"
    assert await relays(coturn, entry["username"], entry["credential"])
    # Before (and at port 3478 always, as those versions have it in their code):
    assert (result["coturnIp"], result["coturnPort"]) == coturn
    assert await relays(coturn, result["turnUsername"], result["turnCredential"])
    assert (result["turnUsername"], result["turnCredential"]) == (
        entry["username"],
        entry["credential"],
    )


async def test_the_secret_of_rest_is_that_of_the_server_unless_it_has_its_own(
    coturn: Address,
) -> None:
    host, port = coturn
    ice = Ice(turn_host=host, turn_port=port, turn_enabled=True)
    result = await joined(Settings(ice=ice, access=Access(secret=SECRET)))
    assert await relays(coturn, result["turnUsername"], result["turnCredential"])


async def test_wrong_and_expired_credentials_are_refused(coturn: Address) -> None:
    now = utc_ms()
    username, password = turn_credentials(SECRET, now)
    longer = f"{int(username.partition(':')[0]) + 3600}:{username.partition(':')[2]}"
    expired = now - (CREDENTIAL_SECONDS + 60) * 1000
    for wrong in (
        (longer, password),
        (username, password[::-1]),
        turn_credentials("another secret", now),
        turn_credentials(SECRET, expired),
        ("nobody", "nothing"),
    ):
        assert not await relays(coturn, *wrong), wrong
    assert await relays(coturn, username, password)
    assert await relays(coturn, *turn_credentials(SECRET, expired + 120_000)), "a minute is left"
