"""This process cannot decode or encode: the codec library is never loaded into it.

aiortc imports PyAV (FFmpeg, libvpx, libopus, x264) with its first module, also for the DTLS
transport that is all we use of it. `forbid_codecs` puts a stand-in in PyAV's place before that, so
no codec exists in the address space; `loaded_codecs` asks the kernel whether that is so. It also
saves 16 MB and half of the start-up time.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

LIBRARIES = ("libavcodec", "libvpx", "libopus", "libx264", "libdav1d", "libSvtAv1", "libx265")


class NoCodec:
    """Stands where PyAV's classes would: good as a name in an annotation, for nothing else."""

    def __init__(self, *_args: object, **_keywords: object) -> None:
        raise RuntimeError("the media process forwards RTP; it has no decoder and no encoder")


class _Absent(ModuleType):
    def __getattr__(self, name: str) -> type[NoCodec]:
        if name.startswith("__"):
            raise AttributeError(name)
        return NoCodec


class _Finder(MetaPathFinder, Loader):
    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == "av" or fullname.startswith("av."):
            return ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Absent(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


def forbid_codecs() -> None:
    """Call before anything imports aiortc; raises if the codecs are there already."""
    if "av" in sys.modules:
        raise RuntimeError("PyAV was imported before the media process could refuse it")
    sys.meta_path.insert(0, _Finder())


def loaded_codecs(pid: int | None = None) -> tuple[str, ...]:
    """Codec libraries mapped into a process, by its memory map; of this process without `pid`."""
    maps = Path(f"/proc/{pid or 'self'}/maps").read_text()
    return tuple(name for name in LIBRARIES if name in maps)
