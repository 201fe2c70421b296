"""What browsers are told of a commit: the notifications of `signaling.md` section 4, in order.

The order is relative to the response of the request that caused the commit, because the real
client relies on it (sections 3 and 7).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from . import commands as c
from . import events as e
from .evolve import evolve
from .model import ConnectionType, Direction, Reason, RecordingStatus, Role
from .state import Connection, Recording, Session, State
from .views import stream_object

Params = dict[str, Any]

SIGNAL_PREFIX = "signal:"


class Notice(NamedTuple):
    """One notification to one connection."""

    to: str
    method: str
    params: Params


class Notices(NamedTuple):
    before_response: list[Notice]
    after_response: list[Notice]


def notices(
    before: State,
    command: c.Command,
    events: Sequence[e.Event],
    after: State,
    notified_roles: frozenset[Role],
    *,
    watchers: Sequence[str] = (),
) -> Notices:
    """All notifications of one commit. `notified_roles` hear of recordings (4.10). `watchers`: ids
    of who is no participant and hears what all hear (a recorder)."""
    teller = _Teller(command, notified_roles, watchers)
    state = before
    for event in events:
        following = evolve(state, event)
        teller.tell(state, following, event)
        state = following
    return Notices(teller.first, teller.later)


def existing_participants(session: Session, joiner_id: str) -> list[Params]:
    """`joinRoom.result.value`: everybody who was there; `streams` only of who publishes (3.1)."""
    return [
        _introduction(connection) | _streams(connection)
        for connection in session.connections.values()
        if connection.active and connection.id != joiner_id
    ]


def metadata(connection: Connection) -> str:
    """Client data, then `%/%`, then server data (2.3)."""
    return "%/%".join(filter(None, (connection.client_data, connection.server_data)))


def recording_hint(recording: Recording | None, role: Role, notified: frozenset[Role]) -> Params:
    """`recordingId` and `recordingName` of the `joinRoom` result, if this role is told (3.1)."""
    if recording is None or role not in notified:
        return {}
    return {"recordingId": recording.id, "recordingName": recording.name}


def _introduction(connection: Connection) -> Params:
    return {
        "id": connection.id,
        "createdAt": connection.active_at,
        "metadata": metadata(connection),
    }


def _streams(connection: Connection) -> Params:
    if connection.stream is None:
        return {}  # never an empty list: the client would choke on it (section 8, 7)
    return {"streams": [stream_object(connection.stream)]}


def _everybody(state: State) -> list[Connection]:
    if state.session is None:
        return []
    return [connection for connection in state.session.connections.values() if connection.active]


class _Teller:
    def __init__(
        self, command: c.Command, notified_roles: frozenset[Role], watchers: Sequence[str]
    ) -> None:
        self.first: list[Notice] = []
        self.later: list[Notice] = []
        self._command = command
        self._notified = notified_roles
        self._watchers = watchers

    def tell(self, before: State, after: State, event: e.Event) -> None:
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, before, after, event)

    def _send(
        self, to: Sequence[Connection], method: str, params: Params, *, later: bool = False
    ) -> None:
        queue = self.later if later else self.first
        queue.extend(
            Notice(connection.id, method, params)
            for connection in to
            if connection.type is ConnectionType.WEBRTC
        )

    def _announce(
        self, to: Sequence[Connection], method: str, params: Params, *, later: bool = False
    ) -> None:
        self._send(to, method, params, later=later)
        queue = self.later if later else self.first
        queue.extend(Notice(watcher, method, params) for watcher in self._watchers)

    def participant_joined(self, before: State, after: State, event: e.ParticipantJoined) -> None:
        if after.session is not None:
            joiner = after.session.connections[event.connection_id]
            self._announce(_everybody(before), "participantJoined", _introduction(joiner))

    def participant_left(self, before: State, after: State, event: e.ParticipantLeft) -> None:
        params = {"connectionId": event.connection_id, "reason": event.reason.value}
        self._announce(_everybody(after), "participantLeft", params)
        if event.reason is Reason.DISCONNECT:
            return
        # Who was lost is out of reach (7.13); any other must be told to go.
        lost = event.reason is Reason.NETWORK_DISCONNECT
        evicted_to = _everybody(after if lost else before)
        # The moderator hears of the leaving, gets its answer, then of the eviction (3.12).
        by_user = event.reason is Reason.FORCE_DISCONNECT_BY_USER
        self._announce(evicted_to, "participantEvicted", params, later=by_user)

    def published(self, before: State, after: State, event: e.WebrtcConnectionCreated) -> None:
        if event.direction is not Direction.OUTBOUND or after.session is None:
            return
        publisher = after.session.connections[event.connection_id]
        others = [other for other in _everybody(after) if other.id != publisher.id]
        params = {"id": publisher.id, **_streams(publisher)}
        self._announce(others, "participantPublished", params, later=True)

    def unpublished(self, before: State, after: State, event: e.WebrtcConnectionDestroyed) -> None:
        if event.direction is not Direction.OUTBOUND or event.reason not in _UNPUBLISHING:
            return  # leaving is told by `participantLeft` alone (4.2)
        params = {"connectionId": event.connection_id, "reason": event.reason.value}
        everybody = _everybody(after)
        if event.reason is Reason.UNPUBLISH:  # the owner knows (4.5)
            everybody = [other for other in everybody if other.id != event.connection_id]
        later = isinstance(self._command, c.UnpublishStream)
        self._announce(everybody, "participantUnpublished", params, later=later)

    def stream_property_changed(
        self, before: State, after: State, event: e.StreamPropertyChanged
    ) -> None:
        others = [other for other in _everybody(after) if other.id != event.connection_id]
        params = {
            "connectionId": event.connection_id,
            "streamId": event.stream_id,
            "property": event.property,
            "newValue": event.value,
            "reason": event.reason,
        }
        self._announce(others, "streamPropertyChanged", params, later=True)

    def connection_property_changed(
        self, before: State, after: State, event: e.ConnectionPropertyChanged
    ) -> None:
        affected = [one for one in _everybody(after) if one.id == event.connection_id]
        if event.role is not None:
            params = {"property": "role", "newValue": event.role.value}
            self._send(affected, "connectionPropertyChanged", params)
        if event.record is not None:
            params = {"property": "record", "newValue": "true" if event.record else "false"}
            self._send(affected, "connectionPropertyChanged", params)

    def signal_sent(self, before: State, after: State, event: e.SignalSent) -> None:
        params: Params = {}
        if event.data is not None:
            params["data"] = event.data
        if event.type is not None:
            prefixed = event.sender is None and event.type.startswith(SIGNAL_PREFIX)
            params["type"] = event.type if prefixed else SIGNAL_PREFIX + event.type
        if event.sender is not None:
            params["from"] = event.sender
        receivers = [one for one in _everybody(after) if one.id in event.to]
        for_all = isinstance(self._command, c.SendSignal) and not self._command.to
        tell = self._announce if for_all else self._send
        tell(receivers, "sendMessage", params)

    def recording_started(self, before: State, after: State, event: e.RecordingStarted) -> None:
        recording = after.recordings[event.recording_id]
        params = {"id": recording.id, "name": recording.name}
        self._send(self._notified_in(after), "recordingStarted", params)

    def recording_ended(
        self, before: State, after: State, event: e.RecordingStopped | e.RecordingFailed
    ) -> None:
        """Whoever heard of the start hears of the end; of a failure without a reason (4.10)."""
        recording = after.recordings[event.recording_id]
        if before.recordings[recording.id].status is RecordingStatus.STARTED:
            reason = event.reason.value if isinstance(event, e.RecordingStopped) else ""
            params = {"id": recording.id, "name": recording.name, "reason": reason}
            self._send(self._notified_in(after), "recordingStopped", params)

    def _notified_in(self, state: State) -> list[Connection]:
        return [one for one in _everybody(state) if one.role in self._notified]


_UNPUBLISHING = frozenset(
    {
        Reason.UNPUBLISH,
        Reason.FORCE_UNPUBLISH_BY_USER,
        Reason.FORCE_UNPUBLISH_BY_SERVER,
        Reason.MEDIA_SERVER_RECONNECT,
    }
)


_HANDLERS: dict[type[Any], Callable[[_Teller, State, State, Any], None]] = {
    e.ParticipantJoined: _Teller.participant_joined,
    e.ParticipantLeft: _Teller.participant_left,
    e.WebrtcConnectionCreated: _Teller.published,
    e.WebrtcConnectionDestroyed: _Teller.unpublished,
    e.StreamPropertyChanged: _Teller.stream_property_changed,
    e.ConnectionPropertyChanged: _Teller.connection_property_changed,
    e.SignalSent: _Teller.signal_sent,
    e.RecordingStarted: _Teller.recording_started,
    e.RecordingStopped: _Teller.recording_ended,
    e.RecordingFailed: _Teller.recording_ended,
}
