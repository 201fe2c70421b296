"""`native.c`, compiled when it is needed."""

from __future__ import annotations

import ctypes
import resource
import select
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

COMPILE_SECONDS = 60.0


class Tally(ctypes.Structure):
    _fields_ = (
        ("video", ctypes.c_uint32),
        ("audio", ctypes.c_uint32),
        ("repeats", ctypes.c_uint32),
        ("control", ctypes.c_uint32),
        ("last", ctypes.c_uint8 * 12),
    )
    video: int
    audio: int


def available() -> bool:
    return shutil.which("cc") is not None


@cache
def library() -> ctypes.CDLL:
    source = Path(__file__).with_name("native.c")
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "native.so"
        command = ("cc", "-O2", "-shared", "-fPIC", "-o", str(made), str(source))
        subprocess.run(command, check=True, timeout=COMPILE_SECONDS)
        return ctypes.CDLL(str(made))


class Drain:
    """Receives on many sockets in a thread without the interpreter's lock, and only counts."""

    def __init__(self) -> None:
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._tallies = (Tally * most)()
        self._epoll = select.epoll()
        self._stop = ctypes.c_int(0)
        arguments = (self._epoll.fileno(), self._tallies, ctypes.byref(self._stop))
        self._thread = threading.Thread(target=library().drain, args=arguments, daemon=True)

    def take(self, udp: socket.socket) -> Tally:
        self._epoll.register(udp.fileno(), select.EPOLLIN)
        return self._tallies[udp.fileno()]

    @contextmanager
    def running(self) -> Iterator[Drain]:
        self._thread.start()
        try:
            yield self
        finally:
            self._stop.value = 1
            self._thread.join()
            self._epoll.close()
