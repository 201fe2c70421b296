"""A decision in the making, and the endings that several commands share."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from services.conference.errors import ConnectionNotFound, NotAllowed, SessionNotFound
from services.conference.events import (
    Event,
    ParticipantLeft,
    RecordingFailed,
    RecordingStopped,
    SessionDestroyed,
    WebrtcConnectionDestroyed,
)
from services.conference.evolve import evolve
from services.conference.model import Direction, Reason, RecordingStatus, Role
from services.conference.state import Connection, Session, State

USER_LEVEL = frozenset(
    {
        Reason.DISCONNECT,
        Reason.NETWORK_DISCONNECT,
        Reason.FORCE_DISCONNECT_BY_USER,
        Reason.FORCE_DISCONNECT_BY_SERVER,
    }
)


class Draft:
    """`state` is the state after the events added so far."""

    def __init__(self, state: State, at: int) -> None:
        self.state = state
        self.at = at
        self.events: list[Event] = []

    def add(self, event: Event) -> None:
        self.events.append(event)
        self.state = evolve(self.state, event)

    @property
    def session(self) -> Session:
        if self.state.session is None:
            raise SessionNotFound("The session does not exist.")
        return self.state.session


def active_connections(session: Session) -> list[Connection]:
    return [connection for connection in session.connections.values() if connection.active]


def active_connection(session: Session, connection_id: str) -> Connection:
    connection = session.connections.get(connection_id)
    if connection is None or not connection.active:
        raise ConnectionNotFound(f"Connection {connection_id} is not in the session.")
    return connection


def require_moderator(session: Session, connection_id: str) -> None:
    if active_connection(session, connection_id).role is not Role.MODERATOR:
        raise NotAllowed("Only a moderator may do this.")


def require_reason(reason: Reason, allowed: Collection[Reason]) -> None:
    """A reason the command does not go with is a defect of the caller, not a refusal."""
    if reason not in allowed:
        raise ValueError(f"{reason} is no reason for this command.")


def subscribers(session: Session, stream_id: str) -> Iterator[Connection]:
    for connection in session.connections.values():
        if stream_id in connection.subscriptions:
            yield connection


def end_subscription(draft: Draft, connection_id: str, stream_id: str, reason: Reason) -> None:
    draft.add(
        WebrtcConnectionDestroyed(connection_id, stream_id, Direction.INBOUND, reason, draft.at)
    )


def end_publication(draft: Draft, connection_id: str, stream_id: str, reason: Reason) -> None:
    draft.add(
        WebrtcConnectionDestroyed(connection_id, stream_id, Direction.OUTBOUND, reason, draft.at)
    )


def end_participant(draft: Draft, connection: Connection, reason: Reason) -> None:
    """Steps 1 to 4 of `events.md` 5.5. `connection` is that of the draft's current state."""
    stream = connection.stream
    if stream is not None:
        for subscriber in list(subscribers(draft.session, stream.id)):
            end_subscription(draft, subscriber.id, stream.id, reason)
    for stream_id in connection.subscriptions:
        end_subscription(draft, connection.id, stream_id, reason)
    if stream is not None:
        end_publication(draft, connection.id, stream.id, reason)
    draft.add(ParticipantLeft(connection.id, reason, draft.at))


def end_active_recording(draft: Draft, reason: Reason) -> None:
    """Stop what is being recorded; what is still starting has failed by that (`events.md` 5.6)."""
    recording = draft.state.active_recording
    if recording is None:
        return
    draft.add(RecordingStopped(recording.id, reason, draft.at))
    if recording.status is RecordingStatus.STARTING:
        message = f"The recording was still starting when it was stopped: {reason}."
        draft.add(RecordingFailed(recording.id, message, draft.at))


def end_session_if_deserted(draft: Draft, reason: Reason) -> None:
    """A session ends with its last participant, or with the recording that outlived them.

    `reason` is that of the act which may have left nobody and nothing behind.
    """
    session = draft.state.session
    if (
        session is not None
        and session.joined
        and not active_connections(session)
        and draft.state.active_recording is None
    ):
        derived = reason in USER_LEVEL or reason is Reason.MEDIA_SERVER_RECONNECT
        draft.add(SessionDestroyed(Reason.LAST_PARTICIPANT_LEFT if derived else reason, draft.at))
