"""The list "what breaks the real client" (`signaling.md` section 8): the rows that a media node's
descriptions show."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from services.conference.calls import Call, Reply
from services.eventlog.memory import MemoryLog
from services.media.node import Node
from services.settings import Ice, Settings
from tests.unit.media import offers
from tests.unit.signaling.harness import PUBLISH, FakeNodes, replica, until


class MediaNodes(FakeNodes):
    """A media node in this process, on a port that nobody sends to."""

    def __init__(self) -> None:
        super().__init__()
        self.node = Node("127.0.0.1", range(1))

    async def call(self, node_id: str, call: Call, timeout: float = 5) -> Reply:  # noqa: ASYNC109
        return self.node.handle(call)


@pytest.fixture
async def media() -> AsyncIterator[MediaNodes]:
    nodes = MediaNodes()
    running = asyncio.create_task(nodes.node.run())
    await until(lambda: nodes.node.serving)
    yield nodes
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


def kinds(description: str) -> list[str]:
    """Of the media lines, in order."""
    return re.findall(r"^m=(\w+) ", description, re.MULTILINE)


def lines(description: str) -> list[str]:
    """The media lines with what belongs to them."""
    return re.split(r"^m=", description, flags=re.MULTILINE)[1:]


async def test_rows_27_and_28_candidates_stand_in_the_descriptions_only(
    media: MediaNodes,
) -> None:
    async with replica(MemoryLog(), Settings(), media) as world:
        await world.session("S1")
        a, b = await world.user(), await world.user()
        result = await a.result("publishVideo", {**PUBLISH, "sdpOffer": offers.publisher()})
        prepare = {"sender": result["id"], "reconnect": False}
        offer = (await b.result("prepareReceiveVideoFrom", prepare))["sdpOffer"]
        host, port = media.node.port.address
        for description in (result["sdpAnswer"], offer):
            assert f" {host} {port} typ host" in description
        for client in (a, b):
            await client.settle()
            assert "iceCandidate" not in client.story()


@pytest.mark.parametrize("declared", [("audio", "video"), ("audio",), ("video",)])
async def test_rows_30_and_31_a_subscriber_is_offered_one_line_of_each_declared_kind(
    media: MediaNodes, declared: tuple[str, ...]
) -> None:
    """Also of four lines, as 2.18 publishes."""
    async with replica(MemoryLog(), Settings(), media) as world:
        await world.session("S1")
        for sdp in (offers.publisher(), offers.four_lines()):
            a, b = await world.user(), await world.user()
            flags = {"hasAudio": "audio" in declared, "hasVideo": "video" in declared}
            stream = await a.publish(sdpOffer=sdp, **flags)
            prepare = {"sender": stream, "reconnect": False}
            offer = (await b.result("prepareReceiveVideoFrom", prepare))["sdpOffer"]
            assert sorted(kinds(offer)) == sorted(declared)
            asked = {"sender": stream, "sdpOffer": offers.receiver()}
            answer = (await b.result("receiveVideoFrom", asked))["sdpAnswer"]
            assert kinds(answer) == ["audio", "video"], "each line of the offer"
            assert answer.count("a=sendonly") == len(declared)


@pytest.mark.parametrize("sdp", [offers.publisher(), offers.four_lines(), offers.simulcast()])
async def test_row_32_every_line_of_an_offer_is_answered(media: MediaNodes, sdp: str) -> None:
    async with replica(MemoryLog(), Settings(), media) as world:
        await world.session("S1")
        a = await world.user()
        answer = (await a.result("publishVideo", {**PUBLISH, "sdpOffer": sdp}))["sdpAnswer"]
        assert kinds(answer) == kinds(sdp)


async def test_row_45_no_unreachable_server_is_asked_before_an_answer(media: MediaNodes) -> None:
    ice = Ice(turn_host="192.0.2.1", turn_enabled=True)  # of a network that leads nowhere
    async with replica(MemoryLog(), Settings(ice=ice), media) as world:
        await world.session("S1")
        a, b = await world.user(), await world.user()
        stream = await a.publish(sdpOffer=offers.publisher())
        await b.result("prepareReceiveVideoFrom", {"sender": stream, "reconnect": False})


async def test_row_33_the_first_line_of_a_kind_carries_the_media(media: MediaNodes) -> None:
    async with replica(MemoryLog(), Settings(), media) as world:
        await world.session("S1")
        a = await world.user()
        sdp = offers.four_lines()
        result = await a.result("publishVideo", {**PUBLISH, "sdpOffer": sdp})
        first, second, *others = lines(result["sdpAnswer"])
        for line in (first, second):
            assert "a=recvonly" in line
        for line in others:
            assert "a=inactive" in line
        tracks = media.node.publications[result["id"]].tracks
        assert [tracks[kind].mid for kind in ("audio", "video")] == ["0", "1"]


async def test_row_34_of_layers_the_full_one_is_among_those_taken(media: MediaNodes) -> None:
    async with replica(MemoryLog(), Settings(), media) as world:
        await world.session("S1")
        a = await world.user()
        sdp = offers.simulcast()
        answer = (await a.result("publishVideo", {**PUBLISH, "sdpOffer": sdp}))["sdpAnswer"]
        (taken,) = re.findall(r"^a=simulcast:recv (\S+)", answer, re.MULTILINE)
        assert "rdiv1" in taken.split(";")
