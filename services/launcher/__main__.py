"""The command `tertulia`."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TextIO, TypeVar, cast

import click

from services import logs, process
from services.eventlog import lines
from services.eventlog.log import LogError
from services.eventlog.verify import verify as verify_log
from services.settings import Settings

from . import history
from .data_folder import InUse
from .output import Output
from .serve import serve as serve_all

T = TypeVar("T")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tertulia")
def main() -> None:
    """A self-hosted video-conference server whose only truth is an event log.

    Settings come from the environment and from the file .env; .env.example explains them all.
    """


@main.command()
def serve() -> None:
    """Run everything on this machine, until Ctrl-C or SIGTERM."""
    settings = process.load_or_exit("launcher", "api", "recorder", "webhooks")
    output = Output(sys.stderr.buffer)
    logs.configure("launcher", settings, to=cast(TextIO, output))
    process.tell_about(settings)
    code = process.supervised(serve_all(settings, output, click.echo))
    output.finish()
    sys.exit(code)


@main.command("log")
@click.option("--session", metavar="ID", help="Only commits of this session.")
@click.option("--from", "first", metavar="WHERE", help="First commit: a sequence or an ISO time.")
@click.option("--to", "last", metavar="WHERE", help="Last commit: a sequence or an ISO time.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def print_log(session: str | None, first: str | None, last: str | None, as_json: bool) -> None:
    """Print the commits of the event log, oldest first. Times without a zone are UTC."""
    start, end = _moment("--from", first), _moment("--to", last)
    settings = _settings()

    async def run() -> None:
        render = lines.json_line if as_json else lines.render
        async with history.opened(settings, "log") as log:
            async for recorded in history.select(log, session, start, end):
                click.echo(render(recorded))

    _run(run())


@main.command()
def verify() -> None:
    """Check the event log from its first commit: nothing missing, nothing changed."""
    settings = _settings()

    async def run() -> bool:
        async with history.opened(settings, "verify") as log:
            result = await verify_log(log)
        click.echo(f"{result.commits} commits of {result.sessions} sessions are good.")
        if bad := result.first_bad:
            where = f" ({bad.subject})" if bad.subject else ""
            click.echo(f"First bad commit: sequence {bad.sequence}{where}: {bad.message}")
        return result.good

    if not _run(run()):
        sys.exit(1)


@main.command()
@click.option(
    "--to", "file", required=True, metavar="FILE", type=click.Path(path_type=Path),
    help="New SQLite file for the projections.",
)  # fmt: skip
@click.option("--up-to", type=click.IntRange(min=0), metavar="N", help="Stop after this sequence.")
def replay(file: Path, up_to: int | None) -> None:
    """Build the database of the REST answers anew from the event log, in FILE."""
    # Only this command needs the API's libraries, and they are slow to load.
    from sqlalchemy import URL  # noqa: PLC0415

    from services.api.database import DatabaseUnusable  # noqa: PLC0415
    from services.api.projections import rebuild  # noqa: PLC0415

    if file.exists():
        raise click.ClickException(f"{file} exists already; give the name of a new file.")
    settings = _settings()

    async def run() -> None:
        async with history.opened(settings, "replay") as log:
            started = time.monotonic()
            try:
                database = URL.create("sqlite", database=str(file))
                commits = await rebuild(log, database, up_to=up_to)
            except DatabaseUnusable as error:
                raise click.ClickException(str(error)) from error
            seconds = max(time.monotonic() - started, 1e-6)
        click.echo(f"{commits} commits in {seconds:.2f} s: {commits / seconds:.0f} commits/s")

    _run(run())


def _settings() -> Settings:
    settings = process.load_or_exit()
    logs.configure("launcher", settings)
    return settings


def _moment(option: str, text: str | None) -> history.Moment | None:
    if text is None:
        return None
    try:
        return history.Moment(text)
    except ValueError:
        raise click.BadParameter(
            "a sequence like 120 or a time like 2026-01-31T12:00", param_hint=option
        ) from None


def _run(main: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(main)
    except (LogError, InUse, history.NoData) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
