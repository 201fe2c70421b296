"""What a page is told of recordings (`signaling.md` 7.14), of changed rights (7.15), and of what
happened while its socket was away (1.9)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.page_client import Client, Pages
from tests.e2e.scenarios.relay import Relay
from tests.e2e.server_under_test import SECRET, Server, eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

SMALL = {"resolution": "320x240", "frameRate": 15}
ROLES = ("SUBSCRIBER", "PUBLISHER", "MODERATOR")
NOTIFIED = {  # by the value of the setting
    "none": (),
    "moderator": ("MODERATOR",),
    "publisher_moderator": ("PUBLISHER", "MODERATOR"),
    "all": ROLES,
}
RECORDINGS = "/openvidu/api/recordings"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(folder: Path) -> AsyncIterator[Server]:
    started = Server(folder, TERTULIA_RECONNECTION_GRACE="60")
    await started.start()
    yield started
    await started.stop()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def people(pages: Pages) -> dict[str, Client]:
    return {role: await pages.open() for role in ROLES}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def latecomers(pages: Pages) -> dict[str, Client]:
    return {role: await pages.open() for role in ROLES}


async def setting(server: Server, notification: str) -> None:
    """Restart the server with another value of the setting, if it has another one."""
    config, status = "/openvidu/api/config", "/openvidu/api/status"
    name = "OPENVIDU_RECORDING_NOTIFICATION"
    if (await server.get(config))[name] == notification:
        return
    before = (await server.get(status))["restartCounter"]
    await server.post("/openvidu/api/restart", {name: notification})

    async def restarted() -> bool:
        try:
            return bool((await server.get(status))["restartCounter"] > before)
        except (OSError, AssertionError, TimeoutError):
            return False

    await eventually(restarted, limit=60, what="the server has restarted")
    await server.until_ready()


async def told(client: Client, method: str, recording: str) -> list[dict[str, Any]]:
    return [
        frame["params"]
        for frame in await client.frames(method)
        if frame["params"]["id"] == recording
    ]


@pytest.mark.parametrize("notification", NOTIFIED)
async def test_a_recording_is_told_to_the_roles_of_the_setting(
    server: Server,
    people: dict[str, Client],
    latecomers: dict[str, Client],
    notification: str,
) -> None:
    await setting(server, notification)
    session = await server.new_session(customSessionId=f"notify-{notification}")
    for role, client in people.items():
        await client.join(await server.new_token(session, role=role), role)
    await people["PUBLISHER"].publish(videoSource=False)
    body = {"session": session, "name": "talk", "outputMode": "INDIVIDUAL", "hasVideo": False}
    recording = (await server.post(f"{RECORDINGS}/start", body))["id"]
    for role, client in latecomers.items():
        await client.join(await server.new_token(session, role=role), f"late {role}")
    await server.post(f"{RECORDINGS}/stop/{recording}")
    await people["MODERATOR"].call("signal", "after all that", notification)

    for is_late, group in enumerate((people, latecomers)):
        for role, client in group.items():
            await client.sees("signal", signal=f"signal:{notification}")
            is_told = role in NOTIFIED[notification]
            started = await told(client, "recordingStarted", recording)
            stopped = await told(client, "recordingStopped", recording)
            joined = await joined_with(client)
            known = {"recordingId": recording, "recordingName": "talk"}
            assert (known.items() <= joined.items()) is bool(is_told and is_late), role
            assert len(started) == (is_told and not is_late), role
            assert len(stopped) == is_told, role
            events = [
                event["type"] for event in await client.events() if event.get("id") == recording
            ]
            assert events == (["recordingStarted", "recordingStopped"] if is_told else []), role
            await client.call("leave")
    code, output = await server.run("verify")
    assert code == 0, output


async def joined_with(client: Client) -> dict[str, Any]:
    """The result of the last join."""
    request = (await client.frames("joinRoom"))[-1]["id"]
    answers = [f for f in await client.frames() if f.get("id") == request and not f["sent"]]
    return dict(answers[-1]["result"])


async def test_a_recorder_watches_unseen(server: Server, pages: Pages) -> None:
    """It joins with the secret, as the recorder of composed recordings does."""
    session = await server.new_session()
    ana, recorder = await pages.open(), await pages.open()
    await ana.join(await server.new_token(session, role="MODERATOR"), "ana")
    stream = await ana.publish(**SMALL)
    before = await ana.events()
    address = (await server.new_token(session)).partition("?")[0]
    await recorder.join(f"{address}?sessionId={session}&secret={SECRET}&recorder=true")
    await recorder.plays(stream, frames=10)
    assert recorder.id == "RECORDER"
    connections = (await server.get(f"/openvidu/api/sessions/{session}"))["connections"]
    assert [one["id"] for one in connections["content"]] == [ana.id]
    await ana.call("unpublish")
    await recorder.sees("streamDestroyed", stream=stream, reason="unpublish")
    assert [
        event for event in await ana.events() if event["type"] != "ownStreamDestroyed"
    ] == before
    await pages.leave(ana)
    await recorder.context.close()


async def test_changed_rights_are_told_to_their_owner_alone(server: Server, pages: Pages) -> None:
    session = await server.new_session()
    ana, ben = await pages.open(), await pages.open()
    await ana.join(await server.new_token(session, role="MODERATOR"), "ana")
    await ben.join(await server.new_token(session, role="SUBSCRIBER"), "ben")
    assert (await ben.refused("publish", SMALL))["name"] == "OPENVIDU_PERMISSION_DENIED"
    path = f"/openvidu/api/sessions/{session}/connection/{ben.id}"
    await server.request("PATCH", path, {"role": "PUBLISHER", "record": False})
    await ben.sees("connectionPropertyChanged", property="role", newValue="PUBLISHER")
    await ben.sees("connectionPropertyChanged", property="record", newValue=False)
    stream = await ben.publish(**SMALL)
    await ana.plays(stream, frames=10)
    assert {event["connection"] for event in await ben.events("connectionPropertyChanged")} == {
        ben.id
    }
    assert len(await ben.frames("connectionPropertyChanged")) == 2
    assert not await ana.frames("connectionPropertyChanged")
    await pages.leave(ana, ben)


async def test_what_happened_while_a_socket_was_away_is_told_once(
    server: Server, pages: Pages, sockets: Relay
) -> None:
    session = await server.new_session()
    ana, ben, cleo = [await pages.open() for _ in range(3)]
    token = await server.new_token(session)
    await ana.join(token.replace(f":{server.port}", f":{sockets.port}"), "ana")
    await ben.join(await server.new_token(session), "ben")
    of_ben = await ben.publish(**SMALL)
    await ana.plays(of_ben, frames=10)
    sockets.hold()
    sockets.cut()
    await ana.sees("reconnecting")
    await ben.call("leave")
    await cleo.join(await server.new_token(session), "cleo")
    of_cleo = await cleo.publish(**SMALL)
    assert not await ana.frames("participantLeft"), "she was not away"
    sockets.release()
    await ana.sees("reconnected", limit=30)
    await ana.sees("streamDestroyed", stream=of_ben, reason="disconnect")
    await ana.sees("connectionDestroyed", connection=ben.id, reason="disconnect")
    await ana.sees("connectionCreated", connection=cleo.id)
    await ana.plays(of_cleo, frames=10)
    for method, count in (
        ("participantJoined", 2),
        ("participantPublished", 2),
        ("participantLeft", 1),
    ):
        assert len(await ana.frames(method)) == count
    await pages.leave(ana, cleo)
