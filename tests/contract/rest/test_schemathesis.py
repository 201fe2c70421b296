"""Requests made of the OpenAPI document, good ones and bad ones, against a running api."""

from __future__ import annotations

from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from tests.fuzz_api import fuzz, world


@pytest.mark.timeout(300)
async def test_the_api_keeps_to_its_document(tmp_path: Path) -> None:
    options = ("--seed=1", "--generation-deterministic", "--warnings=off")
    async with world(tmp_path) as url:
        code, report = await fuzz(url, tmp_path, *options, output=PIPE)
    assert code == 0, report.decode()
