"""pyopenvidu while people are in the session: real pages, real media."""

from __future__ import annotations

from typing import Any, NamedTuple

import pyopenvidu
import pytest
import pytest_asyncio
from pyopenvidu.openvidusession import OpenViduSession

from tests.compat.people import meet
from tests.compat.python_client import WARNING, Connect, recent
from tests.e2e.page_client import Client, Pages
from tests.e2e.server_under_test import eventually

pytestmark = [
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.timeout(90),
    pytest.mark.filterwarnings(WARNING),
]


class Call(NamedTuple):
    """Ana and Ben talk to each other, and the client library knows it: `session` is fetched."""

    session: OpenViduSession
    ana: Client
    ben: Client
    of_ana: str
    of_ben: str


@pytest_asyncio.fixture(loop_scope="package")
async def conversation(connect: Connect, pages: Pages) -> Call:
    session = connect().create_session("call")
    for_ana = session.create_webrtc_connection("MODERATOR", data="server: ana")
    for_ben = session.create_webrtc_connection()
    assert for_ana.token
    assert for_ben.token
    call = Call(session, *await meet(pages, for_ana.token, for_ben.token))

    def complete() -> bool:
        session.fetch()
        return all(
            (one.publisher_count, one.subscriber_count) == (1, 1) for one in session.connections
        )

    await eventually(complete, what="both publish and subscribe")
    assert session.fetch() is False
    return call


async def test_active_connections_tell_who_is_there(conversation: Call, connect: Connect) -> None:
    session = conversation.session
    assert [one.id for one in session.connections] == [conversation.ana.id, conversation.ben.id]
    ana, ben = session.connections
    assert session.get_connection(ben.id) is ben
    assert (ana.client_data, ana.server_data) == ("client: ana", "server: ana")
    assert (ben.client_data, ben.server_data) == ("client: ben", "")
    for one, own, received in (
        (ana, conversation.of_ana, conversation.of_ben),
        (ben, conversation.of_ben, conversation.of_ana),
    ):
        assert one.platform.startswith("Chrome")
        assert recent(one.active_at)
        [publisher], [subscriber] = one.publishers, one.subscribers
        assert (publisher.stream_id, subscriber.stream_id) == (own, received)
        assert recent(publisher.created_at)
        assert recent(subscriber.created_at)
        options: dict[str, Any] = publisher.media_options
        assert (options["hasAudio"], options["hasVideo"], options["filter"]) == (True, True, {})
        assert one.fetch() is False
    with pytest.raises(pyopenvidu.OpenViduConnectionDoesNotExistsError):
        session.get_connection("con_Nobody")
    other = connect()
    assert other.get_session("call").connections == session.connections
    assert other.fetch() is False


async def test_fetch_notices_what_the_pages_do(conversation: Call) -> None:
    session = conversation.session
    ana, ben = session.connections
    await conversation.ana.mute("video", False)
    await conversation.ben.sees("streamPropertyChanged", property="videoActive", newValue=False)
    assert ana.fetch() is True
    assert ana.publishers[0].media_options["videoActive"] is False
    assert ben.fetch() is False
    assert session.fetch() is True
    assert session.fetch() is False
    await conversation.ben.call("leave")
    await conversation.ana.sees("connectionDestroyed", connection=ben.id)
    with pytest.raises(pyopenvidu.OpenViduConnectionDoesNotExistsError):
        ben.fetch()
    assert session.fetch() is True
    assert [one.id for one in session.connections] == [ana.id]
    assert session.connections[0].subscribers == []


async def test_signals_reach_whom_they_are_for(conversation: Call) -> None:
    session, ana, ben = conversation.session, conversation.ana, conversation.ben
    session.signal("greeting", "to all")
    session.signal("note", "to Ben", to=[session.get_connection(ben.id)])
    session.get_connection(ben.id).signal(data="without a type")
    session.get_connection(ana.id).signal("empty")
    session.signal("last", "to all")
    for client, between in (
        (ana, [("signal:empty", None)]),
        (ben, [("signal:note", "to Ben"), ("signal", "without a type")]),
    ):
        await client.sees("signal", signal="signal:last")
        told = await client.events("signal")
        assert [(one["signal"], one["data"]) for one in told] == [
            ("signal:greeting", "to all"),
            *between,
            ("signal:last", "to all"),
        ]
        assert [one["from"] for one in told] == [None] * len(told)


async def test_a_signal_to_nobody_is_an_error(conversation: Call, connect: Connect) -> None:
    empty = connect().create_session("empty")
    with pytest.raises(pyopenvidu.OpenViduConnectionDoesNotExistsError):
        empty.signal("greeting", "to nobody")
    session, ben = conversation.session, conversation.ben
    gone = session.get_connection(ben.id)
    await ben.call("leave")
    await conversation.ana.sees("connectionDestroyed", connection=ben.id)
    with pytest.raises(pyopenvidu.OpenViduConnectionDoesNotExistsError):
        gone.signal("greeting", "too late")
    with pytest.raises(pyopenvidu.OpenViduConnectionDoesNotExistsError):
        session.signal("greeting", "too late", to=[gone])


async def test_streams_can_be_unpublished_by_force(conversation: Call) -> None:
    session, ana, ben = conversation.session, conversation.ana, conversation.ben
    of_ana, of_ben = session.connections
    [publisher] = of_ana.publishers
    publisher.force_unpublish()
    of_ben.force_unpublish_all_streams()
    for client, other, stream in (
        (ana, ben, conversation.of_ana), (ben, ana, conversation.of_ben)
    ):  # fmt: skip
        await client.sees("ownStreamDestroyed", reason="forceUnpublishByServer")
        await other.sees("streamDestroyed", stream=stream, reason="forceUnpublishByServer")
    assert session.fetch() is True
    for one in session.connections:
        assert (one.publishers, one.subscribers) == ([], [])
    with pytest.raises(pyopenvidu.OpenViduStreamDoesNotExistsError):
        publisher.force_unpublish()
    session.close()
    with pytest.raises(pyopenvidu.OpenViduSessionDoesNotExistsError):
        publisher.force_unpublish()


async def test_people_can_be_sent_away(conversation: Call) -> None:
    session, ana, ben = conversation.session, conversation.ana, conversation.ben
    session.get_connection(ben.id).force_disconnect()
    await ben.sees("sessionDisconnected", reason="forceDisconnectByServer")
    await ana.sees("connectionDestroyed", connection=ben.id, reason="forceDisconnectByServer")
    assert session.fetch() is True
    assert [one.id for one in session.connections] == [ana.id]
    session.close()
    await ana.sees("sessionDisconnected", reason="sessionClosedByServer")
