"""`tertulia serve` as a user starts it, and what a test needs to look at it from outside."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

T = TypeVar("T")
SECRET = "A_SECRET_OF_THE_TESTS"
START_LIMIT = 45.0


async def eventually(
    probe: Callable[[], Awaitable[T] | T],
    *,
    limit: float = 20.0,
    every: float = 0.1,
    what: str = "",
) -> T:
    """The first true answer of `probe`; fails with the last one when the time is up."""
    deadline = time.monotonic() + limit
    while True:
        answer = probe()
        if isinstance(answer, Awaitable):
            answer = await answer
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {limit} s: {what or probe}; last answer: {answer!r}")
        await asyncio.sleep(every)


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Server:
    def __init__(self, folder: Path, *, tls: bool = False, **settings: str) -> None:
        """`tls`: with the certificate that the server makes for itself."""
        self.folder = folder
        self.port = free_port()
        self.url = f"{'https' if tls else 'http'}://localhost:{self.port}"
        media_port = free_port(socket.SOCK_DGRAM)
        self.environ = {
            **os.environ,
            "DOTENV_PATH": str(folder),
            "OPENVIDU_SECRET": SECRET,
            "HTTPS_PORT": str(self.port),
            "TERTULIA_DATA_DIR": str(folder / "data"),
            "TERTULIA_MEDIA_PORT": str(media_port),
            "TERTULIA_MEDIA_PORT_MAX": str(media_port),
            "FORCE_PLAIN_HTTP": "false" if tls else "true",
            **settings,
        }
        self.log_file = folder / "server.log"
        self._process: asyncio.subprocess.Process | None = None
        self._http: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        with self.log_file.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "services.launcher", "serve",
                env=self.environ, stdout=log, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
        self._http = aiohttp.ClientSession(
            base_url=self.url,
            headers={"Authorization": aiohttp.encode_basic_auth("OPENVIDUAPP", SECRET)},
            timeout=aiohttp.ClientTimeout(total=30),
            connector=aiohttp.TCPConnector(
                force_close=True,  # the server dies now and then
                ssl=False,  # nobody has signed its certificate
            ),
        )
        await self.until_ready()

    async def until_ready(self) -> None:
        async def ready() -> bool:
            assert self._process is not None
            assert self._process.returncode is None, f"the server ended:\n{self.log()[-4000:]}"
            try:
                return bool((await self.get("/openvidu/api/health"))["status"] == "UP")
            except (aiohttp.ClientError, AssertionError, TimeoutError):
                return False

        try:
            await eventually(ready, limit=START_LIMIT, what="the server is up")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()[-4000:]}") from None

    async def stop(self) -> int:
        """Stop it as a user does and give the seconds it took."""
        if self._http is not None:
            await self._http.close()
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(15):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
                raise AssertionError(f"no end within 15 s:\n{self.log()[-4000:]}") from None
        return self._process.returncode or 0

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def pid_of(self, service: str) -> int:
        """Of `launcher`, `api`, `media`, `recorder`, `webhooks`, `nats-server`."""
        assert self._process is not None
        wanted = f"services.{service}"
        for pid in (self._process.pid, *_children(self._process.pid)):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            except FileNotFoundError:
                continue
            if wanted in words or words[0].rpartition("/")[2] == service:
                return pid
        raise AssertionError(f"{service} does not run:\n{self.log()[-4000:]}")

    async def kill(self, service: str) -> int:
        """`kill -9` one service; the pid it had."""
        pid = self.pid_of(service)
        os.kill(pid, signal.SIGKILL)
        return pid

    async def until_replaced(self, service: str, old_pid: int) -> None:
        def replaced() -> bool:
            try:
                return self.pid_of(service) != old_pid
            except AssertionError:
                return False

        await eventually(replaced, what=f"{service} is started again")

    # REST

    async def request(
        self, method: str, path: str, body: object = None, *, status: int = 200
    ) -> Any:
        assert self._http is not None
        async with self._http.request(method, path, json=body) as response:
            text = await response.text()
            assert response.status == status, f"{method} {path}: {response.status} {text}"
            return await response.json(content_type=None) if text else None

    async def get(self, path: str) -> Any:
        return await self.request("GET", path)

    async def get_bytes(self, path: str) -> bytes:
        assert self._http is not None
        async with self._http.get(path) as response:
            assert response.status == 200, f"GET {path}: {response.status}"
            return await response.read()

    async def post(self, path: str, body: object = None) -> Any:
        return await self.request("POST", path, body)

    async def delete(self, path: str) -> None:
        await self.request("DELETE", path, status=204)

    async def new_session(self, **properties: object) -> str:
        return str((await self.post("/openvidu/api/sessions", properties))["id"])

    async def new_token(self, session: str, **properties: object) -> str:
        path = f"/openvidu/api/sessions/{session}/connection"
        return str((await self.post(path, properties))["token"])

    async def run(self, *words: str) -> tuple[int, str]:
        """Another `tertulia` command on the same data: exit code and output."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.launcher", *words,
            env=self.environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(60):
            output, _ = await process.communicate()
        return process.returncode or 0, output.decode()


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(word) for word in file.read_text().split()]
    return found + [grandchild for child in found for grandchild in _children(child)]
