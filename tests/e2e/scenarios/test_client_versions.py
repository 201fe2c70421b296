"""The scenarios of `signaling.md` 7 with clients of four versions in both negotiation modes.

Each run is one conference; the oldest clients speak nothing but TLS, so all of them do. With
`E2E_VERSIONS=all` (`make e2e-versions`) every version goes through every scenario in both modes.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.page_client import FOLDERS, NEWEST, Client, Pages
from tests.e2e.server_under_test import Server

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

SMALL = {"resolution": "320x240", "frameRate": 15}
ENDS = ("unpublish", "forceUnpublishByUser", "forceUnpublishByServer")  # of a stream
SIGNALS_FROM_REST = "/openvidu/api/signal"


@dataclass
class Room:
    server: Server
    session: str
    mode: str
    version: str
    ana: Client  # moderator
    ben: Client  # publisher
    cleo: Client  # subscriber
    of_ana: str = ""
    of_ben: str = ""

    @property
    def path(self) -> str:
        return f"/openvidu/api/sessions/{self.session}"

    async def token(self, role: str = "PUBLISHER") -> str:
        return await self.server.new_token(self.session, role=role)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Server]:
    started = Server(
        tmp_path_factory.mktemp(request.param),
        tls=True,
        OPENVIDU_ENTERPRISE_MEDIA_SERVER=request.param,
    )
    await started.start()
    yield started
    await started.stop()


async def everything(room: Room) -> None:
    await _first_joins(room)
    await _all_join_and_see_each_other(room)
    await _mute(room)
    await _signals(room)
    await _media_connections_are_made_again(room)
    await _streams_are_ended(room)
    await _participants_are_ended(room)


async def the_heart(room: Room) -> None:
    await _first_joins(room)
    await _all_join_and_see_each_other(room)
    for client in (room.ben, room.cleo):
        await client.call("leave")
        await client.sees("sessionDisconnected", reason="disconnect")
        await room.ana.sees("connectionDestroyed", connection=client.id, reason="disconnect")
    await room.ana.call("leave")
    await room.ana.sees("sessionDisconnected", reason="disconnect")


Scenario = Callable[[Room], Awaitable[None]]
EVERY_RUN: list[tuple[str, str, Scenario]] = [
    ("mediasoup", "2.18.0", everything),
    ("mediasoup", "2.27.0", the_heart),
    ("kurento", "2.20.0", the_heart),
    ("kurento", NEWEST, everything),
]
ALL: list[tuple[str, str, Scenario]] = [
    (mode, version, everything) for mode in ("mediasoup", "kurento") for version in FOLDERS
]
RUNS = ALL if os.environ.get("E2E_VERSIONS") == "all" else EVERY_RUN


@pytest.mark.parametrize(
    ("server", "version", "scenario"),
    RUNS,
    indirect=["server"],
    ids=lambda value: getattr(value, "__name__", value),
)
async def test_a_conference(server: Server, pages: Pages, version: str, scenario: Scenario) -> None:
    mode = (await server.get("/openvidu/api/config"))["OPENVIDU_ENTERPRISE_MEDIA_SERVER"]
    session = f"{mode}-{version.replace('.', '-')}"
    await server.new_session(customSessionId=session)
    people = [await pages.open(version) for _ in range(3)]
    room = Room(server, session, mode, version, *people)
    await scenario(room)
    for client in people:
        assert not await client.events("exception")
        assert not await client.events("reconnecting")
        await _frames_are_well_formed(client)
        await client.context.close()


async def _first_joins(room: Room) -> None:
    """7.1."""
    ana = room.ana
    await ana.join(await room.token("MODERATOR"), "ana")
    ping, *_ = [frame for frame in await ana.frames() if frame["sent"]]
    assert (ping["method"], ping["id"], ping["params"]) == ("ping", 0, {"interval": 5000})
    (pong,) = [frame for frame in await ana.frames() if frame.get("id") == 0 and not frame["sent"]]
    assert pong == {"sent": False, "id": 0, "result": {"value": "pong"}, "jsonrpc": "2.0"}
    joined = await _answer(ana, "joinRoom")
    assert joined["value"] == []
    assert joined["role"] == "MODERATOR"


async def _all_join_and_see_each_other(room: Room) -> None:
    """7.2, 7.3 and 7.4: somebody who comes before a stream, somebody who comes after it."""
    ana, ben, cleo = room.ana, room.ben, room.cleo
    room.of_ana = await ana.publish(**SMALL)
    await ben.join(await room.token(), "ben")
    await ana.sees("connectionCreated", connection=ben.id)
    room.of_ben = await ben.publish(**SMALL)
    await cleo.join(await room.token("SUBSCRIBER"), "cleo")
    await _all_play((ana, room.of_ben), (ben, room.of_ana))
    await _all_play((cleo, room.of_ana), (cleo, room.of_ben))
    joined = await _answer(cleo, "joinRoom")
    assert joined["mediaServer"] == room.mode
    assert [other["id"] for other in joined["value"]] == [ana.id, ben.id]
    assert len(await cleo.frames("prepareReceiveVideoFrom")) == (
        2 if room.mode == "mediasoup" else 0
    )
    assert not await ana.frames("participantEvicted")
    assert (await cleo.refused("publish", SMALL))["name"] == "OPENVIDU_PERMISSION_DENIED"


async def _mute(room: Room) -> None:
    """7.5."""
    ana, ben, cleo = room.ana, room.ben, room.cleo
    for track in ("audio", "video"):
        for active in (False, True):
            await ana.mute(track, active)
            change = {"stream": room.of_ana, "property": f"{track}Active", "newValue": active}
            await ben.sees("streamPropertyChanged", **change)
            await cleo.sees("streamPropertyChanged", **change)
    await cleo.plays(room.of_ana, frames=10)


async def _signals(room: Room) -> None:
    """7.12."""
    ana, ben, cleo = room.ana, room.ben, room.cleo
    await ana.call("signal", "to all", "greeting")
    await ana.call("signal", "to ben", "note", [{"connectionId": ben.id}])
    refused = await ana.refused(
        "signal", "to nobody", "note", [{"connectionId": ben.id}, {"connectionId": "con_Nobody"}]
    )
    assert refused["code"] == 601
    body = {"session": room.session, "to": [], "type": "rest", "data": "from REST"}
    await room.server.post(SIGNALS_FROM_REST, body)
    for client, notes in ((ana, []), (ben, ["to ben"]), (cleo, [])):
        await client.sees("signal", signal="signal:rest", data="from REST")
        heard = [signal["data"] for signal in await client.events("signal")]
        assert heard == ["to all", *notes, "from REST"]


async def _media_connections_are_made_again(room: Room) -> None:
    """3.17: on both sides, and nobody is told."""
    ana, ben, cleo = room.ana, room.ben, room.cleo
    before = [len(await client.events("streamCreated")) for client in (ana, ben, cleo)]
    await ana.call("reconnect", room.of_ana)
    await cleo.call("reconnect", room.of_ben)
    assert await ana.page.evaluate("client.publisher.stream.streamId") == room.of_ana
    await _all_play((ben, room.of_ana), (cleo, room.of_ana), (cleo, room.of_ben))
    assert [len(await client.events("streamCreated")) for client in (ana, ben, cleo)] == before
    for client in (ana, ben, cleo):
        assert not await client.events("streamDestroyed")


async def _streams_are_ended(room: Room) -> None:
    """By their publisher (7.6), by a moderator (3.11) and by REST (7.10)."""
    ana, ben, cleo = room.ana, room.ben, room.cleo
    for count, reason in enumerate(ENDS, 1):
        if reason == "unpublish":
            await ben.call("unpublish")
        elif reason == "forceUnpublishByUser":
            refused = await cleo.refused("forceUnpublish", room.of_ben)
            assert refused["name"] == "OPENVIDU_PERMISSION_DENIED"
            await ana.call("forceUnpublish", room.of_ben)
        else:
            await room.server.delete(f"{room.path}/stream/{room.of_ben}")
        for client in (ana, cleo):
            await client.sees("streamDestroyed", stream=room.of_ben, reason=reason)
        await ben.sees("ownStreamDestroyed", reason=reason)
        room.of_ben = await ben.publish(**SMALL)
        await cleo.plays(room.of_ben, frames=10)
        assert len(await ben.events("ownStreamDestroyed")) == count


async def _participants_are_ended(room: Room) -> None:
    """By a moderator (7.8), by REST (7.9), by themselves (7.7), with the session (7.11)."""
    ana, ben, cleo = room.ana, room.ben, room.cleo
    refused = await cleo.refused("forceDisconnect", ben.id)
    assert refused["name"] == "OPENVIDU_PERMISSION_DENIED"
    evicted, moderated = ben.id, len(await ana.frames())
    await ana.call("forceDisconnect", evicted)
    await ben.sees("sessionDisconnected", reason="forceDisconnectByUser")
    await cleo.sees("streamDestroyed", stream=room.of_ben, reason="forceDisconnectByUser")
    await cleo.sees("connectionDestroyed", connection=evicted, reason="forceDisconnectByUser")
    told = [f for f in (await ana.frames())[moderated:] if not f["sent"]]
    request = (await ana.frames("forceDisconnect"))[-1]["id"]
    order = [f.get("method", f.get("id")) for f in told]
    assert _subset(order, "participantLeft", request, "participantEvicted") == [
        "participantLeft",
        request,
        "participantEvicted",
    ]
    assert not await ben.frames("leaveRoom")
    if room.version not in ("2.18.0", "2.20.0"):  # those pass no codes on
        assert (await ben.page.evaluate("client.closes"))[-1] == 4102

    await ben.join(await room.token(), "ben")
    await room.server.delete(f"{room.path}/connection/{ben.id}")
    await ben.sees("sessionDisconnected", reason="forceDisconnectByServer")
    await cleo.sees("connectionDestroyed", connection=ben.id, reason="forceDisconnectByServer")

    await ben.join(await room.token(), "ben")
    await ben.plays(room.of_ana, frames=5)  # 2.18 throws if it leaves with a subscription half made
    await ben.call("leave")
    await cleo.sees("connectionDestroyed", connection=ben.id, reason="disconnect")

    await ben.join(await room.token(), "ben")
    await room.server.delete(room.path)
    for client in (ana, ben, cleo):
        await client.sees("sessionDisconnected", reason="sessionClosedByServer")
    for client in (ana, cleo):
        assert len(await client.events("sessionDisconnected")) == 1


async def _frames_are_well_formed(client: Client) -> None:
    """Sections 1.3 and 8: what would make the client throw a frame away."""
    for frame in await client.frames():
        if frame["sent"]:
            continue
        assert frame["jsonrpc"] == "2.0"
        if "method" in frame:
            assert "id" not in frame
        else:
            assert ("result" in frame) != ("error" in frame), frame
            assert "dest" not in frame.get("result", frame.get("error"))
        assert not _has_null(frame), frame


async def _all_play(*seen: tuple[Client, str]) -> None:
    await asyncio.gather(*(client.plays(stream, frames=10) for client, stream in seen))


def _has_null(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_null(member) for member in value.values())
    if isinstance(value, list):
        return any(_has_null(member) for member in value)
    return value is None


def _subset(seen: list[Any], *wanted: Any) -> list[Any]:
    return [item for item in seen if item in wanted]


async def _answer(client: Client, method: str) -> dict[str, Any]:
    """The result of the last request of this method."""
    request = (await client.frames(method))[-1]["id"]
    (answer,) = [f for f in await client.frames() if f.get("id") == request and not f["sent"]]
    return dict(answer["result"])
