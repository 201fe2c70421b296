"""Streams of others (`signaling.md` 3.5 to 3.8) and reconnection (3.17)."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from services.api.signaling.call import Call, Caller, Result, Undo, find_publisher
from services.api.signaling.errors import Code, RpcError
from services.api.signaling.limits import Limits
from services.conference.calls import AcceptAnswer, Answer, Done, Offer, PrepareOffer, Subscribe
from services.conference.commands import SubscribeToStream, UnsubscribeFromStream
from services.conference.state import Connection

from .publish import Sdp, republish

MAX_PREPARED = 1000  # offers whose time is remembered, of one client


class PrepareReceiveVideoFrom(Struct, rename="camel"):
    """`sender` is a stream id. `reconnect` changes nothing: an offer replaces what was there."""

    sender: str
    reconnect: bool = False


class ReceiveVideoFrom(Struct, rename="camel"):
    """`sender` is a stream id."""

    sender: str
    sdp_offer: Sdp | None = None
    sdp_answer: Sdp | None = None


class UnsubscribeFromVideo(Struct, rename="camel"):
    """`sender` is the connection id of the publisher."""

    sender: str


class OnIceCandidate(Struct, rename="camel"):
    """The media nodes are ICE-lite: they learn a client's address from its checks."""

    candidate: Annotated[str, Meta(max_length=4096)]
    endpoint_name: Annotated[str, Meta(max_length=1024)] = ""
    sdp_mid: Annotated[str, Meta(max_length=256)] | None = None
    sdp_m_line_index: int | None = None


class ReconnectStream(Struct, rename="camel"):
    """`stream` is a stream id. For whom `sdp_string` is an offer or an answer: see 3.17."""

    stream: str
    sdp_string: Sdp | None = None
    sdp_offer: Sdp | None = None
    forcibly_reconnect: bool = False


async def prepare_receive_video_from(call: Call, params: PrepareReceiveVideoFrom) -> Result:
    caller = await call.caller()
    foreign_publisher(caller, params.sender)
    limits = Limits(caller.connection, call.settings)
    request = PrepareOffer(
        caller.session.id, caller.connection.id, params.sender, limits.max_recv, limits.min_recv
    )
    prepared = call.peer.prepared
    prepared.pop(params.sender, None)
    prepared[params.sender] = call.services.clock()  # already: the server's own offer would disturb
    if len(prepared) > MAX_PREPARED:
        del prepared[next(iter(prepared))]
    try:
        offer = await call.ask(caller.session, request, Offer)
    except BaseException:
        prepared.pop(params.sender, None)
        raise
    return {"sdpOffer": offer.sdp_offer}


async def receive_video_from(call: Call, params: ReceiveVideoFrom) -> Result | None:
    caller = await call.caller()
    publisher = foreign_publisher(caller, params.sender)
    now = call.services.clock()
    created_at = call.peer.prepared.get(params.sender, now) if params.sdp_answer else now
    connection = caller.connection
    is_new = params.sender not in connection.subscriptions
    undo = UnsubscribeFromStream(connection.id, publisher.id)
    try:
        result = await negotiate(call, caller, params.sender, params.sdp_offer, params.sdp_answer)
        if watching := call.peer.watching:
            call.services.watchers.subscribed(watching, caller.session, publisher)
            return result
        if not is_new:  # new media for the subscription there is; nobody is told
            call.services.ledger.believe(Undo(caller.session.id, undo))
            return result
        command = SubscribeToStream(connection.id, params.sender, created_at)
        return await call.commit(command, lambda _: result, undo=undo)
    except RpcError:
        raise  # nothing was begun
    except BaseException:
        if is_new:
            call.discard(caller.session, connection.id, params.sender)
        raise


async def negotiate(
    call: Call, caller: Caller, stream_id: str, offer: str | None, answer: str | None
) -> Result:
    """Whichever of the two is given decides who offers."""
    session, connection = caller.session, caller.connection
    result: Result = {}
    if offer is not None and answer is None:
        limits = Limits(connection, call.settings)
        request = Subscribe(
            session.id, connection.id, stream_id, offer, limits.max_recv, limits.min_recv
        )
        result = {"sdpAnswer": (await call.ask(session, request, Answer)).sdp_answer}
    elif answer is not None and offer is None:
        await call.ask(session, AcceptAnswer(connection.id, stream_id, answer), Done)
    else:
        raise RpcError(
            Code.INVALID_PARAMS, "Invalid params: one SDP is needed, an offer or an answer"
        )
    call.peer.negotiated(stream_id)
    return result


async def unsubscribe_from_video(call: Call, params: UnsubscribeFromVideo) -> Result | None:
    caller = await call.caller()
    publisher = caller.session.connections.get(params.sender)
    if publisher is None or not publisher.active:
        raise RpcError(Code.USER_NOT_FOUND, f"Connection {params.sender} not found")
    if watching := call.peer.watching:
        call.services.watchers.unsubscribed(watching, publisher.id)
        return {}
    return await call.commit(UnsubscribeFromStream(caller.connection.id, publisher.id))


async def reconnect_stream(call: Call, params: ReconnectStream) -> Result:
    caller = await call.caller()
    stream = caller.connection.stream
    if stream is not None and stream.id == params.stream:
        offer = params.sdp_string or params.sdp_offer
        if offer is None:
            raise RpcError(Code.INVALID_PARAMS, "Invalid params: sdpString is missing")
        return await republish(call, caller, stream, offer)
    if params.stream not in caller.connection.subscriptions:
        raise RpcError(Code.USER_NOT_STREAMING, f"There is no stream {params.stream} to reconnect")
    offer, answer = params.sdp_offer, params.sdp_string
    return await negotiate(call, caller, params.stream, offer, None if offer else answer)


def foreign_publisher(caller: Caller, stream_id: str) -> Connection:
    publisher = find_publisher(caller.session, stream_id)
    if publisher.id == caller.connection.id:
        raise RpcError(Code.USER_NOT_STREAMING, "A participant does not subscribe to itself")
    return publisher
