"""What a running launcher keeps in the data folder for itself and for other commands."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from services.conference.ids import ALPHANUMERIC
from services.settings.files import replace_file


class InUse(Exception):
    """Another process has the data folder; `str()` says which."""


class DataFolder:
    def __init__(self, path: Path) -> None:
        self.path = path.resolve()

    @property
    def nats_directory(self) -> Path:
        return self.path / "nats"

    @contextmanager
    def locked(self, purpose: str) -> Iterator[None]:
        """Have the folder for this process alone. Raises `InUse`.

        The lock ends with the process, however that ends.
        """
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
                raise InUse(
                    f"The data folder {self.path} is in use by {holder or 'another process'}."
                ) from None
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"`tertulia {purpose}` (process {os.getpid()})\n".encode(), 0)
            yield
        finally:
            os.close(descriptor)

    def nats_token(self) -> str:
        """Made at the first call, then always the same."""
        return self._kept("nats-token", lambda: secrets.token_urlsafe(32))

    def cluster_id(self) -> str:
        return self._kept(
            "cluster-id", lambda: "clu_" + "".join(secrets.choice(ALPHANUMERIC) for _ in range(8))
        )

    @property
    def broker_url(self) -> str | None:
        """Where the nats-server of whoever has the lock answers, as soon as it does."""
        try:
            return (self.path / "nats-url").read_text().strip() or None
        except FileNotFoundError:
            return None

    @contextmanager
    def announced(self, broker_url: str) -> Iterator[None]:
        """Let other commands find the nats-server. Only under the lock."""
        replace_file(self.path / "nats-url", broker_url.encode())
        try:
            yield
        finally:
            self.forget_broker()

    def forget_broker(self) -> None:
        (self.path / "nats-url").unlink(missing_ok=True)

    def _kept(self, name: str, make: Callable[[], str]) -> str:
        path = self.path / name
        try:
            if kept := path.read_text().strip():
                return kept
        except FileNotFoundError:
            pass
        value = make()
        replace_file(path, value.encode())
        return value
