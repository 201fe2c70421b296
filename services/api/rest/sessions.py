"""Sessions: `rest-api.md`, "The Session object"."""

from __future__ import annotations

from litestar import delete, get, post
from litestar.handlers import HTTPRouteHandler

from services.conference import ids
from services.conference.commands import CloseSession, InitializeSession
from services.conference.errors import SessionNotFound
from services.conference.model import Reason

from . import replies
from .api import Api, HttpRequest
from .bodies import SessionBody
from .openapi import fails, takes
from .parsing import flag, parse
from .replies import Reply

TAGS = ["Sessions"]


def routes(api: Api) -> list[HTTPRouteHandler]:
    views = api.views

    @post(
        "/sessions",
        operation_id="initializeSession",
        summary="Initialize a session",
        tags=TAGS,
        status_code=200,
        operation_class=takes(SessionBody),
        responses=fails({400: "Problem with some body parameter", 409: "customSessionId exists"}),
    )
    async def initialize(request: HttpRequest) -> Reply:
        body = await parse(request, SessionBody)
        properties = body.properties(api.settings.streams)
        session_id = properties.custom_session_id or ids.session_id(api.rng)
        outcome = await api.execute(request, session_id, InitializeSession(session_id, properties))
        session = outcome.after.session
        if session is None:
            raise SessionNotFound("The session does not exist")
        return replies.ok(views.render_session(session, recording=False))

    @get(
        "/sessions/{session_id:str}",
        operation_id="getSession",
        summary="Retrieve a session",
        description="With `pendingConnections=true` its pending connections are listed too.",
        tags=TAGS,
        responses=fails({404: "No session exists for the passed id"}),
    )
    async def retrieve(request: HttpRequest, session_id: str) -> Reply:
        pending = flag(request, "pendingConnections", default=False)
        found = await views.session(session_id, pending=pending)
        if found is None:
            raise SessionNotFound("The session does not exist")
        return replies.ok(found)

    @get(
        "/sessions",
        operation_id="listSessions",
        summary="Retrieve all sessions",
        description="With `pendingConnections=true` pending connections are listed too.",
        tags=TAGS,
    )
    async def retrieve_all(request: HttpRequest) -> Reply:
        pending = flag(request, "pendingConnections", default=False)
        return replies.page(await views.sessions(pending=pending))

    @delete(
        "/sessions/{session_id:str}",
        operation_id="closeSession",
        summary="Close a session",
        tags=TAGS,
        status_code=204,
        responses=fails({404: "No session exists for the passed id"}),
    )
    async def close(request: HttpRequest, session_id: str) -> None:
        command = CloseSession(Reason.SESSION_CLOSED_BY_SERVER)
        await api.execute(request, session_id, command)

    return [initialize, retrieve, retrieve_all, close]
