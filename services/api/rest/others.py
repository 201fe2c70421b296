"""Signals, streams and health: `rest-api.md`, "Others"."""

from __future__ import annotations

from litestar import delete, get, post
from litestar.handlers import HTTPRouteHandler

from services.conference.commands import SendSignal, UnpublishStream
from services.conference.model import Reason

from . import examples, replies, schemas
from .api import Api, HttpRequest
from .bodies import SignalBody
from .openapi import Typed, operation
from .parsing import parse
from .replies import Reply

TAGS = ["Others"]


def routes(api: Api) -> list[HTTPRouteHandler]:
    @post(
        "/signal",
        operation_id="sendSignal",
        summary="Send a signal to a session",
        description="To everybody in it, or to some connections. Who has just lost the network may "
        "not hear it.",
        tags=TAGS,
        status_code=200,
        operation_class=operation(
            "The signal is sent",
            takes=SignalBody,
            examples=examples.SEND_SIGNAL,
            fails={
                400: "Problem with some body parameter",
                404: "No session exists for the passed session",
                406: "A receiver is not in the session, or nobody is; nobody got the signal",
            },
        ),
    )
    async def signal(request: HttpRequest) -> Reply:
        body = await parse(request, SignalBody)
        kind = body.type.removeprefix("signal:") if body.type is not None else None
        command = SendSignal(to=tuple(body.to or ()), type=kind, data=body.data)
        await api.execute(request, body.session, command)
        return replies.empty(200)

    @delete(
        "/sessions/{session_id:str}/stream/{stream_id:str}",
        operation_id="unpublishStream",
        summary="Unpublish a stream from a connection",
        description="Everybody who receives it loses it: clients hear of it with the reason "
        "`forceUnpublishByServer`.",
        tags=TAGS,
        status_code=204,
        operation_class=operation(
            "The stream is unpublished",
            fails={
                400: "No session exists for the passed session id",
                404: "No stream exists for the passed stream id",
                405: "The stream of an IP camera goes with its connection only",
            },
        ),
    )
    async def unpublish(request: HttpRequest, session_id: str, stream_id: str) -> None:
        command = UnpublishStream(stream_id, Reason.FORCE_UNPUBLISH_BY_SERVER)
        await api.execute(request, session_id, command)

    @get(
        "/health",
        operation_id="getHealth",
        summary="Check the health",
        description="The server is healthy while at least one media node runs.",
        tags=TAGS,
        operation_class=operation(
            "`UP`", schemas.Health, fails={503: Typed("`DOWN`", schemas.Health)}
        ),
    )
    async def health() -> Reply:
        if api.nodes.usable():
            return replies.ok({"status": "UP"})
        return replies.ok({"status": "DOWN"}, 503)

    return [signal, unpublish, health]


@get(
    "/livez",
    operation_id="livez",
    summary="Does the process answer?",
    tags=["Operations"],
    operation_class=operation("It does", schemas.Health),
    security=[{}],
)
async def livez() -> Reply:
    return replies.ok({"status": "UP"})
