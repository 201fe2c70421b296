"""The stream as the log needs it: made so, and checked when it is there already."""

from __future__ import annotations

import asyncio
import re

import pytest

from services.eventlog.jetstream import STREAM, JetStreamLog
from services.eventlog.log import LogMisconfigured
from services.eventlog.server import NatsServer
from services.eventlog.stream import check_server, wanted
from tests.contract.broker_api import api

SECOND = 1_000_000_000


async def test_the_stream_is_made_as_the_log_needs_it(event_log, nats_client):
    config = (await api(nats_client, f"STREAM.INFO.{STREAM}", {}))["config"]
    expected = {
        "subjects": ["log.>"],
        "storage": "file",
        "retention": "limits",
        "discard": "new",
        "max_age": 0,
        "max_bytes": -1,
        "max_msgs": -1,
        "max_msgs_per_subject": -1,
        "deny_delete": True,
        "deny_purge": True,
        "num_replicas": 1,
    }
    assert {key: config.get(key) for key in expected} == expected


async def test_nothing_can_be_deleted_from_the_log(event_log, nats_client, author):
    recorded = await author().write(event_log)
    for name, request in [
        (f"STREAM.MSG.DELETE.{STREAM}", {"seq": 1}),
        (f"STREAM.PURGE.{STREAM}", {}),
        (f"STREAM.UPDATE.{STREAM}", wanted(STREAM, "log") | {"deny_delete": False}),
        (f"STREAM.UPDATE.{STREAM}", wanted(STREAM, "log") | {"deny_purge": False}),
    ]:
        with pytest.raises(AssertionError, match="error"):
            await api(nats_client, name, request)
    assert await event_log.get(1) == recorded


async def test_opening_the_log_again_finds_the_same_log(event_log, nats_client, author):
    recorded = await author().write(event_log)
    again = await JetStreamLog.open(nats_client)
    assert await again.get(1) == recorded
    await again.close()


async def test_many_services_may_open_a_new_log_at_once(nats_client):
    async with asyncio.TaskGroup() as group:
        logs = [group.create_task(JetStreamLog.open(nats_client)) for _ in range(5)]
    for log in logs:
        assert await log.result().last_sequence() == 0
        await log.result().close()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("storage", "memory"),
        ("retention", "interest"),
        ("retention", "workqueue"),
        ("discard", "old"),
        ("max_msgs", 1000),
        ("max_bytes", 1_000_000),
        ("max_age", 3600 * SECOND),
        ("max_msgs_per_subject", 100),
        ("max_msg_size", 1000),
        ("max_consumers", 5),
        ("deny_delete", False),
        ("deny_purge", False),
        ("allow_rollup_hdrs", True),
        ("allow_direct", False),
        ("allow_msg_ttl", True),
        ("no_ack", True),
        ("persist_mode", "async"),
        ("subjects", ["log.session.>"]),
        ("subjects", ["log.>", "other"]),
        ("subject_transform", {"src": "log.>", "dest": "log.x.>"}),
        ("sources", [{"name": "OTHER"}]),
    ],
)
async def test_an_unsafe_stream_stops_the_start_and_names_the_field(nats_client, field, value):
    changed = {field: value, "duplicate_window": SECOND}
    if field == "allow_rollup_hdrs":
        changed["deny_purge"] = False  # the broker allows no stream with both
    await api(nats_client, f"STREAM.CREATE.{STREAM}", wanted(STREAM, "log") | changed)
    with pytest.raises(LogMisconfigured, match=rf"(?m)^- {field} is ") as caught:
        await JetStreamLog.open(nats_client)
    assert len(re.findall("(?m)^- ", str(caught.value))) == (
        2 if "deny_purge" in changed and field != "deny_purge" else 1
    )


async def test_a_mirror_is_no_log(nats_client):
    await api(nats_client, "STREAM.CREATE.OTHER", {"name": "OTHER", "subjects": ["other"]})
    config = wanted(STREAM, "log") | {"mirror": {"name": "OTHER"}, "subjects": None}
    await api(nats_client, f"STREAM.CREATE.{STREAM}", config)
    with pytest.raises(LogMisconfigured, match="mirror is ") as caught:
        await JetStreamLog.open(nats_client)
    assert "subjects is " in str(caught.value)


async def test_all_wrong_fields_are_named_together(nats_client):
    changed = {"discard": "old", "max_age": 60 * SECOND, "deny_purge": False, "duplicate_window": 0}
    await api(nats_client, f"STREAM.CREATE.{STREAM}", wanted(STREAM, "log") | changed)
    with pytest.raises(LogMisconfigured) as caught:
        await JetStreamLog.open(nats_client)
    for field in ("discard", "max_age", "deny_purge"):
        assert f"- {field} is " in str(caught.value)


async def test_another_stream_on_the_subjects_of_the_log_stops_the_start(nats_client):
    await api(nats_client, "STREAM.CREATE.OTHER", wanted("OTHER", "log"))
    with pytest.raises(LogMisconfigured, match="overlap"):
        await JetStreamLog.open(nats_client)


async def test_a_server_without_jetstream_stops_the_start(tmp_path):
    class Plain(NatsServer):
        def config(self) -> str:
            head, _, rest = super().config().partition("jetstream {")
            return head + rest.partition("}")[2]

    server = Plain(tmp_path / "plain")
    with pytest.raises(LogMisconfigured, match="sync"):
        await server.start()
    assert server.process is None


@pytest.mark.parametrize(
    ("version", "jetstream", "max_payload", "named"),
    [
        ((2, 11), True, 8 << 20, "version is 2.11, must be at least 2.12"),
        ((1, 99), True, 8 << 20, "version is 1.99"),
        ((2, 12), False, 8 << 20, "jetstream is off"),
        ((2, 12), True, 65536, "max_payload is 65536"),
    ],
)
def test_an_unfit_server_is_named(version, jetstream, max_payload, named):
    check_server((2, 12), jetstream=True, max_payload=1 << 20)
    check_server((3, 0), jetstream=True, max_payload=1 << 20)
    with pytest.raises(LogMisconfigured, match=named):
        check_server(version, jetstream=jetstream, max_payload=max_payload)
