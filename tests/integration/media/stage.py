"""Helpers of the media tests: a node with clients, packets, waiting."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable

import pytest

from services.conference.calls import AcceptAnswer, Answer, Done, Offer, PrepareOffer, Publish
from services.media.node import Node
from tests.integration.media.peer import AUDIO_SSRC, VIDEO_SSRC, Peer

SESSION, PUBLISHER, STREAM = "ses", "con_P", "str_P"


async def until(
    condition: Callable[[], object], what: str, seconds: float = 10.0, *, pause: float = 0.005
) -> None:
    """Wait for a condition; looks each 5 ms."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - any condition, not one event
                await asyncio.sleep(pause)
    except TimeoutError:
        pytest.fail(f"not in {seconds} s: {what}")


def video(
    sequence: int, payload: bytes = b"", *, pt: int = 96, ssrc: int = VIDEO_SSRC, at: int = 0
) -> bytes:
    """A packet; its payload tells its number if none is given."""
    head = struct.pack("!BBHII", 0x80, pt, sequence & 0xFFFF, at or sequence * 3000, ssrc)
    return head + (payload or b"video %d" % sequence)


def audio(sequence: int) -> bytes:
    head = struct.pack("!BBHII", 0x80, 0x80 | 111, sequence & 0xFFFF, sequence * 960, AUDIO_SSRC)
    return head + b"audio %d" % sequence


class Stage:
    """A node and its clients."""

    def __init__(self, node: Node, host: str = "127.0.0.1") -> None:
        """Clients have that address."""
        self.node = node
        self.host = host
        self.peers: list[Peer] = []

    def peer(self) -> Peer:
        peer = Peer(host=self.host)
        self.peers.append(peer)
        return peer

    async def publish(
        self,
        *,
        stream: str = STREAM,
        connection: str = PUBLISHER,
        loopback: bool = False,
        limit: int = 0,
        relay: tuple[str, int] | None = None,
    ) -> Peer:
        peer = self.peer()
        direction = "sendrecv" if loopback else "sendonly"
        answer = self.node.handle(
            Publish(
                SESSION,
                connection,
                stream,
                peer.offer(direction=direction),
                has_audio=True,
                has_video=True,
                loopback=loopback,
                max_send_kbps=limit,
            )
        )
        assert isinstance(answer, Answer), answer
        peer.description = answer.sdp_answer
        await peer.connect(answer.sdp_answer, relay)
        return peer

    async def subscribe(
        self,
        connection: str = "con_S",
        *,
        stream: str = STREAM,
        relay: tuple[str, int] | None = None,
    ) -> Peer:
        """In the shape where the server offers."""
        peer = self.peer()
        offer = self.node.handle(PrepareOffer(SESSION, connection, stream))
        assert isinstance(offer, Offer), offer
        peer.description = offer.sdp_offer
        done = self.node.handle(AcceptAnswer(connection, stream, peer.answer()))
        assert done == Done()
        await peer.connect(offer.sdp_offer, relay)
        # The server's side of the handshake ends a little later.
        subscription = self.node.publications[stream].subscriptions[connection]
        await until(
            lambda: all(e.source or e.waiting for e in subscription.edges.values()),
            "edges are connected",
        )
        return peer
