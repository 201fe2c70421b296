"""A PostgreSQL of the tests' own: in a temporary folder, on a Unix socket, with a password."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import asyncpg

from services.eventlog.server import die_with_parent

PASSWORD = "only-for-tests"
SECONDS = 60.0  # for a start or a stop

_FAST = {  # nothing of it need survive the machine
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "autovacuum": "off",
}
_NEWEST_FIRST = sorted(
    Path("/usr/lib/postgresql").glob("*/bin"),
    key=lambda path: [int(number) for number in re.findall(r"\d+", str(path))],
    reverse=True,
)


class Missing(Exception):
    """There is no PostgreSQL on this machine."""


class PostgreSql:
    """`start` and `stop` as often as you like; `remove` in the end. It refuses to run as root, so
    root starts it as another user."""

    def __init__(self) -> None:
        """Raises `Missing`."""
        self._initdb, self._postgres = _program("initdb"), _program("postgres")
        self._user = _other_user() if os.getuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        self._used: list[str] = []
        self._free: list[str] = []
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short: a socket's path is limited
        self._password_file = self.folder / "password"
        self._password_file.write_text(PASSWORD)
        if self._user is not None:
            for path in (self.folder, self._password_file):
                os.chown(path, self._user.pw_uid, self._user.pw_gid)

    def _initialize(self) -> None:
        self._run(
            self._initdb, "--pgdata", self._data, "--username=tertulia", "--encoding=UTF8",
            "--locale=C", "--auth=scram-sha-256", f"--pwfile={self._password_file}", "--no-sync",
        )  # fmt: skip

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def running(self) -> bool:
        return self._process is not None

    def url(self, database: str, *, user: str = "tertulia", password: str = PASSWORD) -> str:
        return f"postgresql://{user}:{password}@/{database}?host={self.folder}"

    def start(self) -> None:
        if not self._data.exists():
            self._initialize()
        options = [f"--{name.replace('_', '-')}={value}" for name, value in _FAST.items()]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._postgres, "-D", self._data, "-k", self.folder, "-h", "", *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                preexec_fn=die_with_parent(),  # noqa: PLW1509 - no threads of ours yet
                **self._as_user(),
            )  # fmt: skip
        deadline = time.monotonic() + SECONDS
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError((self.folder / "log").read_text()[-5000:])
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """At once for clients, in good order for the data. Harmless when it does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(SECONDS)
            raise

    def remove(self) -> None:
        self.stop(signal.SIGQUIT)  # the data go anyway
        shutil.rmtree(self.folder)

    async def new_database(self) -> str:
        """The name of an empty one, until `clear`."""
        if self._free:
            name = self._free.pop()
        else:
            name = f"test_{len(self._used)}"
            await self.execute(f"create database {name}")
        self._used.append(name)
        return name

    async def clear(self) -> None:
        """Empty all databases; making new ones costs more."""
        while self._used:
            name = self._used.pop()
            await self.execute("drop schema public cascade", "create schema public", database=name)
            self._free.append(name)

    async def execute(self, *statements: str, database: str = "postgres") -> list[list[Any]]:
        """The rows of each statement."""
        connection = await asyncpg.connect(self.url(database), timeout=20, command_timeout=20)
        try:
            return [[tuple(r) for r in await connection.fetch(text)] for text in statements]
        finally:
            await connection.close(timeout=20)

    def _ready(self) -> bool:
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[7].strip() == "ready"

    def _run(self, *command: str | Path) -> None:
        done = subprocess.run(
            command, check=False, cwd=self.folder, capture_output=True, timeout=SECONDS,
            **self._as_user(),
        )  # fmt: skip
        if done.returncode != 0:
            raise AssertionError(f"{command[0]}: {done.stderr.decode(errors='replace')}")

    def _as_user(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}


def _program(name: str) -> Path:
    if found := shutil.which(name):
        return Path(found)
    for folder in _NEWEST_FIRST:
        if os.access(folder / name, os.X_OK):
            return folder / name
    raise Missing(f"There is no {name} on the PATH or in /usr/lib/postgresql: install postgresql.")


def _other_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Missing("PostgreSQL refuses to run as root, and there is no user postgres or nobody.")
