"""Sessions as a whole: their beginning and end, their media process, signals in them."""

from __future__ import annotations

from services.conference.commands import (
    CloseSession,
    CollectSession,
    InitializeSession,
    ResetMedia,
    SendSignal,
)
from services.conference.errors import (
    NoParticipants,
    SessionExists,
    SessionInUse,
    UnknownReceiver,
)
from services.conference.events import (
    SessionAllocated,
    SessionCollected,
    SessionCreated,
    SessionDestroyed,
    SignalSent,
)
from services.conference.model import Reason

from .draft import (
    Draft,
    active_connection,
    active_connections,
    end_active_recording,
    end_participant,
    end_publication,
    end_session_if_deserted,
    end_subscription,
    require_reason,
)

CLOSING = frozenset(
    {
        Reason.SESSION_CLOSED_BY_SERVER,
        Reason.MEDIA_SERVER_DISCONNECT,
        Reason.NODE_CRASHED,
        Reason.OPENVIDU_SERVER_STOPPED,
    }
)


def initialize(draft: Draft, command: InitializeSession) -> None:
    if draft.state.session is not None:
        raise SessionExists(f"Session {command.session_id} exists.")
    draft.add(SessionCreated(command.session_id, command.properties, draft.at))


def close(draft: Draft, command: CloseSession) -> None:
    """`events.md` 5.8. Webhooks hear of a session nobody joined only if a REST call closed it."""
    reason = command.reason
    require_reason(reason, CLOSING)
    session = draft.session
    if not session.joined and reason is not Reason.SESSION_CLOSED_BY_SERVER:
        draft.add(SessionCollected(draft.at))
        return
    for connection in active_connections(session):
        end_participant(draft, draft.session.connections[connection.id], reason)
    end_active_recording(draft, reason)
    draft.add(SessionDestroyed(reason, draft.at))


def collect(draft: Draft, _: CollectSession) -> None:
    if draft.session.joined:
        raise SessionInUse("Somebody joined the session.")
    draft.add(SessionCollected(draft.at))


def reset_media(draft: Draft, command: ResetMedia) -> None:
    """`events.md` 5.9, "back within 3 s, new process"."""
    node = draft.session.media_node
    if node is None or node.id != command.media_node_id or node.instance == command.media_instance:
        return
    reason = Reason.MEDIA_SERVER_RECONNECT
    end_active_recording(draft, reason)
    for connection in active_connections(draft.session):
        for stream_id in connection.subscriptions:
            end_subscription(draft, connection.id, stream_id, reason)
        if connection.stream is not None:
            end_publication(draft, connection.id, connection.stream.id, reason)
    draft.add(SessionAllocated(node.id, command.media_instance, draft.at))
    end_session_if_deserted(draft, reason)


def send_signal(draft: Draft, command: SendSignal) -> None:
    session = draft.session
    if command.sender is not None:
        active_connection(session, command.sender)
    everybody = {connection.id: None for connection in active_connections(session)}
    receivers = dict.fromkeys(command.to) or everybody
    for receiver in receivers:
        if receiver not in everybody:
            raise UnknownReceiver(f"Connection {receiver} is not in the session.")
    if not receivers:
        raise NoParticipants("Nobody is connected to the session.")
    draft.add(
        SignalSent(
            to=tuple(receivers),
            at=draft.at,
            sender=command.sender,
            type=command.type,
            data=command.data,
        )
    )
