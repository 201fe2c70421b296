"""From texts to `Settings`: `.env` over environment over default, all errors together."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from . import Settings, dotenv
from .checks import check
from .ice_servers import hidden_values, static_auth_secrets
from .kinds import header, parse
from .property import Property
from .table import MEDIA_SERVER_PREFIX, PROPERTIES

MASK = "********"

MASKED_LENGTH = 6  # characters; masking shorter secrets would make logs unreadable

_TELLING = re.compile("auth|cookie|key|password|secret|token", re.IGNORECASE)  # header names
_OURS = ("OPENVIDU_", "TERTULIA_")

# From a launcher to its services: the file whose values they have, and since when they are those.
_MERGED = "TERTULIA_MERGED_DOTENV"
_MERGED_AT = "TERTULIA_MERGED_AT"  # of `time.monotonic()`, which is the same in all processes


class Problem(NamedTuple):
    """`value` is what the user may see of it. Without a `name` it is about the `.env` file."""

    name: str
    value: str
    message: str

    def __str__(self) -> str:
        return f"{self.name}={self.value}: {self.message}" if self.name else self.message


class SettingsError(Exception):
    """The settings are wrong; nothing may start. `str()` lists all problems, one a line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"The settings are wrong, so nothing is started:\n{lines}")


def from_environment(environ: Mapping[str, str]) -> Settings:
    """The settings of a process: its environment and the `.env` file that `DOTENV_PATH` names."""
    found = dotenv.read(None if is_merged(environ) else dotenv_file(environ))
    return load(environ, found.values, problems=_of_lines(found), notes=filter(None, [found.note]))


def merged(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for a process that shall have the same settings and read no `.env` file."""
    now = confirmed({})
    file = dotenv_file(environ)
    known = _texts(dotenv.read(file).values)
    return {**environ, **known, _MERGED: str(file.absolute()) if file else "", **now}


def confirmed(environ: Mapping[str, str]) -> dict[str, str]:
    """The same environment, as if it was merged just now."""
    return {**environ, _MERGED_AT: repr(time.monotonic())}


def merged_at(environ: Mapping[str, str]) -> float | None:
    """When, by `time.monotonic()`, the settings of a process were read, if it was told."""
    return float(environ[_MERGED_AT]) if _MERGED_AT in environ else None


def is_merged(environ: Mapping[str, str]) -> bool:
    """Did whoever started us read the `.env` file, and tell of it?"""
    return _MERGED in environ


def dotenv_file(environ: Mapping[str, str]) -> Path | None:
    """The `.env` file of a process, whether it reads it or somebody did for it."""
    if is_merged(environ):
        return Path(environ[_MERGED]) if environ[_MERGED] else None
    return dotenv.locate(environ.get("DOTENV_PATH", "."))


def load_changed(
    environ: Mapping[str, str], changes: Mapping[str, str], problems: Iterable[Problem]
) -> Settings:
    """The settings after the next start, were `changes` written to the `.env` file of today."""
    found = dotenv.read(dotenv_file(environ))
    return load(environ, {**found.values, **changes}, problems=[*problems, *_of_lines(found)])


def _of_lines(found: dotenv.Dotenv) -> list[Problem]:
    return [Problem("", "", line) for line in found.bad_lines]


def load(
    environ: Mapping[str, str],
    dotenv: Mapping[str, str] | None = None,
    *,
    problems: Iterable[Problem] = (),
    notes: Iterable[str] = (),
) -> Settings:
    """Raises `SettingsError` with `problems` and all that is found here."""
    file = dotenv or {}
    given = _texts(environ) | _texts(file)
    found = list(problems)
    values: dict[str, Any] = {
        name: text for name, text in given.items() if name.startswith(MEDIA_SERVER_PREFIX)
    }
    for item in PROPERTIES.values():
        if item.name in given:
            _read(item, given[item.name], values, found)
        elif isinstance(item.default, str):
            values[item.name] = _default(item, values)
    wrong = {problem.name for problem in found}
    for item in PROPERTIES.values():
        if item.name not in given and not isinstance(item.default, str):
            try:
                _read(item, item.default(values), values, found)
            except KeyError as missing:
                if missing.args[0] not in wrong:
                    raise
            if item.name not in values:  # the error about what it follows from is enough
                wrong.add(item.name)
    found += [
        Problem(name, shown(PROPERTIES[name], given.get(name, values[name])), message)
        for name, message in check(values)
    ]
    if found:
        raise SettingsError(found)
    return _settings(values, tuple(notes), _warnings(file, given, values))


def _texts(source: Mapping[str, str]) -> dict[str, str]:
    """What of a source is for us, under its first name."""
    aliases = {item.alias: item.name for item in PROPERTIES.values() if item.alias}
    return {
        aliases.get(name, name): text
        for name, text in source.items()
        if name in PROPERTIES or name in aliases or name.startswith(MEDIA_SERVER_PREFIX)
    }


def _default(item: Property, values: Mapping[str, Any]) -> Any:
    text = item.default if isinstance(item.default, str) else item.default(values)
    return parse(item.kind, text)


def _read(item: Property, text: str, values: dict[str, Any], problems: list[Problem]) -> None:
    try:
        values[item.name] = parse(item.kind, text)
    except ValueError as error:
        problems.append(Problem(item.name, shown(item, text), str(error)))


def shown(item: Property, value: object) -> str:
    if (item.secret or item.sensitive) and value:
        return MASK
    text = str(value)
    text = text if len(text) <= 200 else text[:199] + "…"
    return text if text.isprintable() else repr(text)


def _warnings(
    file: Mapping[str, str], given: Mapping[str, str], values: Mapping[str, Any]
) -> tuple[str, ...]:
    warnings = []
    known = _texts(file)
    if unknown := sorted(name for name in file if name.startswith(_OURS) and name not in known):
        warnings.append(f"unknown settings in the .env file are ignored: {', '.join(unknown)}")
    without_effect = [
        item.name
        for item in PROPERTIES.values()
        if item.inert and item.name in given and values[item.name] != _default(item, values)
    ]
    if without_effect:
        warnings.append(f"settings without effect in this version: {', '.join(without_effect)}")
    return tuple(warnings)


def _settings(
    values: Mapping[str, Any], notes: tuple[str, ...], warnings: tuple[str, ...]
) -> Settings:
    fields: dict[str, dict[str, Any]] = {}
    for item in PROPERTIES.values():
        if item.lands:
            concern, _, field = item.lands.rpartition(".")
            fields.setdefault(concern, {})[field] = item.to(values[item.name])
    fields["ice"]["static_auth_secrets"] = static_auth_secrets(
        values["OPENVIDU_WEBRTC_ICE_SERVERS"]
    )
    defaults = Settings()
    return Settings(
        **{
            concern: type(getattr(defaults, concern))(**own)
            for concern, own in fields.items()
            if concern
        },
        **fields[""],
        properties=dict(values),
        secrets=_secrets(values),
        notes=notes,
        warnings=warnings,
    )


def _secrets(values: Mapping[str, Any]) -> frozenset[str]:
    found = hidden_values(values["OPENVIDU_WEBRTC_ICE_SERVERS"])
    headers = map(header, values["OPENVIDU_WEBHOOK_HEADERS"])
    found.update(value for name, value in headers if _TELLING.search(name))
    for item in PROPERTIES.values():
        value = values[item.name]
        if item.secret and value != _default(item, values):
            found.update(value if isinstance(value, list) else [str(value)])
    return frozenset(secret for secret in found if len(secret) >= MASKED_LENGTH)
