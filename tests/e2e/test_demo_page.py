"""The demo page at `/`, used as a visitor uses it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.e2e.server_under_test import Server, eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(folder: Path) -> AsyncIterator[Server]:
    started = Server(folder)
    await started.start()
    yield started
    await started.stop()


async def _enter(browser: Browser, server: Server, name: str) -> Page:
    page = await (await browser.new_context()).new_page()
    await page.goto(f"{server.url}/")
    await page.get_by_label("Your name").fill(name)
    await page.get_by_label("Room").fill("salon")
    await page.get_by_role("button", name="Join").click()
    await expect(page.locator("#call")).to_be_visible()
    return page


async def _plays(page: Page, name: str) -> None:
    """The tile with this name shows a picture that goes on."""
    tile = page.locator(".tile", has_text=name)
    await expect(tile).to_have_count(1)
    video = tile.locator("video")

    async def time() -> float:
        return float(await video.evaluate("v => v.videoWidth ? v.currentTime : 0"))

    first = await eventually(time, what=f"a picture of {name}")

    async def later() -> bool:
        return await time() > first + 0.5

    await eventually(later, what=f"{name} moves")


async def test_visitors_meet_talk_share_and_leave(browser: Browser, server: Server) -> None:
    ana = await _enter(browser, server, "Ana")
    ben = await _enter(browser, server, "<b>Ben</b>")
    await _plays(ana, "<b>Ben</b>")  # shown as text, not as markup
    await _plays(ben, "Ana")
    await expect(ana.locator("#people")).to_have_text("2 people")

    await ana.get_by_role("button", name="Mute").click()
    await expect(ben.locator(".tile.silent", has_text="Ana")).to_have_count(1)
    await ana.get_by_role("button", name="Unmute").click()
    await expect(ben.locator(".tile.silent")).to_have_count(0)
    await ana.get_by_role("button", name="Stop video").click()
    await expect(ben.locator(".tile.dark", has_text="Ana")).to_have_count(1)
    await ana.get_by_role("button", name="Start video").click()
    await expect(ben.locator(".tile.dark")).to_have_count(0)

    await ana.get_by_role("button", name="Chat").click()
    await ana.get_by_label("Message").fill("<i>hola</i>")
    await ana.get_by_role("button", name="Send").click()
    await expect(ben.locator("#messages li")).to_have_text("Ana<i>hola</i>")

    await ana.get_by_role("button", name="Share").click()
    await _plays(ben, "Ana's screen")
    await expect(ben.locator("#people")).to_have_text("2 people")
    await ana.get_by_role("button", name="Share").click()
    await expect(ben.locator(".tile", has_text="Ana's screen")).to_have_count(0)

    await ana.get_by_role("button", name="Leave").click()
    await expect(ana.locator("#lobby")).to_be_visible()
    await expect(ben.locator(".tile", has_text="Ana")).to_have_count(0)
    await expect(ben.locator("#people")).to_have_text("You are alone here")
    await ben.get_by_role("button", name="Leave").click()

    async def empty() -> bool:
        return bool((await server.get("/openvidu/api/sessions"))["numberOfElements"] == 0)

    await eventually(empty)


async def test_the_page_needs_nothing_from_elsewhere(browser: Browser, server: Server) -> None:
    page = await (await browser.new_context()).new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for path in ("/", "/docs"):
        await page.goto(f"{server.url}{path}", wait_until="networkidle")
    assert asked
    assert [url for url in asked if not url.startswith((server.url, "data:", "blob:"))] == []
