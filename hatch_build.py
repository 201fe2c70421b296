"""Compiles the packet path in C when the project is installed, and when this file is run.

Without a compiler, or where it does not compile (it needs Linux), the install goes on: the media
node then forwards by Python. With CI=true warnings and a missing compiler are errors.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from hashlib import sha256
from pathlib import Path
from typing import Any

NATIVE = Path(__file__).parent / "services" / "media" / "native"
LIBRARY = "libpump.so"
SANITIZED = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")


class NotCompiled(Exception):
    """`str(error)` says why."""


def compile_pump(library: Path, *options: str) -> None:
    """Raises `NotCompiled`."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        raise NotCompiled("there is no C compiler (cc or $CC)")
    files = sorted(file for file in NATIVE.iterdir() if file.suffix in (".c", ".h"))
    fingerprint = sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()
    warnings = ["-Wall", "-Wextra", *(["-Werror"] if os.environ.get("CI") == "true" else [])]
    fresh = library.with_suffix(f".{os.getpid()}")  # a running node keeps the file it has open
    command = [
        *(*compiler.split(), "-std=c11", "-O2", "-fPIC", "-shared", *warnings, *options),
        f'-DPUMP_FINGERPRINT="{fingerprint}"',
        *("-o", str(fresh), *(str(file) for file in files if file.suffix == ".c")),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError as error:
        raise NotCompiled(str(error)) from None
    if done.returncode:
        raise NotCompiled(f"{compiler} failed:\n{done.stderr.strip()}")
    fresh.replace(library)


def get_build_hook() -> Any:
    """What hatchling asks for."""
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface  # noqa: PLC0415

    class Hook(BuildHookInterface):  # type: ignore[type-arg]
        def initialize(self, version: str, build_data: dict[str, Any]) -> None:
            library = NATIVE / LIBRARY
            try:
                compile_pump(library)
            except NotCompiled as error:
                library.unlink(missing_ok=True)  # what it was made from may have changed
                if os.environ.get("CI") == "true":
                    raise
                self.app.display_warning(
                    f"The packet path in C was not built, media is forwarded by Python: {error}"
                )
                return
            build_data["artifacts"].append(str(library.relative_to(self.root)))
            build_data["pure_python"] = False
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data["tag"] = f"py3-none-{platform}"

    return Hook


if __name__ == "__main__":
    compile_pump(NATIVE / LIBRARY, *sys.argv[1:])
