"""Whole WebRTC clients of another make: aiortc's RTCPeerConnection, encoding and decoding."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from aiortc import (
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import AudioStreamTrack, MediaStreamTrack, VideoStreamTrack

from services.conference.calls import (
    AcceptAnswer,
    Answer,
    Done,
    Offer,
    PrepareOffer,
    Publish,
    Subscribe,
)
from services.media.node import Node
from tests.integration.media.stage import PUBLISHER, SESSION, STREAM, until


def own_address() -> str:
    """An address of this machine that is not 127.0.0.1, which aioice would not use."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return str(probe.getsockname()[0])


@pytest.fixture
async def reachable_node() -> AsyncIterator[Node]:
    node = Node(own_address(), range(1))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(node.run())
        await until(lambda: node.serving, "the node serves")
        yield node
        running.cancel()


def client() -> RTCPeerConnection:
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


async def publish(node: Node, peer: RTCPeerConnection) -> None:
    peer.addTrack(AudioStreamTrack())
    peer.addTrack(VideoStreamTrack())
    await peer.setLocalDescription(await peer.createOffer())
    answer = node.handle(
        Publish(
            SESSION,
            PUBLISHER,
            STREAM,
            peer.localDescription.sdp,
            has_audio=True,
            has_video=True,
        )
    )
    assert isinstance(answer, Answer), answer
    await peer.setRemoteDescription(RTCSessionDescription(answer.sdp_answer, "answer"))


async def frames(tracks: list[MediaStreamTrack], count: int) -> dict[str, int]:
    """Decode from each track; the sizes of the last frames by kind."""
    sizes: dict[str, int] = {}
    async with asyncio.timeout(20):
        for track in tracks:
            for _ in range(count):
                frame = await track.recv()
            sizes[track.kind] = frame.width if track.kind == "video" else frame.sample_rate
    return sizes


@pytest.mark.parametrize("server_offers", [True, False])
async def test_pictures_and_sound_arrive_at_an_aiortc_client(
    reachable_node: Node, server_offers: bool
) -> None:
    node = reachable_node
    publisher, subscriber = client(), client()
    tracks: list[MediaStreamTrack] = []
    subscriber.on("track", tracks.append)
    try:
        await publish(node, publisher)
        if server_offers:
            offer = node.handle(PrepareOffer(SESSION, "con_S", STREAM))
            assert isinstance(offer, Offer)
            await subscriber.setRemoteDescription(RTCSessionDescription(offer.sdp_offer, "offer"))
            await subscriber.setLocalDescription(await subscriber.createAnswer())
            answer = AcceptAnswer("con_S", STREAM, subscriber.localDescription.sdp)
            assert node.handle(answer) == Done()
        else:
            subscriber.addTransceiver("audio", direction="recvonly")
            subscriber.addTransceiver("video", direction="recvonly")
            await subscriber.setLocalDescription(await subscriber.createOffer())
            reply = node.handle(
                Subscribe(SESSION, "con_S", STREAM, subscriber.localDescription.sdp)
            )
            assert isinstance(reply, Answer), reply
            await subscriber.setRemoteDescription(RTCSessionDescription(reply.sdp_answer, "answer"))
        assert await frames(tracks, 20) == {"audio": 48000, "video": 640}
    finally:
        await publisher.close()
        await subscriber.close()
