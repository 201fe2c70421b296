"""The `.env` file (`config.md` section 1)."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct


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
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Dotenv(note=f"settings come from the environment; there is no file {path}")
    except (OSError, UnicodeDecodeError) as error:
        return Dotenv(note=f"settings come from the environment; {path} cannot be read: {error}")
    values: dict[str, str] = {}
    bad_lines: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")  # noqa: PLW2901
        if not line.strip() or line.startswith(("#", "//")):
            continue
        key, separator, value = line.partition("=")
        if separator and key.strip():
            values[key.strip()] = value
        else:
            bad_lines.append(f"{path}, line {number}: it is neither KEY=VALUE nor a # comment")
    return Dotenv(values, tuple(bad_lines), f"settings come from {path}, then from the environment")
