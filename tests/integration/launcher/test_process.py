"""How a service process starts and ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

WAITING = """
    print("running now", flush=True)
    try:
        await asyncio.sleep(3600)
    finally:
        CLEANUP
        print("cleaned up", flush=True)
"""


@asynccontextmanager
async def service(
    folder: Path, body: str, **settings: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    program = folder / "program.py"
    program.write_text(
        "import asyncio, os, time\n"
        "from services import process\n"
        "async def main(settings):\n" + body.replace("\n", "\n    ") + "\n"
        "process.STOP_LIMIT = 2\n"
        "process.run('stub', main)\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(program),
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "DOTENV_PATH": str(folder)}
        | settings,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line_with(process: asyncio.subprocess.Process, text: str) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(20):
        while line := (await process.stdout.readline()).decode():
            if text in line:
                return line
    raise AssertionError(f"it ended without {text!r}")


async def end_of(process: asyncio.subprocess.Process) -> tuple[int | None, str]:
    output, _ = await asyncio.wait_for(process.communicate(), 20)
    return process.returncode, output.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_it_clean_up_and_end_well(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with service(
        tmp_path, WAITING.replace("CLEANUP", "await asyncio.sleep(0.01)")
    ) as process:
        await line_with(process, "running now")
        process.send_signal(number)
        code, output = await end_of(process)
    assert code == 0
    assert "cleaned up" in output
    assert " stub     stopped" in output


async def test_a_second_signal_does_not_break_the_cleaning_up(tmp_path: Path) -> None:
    cleanup = "print('cleaning now', flush=True); await asyncio.sleep(0.3)"
    async with service(tmp_path, WAITING.replace("CLEANUP", cleanup)) as process:
        await line_with(process, "running now")
        process.terminate()
        await line_with(process, "cleaning now")
        process.terminate()
        code, output = await end_of(process)
    assert code == 0
    assert "cleaned up" in output


async def test_a_cleaning_up_that_hangs_is_ended(tmp_path: Path) -> None:
    async with service(tmp_path, WAITING.replace("CLEANUP", "time.sleep(3600)")) as process:
        await line_with(process, "running now")
        process.terminate()
        code, _ = await end_of(process)
    assert code == -signal.SIGALRM


async def test_an_error_is_logged_without_secrets_and_is_the_exit_code(tmp_path: Path) -> None:
    body = "    raise ValueError('the_secret_1 is wrong')"
    async with service(tmp_path, body, OPENVIDU_SECRET="the_secret_1") as process:
        code, output = await end_of(process)
    assert code == 1
    assert "ended by an error" in output
    assert "ValueError: *** is wrong" in output
    assert "the_secret_1" not in output


async def test_a_cancellation_from_inside_is_an_error(tmp_path: Path) -> None:
    async with service(tmp_path, "    raise asyncio.CancelledError") as process:
        code, output = await end_of(process)
    assert code == 1
    assert "cancellation from inside" in output


async def test_wrong_settings_are_listed_and_nothing_is_run(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HTTPS_PORT=none\n")
    async with service(tmp_path, "    print('running now')", OPENVIDU_CDR="maybe") as process:
        code, output = await end_of(process)
    assert code == 1
    assert "HTTPS_PORT=none" in output
    assert "OPENVIDU_CDR=maybe" in output
    assert "running now" not in output
    assert "Traceback" not in output


async def test_warnings_of_the_settings_are_told_once_at_the_start(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPENVIDU_TYPO=1\n")
    async with service(tmp_path, "    return") as process:
        code, output = await end_of(process)
    assert code == 0
    assert output.count("OPENVIDU_TYPO") == 1
