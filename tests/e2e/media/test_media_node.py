"""The media node alone with a real Chromium: pictures must be decoded, not only packets arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, Page

from services.conference.calls import Call
from services.media.node import Node

pytestmark = pytest.mark.asyncio(loop_scope="module")

Statistics = dict[str, dict[str, Any]]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def node() -> AsyncIterator[Node]:
    node = Node("127.0.0.1", range(1))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(node.run())
        yield node
        running.cancel()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def address(node: Node) -> AsyncIterator[str]:
    async def call(request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read(), type=Call)
        return web.Response(
            body=msgspec.json.encode(node.handle(asked)), content_type="application/json"
        )

    async def page(_request: web.Request) -> web.FileResponse:
        return web.FileResponse(Path(__file__).with_name("page.html"))

    application = web.Application()
    application.router.add_post("/call", call)
    application.router.add_get("/", page)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://localhost:{runner.addresses[0][1]}/"
    await runner.cleanup()


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, address: str) -> AsyncIterator[Page]:
    page = await browser.new_page()
    await page.goto(address)
    yield page
    await page.evaluate("end()")
    await page.close()


async def statistics_when(
    page: Page, name: str, condition: Callable[[Statistics], bool], what: str
) -> Statistics:
    """The peer's statistics once they fulfil a condition, in 20 s."""
    found: Statistics = {}
    try:
        async with asyncio.timeout(20):
            while True:
                found = await page.evaluate(f"statistics('{name}')")
                if condition(found):
                    return found
                await asyncio.sleep(0.1)
    except TimeoutError:
        pytest.fail(f"{what}: {found.get('inbound-rtp video')} {found.get('transport')}")


def decoded(count: int) -> Callable[[Statistics], bool]:
    def enough(found: Statistics) -> bool:
        picture, sound = found.get("inbound-rtp video", {}), found.get("inbound-rtp audio", {})
        return picture.get("framesDecoded", 0) >= count and sound.get("packetsReceived", 0) >= count

    return enough


@pytest.mark.parametrize("server_offers", [True, False])
async def test_a_viewer_sees_decoded_pictures(page: Page, server_offers: bool) -> None:
    await page.evaluate("publish('')")
    await page.evaluate("offers => subscribe('viewer', offers)", server_offers)
    found = await statistics_when(page, "viewer", decoded(60), "60 decoded pictures")
    assert found["inbound-rtp video"]["packetsLost"] == 0
    assert found["inbound-rtp video"]["frameHeight"] == 480
    assert found["transport"]["srtpCipher"] == "SRTP_AEAD_AES_256_GCM"


async def test_the_publisher_is_told_its_bandwidth_and_round_trip(page: Page) -> None:
    await page.evaluate("publish('')")

    def told(found: Statistics) -> bool:
        sent = found.get("outbound-rtp video", {})
        heard = found.get("remote-inbound-rtp video", {})
        return sent.get("targetBitrate", 0) > 1_000_000 and "roundTripTime" in heard

    await statistics_when(page, "publisher", told, "the bit rate goes up, reports come")


async def test_viewers_keep_their_connections_when_the_publisher_reconnects(page: Page) -> None:
    await page.evaluate("publish('')")
    for name, offers in (("first", True), ("second", False)):
        await page.evaluate("([name, offers]) => subscribe(name, offers)", [name, offers])
    before = {}
    for name in ("first", "second"):
        found = await statistics_when(page, name, decoded(30), "pictures before")
        before[name] = found["inbound-rtp video"]
    await page.evaluate("peers.publisher.close()")
    await page.evaluate("publish('', true)")
    for name, old in before.items():
        found = await statistics_when(
            page, name, decoded(old["framesDecoded"] + 60), "pictures afterwards"
        )
        now = found["inbound-rtp video"]
        assert now["ssrc"] == old["ssrc"]
        assert now["packetsLost"] == 0


async def test_a_publisher_with_four_lines_is_seen(page: Page) -> None:
    await page.evaluate("publish('four')")
    await page.evaluate("subscribe('viewer', true)")
    await statistics_when(page, "viewer", decoded(30), "30 decoded pictures")


async def test_of_simulcast_layers_all_are_taken_and_one_is_seen(page: Page) -> None:
    await page.evaluate("publish('layers')")
    for name, offers in (("first", True), ("second", False)):
        await page.evaluate("([name, offers]) => subscribe(name, offers)", [name, offers])
        await statistics_when(page, name, decoded(30), "30 decoded pictures")
    sent = await page.evaluate("statistics('publisher')")
    for rid in ("rdiv4", "rdiv1"):
        assert sent[f"outbound-rtp video {rid}"]["active"]
    assert sent["outbound-rtp video rdiv4"]["packetsSent"] > 0


async def test_a_publisher_sees_itself(page: Page) -> None:
    await page.evaluate("publish('loopback')")
    await statistics_when(page, "publisher", decoded(30), "30 decoded own pictures")
