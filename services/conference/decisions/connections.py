"""Connections: made by REST, taken by their token, ended by their user or by others."""

from __future__ import annotations

from services.conference.commands import (
    CreateConnection,
    JoinSession,
    LeaveSession,
    ModifyConnection,
    RemoveConnection,
)
from services.conference.errors import ConnectionExists, ConnectionNotFound, InvalidToken
from services.conference.events import (
    ConnectionCreated,
    ConnectionPropertyChanged,
    ConnectionRemoved,
    ParticipantJoined,
    SessionAllocated,
)
from services.conference.model import ConnectionType, Reason
from services.conference.state import Connection, Session

from .draft import (
    Draft,
    active_connection,
    end_participant,
    end_session_if_deserted,
    require_moderator,
    require_reason,
)


def create(draft: Draft, command: CreateConnection) -> None:
    for connection in draft.session.connections.values():
        if command.connection_id == connection.id or command.token == connection.token:
            raise ConnectionExists(f"Connection {connection.id} has this id or token.")
    draft.add(
        ConnectionCreated(
            connection_id=command.connection_id,
            token=command.token,
            type=command.type,
            role=command.role,
            record=command.record,
            server_data=command.server_data,
            at=draft.at,
            kurento_options=command.kurento_options,
            custom_ice_servers=command.custom_ice_servers,
        )
    )


def modify(draft: Draft, command: ModifyConnection) -> None:
    connection = _connection(draft.session, command.connection_id)
    role = command.role if command.role is not connection.role else None
    record = command.record if command.record is not connection.record else None
    if role is not None or record is not None:
        draft.add(ConnectionPropertyChanged(connection.id, draft.at, role=role, record=record))


def remove(draft: Draft, command: RemoveConnection) -> None:
    session = draft.session
    if command.requested_by is not None:
        require_moderator(session, command.requested_by)
        connection = active_connection(session, command.connection_id)
        _leave(draft, connection, Reason.FORCE_DISCONNECT_BY_USER)
        return
    connection = _connection(session, command.connection_id)
    if connection.active:
        _leave(draft, connection, Reason.FORCE_DISCONNECT_BY_SERVER)
    else:
        draft.add(ConnectionRemoved(connection.id, draft.at))


def join(draft: Draft, command: JoinSession) -> None:
    connection = _pending(draft.session, command.token)
    if draft.session.media_node is None:
        draft.add(SessionAllocated(command.media_node_id, command.media_instance, draft.at))
    draft.add(
        ParticipantJoined(
            connection_id=connection.id,
            at=draft.at,
            platform=command.platform,
            client_data=command.client_data,
            location=command.location,
            rpc_digest=command.rpc_digest,
            ip=command.ip,
        )
    )


def leave(draft: Draft, command: LeaveSession) -> None:
    require_reason(command.reason, (Reason.DISCONNECT, Reason.NETWORK_DISCONNECT))
    _leave(draft, active_connection(draft.session, command.connection_id), command.reason)


def _leave(draft: Draft, connection: Connection, reason: Reason) -> None:
    end_participant(draft, connection, reason)
    end_session_if_deserted(draft, reason)


def _connection(session: Session, connection_id: str) -> Connection:
    connection = session.connections.get(connection_id)
    if connection is None:
        raise ConnectionNotFound(f"Connection {connection_id} is not in the session.")
    return connection


def _pending(session: Session, token: str) -> Connection:
    """A camera takes no token, so nobody may come in by its."""
    for connection in session.connections.values():
        if (
            connection.token == token
            and not connection.active
            and connection.type is ConnectionType.WEBRTC
        ):
            return connection
    raise InvalidToken("The token is unknown, or it has been used.")
