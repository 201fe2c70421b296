"""Subscriptions whose transport ended by itself get a new one, by the server's offer (4.15).

The client would notice, too, but only when its ICE gives up. So this is help, not a duty: whatever
goes wrong here is left to the client.
"""

from __future__ import annotations

import asyncio

import structlog

from services.api.nodes import NodeUnavailable
from services.conference.calls import Offer, PrepareOffer, TransportLost
from services.conference.model import Direction
from services.eventlog.log import LogError

from . import rpc
from .call import Services, ask, find_caller, find_publisher
from .errors import RpcError
from .limits import Limits
from .peers import Key, Peer, Peers

ATTEMPTS = 3
ANSWER_SECONDS = 10.0  # for the client's answer to an offer; then it gets another one
REST_SECONDS = 5.0  # from one renewal of a subscription to the next
AT_ONCE = 500  # renewals; more are left to the clients
OFFER_MS = 30_000  # so long an offer that the client asked for may wait for its answer

log = structlog.get_logger(__name__)


class Renewals:
    """`lost` does not wait."""

    def __init__(self, services: Services, peers: Peers) -> None:
        self._services = services
        self._peers = peers
        self._running: set[tuple[Key, str]] = set()

    def lost(self, lost: TransportLost) -> None:
        key = Key(lost.session_id, lost.connection_id)
        peer = self._peers.served(key)
        if lost.direction is not Direction.INBOUND or peer is None:
            return  # a publisher renews its stream itself, and so does who comes back
        if (key, lost.stream_id) in self._running or len(self._running) >= AT_ONCE:
            return
        self._running.add((key, lost.stream_id))
        self._services.spawn(self._renew(key, peer, lost))

    async def _renew(self, key: Key, peer: Peer, lost: TransportLost) -> None:
        answered = peer.renewing[lost.stream_id] = asyncio.Event()
        try:
            for _ in range(ATTEMPTS):
                if not await self._offer(peer, lost):
                    return
                try:
                    async with asyncio.timeout(ANSWER_SECONDS):
                        await answered.wait()
                except TimeoutError:
                    continue
                await asyncio.sleep(REST_SECONDS)
                return
        except (RpcError, LogError, NodeUnavailable, TimeoutError) as error:
            log.debug("subscription not renewed", stream=lost.stream_id, reason=str(error))
        finally:
            del peer.renewing[lost.stream_id]
            self._running.discard((key, lost.stream_id))

    async def _offer(self, peer: Peer, lost: TransportLost) -> bool:
        """False if there is nothing to renew any more."""
        stream_id = lost.stream_id
        session, connection = await find_caller(self._services.bus, peer)
        node = session.media_node
        if node is None or node.id != lost.node_id or stream_id not in connection.subscriptions:
            return False
        publisher = find_publisher(session, stream_id)
        if self._at_it(peer, stream_id):
            return False
        limits = Limits(connection, self._services.settings)
        request = PrepareOffer(
            session.id, connection.id, stream_id, limits.max_recv, limits.min_recv
        )
        offer = await ask(self._services.nodes, session, request, Offer)
        _, connection = await find_caller(self._services.bus, peer)
        if stream_id not in connection.subscriptions:
            return False  # unsubscribed meanwhile; the node drops an offer without an answer
        if peer.socket is None or peer.left or self._at_it(peer, stream_id):
            return False
        params = {
            "connectionId": publisher.id,
            "streamId": stream_id,
            "sdpOffer": offer.sdp_offer,
        }
        peer.socket.send(rpc.notification("forciblyReconnectSubscriber", params))
        return True

    def _at_it(self, peer: Peer, stream_id: str) -> bool:
        """Does the client have an offer of its own asking?"""
        prepared = peer.prepared.get(stream_id)
        return prepared is not None and self._services.clock() - prepared < OFFER_MS
