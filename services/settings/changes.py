"""New values for some settings, as `POST /openvidu/api/restart` gives them (`config.md` 8.2)."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Mapping

from . import dotenv, folders
from .kinds import parse
from .load import Problem, dotenv_file, load_changed, shown
from .property import Property
from .table import PROPERTIES

MAX_VALUE = 16 * 1024  # bytes; the environment of a process takes no text over 128 KiB
SECRET = "OPENVIDU_SECRET"  # noqa: S105
WRITERS = ("launcher", "api", "recorder", "webhooks")  # whose folders must be writable

_NAME = re.compile(r"[A-Za-z0-9_.]{1,100}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class NotKept(Exception):
    """The new values cannot be written to the `.env` file; `str()` says why. Nothing changed."""


def checked(given: Mapping[str, object], environ: Mapping[str, str], secret: str) -> dict[str, str]:
    """The new values as texts of a `.env` file, by name; all settings are good with them.

    `given` has them in JSON's types or as texts, `None` for those that stay. `environ` is that of
    this process, `secret` the present OPENVIDU_SECRET, which may be given and stays. Raises
    `SettingsError` with all that is wrong.
    """
    texts: dict[str, str] = {}
    problems: list[Problem] = []
    for name, value in given.items():
        if value is None or (name == SECRET and _is(secret, value)):
            continue
        try:
            texts[name] = _text(_changeable(name), value)
        except ValueError as error:
            problems.append(_problem(name, value, str(error)))
    settings = load_changed(environ, texts, problems)
    if texts:
        folders.prepare(settings, WRITERS)
    return texts


def keep(values: Mapping[str, str], environ: Mapping[str, str]) -> None:
    """Write what `checked` gave to the `.env` file, durably. Raises `NotKept`."""
    if not values:
        return
    file = dotenv_file(environ)
    if file is None:
        raise NotKept("There is no .env file to keep new values in: DOTENV_PATH is empty.")
    try:
        dotenv.write(file, values)
    except OSError as error:
        raise NotKept(f"{file} cannot be written: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise NotKept(f"{file} cannot be read: it is no UTF-8.") from error


def json_types() -> Iterator[tuple[Property, type]]:
    """The changeable settings, each with the type of its value in JSON."""
    for item in PROPERTIES.values():
        if item.changeable:
            default = item.default
            kind = type(parse(item.kind, default)) if isinstance(default, str) else str
            yield item, kind


def _is(secret: str, value: object) -> bool:
    return isinstance(value, str) and hmac.compare_digest(value.encode(), secret.encode())


def _changeable(name: str) -> Property:
    item = PROPERTIES.get(name)
    if item is None:
        raise ValueError("there is no such setting")
    if name == SECRET:
        raise ValueError("it is not the present one, and a restart cannot change it")
    if not item.changeable:
        raise ValueError("a restart cannot change it; edit the .env file")
    return item


def _text(item: Property, value: object) -> str:
    """Read back, it gives `value`. What is a text already is checked with all the settings."""
    match value:
        case bool():
            text = str(value).lower()
        case int() if abs(value) < 2**63:
            text = str(value)
        case str():
            text = value
        case list() if all(isinstance(entry, str) for entry in value):
            text = f"[{','.join(map(_quoted, value))}]"
        case _:
            raise ValueError(f"it has a wrong type; accepts {item.kind.accepts}")
    if _CONTROL.search(text):
        raise ValueError("it has line breaks or other control characters")
    if len(text.encode()) > MAX_VALUE:
        raise ValueError(f"it is longer than {MAX_VALUE} bytes")
    if not isinstance(value, str) and type(parse(item.kind, text)) is not type(value):
        raise ValueError(f"it has a wrong type; accepts {item.kind.accepts}")
    return text


def _quoted(entry: str) -> str:
    """As an item of a list (`config.md` section 2, *strings*), which knows no escapes."""
    quote = '"' if '"' not in entry else "'"
    if quote in entry or "\\" in entry:
        raise ValueError("an item has a backslash or both kinds of quotes, which no list can hold")
    return f"{quote}{entry}{quote}"


def _problem(name: str, value: object, message: str) -> Problem:
    item = PROPERTIES.get(name)
    if item is None:  # perhaps a mistyped name of a secret: its value is not shown
        label = name if _NAME.fullmatch(name) else repr(name[:100])
        return Problem("", "", f"{label}: {message}")
    simple = isinstance(value, str) or (isinstance(value, int) and abs(value) < 2**63)
    return Problem(name, shown(item, value) if simple else "…", message)
