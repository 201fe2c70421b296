"""openvidu-node-client while people are in the session: real pages, real media."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from playwright.async_api import Error as PageError

from tests.compat.node_client import Node, Rejected, Remote
from tests.compat.people import CAMERA, meet
from tests.e2e.page_client import Client, Pages
from tests.e2e.server_under_test import SECRET, Server, eventually

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(90)]


class Call(NamedTuple):
    """Ana and Ben talk to each other, and the client library knows it: `session` is fetched."""

    session: Remote
    ana: Client
    ben: Client
    of_ana: str
    of_ben: str


@pytest_asyncio.fixture(loop_scope="package")
async def conversation(ov: Remote, pages: Pages) -> Call:
    session = await ov.call("createSession", {"customSessionId": "call"})
    for_ana = await session.call("createConnection", {"role": "MODERATOR", "data": "server: ana"})
    for_ben = await session.call("createConnection")
    couple = await meet(pages, for_ana["token"], for_ben["token"])
    call = Call(session, *couple)
    await knows(session, call.ana, publishers=[call.of_ana], subscribers=[call.of_ben])
    await knows(session, call.ben, publishers=[call.of_ben], subscribers=[call.of_ana])
    await ov.call("fetch")
    assert await ov.call("fetch") is False
    return call


async def knows(
    session: Remote, client: Client, *, publishers: list[str], subscribers: list[str]
) -> None:
    """Fetch until the client library knows these streams of a page."""
    expected = (publishers, subscribers)

    async def fetched() -> bool:
        await session.call("fetch")
        return streams(await session.connection(client.id)) == expected

    await eventually(fetched, what=f"{client.id} has the streams {expected}")


def streams(connection: dict[str, Any]) -> tuple[list[str], list[str]]:
    return [one["streamId"] for one in connection["publishers"]], connection["subscribers"]


async def test_active_connections_tell_who_is_there(conversation: Call) -> None:
    session, ana, ben = conversation.session, conversation.ana, conversation.ben
    pending = await session.call("createConnection", {"data": "for later"})
    seen = await session.read()
    assert [one["connectionId"] for one in seen["activeConnections"]] == [ana.id, ben.id]
    assert seen["activeConnections"] == seen["connections"][:2]
    assert seen["connections"][2:] == [pending]

    of_ana, of_ben = seen["activeConnections"]
    assert (of_ana["clientData"], of_ana["serverData"]) == ("client: ana", "server: ana")
    assert (of_ben["clientData"], of_ben["serverData"]) == ("client: ben", "")
    assert of_ana["activeAt"] > of_ben["activeAt"] > of_ana["createdAt"]
    for one in (of_ana, of_ben):
        assert one["status"] == "active"
        assert one["platform"].startswith("Chrome")
        assert one["location"] == "unknown"
        assert one["ip"] in ("127.0.0.1", "::1")
        [publisher] = one["publishers"]
        assert publisher["createdAt"] >= one["activeAt"]
        assert json.loads(publisher["videoDimensions"]) == {"width": 320, "height": 240}
        assert publisher | {"createdAt": 0, "streamId": "", "videoDimensions": ""} == {
            "createdAt": 0,
            "streamId": "",
            "hasAudio": True,
            "audioActive": True,
            "hasVideo": True,
            "videoActive": True,
            "typeOfVideo": "CAMERA",
            "frameRate": 15,
            "videoDimensions": "",
        }


async def test_a_client_that_only_looks_sees_the_same(
    conversation: Call, ov: Remote, node: Node, server: Server
) -> None:
    other = await node.client(server.url, SECRET)
    assert await other.call("fetch") is True
    assert await other.call("fetch") is False
    theirs = await other.session("call")
    assert await theirs.read() == await conversation.session.read()
    assert await theirs.call("fetch") is False


async def test_fetch_notices_what_the_pages_do(conversation: Call, ov: Remote) -> None:
    session, ana, ben = conversation.session, conversation.ana, conversation.ben

    async def publisher() -> dict[str, Any]:
        [found] = (await session.connection(ana.id))["publishers"]
        return dict(found)

    for track in ("audio", "video"):
        for active in (False, True):
            await ana.mute(track, active)
            await ben.sees(
                "streamPropertyChanged",
                stream=conversation.of_ana, property=f"{track}Active", newValue=active,
            )  # fmt: skip
            assert await session.call("fetch") is True
            assert (await publisher())[f"{track}Active"] is active
            assert await session.call("fetch") is False

    await ana.call("unpublish")
    await ben.sees("streamDestroyed", stream=conversation.of_ana, reason="unpublish")
    assert await session.call("fetch") is True
    assert streams(await session.connection(ana.id)) == ([], [conversation.of_ben])
    assert streams(await session.connection(ben.id)) == ([conversation.of_ben], [])
    assert await session.call("fetch") is False

    silent = await ana.publish(**{**CAMERA, "audioSource": False, "frameRate": 10})
    await ben.sees("streamPlaying", stream=silent)
    await knows(session, ben, publishers=[conversation.of_ben], subscribers=[silent])
    found = await publisher()
    assert (found["hasAudio"], found["hasVideo"], found["frameRate"]) == (False, True, 10)
    assert "audioActive" not in found
    assert await session.call("fetch") is False

    await ana.call("unpublish")
    await ben.sees("streamDestroyed", stream=silent)
    voice = await ana.publish(videoSource=False)
    await ben.sees("streamPlaying", stream=voice)
    await knows(session, ben, publishers=[conversation.of_ben], subscribers=[voice])
    found = await publisher()
    assert (found["hasAudio"], found["hasVideo"], found["audioActive"]) == (True, False, True)
    assert not found.keys() & {"videoActive", "typeOfVideo", "frameRate", "videoDimensions"}
    assert await session.call("fetch") is False

    await ben.call("leave")
    await ana.sees("connectionDestroyed", connection=ben.id)
    assert await session.call("fetch") is True
    assert [one["connectionId"] for one in (await session.read())["connections"]] == [ana.id]
    assert await session.call("fetch") is False
    assert await ov.call("fetch") is False


async def test_updating_a_connection_is_told_to_its_page(conversation: Call, ov: Remote) -> None:
    session, ana, ben = conversation.session, conversation.ana, conversation.ben
    updated = await session.call("updateConnection", ben.id, {"role": "MODERATOR", "record": False})
    assert updated["connectionProperties"]["role"] == "MODERATOR"
    for name, old, new in (("role", "PUBLISHER", "MODERATOR"), ("record", True, False)):
        told = await ben.sees("connectionPropertyChanged", property=name)
        assert told["connection"] == ben.id
        assert (told["oldValue"], told["newValue"]) == (old, new)
    assert await ov.call("fetch") is False  # the server agrees with the client

    await session.call("updateConnection", ben.id, {"record": False})  # as it is: nothing to tell
    await session.call("updateConnection", ben.id, {"record": True})
    await ben.sees("connectionPropertyChanged", property="record", newValue=True)
    assert len(await ben.events("connectionPropertyChanged")) == 3
    assert await ana.events("connectionPropertyChanged") == []

    # A new role is a new right, at once.
    await ben.page.evaluate(
        "stream => client.session.forceUnpublish(client.subscribers.get(stream).stream)",
        conversation.of_ana,
    )
    await ana.sees("ownStreamDestroyed", reason="forceUnpublishByUser")


async def test_a_subscriber_may_publish_once_it_is_a_publisher(
    conversation: Call, pages: Pages
) -> None:
    session, ana = conversation.session, conversation.ana
    connection = await session.call("createConnection", {"role": "SUBSCRIBER"})
    guest = await pages.open()
    await guest.join(connection["token"])
    with pytest.raises(PageError):
        await guest.publish(**CAMERA)
    await session.call("updateConnection", guest.id, {"role": "PUBLISHER"})
    await guest.sees("connectionPropertyChanged", property="role", newValue="PUBLISHER")
    stream = await guest.publish(**CAMERA)
    await ana.sees("streamPlaying", stream=stream)


async def test_a_stream_can_be_unpublished_by_force(conversation: Call, ov: Remote) -> None:
    session, ana, ben = conversation.session, conversation.ana, conversation.ben
    [publisher] = (await session.connection(ben.id))["publishers"]
    await session.call("forceUnpublish", publisher)
    await ben.sees("ownStreamDestroyed", reason="forceUnpublishByServer")
    await ana.sees("streamDestroyed", stream=conversation.of_ben, reason="forceUnpublishByServer")
    assert streams(await session.connection(ben.id)) == ([], [conversation.of_ana])
    assert streams(await session.connection(ana.id)) == ([conversation.of_ana], [])
    assert await ov.call("fetch") is False  # the server agrees with the client
    with pytest.raises(Rejected, match=r"^404$"):
        await session.call("forceUnpublish", conversation.of_ben)

    again = await ben.publish(**CAMERA)
    await ana.sees("streamPlaying", stream=again)
    await knows(session, ana, publishers=[conversation.of_ana], subscribers=[again])
    await session.call("forceUnpublish", again)  # by its id
    await ana.sees("streamDestroyed", stream=again, reason="forceUnpublishByServer")


async def test_people_can_be_disconnected_by_force(
    conversation: Call, ov: Remote, pages: Pages
) -> None:
    session, ana, ben = conversation.session, conversation.ana, conversation.ben
    pending = await session.call("createConnection")
    await session.call("forceDisconnect", pending)
    await session.call("forceDisconnect", ben.id)
    await ben.sees("sessionDisconnected", reason="forceDisconnectByServer")
    await ana.sees("connectionDestroyed", connection=ben.id, reason="forceDisconnectByServer")
    await ana.sees("streamDestroyed", stream=conversation.of_ben, reason="forceDisconnectByServer")
    seen = await session.read()
    assert [one["connectionId"] for one in seen["connections"]] == [ana.id]
    assert seen["activeConnections"] == seen["connections"]
    assert await ov.call("fetch") is False  # the server agrees with the client
    with pytest.raises(Rejected, match=r"^404$"):
        await session.call("forceDisconnect", ben.id)

    guest = await pages.open()
    of_ana = await session.connection(ana.id)
    for token in (pending["token"], of_ana["token"]):  # gone, and in use
        with pytest.raises(PageError):
            await guest.join(token)
    await guest.join(await session.call("generateToken"), "by a token")
    await ana.sees("connectionCreated", connection=guest.id)
    assert await session.call("fetch") is True
    assert (await session.connection(guest.id))["clientData"] == "by a token"


async def test_closing_a_session_sends_everybody_home(conversation: Call, ov: Remote) -> None:
    await conversation.session.call("close")
    for client in (conversation.ana, conversation.ben):
        await client.sees("sessionDisconnected", reason="sessionClosedByServer")
        await client.sees("ownStreamDestroyed", reason="sessionClosedByServer")
    assert (await ov.read())["activeSessions"] == []
    assert await ov.call("fetch") is False
    assert await conversation.ana.events("exception") == []
