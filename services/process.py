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
from services.settings import Settings
from services.settings.load import SettingsError, from_environment

Main = Callable[[Settings], Coroutine[Any, Any, None]]

_logger = structlog.get_logger(__name__)


def run(name: str, main: Main) -> None:
    """Run a service until SIGTERM or SIGINT, which cancel `main` so that it cleans up.

    Does not return: exits with 0 after a signal or when `main` returns, 1 if the settings are
    wrong or `main` raises.
    """
    settings = load_or_exit()
    faulthandler.enable()
    logs.configure(name, settings)
    if os.environ.get("DOTENV_PATH") != "":  # else whoever started us has read it and told
        for warning in settings.warnings:
            _logger.warning(warning)
    sys.exit(supervised(main(settings)))


def load_or_exit() -> Settings:
    try:
        return from_environment(os.environ)
    except SettingsError as error:
        print(error, file=sys.stderr)
        sys.exit(1)


def supervised(main: Coroutine[Any, Any, None]) -> int:
    """Run a coroutine on uvloop with signals and errors handled; the exit code of the process."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_until_signal(main))


async def _until_signal(main: Coroutine[Any, Any, None]) -> int:
    loop = asyncio.get_running_loop()
    stopping = False

    task = asyncio.current_task()

    def stop() -> None:
        nonlocal stopping
        if task is not None and not stopping:  # a second one must not end the cleaning up
            stopping = True
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        await main
    except asyncio.CancelledError:
        if not stopping:
            _logger.error("ended by a cancellation from inside")
            return 1
    except Exception:
        _logger.exception("ended by an error")
        return 1
    _logger.info("stopped")
    return 0
