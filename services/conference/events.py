"""What happened to one session or media node: the log's vocabulary, in the contract's names where
it has one.

The tag is `<name>.<version>`. A released event is never edited: add the next version and a pure
upcaster, with a golden file of the old one. `at` is UTC milliseconds.
"""

from __future__ import annotations

from .model import (
    ConnectionType,
    Direction,
    IceServer,
    KurentoOptions,
    MediaOptions,
    NodeStatus,
    Reason,
    RecordingProperties,
    Role,
    SessionProperties,
    Value,
)


class EventValue(Value, tag_field="event", frozen=True):
    pass


class SessionCreated(EventValue, tag="sessionCreated.1", frozen=True):
    session_id: str
    properties: SessionProperties
    at: int


class SessionAllocated(EventValue, tag="sessionAllocated.1", frozen=True):
    """The session got a media node, or its node came back as another instance."""

    media_node_id: str
    media_instance: str
    at: int


class SessionDestroyed(EventValue, tag="sessionDestroyed.1", frozen=True):
    reason: Reason
    at: int


class SessionCollected(EventValue, tag="sessionCollected.1", frozen=True):
    """A session nobody ever joined was dropped; no webhook tells of it (`events.md` 4.2)."""

    at: int


class ConnectionCreated(EventValue, tag="connectionCreated.1", frozen=True):
    connection_id: str
    token: str
    type: ConnectionType
    role: Role
    record: bool
    server_data: str
    at: int
    kurento_options: KurentoOptions | None = None
    custom_ice_servers: tuple[IceServer, ...] = ()


class ConnectionRemoved(EventValue, tag="connectionRemoved.1", frozen=True):
    """A pending connection was dropped; its token is void. Clients and webhooks hear nothing."""

    connection_id: str
    at: int


class ConnectionPropertyChanged(EventValue, tag="connectionPropertyChanged.1", frozen=True):
    connection_id: str
    at: int
    role: Role | None = None
    record: bool | None = None


class ParticipantJoined(EventValue, tag="participantJoined.1", frozen=True):
    connection_id: str
    at: int
    platform: str
    client_data: str
    location: str
    rpc_digest: str
    ip: str | None = None


class ParticipantLeft(EventValue, tag="participantLeft.1", frozen=True):
    connection_id: str
    reason: Reason
    at: int


class WebrtcConnectionCreated(EventValue, tag="webrtcConnectionCreated.1", frozen=True):
    """A stream was published (OUTBOUND, with `media`) or subscribed to (INBOUND, with
    `receiving_from`, the publisher's connection id)."""

    connection_id: str
    stream_id: str
    direction: Direction
    at: int
    media: MediaOptions | None = None
    receiving_from: str | None = None


class WebrtcConnectionDestroyed(EventValue, tag="webrtcConnectionDestroyed.1", frozen=True):
    connection_id: str
    stream_id: str
    direction: Direction
    reason: Reason
    at: int


class StreamPropertyChanged(EventValue, tag="streamPropertyChanged.1", frozen=True):
    """`value` is the JSON text of what the publisher sent."""

    connection_id: str
    stream_id: str
    property: str
    value: str
    reason: str
    at: int


class SignalSent(EventValue, tag="signalSent.1", frozen=True):
    """`to` holds the resolved receivers, never empty."""

    to: tuple[str, ...]
    at: int
    sender: str | None = None
    type: str | None = None
    data: str | None = None


class RecordingRequested(EventValue, tag="recordingRequested.1", frozen=True):
    """Status `starting`. `properties.name` is empty if none was given."""

    recording_id: str
    properties: RecordingProperties
    at: int
    automatic: bool = False


class RecordingStarted(EventValue, tag="recordingStarted.1", frozen=True):
    recording_id: str
    at: int


class RecordingStopped(EventValue, tag="recordingStopped.1", frozen=True):
    recording_id: str
    reason: Reason
    at: int


class RecordingReady(EventValue, tag="recordingReady.1", frozen=True):
    recording_id: str
    size: int
    duration: float
    at: int


class RecordingFailed(EventValue, tag="recordingFailed.1", frozen=True):
    recording_id: str
    message: str
    at: int


class RecordingDeleted(EventValue, tag="recordingDeleted.1", frozen=True):
    recording_id: str
    at: int


class MediaNodeAdmitted(EventValue, tag="mediaNodeAdmitted.1", frozen=True):
    """The media node is part of the cluster, in status `launching`. `uri` is what it was admitted
    by, `cluster_id` is `OPENVIDU_PRO_CLUSTER_ID`."""

    node_id: str
    environment_id: str
    ip: str
    uri: str
    cluster_id: str
    at: int


class MediaNodeStatusChanged(EventValue, tag="mediaNodeStatusChanged.1", frozen=True):
    """`crashed`: it is not heard any more, nobody wanted it to go."""

    status: NodeStatus
    at: int
    crashed: bool = False


Event = (
    SessionCreated
    | SessionAllocated
    | SessionDestroyed
    | SessionCollected
    | ConnectionCreated
    | ConnectionRemoved
    | ConnectionPropertyChanged
    | ParticipantJoined
    | ParticipantLeft
    | WebrtcConnectionCreated
    | WebrtcConnectionDestroyed
    | StreamPropertyChanged
    | SignalSent
    | RecordingRequested
    | RecordingStarted
    | RecordingStopped
    | RecordingReady
    | RecordingFailed
    | RecordingDeleted
    | MediaNodeAdmitted
    | MediaNodeStatusChanged
)
