"""One line of a table of settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from .kinds import Kind, is_loopback

Values = Mapping[str, Any]


def _same(value: Any) -> Any:
    return value


class Property(Struct, frozen=True):
    """A setting: how it is read, where its value goes and who may see it.

    `default` is a text as a user would write it, or makes one from the parsed values of others
    (of those before it in the table, if they are made so, too). `doc` is for the user and has the
    unit. `lands` is the field of `Settings` (`concern.field`) that gets the value, made by `to`
    from the parsed one; empty: it is only kept in `Settings.properties`. `secret` values are never
    shown; `sensitive` ones hold credentials among other things, so no message repeats them.
    `inert` ones are checked and echoed, and change nothing in this version. `changeable` ones are
    what `POST /openvidu/api/restart` takes (`rest-api.md`, "Restart OpenVidu").
    """

    name: str
    kind: Kind
    default: str | Callable[[Values], str]
    doc: str
    lands: str = ""
    to: Callable[[Any], Any] = _same
    secret: bool = False
    sensitive: bool = False
    inert: bool = False
    changeable: bool = False
    alias: str = ""  # another name that is taken, too


def in_data_dir(folder: str) -> Callable[[Values], str]:
    """The default of a path: a folder of `TERTULIA_DATA_DIR`."""
    return lambda values: str(Path(values["TERTULIA_DATA_DIR"]) / folder)


def when_on_loopback(values: Values) -> str:
    """The default of what is only right while nobody else can reach us."""
    return "true" if is_loopback(values["TERTULIA_HOST"]) else "false"
