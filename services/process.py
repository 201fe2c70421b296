"""What every service process has in common: settings, logs, signals, exit codes."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
import uvloop

from services import logs
from services.settings import Settings, folders
from services.settings.load import SettingsError, from_environment

Main = Callable[[Settings], Coroutine[Any, Any, None]]

STOP_LIMIT = 15  # seconds for a process to clean up after a signal

_logger = structlog.get_logger(__name__)


def run(name: str, main: Main) -> None:
    """Run a service until SIGTERM or SIGINT, which cancel `main` so that it cleans up.

    Does not return: exits with 0 after a signal or when `main` returns, 1 if the settings are
    wrong or `main` raises.
    """
    settings = load_or_exit(name)
    faulthandler.enable()
    logs.configure(name, settings)
    _logger.info("started", pid=os.getpid())
    if os.environ.get("DOTENV_PATH") != "":  # else whoever started us has read it and told
        tell_about(settings)
    sys.exit(supervised(main(settings)))


def load_or_exit(*writers: str) -> Settings:
    """The settings, with the folders ready that the services named `writers` write to."""
    try:
        settings = from_environment(os.environ)
        folders.prepare(settings, writers)
    except SettingsError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    return settings


def tell_about(settings: Settings) -> None:
    for note in settings.notes:
        _logger.info(note)
    for warning in settings.warnings:
        _logger.warning(warning)


def supervised(main: Coroutine[Any, Any, int | None]) -> int:
    """Run a coroutine on uvloop until it ends or a signal comes; the exit code of the process."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_until_signal(main))


async def _until_signal(main: Coroutine[Any, Any, int | None]) -> int:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if task is not None and not stopping:  # a second one must not end the cleaning up
            stopping = True
            signal.alarm(STOP_LIMIT)  # whatever hangs then, the kernel ends us
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        code = await main
    except asyncio.CancelledError:
        if not stopping:
            _logger.error("ended by a cancellation from inside")
            return 1
    except Exception:
        _logger.exception("ended by an error")
        return 1
    else:
        return code or 0
    _logger.info("stopped")
    return 0
