"""`native.c`, compiled when it is needed."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

COMPILE_SECONDS = 60.0


class Tally(ctypes.Structure):
    _fields_ = (
        ("video", ctypes.c_uint64),
        ("audio", ctypes.c_uint64),
        ("repeats", ctypes.c_uint64),
        ("control", ctypes.c_uint64),
        ("last", ctypes.c_uint8 * 12),
        ("socket", ctypes.c_int32),
    )


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
