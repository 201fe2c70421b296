"""What every service process has in common: settings, logs, signals, restarts, exit codes."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
import uvloop
from nats.aio.client import Client

from services import logs
from services.eventlog.restarts import Restarts
from services.settings import Settings, folders
from services.settings.load import SettingsError, from_environment, is_merged, merged_at

Main = Callable[[Settings], Coroutine[Any, Any, int | None]]

STOP_LIMIT = 15  # seconds for a process to clean up after a signal
RESTART = 75  # exit code: start me again, with the settings as they are then

_LOADED_AT = time.monotonic()  # before the settings are read

_logger = structlog.get_logger(__name__)


def run(name: str, main: Main) -> None:
    """Run a service until SIGTERM or SIGINT, which cancel `main` so that it cleans up.

    Does not return: exits with 0 after a signal, with what `main` returns (nothing is 0), or with
    1 if the settings are wrong or `main` raises.
    """
    settings = load_or_exit(name)
    faulthandler.enable()
    logs.configure(name, settings)
    _logger.info("started", pid=os.getpid())
    if not is_merged(os.environ):  # else whoever started us has told
        tell_about(settings)
    # A collection stops us: what was imported stays and need not be looked at (50 ms and more), and
    # what requests and packets leave behind is mostly freed without one. But libraries do leave
    # circles of what lived for long, and those wait for the rarest collection: not for millions of
    # objects, which are gigabytes. One of everything is 40 ms with 10,000 open sessions, and comes
    # after 250,000 objects that stay, at least.
    gc.freeze()
    gc.set_threshold(10_000, 5, 5)
    sys.exit(supervised(main(settings)))


def raise_swallowed() -> None:
    """To be called once a service has started: it ends if it was to end meanwhile. An answer of the
    broker that comes at the same moment swallows a cancellation (`wait_for` of Python 3.11)."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def until_restart(client: Client, work: Coroutine[Any, Any, None]) -> int:
    """Do `work` until a restart of all services begins; the exit code then. 0 if it ends itself."""
    try:
        async with asyncio.timeout(None) as end, asyncio.TaskGroup() as group:
            watching = group.create_task(_end_at_restart(client, end))
            await work
            watching.cancel()
    except TimeoutError:
        if not end.expired():
            raise
        return RESTART
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return 0


async def _end_at_restart(client: Client, end: asyncio.Timeout) -> None:
    since = merged_at(os.environ) or _LOADED_AT
    await Restarts(client).wait(lambda: time.monotonic() - since)
    _logger.info("restarting, as was asked for")
    signal.alarm(STOP_LIMIT)
    end.reschedule(asyncio.get_running_loop().time())


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
