"""Asking a media node for the RTP of a stream (`services/conference/calls.py`)."""

from __future__ import annotations

import msgspec
import nats.errors
from nats.aio.client import Client

from services.conference.calls import Call, Done, Failure, Reply, Tap, Tapped, Untap, call_subject
from services.eventlog.connection import request

TIMEOUT = 2.0  # seconds

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)


class TapFailed(Exception):
    """The media node refused, or did not answer; trying again may help."""


class Taps:
    def __init__(self, client: Client) -> None:
        self._client = client

    async def tap(self, node_id: str, tap: Tap) -> Tapped:
        """Raises `TapFailed`."""
        reply = await self._ask(node_id, tap)
        if not isinstance(reply, Tapped):
            raise TapFailed(f"Media node {node_id} answered a tap with {type(reply).__name__}.")
        return reply

    async def untap(self, node_id: str, untap: Untap) -> None:
        """Raises `TapFailed`; the lease then ends by itself."""
        reply = await self._ask(node_id, untap)
        if not isinstance(reply, Done):
            raise TapFailed(f"Media node {node_id} answered untap with {type(reply).__name__}.")

    async def _ask(self, node_id: str, call: Call) -> Reply:
        try:
            answer = await request(
                self._client,
                call_subject(node_id, type(call)),
                _encoder.encode(call),
                wait_up_to=TIMEOUT,
            )
            reply = _decoder.decode(answer.data)
        except (nats.errors.Error, TimeoutError) as error:
            raise TapFailed(f"Media node {node_id} does not answer.") from error
        except msgspec.MsgspecError as error:
            raise TapFailed(f"Media node {node_id} answers nonsense: {error}") from error
        if isinstance(reply, Failure):
            raise TapFailed(f"Media node {node_id}: {reply.message}")
        return reply
