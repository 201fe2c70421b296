"""The folders that must be there and writable before a service starts (`config.md` 2, *wpath*)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from . import Settings
from .load import Problem, SettingsError


def prepare(settings: Settings, services: Iterable[str]) -> None:
    """Make what these services write to. Raises `SettingsError` naming the setting."""
    data = {"TERTULIA_DATA_DIR": settings.storage.data_dir}
    wanted: dict[str, dict[str, Path]] = {
        "launcher": data,
        "api": data,
        "webhooks": dict(data),
        "recorder": {},
    }
    if settings.recording.enabled:
        wanted["recorder"]["OPENVIDU_RECORDING_PATH"] = settings.recording.path
    if settings.cdr.enabled:
        wanted["webhooks"]["OPENVIDU_CDR_PATH"] = settings.cdr.path
    folders = {name: path for service in services for name, path in wanted.get(service, {}).items()}
    problems = [
        Problem(name, str(path), f"{problem}; accepts a folder that can be made and written to")
        for name, path in folders.items()
        if (problem := _problem(path))
    ]
    if problems:
        raise SettingsError(problems)


def _problem(path: Path) -> str:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        return "it is no folder"
    except OSError as error:
        return f"it cannot be made ({error.strerror})"
    return "" if os.access(path, os.W_OK | os.X_OK) else "it cannot be written to"
