"""Sessions: `rest-api.md`, "The Session object"."""

from __future__ import annotations

from litestar import delete, get, post
from litestar.handlers import HTTPRouteHandler

from services.conference import ids
from services.conference.commands import CloseSession, InitializeSession
from services.conference.errors import SessionNotFound
from services.conference.model import Reason

from . import examples, replies, schemas
from .api import Api, HttpRequest
from .bodies import SessionBody
from .openapi import boolean, operation
from .parsing import flag, parse
from .replies import Reply

TAGS = ["Sessions"]

_NO_SESSION = "No session exists for the passed id"
_PENDING = boolean("pendingConnections", "List pending connections too?", default=False)
_THIS = {"session_id": "$response.body#/id"}


def routes(api: Api) -> list[HTTPRouteHandler]:
    views = api.views

    @post(
        "/sessions",
        operation_id="initializeSession",
        summary="Initialize a session",
        description="The first thing to do. Then initialize a connection for each participant. "
        "Everything is optional; a missing body is an empty one.",
        tags=TAGS,
        status_code=200,
        operation_class=operation(
            "The session, ready to be used",
            schemas.Session,
            takes=SessionBody,
            examples=examples.INITIALIZE_SESSION,
            fails={
                400: "Problem with some body parameter",
                409: "A session of that `customSessionId` exists; it was not changed",
            },
            links={
                "getSession": _THIS,
                "closeSession": _THIS,
                "initializeConnection": _THIS,
                "listConnections": _THIS,
                "generateToken": {"body": {"session": "$response.body#/id"}},
                "sendSignal": {"body": {"session": "$response.body#/id"}},
                "startRecording": {"body": {"session": "$response.body#/id"}},
            },
        ),
    )
    async def initialize(request: HttpRequest) -> Reply:
        body = await parse(request, SessionBody)
        properties = body.properties(api.settings.streams)
        session_id = properties.custom_session_id or ids.session_id(api.source(request))
        outcome = await api.execute(request, session_id, InitializeSession(session_id, properties))
        session = outcome.after.session
        if session is None:
            raise SessionNotFound("The session does not exist")
        return replies.ok(views.render_session(session, recording=False))

    @get(
        "/sessions/{session_id:str}",
        operation_id="getSession",
        summary="Retrieve a session",
        tags=TAGS,
        operation_class=operation(
            "The session", schemas.Session, query=(_PENDING,), fails={404: _NO_SESSION}
        ),
    )
    async def retrieve(request: HttpRequest, session_id: str) -> Reply:
        pending = flag(request, "pendingConnections", default=False)
        found = await views.session(session_id, pending=pending)
        if found is None:
            raise SessionNotFound("The session does not exist")
        return replies.rendered(found)

    @get(
        "/sessions",
        operation_id="listSessions",
        summary="Retrieve all sessions",
        tags=TAGS,
        operation_class=operation("All sessions", schemas.Sessions, query=(_PENDING,)),
    )
    async def retrieve_all(request: HttpRequest) -> Reply:
        pending = flag(request, "pendingConnections", default=False)
        return replies.rendered(await views.sessions(pending=pending))

    @delete(
        "/sessions/{session_id:str}",
        operation_id="closeSession",
        summary="Close a session",
        description="Its connections, streams and recordings end too: clients hear of them with "
        "the reason `sessionClosedByServer`.",
        tags=TAGS,
        status_code=204,
        operation_class=operation("The session is closed", fails={404: _NO_SESSION}),
    )
    async def close(request: HttpRequest, session_id: str) -> None:
        command = CloseSession(Reason.SESSION_CLOSED_BY_SERVER)
        await api.execute(request, session_id, command)

    return [initialize, retrieve, retrieve_all, close]
