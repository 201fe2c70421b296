from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.eventlog.jetstream import JetStreamLog
from services.eventlog.server import NatsServer
from tests.integration.webhooks.helpers import Conference, Process, Receiver, Service


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    await receiver.up()
    yield receiver
    await receiver.down()


@pytest.fixture
def conference(event_log: JetStreamLog) -> Conference:
    return Conference(event_log)


@pytest.fixture
def service(event_log: JetStreamLog, tmp_path: Path) -> Service:
    return Service(event_log, tmp_path / "webhooks.db")


@pytest.fixture
async def process(
    nats: NatsServer, nats_token: str, tmp_path: Path, receiver: Receiver
) -> AsyncIterator[Process]:
    """Not started yet. Sends to the receiver and writes `<tmp_path>/cdr`."""
    process = Process(
        TERTULIA_NATS_URL=nats.url,
        TERTULIA_NATS_TOKEN=nats_token,
        TERTULIA_DATA_DIR=str(tmp_path / "data"),
        OPENVIDU_WEBHOOK="true",
        OPENVIDU_WEBHOOK_ENDPOINT=receiver.url,
        OPENVIDU_CDR="true",
        OPENVIDU_CDR_PATH=str(tmp_path / "cdr"),
    )
    yield process
    await process.kill()
    print(process.output.decode(errors="replace"))
