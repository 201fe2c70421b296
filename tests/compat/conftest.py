"""One server, one Chromium and one Node process for all tests here; each begins with no session.

The real client libraries are driven as applications drive them: openvidu-node-client through
`Node`, pyopenvidu directly, openvidu-browser by the pages of `tests/e2e`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pyopenvidu
import pytest
import pytest_asyncio
from playwright.async_api import async_playwright

from tests.compat.node_client import Node, Remote
from tests.compat.python_client import Connect
from tests.e2e.conftest import CHROMIUM_FLAGS, find_chromium
from tests.e2e.page_client import Pages
from tests.e2e.server_under_test import SECRET, Server


@pytest_asyncio.fixture(loop_scope="package", scope="package")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    server = Server(
        tmp_path_factory.mktemp("server"),
        OPENVIDU_RECORDING_AUTOSTOP_TIMEOUT="0",  # a recording ends with the last participant
    )
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture(loop_scope="package", scope="package")
async def all_pages() -> AsyncIterator[Pages]:
    path = find_chromium()
    assert path, "no Chromium: install it or set CHROMIUM"
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        pages = Pages(chromium)
        await pages.start()
        yield pages
        await pages.stop()
        await chromium.close()


@pytest_asyncio.fixture(loop_scope="package")
async def server(running: Server) -> AsyncIterator[Server]:
    """Without sessions, so that nothing of an earlier test changes what a client fetches."""
    yield running
    await _close_sessions(running)


@pytest_asyncio.fixture(loop_scope="package")
async def pages(server: Server, all_pages: Pages) -> AsyncIterator[Pages]:
    yield all_pages
    await _close_sessions(server)  # while their people are still there: none ends by itself
    while all_pages.contexts:
        await all_pages.contexts.pop().close()


async def _close_sessions(server: Server) -> None:
    for session in (await server.get("/openvidu/api/sessions"))["content"]:
        await server.delete(f"/openvidu/api/sessions/{session['id']}")


@pytest_asyncio.fixture(loop_scope="package", scope="package")
async def node() -> AsyncIterator[Node]:
    process = Node()
    await process.start()
    yield process
    await process.stop()


@pytest_asyncio.fixture(loop_scope="package")
async def ov(server: Server, node: Node) -> Remote:
    """A new `OpenVidu` of openvidu-node-client."""
    return await node.client(server.url, SECRET)


@pytest.fixture
def connect(server: Server) -> Iterator[Connect]:
    """A new `OpenVidu` of pyopenvidu at each call."""
    opened: list[pyopenvidu.OpenVidu] = []

    def new() -> pyopenvidu.OpenVidu:
        opened.append(pyopenvidu.OpenVidu(f"{server.url}/openvidu/api/", SECRET, timeout=30))
        return opened[-1]

    yield new
    for one in opened:
        one._session.close()
