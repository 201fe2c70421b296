"""The client's own stream (`signaling.md` 3.3, 3.4, 3.10, 3.11) and its reconnection (3.17)."""

from __future__ import annotations

import json
import secrets
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from services.api.signaling.call import Call, Caller, Result, is_camera
from services.api.signaling.errors import Code, RpcError
from services.api.signaling.limits import Limits
from services.conference import ids
from services.conference.calls import Answer, Publish, Republish
from services.conference.commands import ChangeStreamProperty, PublishStream, UnpublishStream
from services.conference.model import MediaOptions, Reason, Role, VideoCodec, VideoSource
from services.conference.state import Session, Stream

from .room import NoParams

MAX_SDP = 256 * 1024
Sdp = Annotated[str, Meta(min_length=1, max_length=MAX_SDP)]

_random = secrets.SystemRandom()


class PublishVideo(Struct, rename="camel"):
    """`type_of_video` is `""` from 2.18 without video; `video_dimensions` is a JSON text."""

    sdp_offer: Sdp
    has_audio: bool
    has_video: bool
    do_loopback: bool = False
    audio_active: bool | None = None
    video_active: bool | None = None
    type_of_video: str | None = None
    frame_rate: Annotated[float, Meta(ge=-1, le=1000)] | None = None
    video_dimensions: Annotated[str, Meta(max_length=256)] | None = None
    filter: Any = None


class StreamPropertyChanged(Struct, rename="camel"):
    property: Annotated[str, Meta(max_length=64)]
    new_value: Any
    reason: Annotated[str, Meta(max_length=64)] = ""


class ForceUnpublish(Struct, rename="camel"):
    stream_id: str


async def publish_video(call: Call, params: PublishVideo) -> Result | None:
    caller = await call.caller()
    connection = caller.connection
    if connection.role is Role.SUBSCRIBER:
        raise RpcError(Code.USER_UNAUTHORIZED, "A SUBSCRIBER may not publish")
    if connection.stream is not None:
        raise RpcError(Code.USER_ALREADY_STREAMING, "The participant is already publishing")
    if params.filter:
        raise RpcError(Code.FILTER_NOT_APPLIED, "Filters are not supported")
    media = media_options(params)
    stream_id = ids.stream_id(_random, media, connection.id)
    limits = Limits(connection, call.settings)
    offer = Publish(
        session_id=caller.session.id,
        connection_id=connection.id,
        stream_id=stream_id,
        sdp_offer=params.sdp_offer,
        has_audio=media.has_audio,
        has_video=media.has_video,
        codec=forced_codec(caller.session),
        allow_transcoding=caller.session.properties.allow_transcoding,
        max_send_kbps=limits.max_send,
        min_send_kbps=limits.min_send,
        loopback=params.do_loopback,
        audio_active=media.audio_active is not False,
        video_active=media.video_active is not False,
    )
    node = caller.session.media_node
    answer = await call.ask(caller.session, offer, Answer)
    created_at = call.services.clock()
    instance = node.instance if node is not None else ""
    result = {"id": stream_id, "sdpAnswer": answer.sdp_answer, "createdAt": created_at}
    try:
        return await call.commit(
            PublishStream(connection.id, stream_id, media, created_at, instance),
            lambda _: result,
            undo=UnpublishStream(stream_id),
        )
    except BaseException:
        call.discard(caller.session, connection.id, stream_id)
        raise


def media_options(params: PublishVideo) -> MediaOptions:
    video = params.has_video
    return MediaOptions(
        has_audio=params.has_audio,
        has_video=video,
        audio_active=params.audio_active is not False if params.has_audio else None,
        video_active=params.video_active is not False if video else None,
        type_of_video=type_of_video(params.type_of_video) if video else None,
        frame_rate=int(params.frame_rate) if video and params.frame_rate is not None else None,
        video_dimensions=dimensions(params.video_dimensions) if video else None,
    )


def type_of_video(text: str | None) -> VideoSource:
    if not text:
        return VideoSource.CAMERA
    if text not in ("CAMERA", "SCREEN", "CUSTOM"):
        raise RpcError(
            Code.INVALID_PARAMS, "Invalid params: typeOfVideo is CAMERA, SCREEN or CUSTOM"
        )
    return VideoSource(text)


def dimensions(text: str | None) -> str | None:
    """Checked here because a text that is no JSON object breaks every receiver."""
    if text is None or text == "null":
        return None
    try:
        msgspec.json.decode(text, type=dict[str, float])
    except (msgspec.MsgspecError, RecursionError):
        raise RpcError(
            Code.INVALID_PARAMS,
            "Invalid params: videoDimensions is the JSON text of an object with width and height",
        ) from None
    return text


def forced_codec(session: Session) -> VideoCodec:
    codec = session.properties.forced_video_codec
    return VideoCodec.VP8 if codec is VideoCodec.MEDIA_SERVER_PREFERRED else codec


async def unpublish_video(call: Call, _: NoParams) -> Result | None:
    stream = own_stream(await call.caller())
    return await call.commit(UnpublishStream(stream.id))


async def stream_property_changed(call: Call, params: StreamPropertyChanged) -> Result | None:
    """The stream is the caller's own, whatever `streamId` says."""
    caller = await call.caller()
    own_stream(caller)
    value = json.dumps(params.new_value, separators=(",", ":"))
    return await call.commit(
        ChangeStreamProperty(caller.connection.id, params.property, value, params.reason)
    )


async def force_unpublish(call: Call, params: ForceUnpublish) -> Result | None:
    caller = await call.caller()
    caller.require(Role.MODERATOR)
    for connection in caller.session.connections.values():
        if is_camera(connection) and connection.stream and connection.stream.id == params.stream_id:
            raise RpcError(Code.USER_GENERIC, "The stream of an IP camera cannot be unpublished")
    return await call.commit(
        UnpublishStream(
            params.stream_id, Reason.FORCE_UNPUBLISH_BY_USER, requested_by=caller.connection.id
        )
    )


async def republish(call: Call, caller: Caller, stream: Stream, sdp_offer: str) -> Result:
    """A new transport for the same stream; nobody else is told (3.17)."""
    offer = Republish(
        session_id=caller.session.id,
        connection_id=caller.connection.id,
        stream_id=stream.id,
        sdp_offer=sdp_offer,
        codec=forced_codec(caller.session),
        allow_transcoding=caller.session.properties.allow_transcoding,
    )
    answer = await call.ask(caller.session, offer, Answer)
    return {
        "sdpAnswer": answer.sdp_answer,
        "id": stream.id,
        "createdAt": call.services.clock(),
    }


def own_stream(caller: Caller) -> Stream:
    if caller.connection.stream is None:
        raise RpcError(Code.USER_NOT_STREAMING, "The participant is not publishing")
    return caller.connection.stream
