"""Where the api process spends its CPU, sampled from inside.

    python -m benchmarks.api.sampler OUTPUT

runs the api. SIGUSR1 begins, SIGUSR2 ends and writes to OUTPUT, as JSON, CPU seconds by part.
The main thread is looked at after each ms of CPU; what it used since counts for the innermost
module that is not of the standard library: `conference.decide`, or `nats for eventlog.connection`
if that one called. C code counts for whoever called it. Other threads count as a whole.
"""

from __future__ import annotations

import re
import signal
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from types import FrameType

import msgspec

from services.api.__main__ import main
from services.process import run

PERIOD = 0.001  # seconds of CPU
FOREIGN, OWN = "/site-packages/", "/services/"
LOOP = "process"  # below it is the event loop, which is C, and what that calls
ELSE = "event loop"
NUMBER = re.compile(r"[-_][0-9]+")  # of a thread, in its name


class Sampler:
    def __init__(self, output: Path) -> None:
        self._output = output
        self._parts: dict[str, float] = defaultdict(float)
        self._seen = 0.0
        self._threads: dict[int, float] = {}
        self._cpu = 0.0

    def begin(self, *_: object) -> None:
        self._parts.clear()
        self._cpu, self._seen = time.process_time(), time.thread_time()
        self._threads = _threads()
        signal.setitimer(signal.ITIMER_PROF, PERIOD, PERIOD)

    def sample(self, _number: int, frame: FrameType | None) -> None:
        now = time.thread_time()
        self._parts[_part(frame)] += now - self._seen
        self._seen = now

    def end(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        total = time.process_time() - self._cpu
        names = {one.native_id: NUMBER.sub("", one.name) for one in threading.enumerate()}
        for thread, used in _threads().items():
            if thread != threading.main_thread().native_id:
                spent = used - self._threads.get(thread, 0.0)
                self._parts[f"threads {names.get(thread, 'of libraries')}"] += spent
        self._parts[ELSE] += total - sum(self._parts.values())
        partial = self._output.with_suffix(".partial")
        partial.write_bytes(msgspec.json.encode(self._parts))
        partial.rename(self._output)


def _part(frame: FrameType | None) -> str:
    package = ""
    while frame is not None:
        name = frame.f_code.co_filename
        if FOREIGN in name:
            package = package or name.rpartition(FOREIGN)[2].partition("/")[0]
        elif OWN in name:
            module = name.rpartition(OWN)[2].removesuffix(".py").replace("/", ".")
            if module == LOOP:
                break
            return f"{package} for {module}" if package else module
        frame = frame.f_back
    return package or ELSE


def _threads() -> dict[int, float]:
    """CPU seconds by native id."""
    found = {}
    for task in Path("/proc/self/task").iterdir():
        spent = (task / "schedstat").read_text().split()[0]
        found[int(task.name)] = int(spent) / 1e9
    return found


if __name__ == "__main__":
    sampler = Sampler(Path(sys.argv[1]))
    signal.signal(signal.SIGPROF, sampler.sample)
    signal.signal(signal.SIGUSR1, sampler.begin)
    signal.signal(signal.SIGUSR2, sampler.end)
    run("api", main)
