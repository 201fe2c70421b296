"""Connections and tokens: `rest-api.md`, "The Connection object", "Generate a token"."""

from __future__ import annotations

from litestar import delete, get, patch, post
from litestar.handlers import HTTPRouteHandler

from services.conference import ids
from services.conference.commands import CreateConnection, ModifyConnection, RemoveConnection
from services.conference.errors import ConnectionNotFound, SessionNotFound
from services.conference.model import ConnectionType, Role
from services.conference.state import Connection, State

from . import examples, replies, schemas
from .api import Api, HttpRequest
from .bodies import ConnectionBody, ModificationBody, TokenBody, ice_servers
from .errors import ApiError
from .openapi import boolean, operation
from .parsing import flag, parse
from .replies import Reply

TAGS = ["Connections"]
PATH = "/sessions/{session_id:str}/connection"

_NO_SESSION = "No session exists for the passed session id"
_NO_CONNECTION = "No connection exists for the passed connection id"
_PENDING = boolean("pendingConnections", "List pending connections too?", default=True)
_THIS = {"session_id": "$response.body#/sessionId", "connection_id": "$response.body#/id"}
_OF_TOKEN = {
    "session_id": "$response.body#/session",
    "connection_id": "$response.body#/connectionId",
}


def routes(api: Api) -> list[HTTPRouteHandler]:
    views = api.views

    async def make(
        request: HttpRequest, session_id: str, body: ConnectionBody | TokenBody
    ) -> Connection:
        source = api.source(request, session_id)
        connection_id = ids.connection_id(source)
        command = CreateConnection(
            connection_id,
            ids.token(source),
            role=body.role or Role.PUBLISHER,
            record=body.record is not False,
            server_data=body.data or "",
            kurento_options=body.kurento_options.options() if body.kurento_options else None,
            custom_ice_servers=ice_servers(body.custom_ice_servers),
        )
        outcome = await api.execute(request, session_id, command)
        return _connection(outcome.after, connection_id)

    @post(
        PATH,
        operation_id="initializeConnection",
        summary="Initialize a connection",
        description="Its `token` goes to the client, which joins with it, once. An IP camera "
        "(`IPCAM`) needs no client: everybody in the session sees it at once.",
        tags=TAGS,
        status_code=200,
        operation_class=operation(
            "The connection; its token can be used",
            schemas.Connection,
            takes=ConnectionBody,
            examples=examples.INITIALIZE_CONNECTION,
            fails={
                400: "Problem with some body parameter",
                404: _NO_SESSION,
                500: "IP cameras are not supported by this version",
            },
            links={
                "getConnection": _THIS,
                "modifyConnection": _THIS,
                "removeConnection": _THIS,
                "listConnections": {"session_id": "$response.body#/sessionId"},
                "startRecording": {"body": {"session": "$response.body#/sessionId"}},
                "sendSignal": {"body": {"session": "$response.body#/sessionId"}},
            },
        ),
    )
    async def initialize(request: HttpRequest, session_id: str) -> Reply:
        body = await parse(request, ConnectionBody)
        if body.type is ConnectionType.IPCAM:
            body.check_camera()
            if await views.session(session_id) is None:
                raise SessionNotFound("The session does not exist")
            raise ApiError(500, "IP cameras are not supported by this version")
        return replies.ok(
            views.render_connection(await make(request, session_id, body), session_id)
        )

    @post(
        "/tokens",
        operation_id="generateToken",
        summary="Generate a token",
        description="Initialize a connection instead.",
        deprecated=True,
        tags=TAGS,
        status_code=200,
        operation_class=operation(
            "The token of a new connection",
            schemas.Token,
            takes=TokenBody,
            examples=examples.GENERATE_TOKEN,
            fails={400: "Problem with some body parameter", 404: _NO_SESSION},
            links={"getConnection": _OF_TOKEN, "removeConnection": _OF_TOKEN},
        ),
    )
    async def generate_token(request: HttpRequest) -> Reply:
        body = await parse(request, TokenBody)
        connection = await make(request, body.session, body)
        return replies.ok(views.render_token(connection, body.session))

    @get(
        PATH + "/{connection_id:str}",
        operation_id="getConnection",
        summary="Retrieve a connection",
        tags=TAGS,
        operation_class=operation(
            "The connection",
            schemas.Connection,
            fails={400: _NO_SESSION, 404: _NO_CONNECTION},
        ),
    )
    async def retrieve(session_id: str, connection_id: str) -> Reply:
        found = await views.connection(session_id, connection_id)
        if found is None:
            if await views.session(session_id) is None:
                raise SessionNotFound("The session does not exist")
            raise ConnectionNotFound("The connection does not exist")
        return replies.ok(found)

    @get(
        PATH,
        operation_id="listConnections",
        summary="Retrieve all connections",
        tags=TAGS,
        operation_class=operation(
            "All connections of the session",
            schemas.Connections,
            query=(_PENDING,),
            fails={404: _NO_SESSION},
        ),
    )
    async def retrieve_all(request: HttpRequest, session_id: str) -> Reply:
        pending = flag(request, "pendingConnections", default=True)
        found = await views.connections(session_id, pending=pending)
        if found is None:
            raise SessionNotFound("The session does not exist")
        return replies.page(found)

    @patch(
        PATH + "/{connection_id:str}",
        operation_id="modifyConnection",
        summary="Modify a connection",
        description="What is not given stays. Its client hears of each property that changes.",
        tags=TAGS,
        operation_class=operation(
            "The connection as it is now",
            schemas.Connection,
            takes=ModificationBody,
            examples=examples.MODIFY_CONNECTION,
            fails={
                400: "Problem with some body parameter",
                404: f"{_NO_SESSION}, or n{_NO_CONNECTION[1:]}",
            },
        ),
    )
    async def modify(request: HttpRequest, session_id: str, connection_id: str) -> Reply:
        body = await parse(request, ModificationBody)
        command = ModifyConnection(connection_id, body.role, body.record)
        outcome = await api.execute(request, session_id, command)
        return replies.ok(
            views.render_connection(_connection(outcome.after, connection_id), session_id)
        )

    @delete(
        PATH + "/{connection_id:str}",
        operation_id="removeConnection",
        summary="Close a connection",
        description="The streams it publishes and receives end: clients hear of them with the "
        "reason `forceDisconnectByServer`. The token of a pending connection becomes invalid.",
        tags=TAGS,
        status_code=204,
        operation_class=operation(
            "The connection is closed", fails={400: _NO_SESSION, 404: _NO_CONNECTION}
        ),
    )
    async def remove(request: HttpRequest, session_id: str, connection_id: str) -> None:
        await api.execute(request, session_id, RemoveConnection(connection_id))

    return [initialize, generate_token, retrieve, retrieve_all, modify, remove]


def _connection(state: State, connection_id: str) -> Connection:
    connection = state.session.connections.get(connection_id) if state.session else None
    if connection is None:
        raise ConnectionNotFound("The connection does not exist")
    return connection
