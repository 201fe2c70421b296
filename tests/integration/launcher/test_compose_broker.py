"""The nats-server of compose.yaml, with the binary that we have."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from services.eventlog.jetstream import JetStreamLog, connect
from services.eventlog.log import LogUnavailable
from services.eventlog.server import binary
from services.eventlog.stream import check_sync
from tests.e2e.server_under_test import eventually, free_port

COMPOSE = Path(__file__).parents[3] / "compose.yaml"


@pytest.fixture
async def ports(tmp_path: Path) -> AsyncIterator[tuple[int, int]]:
    """For clients and for monitoring."""
    content = yaml.safe_load(COMPOSE.read_text())
    client_port, monitoring_port = free_port(), free_port()
    config = content["configs"]["nats"]["content"]
    for original, ours in (
        ("store_dir: /data", f"store_dir: {tmp_path}/data"),
        ("127.0.0.1:8222", f"127.0.0.1:{monitoring_port}"),
    ):
        assert original in config
        config = config.replace(original, ours)
    file = tmp_path / "nats.conf"
    file.write_text(config)
    command = content["services"]["nats"]["command"]
    assert command[:3] == ["-c", content["services"]["nats"]["configs"][0]["target"], "--auth"]
    process = await asyncio.create_subprocess_exec(
        str(binary()), "-c", str(file), "--auth", "12345e6", "-p", str(client_port),
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield client_port, monitoring_port
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 20)


def fetch(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return bytes(answer.read())


async def test_it_is_fit_for_the_log_and_its_health_check_says_so(ports: tuple[int, int]) -> None:
    client_port, monitoring_port = ports

    def healthy() -> bool:
        try:
            return b"ok" in fetch(monitoring_port, "/healthz?js-enabled-only=true")
        except OSError:
            return False

    await eventually(healthy, what="the health check passes")
    check_sync(json.loads(fetch(monitoring_port, "/varz")))
    client = await connect(f"nats://127.0.0.1:{client_port}", token="12345e6", name="test")
    try:
        log = await JetStreamLog.open(client)
        assert await log.last_sequence() == 0
        await log.close()
    finally:
        await client.close()


async def test_it_wants_the_token(ports: tuple[int, int]) -> None:
    url = f"nats://127.0.0.1:{ports[0]}"
    with pytest.raises(LogUnavailable, match="cannot be used"):
        await connect(url, token="another", name="test", wait_up_to=3)
