"""Streams: published, subscribed to, changed and ended."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from services.conference.commands import (
    ChangeStreamProperty,
    PublishStream,
    SubscribeToStream,
    UnpublishStream,
    UnsubscribeFromStream,
)
from services.conference.errors import (
    AlreadyPublishing,
    InvalidProperty,
    MediaRestarted,
    NotAllowed,
    NotPublishing,
    OwnStream,
    StreamNotFound,
)
from services.conference.events import StreamPropertyChanged, WebrtcConnectionCreated
from services.conference.model import ConnectionType, Direction, Reason, Role
from services.conference.state import Connection, Session

from .draft import (
    Draft,
    active_connection,
    end_publication,
    end_subscription,
    require_moderator,
    require_reason,
    subscribers,
)


class _Track(Struct):
    label: str


_VALUES: dict[str, type] = {
    "audioActive": bool,
    "videoActive": bool,
    "videoDimensions": str,  # itself the JSON text of an object
    "audioTrack": _Track,
    "videoTrack": _Track,
}


def publish(draft: Draft, command: PublishStream) -> None:
    connection = active_connection(draft.session, command.connection_id)
    if connection.role is Role.SUBSCRIBER:
        raise NotAllowed("A SUBSCRIBER may not publish.")
    if connection.stream is not None or _publisher(draft.session, command.stream_id):
        raise AlreadyPublishing(f"Connection {connection.id} is publishing already.")
    node = draft.session.media_node
    if command.media_instance and (node is None or node.instance != command.media_instance):
        raise MediaRestarted("The media node was started anew meanwhile; try again.")
    draft.add(
        WebrtcConnectionCreated(
            connection_id=connection.id,
            stream_id=command.stream_id,
            direction=Direction.OUTBOUND,
            at=command.created_at,
            media=command.media,
        )
    )


def unpublish(draft: Draft, command: UnpublishStream) -> None:
    """`events.md` 5.4. The stream of a camera ends only with its connection."""
    reason = command.reason
    by_user = reason is Reason.FORCE_UNPUBLISH_BY_USER
    require_reason(
        reason,
        (Reason.UNPUBLISH, Reason.FORCE_UNPUBLISH_BY_USER, Reason.FORCE_UNPUBLISH_BY_SERVER),
    )
    if by_user != (command.requested_by is not None):
        raise ValueError("A user's request, and only that, names who asks.")
    session = draft.session
    if command.requested_by is not None:
        require_moderator(session, command.requested_by)
    publisher = _required_publisher(session, command.stream_id)
    if publisher.type is ConnectionType.IPCAM:
        raise NotAllowed("The stream of an IP camera cannot be unpublished.")
    receivers = list(subscribers(session, command.stream_id))
    end_publication(draft, publisher.id, command.stream_id, reason)
    for subscriber in receivers:
        end_subscription(draft, subscriber.id, command.stream_id, reason)


def subscribe(draft: Draft, command: SubscribeToStream) -> None:
    """Who subscribes again has new media for the subscription there is: that is no event, as
    with any reconnection (`events.md` 4.5)."""
    connection = active_connection(draft.session, command.connection_id)
    publisher = _required_publisher(draft.session, command.stream_id)
    if publisher.id == connection.id:
        raise OwnStream("A connection does not subscribe to its own stream.")
    if command.stream_id in connection.subscriptions:
        return
    draft.add(
        WebrtcConnectionCreated(
            connection_id=connection.id,
            stream_id=command.stream_id,
            direction=Direction.INBOUND,
            at=command.created_at,
            receiving_from=publisher.id,
        )
    )


def unsubscribe(draft: Draft, command: UnsubscribeFromStream) -> None:
    connection = active_connection(draft.session, command.connection_id)
    active_connection(draft.session, command.publisher_id)
    for subscription in connection.subscriptions.values():
        if subscription.publisher_id == command.publisher_id:
            end_subscription(draft, connection.id, subscription.stream_id, Reason.UNSUBSCRIBE)


def change_property(draft: Draft, command: ChangeStreamProperty) -> None:
    connection = active_connection(draft.session, command.connection_id)
    if connection.stream is None:
        raise NotPublishing(f"Connection {connection.id} publishes nothing.")
    draft.add(
        StreamPropertyChanged(
            connection_id=connection.id,
            stream_id=connection.stream.id,
            property=command.property,
            value=_canonical(command.property, command.value),
            reason=command.reason,
            at=draft.at,
        )
    )


def _canonical(name: str, text: str) -> str:
    """The JSON text without blanks and unknown members: receivers compare and parse it blindly
    (`signaling.md` 8, rows 11 to 13)."""
    expected = _VALUES.get(name)
    if expected is None:
        raise InvalidProperty(f"A stream has no property {name[:40]!r} that could be changed.")
    try:
        value: Any = msgspec.json.decode(text, type=expected)
        if name == "videoDimensions":
            msgspec.json.decode(value, type=dict[str, float])
        return msgspec.json.encode(value).decode()
    except (ValueError, RecursionError):  # of Unicode and of msgspec
        raise InvalidProperty(f"The value of {name} has the wrong form.") from None


def _publisher(session: Session, stream_id: str) -> Connection | None:
    for connection in session.connections.values():
        if connection.stream is not None and connection.stream.id == stream_id:
            return connection
    return None


def _required_publisher(session: Session, stream_id: str) -> Connection:
    publisher = _publisher(session, stream_id)
    if publisher is None:
        raise StreamNotFound(f"Stream {stream_id} is not in the session.")
    return publisher
