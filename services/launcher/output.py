"""One log of all processes: whole lines, of bounded length, without secrets, never blocking."""

from __future__ import annotations

import contextlib
import io
import json
import queue
import re
import threading
from collections.abc import Callable
from typing import BinaryIO

MAX_LINE = 16 * 1024  # bytes of a line; what is longer is cut
MAX_WAITING = 10_000  # lines that wait for a slow terminal or pipe; more are dropped and counted
CLOSE_TIMEOUT = 1.0  # seconds for the waiting lines at the end

_LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z ")


class Output(io.TextIOBase):
    """Writes lines from a thread of its own: a reader who stops reading must not stop us."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(MAX_WAITING)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._thread.start()

    def write(self, text: str) -> int:
        for line in text.splitlines():
            try:
                self._lines.put_nowait(line)
            except queue.Full:
                self._dropped += 1
        return len(text)

    def finish(self) -> None:
        """Write what is waiting, as far as somebody reads it."""
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(None)
        self._thread.join(CLOSE_TIMEOUT)

    def _write_all(self) -> None:
        while (line := self._lines.get()) is not None:
            if dropped := self._dropped:
                self._dropped = 0
                line = f"({dropped} lines were lost)\n{line}"
            with contextlib.suppress(OSError, ValueError):  # nobody reads: go on without
                self._stream.write(line.encode(errors="replace") + b"\n")
                self._stream.flush()


class Lines:
    """The output of one process, in chunks as they come, to lines of the common log.

    Log lines of our format pass as they are. Others (a traceback of the interpreter, a message of
    a library in C) get the name of the process and are freed of secrets here.
    """

    def __init__(
        self, name: str, output: Output, mask: Callable[[str], str], *, as_json: bool
    ) -> None:
        self._name = name
        self._output = output
        self._mask = mask
        self._as_json = as_json
        self._rest = bytearray()
        self._cut = 0
        self.last = ""

    def feed(self, chunk: bytes) -> None:
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            self._take(line)
            self._end_line()
        self._take(rest)

    def finish(self) -> None:
        if self._rest:
            self._end_line()

    def _take(self, part: bytes) -> None:
        room = MAX_LINE - len(self._rest)
        self._rest += part[:room]
        self._cut += max(0, len(part) - room)

    def _end_line(self) -> None:
        text = self._rest.decode(errors="replace").rstrip("\r")
        if self._cut:
            text += f"… ({self._cut} bytes more)"
        self._rest.clear()
        self._cut = 0
        if text.strip():
            self.last = self._mask(text)
            self._output.write(self._framed(text))

    def _framed(self, text: str) -> str:
        if text.startswith("{") if self._as_json else _LOG_LINE.match(text):
            return text
        text = self._mask(text)
        plain = "".join(char if char.isprintable() else " " for char in text)
        if self._as_json:
            return json.dumps({"service": self._name, "event": plain}, ensure_ascii=False)
        return f"{self._name:<8} | {plain}"
