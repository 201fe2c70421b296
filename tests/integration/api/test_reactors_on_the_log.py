"""Timers of the api against the real log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.json import encode
from msgspec.structs import replace
from nats.aio.client import Client

from services.conference.calls import Heartbeat, heartbeat_subject
from services.conference.commands import ReportRecordingStarted
from services.conference.model import Reason, RecordingStatus
from services.eventlog.commit import Actor, ActorKind

INDIVIDUAL = {"outputMode": "INDIVIDUAL"}


def with_autostop(settings: Any, seconds: int) -> Any:
    return replace(settings, recording=replace(settings.recording, autostop_timeout=seconds))


async def reasons(event_log: Any, session: str) -> dict[str, Reason]:
    """Why what ended had ended, by the events' names."""
    return {
        type(event).__name__: event.reason
        async for recorded in event_log.read(session)
        for event in recorded.commit.events
        if hasattr(event, "reason")
    }


@asynccontextmanager
async def media_node(client: Client, instance: str) -> AsyncIterator[None]:
    """A node that is heard as `media_local`, five times a second."""

    async def beat() -> None:
        heartbeat = Heartbeat("media_local", instance, "127.0.0.1", 1, 0.0, 0, 0)
        while True:
            await client.publish(heartbeat_subject("media_local"), encode(heartbeat))
            await asyncio.sleep(0.2)

    async with asyncio.TaskGroup() as tasks:
        beating = tasks.create_task(beat())
        yield
        beating.cancel()


async def test_only_sessions_that_nobody_ever_joined_are_garbage(
    start: Any, settings: Any, room: Any, event_log: Any
) -> None:
    quick = replace(
        settings, sessions=replace(settings.sessions, garbage_interval=1, garbage_threshold=0)
    )
    async with start(quick) as api:
        await api.new_session(customSessionId="used")
        await room.person(api, "used")
        await api.new_session(customSessionId="unused")
        await api.new_connection("unused")

        async def collected() -> bool:
            return bool((await api.get("/sessions/unused")).status == 404)

        await api.eventually(collected)
        assert (await api.get("/sessions/used")).status == 200
    *_, last = [recorded.commit async for recorded in event_log.read("unused")]
    assert last.actor == Actor(ActorKind.TIMER, "garbage")
    assert [type(event).__name__ for event in last.events] == ["SessionCollected"]


async def test_the_countdown_of_an_empty_recorded_session_survives_a_restart(
    start: Any, settings: Any, room: Any, event_log: Any
) -> None:
    async with start(with_autostop(settings, 3600)) as api:
        await api.new_session(customSessionId="salon")
        ana = await room.person(api, "salon")
        await room.publish("salon", ana)
        await room.record("salon")
        await api.delete(f"/sessions/salon/connection/{ana}")
        assert (await api.get("/sessions/salon")).json["recording"] is True
    async with start(with_autostop(settings, 1)) as api:
        recording = await api.until("/recordings/salon", lambda found: found["status"] == "stopped")
        assert recording["status"] == "stopped"
        assert (await api.get("/sessions/salon")).status == 404
    found = await reasons(event_log, "salon")
    assert found["RecordingStopped"] is found["SessionDestroyed"] is Reason.AUTOMATIC_STOP


async def test_without_a_countdown_the_last_one_to_leave_ends_it_all_at_once(
    start: Any, settings: Any, room: Any, event_log: Any
) -> None:
    async with start(with_autostop(settings, 0)) as api:
        await api.new_session(customSessionId="salon")
        ana = await room.person(api, "salon")
        await room.publish("salon", ana)
        await room.record("salon")
        await api.delete(f"/sessions/salon/connection/{ana}")
        await api.until("/recordings/salon", lambda found: found["status"] == "stopped")
    found = await reasons(event_log, "salon")
    assert found["RecordingStopped"] is found["SessionDestroyed"] is Reason.LAST_PARTICIPANT_LEFT


async def test_people_who_never_publish_lose_the_recording_and_keep_the_session(
    start: Any, settings: Any, room: Any
) -> None:
    async with start(with_autostop(settings, 1)) as api:
        await api.new_session(customSessionId="salon")
        await room.person(api, "salon")
        await room.record("salon")
        await api.until("/recordings/salon", lambda found: found["status"] == "stopped")
        assert (await api.get("/sessions/salon")).status == 200


async def test_a_session_made_for_it_is_recorded_from_its_first_publisher(
    api: Any, room: Any, event_log: Any
) -> None:
    await api.new_session(
        customSessionId="salon",
        recordingMode="ALWAYS",
        defaultRecordingProperties={**INDIVIDUAL, "name": "lesson"},
    )
    ana, bob = [await room.person(api, "salon") for _ in range(2)]
    stream = await room.publish("salon", ana)
    recording = await api.until("/recordings/salon", lambda found: found)
    assert recording["name"] == "lesson"
    await room.act("salon", ReportRecordingStarted("salon"))
    await room.publish("salon", bob)
    await room.finish("salon", "salon")  # somebody stops it by REST: never again by itself
    await api.delete(f"/sessions/salon/stream/{stream}")
    await room.publish("salon", ana)
    await api.new_session(customSessionId="later")
    assert (await api.get("/recordings")).json["count"] == 1
    automatic = [
        recorded.commit.actor
        async for recorded in event_log.read("salon")
        if recorded.commit.actor.kind is ActorKind.TIMER
    ]
    assert automatic == [Actor(ActorKind.TIMER, "autostart")]


async def test_an_automatic_recording_without_a_recorder_fails(
    start: Any, room: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.reactors.recordings.START_MS", 500)
    async with start() as api:
        await api.new_session(
            customSessionId="salon",
            recordingMode="ALWAYS",
            defaultRecordingProperties=INDIVIDUAL,
        )
        await room.publish("salon", await room.person(api, "salon"))
        await api.until("/recordings/salon", lambda found: found["status"] == "failed")
        assert (await api.get("/sessions/salon")).json["recording"] is False


async def test_a_media_process_that_came_back_resets_media_and_keeps_people(
    api: Any, room: Any, nats_client: Client, event_log: Any
) -> None:
    async with media_node(nats_client, "one"):
        await api.new_session(customSessionId="salon")
        ana = await room.person(api, "salon")
        await room.publish("salon", ana)
        await room.record("salon")
        path = f"/sessions/salon/connection/{ana}"
        await api.until(path, lambda found: found["publishers"])
        await api.until("/health", lambda found: True)
    async with media_node(nats_client, "two"):
        shown = await api.until(path, lambda found: not found["publishers"])
        assert shown["status"] == "active"
        state = await room.bus.load("salon")
        assert state.session.media_node.instance == "two"
        assert state.recordings["salon"].status is RecordingStatus.STOPPED
    found = await reasons(event_log, "salon")
    assert set(found.values()) == {Reason.MEDIA_SERVER_RECONNECT}


async def test_a_media_node_that_stays_away_closes_its_sessions(
    start: Any, room: Any, nats_client: Client, event_log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.reactors.nodes.RETURN_MS", 500)
    monkeypatch.setattr("services.api.nodes.ALIVE_SECONDS", 1.0)
    async with start() as api:
        async with media_node(nats_client, "one"):
            await api.until("/health", lambda found: True)
            await api.new_session(customSessionId="salon")
            await room.person(api, "salon")
            await api.new_session(customSessionId="elsewhere")

        async def closed() -> bool:
            return bool((await api.get("/sessions/salon")).status == 404)

        await api.eventually(closed)
        assert (await api.get("/sessions/elsewhere")).status == 200, "nobody joined it"
    found = await reasons(event_log, "salon")
    assert set(found.values()) == {Reason.NODE_CRASHED}
