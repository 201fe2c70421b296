"""Sockets under pressure: hostile frames, floods, slow readers, silence."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from services.api.signaling.methods import METHODS
from services.conference.calls import PrepareOffer, Publish
from services.conference.commands import SendSignal
from services.eventlog.memory import MemoryLog
from services.settings import Sessions, Settings
from tests.unit.signaling.harness import (
    PUBLISH,
    SECONDS,
    Client,
    FakeNodes,
    World,
    replica,
    until,
)

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=40).filter(lambda text: text.isprintable())
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
MEMBERS = st.sampled_from(
    sorted({name for method in METHODS.values() for name in method.params.__struct_encode_fields__})
)


async def test_a_binary_frame_is_refused_and_the_socket_lives_on(world: World) -> None:
    client = await world.client()
    await client.raw(b'{"jsonrpc":"2.0","method":"ping","id":0}')
    frame = await client.wait(lambda frame: "error" in frame)
    assert frame["error"]["code"] == -32600
    await client.settle()


async def test_a_frame_that_is_no_request_is_answered_by_an_error(world: World) -> None:
    client = await world.client()
    for text in ("{", "[]", '{"jsonrpc":"2.0","id":7}'):
        await client.raw(text)
    await client.response(7)
    assert client.story() == ["error -32700", "error -32600", "error -32600"]
    assert all("id" not in frame for frame in client.frames[:2])


async def test_a_large_frame_is_taken_and_a_larger_one_ends_the_socket(world: World) -> None:
    client = await world.client()
    assert await client.result("ping", {"fill": "x" * 1_000_000}) == {"value": "pong"}
    await client.raw("x" * (1024 * 1024 + 1))
    assert (await client.wait_closed())[0] == 1009


async def test_the_path_is_exact(world: World) -> None:
    for path in ("/openvidu/info", "/openvidu/api", "/"):
        with pytest.raises(InvalidStatus):
            await connect(f"ws://127.0.0.1:{world.port}{path}", proxy=None)


async def test_any_origin_is_welcome_and_no_sub_protocol_is_chosen(world: World) -> None:
    client = await world.client(origin="https://elsewhere.example")
    await client.settle()
    assert client.socket.subprotocol is None


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
async def test_whatever_params_come_every_request_is_answered_once(
    world: World, data: st.DataObject
) -> None:
    """Each example is a burst on a joined and on a fresh socket."""
    methods = st.sampled_from([*(set(METHODS) - {"leaveRoom"}), "connect", "ping"])
    requests = data.draw(
        st.lists(
            st.tuples(methods, VALUES | st.dictionaries(MEMBERS, VALUES, max_size=5)),
            min_size=1,
            max_size=12,
        )
    )
    for client in (await world.user(), await world.client()):
        numbers = [await client.send(method, params) for method, params in requests]
        await client.response(numbers[-1])
        for number in numbers:
            await client.response(number)
        answered = [frame["id"] for frame in client.frames if "id" in frame]
        assert len(answered) == len(set(answered))
        await client.drop()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(frames=st.lists(st.text(max_size=200) | st.binary(max_size=50), max_size=8))
async def test_whatever_frames_come_the_socket_goes_on(
    world: World, frames: list[str | bytes]
) -> None:
    client = await world.client()
    for frame in frames:
        await client.raw(frame)
    await client.settle()
    await client.drop()


async def test_one_clients_slow_request_does_not_delay_another_client(
    world: World, nodes: FakeNodes
) -> None:
    a, b = await world.user(), await world.user()
    nodes.hold[Publish] = asyncio.Event()
    await a.send("publishVideo", PUBLISH)
    await b.result("echo", {})
    nodes.hold[Publish].set()


async def test_a_request_that_takes_too_long_is_answered_in_time(
    world: World, nodes: FakeNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.signaling.gateway.REQUEST_SECONDS", 0.1)
    a = await world.user()
    nodes.hold[Publish] = asyncio.Event()
    assert await a.code("publishVideo", PUBLISH) == 999
    assert (await a.result("echo", {}))["sessionId"] == a.rpc_id


@pytest.mark.parametrize(("limit", "value"), [("MAX_REQUESTS", 8), ("MAX_WAITING", 800)])
async def test_too_many_requests_at_once_are_refused_and_the_others_are_done(
    world: World, nodes: FakeNodes, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    a = await world.user()
    nodes.hold[Publish] = asyncio.Event()
    published = await a.send("publishVideo", PUBLISH)
    await until(lambda: bool(nodes.calls))  # it waits no more
    monkeypatch.setattr(f"services.api.signaling.peers.{limit}", value)
    message = {"message": "{}".ljust(100 - len('{"message": ""}'))}
    sent = [await a.send("sendMessage", message) for _ in range(10)]
    for number in sent[8:]:
        assert (await a.response(number))["error"]["code"] == 999
    nodes.hold[Publish].set()
    for number in (published, *sent[:8]):
        assert "result" in await a.response(number)
    assert "result" in await a.call("sendMessage", message)


async def test_what_is_only_answered_waits_for_nothing(world: World, nodes: FakeNodes) -> None:
    """A client that subscribes to many at once sends hundreds of candidates meanwhile, and one
    whose `echo` is not answered in 3 s takes the socket for dead (`signaling.md` 3.8, 3.19)."""
    a, b = await world.user(), await world.user()
    stream = await a.publish()
    nodes.hold[PrepareOffer] = asyncio.Event()
    prepared = await b.send("prepareReceiveVideoFrom", {"sender": stream, "reconnect": False})
    candidate = {"endpointName": a.id, "candidate": "candidate:1", "sdpMid": "0"}
    for _ in range(600):
        await b.send("onIceCandidate", {**candidate, "sdpMLineIndex": 0})
    assert await b.result("onIceCandidate", candidate) == {"sessionId": b.rpc_id}
    assert await b.result("echo", {}) == {"sessionId": b.rpc_id}
    assert await b.result("videoData", {"width": 1}) == {"sessionId": b.rpc_id}
    assert await b.code("onIceCandidate", {"candidate": 5}) == -32602
    assert not [frame for frame in b.frames if frame.get("id") == prepared]
    nodes.hold[PrepareOffer].set()
    assert "result" in await b.response(prepared)


async def test_the_time_a_request_waited_for_its_turn_counts(
    world: World, nodes: FakeNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client gives up 10 s after it asked, whatever the server did meanwhile."""
    monkeypatch.setattr("services.api.signaling.gateway.REQUEST_SECONDS", 0.5)
    users = [await world.user() for _ in range(3)]
    streams = [await user.publish() for user in users]
    a = await world.user()
    nodes.hold[PrepareOffer] = asyncio.Event()
    nodes.calls.clear()
    loop = asyncio.get_running_loop()
    since = loop.time()
    sent = [await a.send("prepareReceiveVideoFrom", {"sender": stream}) for stream in streams]
    for number in sent:
        assert (await a.response(number))["error"]["code"] == 999
    assert loop.time() - since < 3 * 0.5
    assert len(nodes.calls) == 1, "nothing is begun for who has given up"
    nodes.hold[PrepareOffer].set()
    assert "result" in await a.call("prepareReceiveVideoFrom", {"sender": streams[0]})


async def test_a_frame_larger_than_the_whole_queue_is_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.signaling.socket.OUTBOX_SIZE", 10_000)
    for _ in range(3):
        await world.user(metadata="m" * 5000)
    client = await world.client()
    assert len((await client.join("S1", await world.token("S1")))["value"]) == 3


async def test_a_flood_is_read_no_faster_than_it_is_allowed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.signaling.socket.BURST", 20)
    monkeypatch.setattr("services.api.signaling.socket.FRAMES_PER_SECOND", 100)
    loop = asyncio.get_running_loop()
    flooder, other = await world.client(), await world.client()
    started = loop.time()
    last = [await flooder.send("ping") for _ in range(60)][-1]
    await other.settle()
    await flooder.response(last)
    assert loop.time() - started >= 0.35, "40 frames above the burst take 0.4 s"


async def test_a_client_that_does_not_read_is_closed_and_delays_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.signaling.socket.OUTBOX_SIZE", 200_000)
    slow, other = await world.client(compression=None), await world.user()
    await slow.join("S1", await world.token("S1"))
    slow.socket.transport.pause_reading()
    peer = world.gateway._peers.find(slow.rpc_id)
    assert peer is not None
    number = 0
    async with asyncio.timeout(SECONDS):
        while peer.socket is not None:
            await large_signal(world, number)
            await other.wait(lambda frame, n=number: large_number(frame) == n)
            number += 1
    again = await world.client()
    await again.result("connect", {"sessionId": slow.rpc_id})
    await assert_each_came_once(slow, again, number)


async def test_a_newer_socket_gets_what_waited_for_one_that_stalled(world: World) -> None:
    slow, other = await world.client(compression=None), await world.user()
    await slow.join("S1", await world.token("S1"))
    slow.socket.transport.pause_reading()
    peer = world.gateway._peers.find(slow.rpc_id)
    assert peer is not None
    stalled = peer.socket
    assert stalled is not None
    number = 0
    async with asyncio.timeout(SECONDS):
        while len(stalled._outbox) < 3:
            await large_signal(world, number)
            await other.wait(lambda frame, n=number: large_number(frame) == n)
            number += 1
    again = await world.client()
    await again.result("connect", {"sessionId": slow.rpc_id})
    await assert_each_came_once(slow, again, number)


async def large_signal(world: World, number: int) -> None:
    await world.execute("S1", SendSignal(data=f"{number} {'x' * 100_000}"))


def large_number(frame: dict[str, Any]) -> int | None:
    if frame.get("method") != "sendMessage":
        return None
    return int(frame["params"]["data"].split()[0])


async def assert_each_came_once(first: Client, second: Client, count: int) -> None:
    """What never reached the network by the first socket came by the second, and only that."""
    await second.wait(lambda frame: large_number(frame) == count - 1)
    first.socket.transport.resume_reading()
    await first.wait_closed()
    came = [
        number
        for client in (first, second)
        for frame in client.frames
        if (number := large_number(frame)) is not None
    ]
    assert came == list(range(count))


async def test_a_client_that_stops_pinging_is_closed(world: World) -> None:
    a = await world.user()
    await a.call("ping", {"interval": 100})
    assert await a.wait_closed() == (1000, "Close for not receive ping from client")
    again = await world.client()
    await again.result("connect", {"sessionId": a.rpc_id})


async def test_other_requests_are_no_pings(nodes: FakeNodes) -> None:
    impatient = Settings(sessions=Sessions(ping_interval=0.5))
    async with replica(MemoryLog(), impatient, nodes) as world:
        await world.session("S1")
        a = await world.user()
        while a.closed is None:
            with suppress(ConnectionClosed):
                await a.send("echo", {})
            await asyncio.sleep(0.02)
        assert a.closed == (1000, "Close for not receive ping from client")


async def test_pings_keep_a_socket_that_never_joins(world: World) -> None:
    client = await world.client()
    await client.call("ping", {"interval": 300})
    loop = asyncio.get_running_loop()
    end = loop.time() + 1.5  # without a ping it would be closed after 0.9 s
    while loop.time() < end:
        await client.result("ping")
        await asyncio.sleep(0.05)
    assert client.closed is None


@pytest.mark.parametrize("interval", [0, -5, 1e300, 5000.5])
async def test_any_ping_interval_is_answered(world: World, interval: float) -> None:
    client = await world.client()
    assert await client.result("ping", {"interval": interval}) == {"value": "pong"}


@pytest.mark.parametrize("params", [{"interval": "x"}, [], "x", {"interval": [1]}])
async def test_a_ping_of_a_wrong_form_is_refused(world: World, params: Any) -> None:
    client = await world.client()
    assert await client.code("ping", params) == -32602


async def test_a_crowd_of_signals_keeps_its_order(world: World) -> None:
    a, b = await world.user(), await world.user()
    numbers = [
        await a.send("sendMessage", {"message": json.dumps({"to": [], "data": str(number)})})
        for number in range(100)
    ]
    await a.response(numbers[-1])
    for client in (a, b):
        await client.note("sendMessage", data="99")
        told = [f["params"]["data"] for f in client.frames if f.get("method") == "sendMessage"]
        assert told == [str(number) for number in range(100)]
    answered = [frame["id"] for frame in a.frames if frame.get("id", -1) in numbers]
    assert answered == numbers
