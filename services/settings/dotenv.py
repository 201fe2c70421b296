"""The `.env` file (`config.md` section 1)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from .files import replace_file


class Dotenv(Struct, frozen=True):
    """What was read. `bad_lines` are sentences with file and line; `note` says what came of it."""

    values: dict[str, str] = {}
    bad_lines: tuple[str, ...] = ()
    note: str = ""


def locate(dotenv_path: str) -> Path | None:
    """The file that `DOTENV_PATH` means; `None` if it is empty."""
    if not dotenv_path:
        return None
    return Path(dotenv_path) if dotenv_path.endswith(".env") else Path(dotenv_path) / ".env"


def read(path: Path | None) -> Dotenv:
    """A file that is missing or cannot be read counts as empty, with a note."""
    if path is None:
        return Dotenv()
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        return Dotenv(note=f"settings come from the environment; there is no file {path}")
    except (OSError, UnicodeDecodeError) as error:
        return Dotenv(note=f"settings come from the environment; {path} cannot be read: {error}")
    values: dict[str, str] = {}
    bad_lines: list[str] = []
    for number, line in enumerate(_lines(text), 1):
        if not _says_something(line):
            continue
        key, separator, value = line.partition("=")
        if separator and key.strip():
            values[key.strip()] = value
        else:
            bad_lines.append(f"{path}, line {number}: it is neither KEY=VALUE nor a # comment")
    return Dotenv(values, tuple(bad_lines), f"settings come from {path}, then from the environment")


def write(path: Path, values: Mapping[str, str]) -> None:
    """Give these keys these values, all at once and durably; everything else stays.

    Values are one line each. Raises `OSError` or `UnicodeDecodeError`; then nothing changed.
    """
    path = Path(os.path.realpath(path))  # a link stays one
    try:
        with path.open("rb+") as file:  # for writing too: a file that is protected is left alone
            text = file.read().decode()
    except FileNotFoundError:
        text = ""
    replace_file(path, rewritten(text, values).encode())


def rewritten(text: str, values: Mapping[str, str]) -> str:
    """The text of a `.env` file with these values: known keys in place, new ones at the end."""
    end = "\r\n" if "\r\n" in text else "\n"
    lines: list[str] = []
    missing = dict(values)
    for line in text.removesuffix("\n").split("\n") if text else ():
        key = line.partition("=")[0].strip()
        if "=" in line and key in values and _says_something(line):
            missing.pop(key, None)
            carriage = "\r" if line.endswith("\r") else ""
            lines.append(f"{key}={values[key]}{carriage}\n")
        else:
            lines.append(f"{line}\n")
    if missing and lines and end == "\r\n" and not lines[-1].endswith(end):
        lines[-1] = lines[-1].removesuffix("\n") + end
    return "".join([*lines, *(f"{key}={value}{end}" for key, value in missing.items())])


def _lines(text: str) -> Iterator[str]:
    return (line.removesuffix("\r") for line in text.split("\n"))


def _says_something(line: str) -> bool:
    return bool(line.strip()) and not line.startswith(("#", "//"))
