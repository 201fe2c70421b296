"""What somebody wants to happen to one session or media node. `decide` answers with events or an
error.

Ids and times that must be fresh come in with the command; `at` values are UTC milliseconds.
The time of the decision itself is an argument of `decide`.
"""

from __future__ import annotations

from .model import (
    ConnectionType,
    DeletionStrategy,
    IceServer,
    KurentoOptions,
    MediaOptions,
    NodeStatus,
    Reason,
    RecordingOptions,
    Role,
    SessionProperties,
    Value,
)


class CommandValue(Value, tag_field="command", frozen=True):
    pass


class InitializeSession(CommandValue, tag="initializeSession", frozen=True):
    session_id: str
    properties: SessionProperties


class CloseSession(CommandValue, tag="closeSession", frozen=True):
    reason: Reason


class CollectSession(CommandValue, tag="collectSession", frozen=True):
    """Drop a session nobody ever joined, silently (`OPENVIDU_SESSIONS_GARBAGE_*`)."""


class CreateConnection(CommandValue, tag="createConnection", frozen=True):
    connection_id: str
    token: str  # the bare `tok_…`; views make the URL
    type: ConnectionType = ConnectionType.WEBRTC
    role: Role = Role.PUBLISHER
    record: bool = True
    server_data: str = ""
    kurento_options: KurentoOptions | None = None
    custom_ice_servers: tuple[IceServer, ...] = ()


class ModifyConnection(CommandValue, tag="modifyConnection", frozen=True):
    connection_id: str
    role: Role | None = None
    record: bool | None = None


class RemoveConnection(CommandValue, tag="removeConnection", frozen=True):
    """Evict an active connection, or invalidate the token of a pending one.

    `requested_by` is the connection of the moderator who asks; `None` is the server.
    """

    connection_id: str
    requested_by: str | None = None


class JoinSession(CommandValue, tag="joinSession", frozen=True):
    """Take a pending connection by its token (`signaling.md` 3.1).

    `rpc_digest` is the SHA-256 (hex) of the RPC session id: the id itself would let whoever reads
    the log take over the participant. The media node is used if the session has none yet.
    """

    token: str
    platform: str
    client_data: str
    rpc_digest: str
    media_node_id: str
    media_instance: str
    ip: str | None = None
    location: str = "unknown"


class LeaveSession(CommandValue, tag="leaveSession", frozen=True):
    """`reason` is `disconnect` or `networkDisconnect`."""

    connection_id: str
    reason: Reason = Reason.DISCONNECT


class PublishStream(CommandValue, tag="publishStream", frozen=True):
    """`media_instance`: the session's media process when the offer was made to it; older logs do
    not tell."""

    connection_id: str
    stream_id: str
    media: MediaOptions
    created_at: int
    media_instance: str = ""


class UnpublishStream(CommandValue, tag="unpublishStream", frozen=True):
    """End a stream: `unpublish` by its owner, `forceUnpublishByUser` by a moderator
    (`requested_by`), `forceUnpublishByServer` by REST."""

    stream_id: str
    reason: Reason = Reason.UNPUBLISH
    requested_by: str | None = None


class SubscribeToStream(CommandValue, tag="subscribeToStream", frozen=True):
    connection_id: str
    stream_id: str
    created_at: int


class UnsubscribeFromStream(CommandValue, tag="unsubscribeFromStream", frozen=True):
    """`publisher_id` is the connection id of the stream's owner, as the client sends it."""

    connection_id: str
    publisher_id: str


class ChangeStreamProperty(CommandValue, tag="changeStreamProperty", frozen=True):
    """`value` is the JSON text of what the publisher sent (`signaling.md` 4.6)."""

    connection_id: str
    property: str
    value: str
    reason: str


class SendSignal(CommandValue, tag="sendSignal", frozen=True):
    """`sender` is `None` for REST; `to` empty means everybody. `type` without `signal:`."""

    sender: str | None = None
    to: tuple[str, ...] = ()
    type: str | None = None
    data: str | None = None


class StartRecording(CommandValue, tag="startRecording", frozen=True):
    options: RecordingOptions
    automatic: bool = False  # `recordingMode` ALWAYS, not a REST call


class ReportRecordingStarted(CommandValue, tag="reportRecordingStarted", frozen=True):
    recording_id: str


class StopRecording(CommandValue, tag="stopRecording", frozen=True):
    recording_id: str
    reason: Reason = Reason.RECORDING_STOPPED_BY_SERVER


class AutostopRecording(CommandValue, tag="autostopRecording", frozen=True):
    """The countdown of `events.md` 5.7 ran out. `immediate`: the time-out is configured as 0."""

    recording_id: str
    immediate: bool = False


class ReportRecordingReady(CommandValue, tag="reportRecordingReady", frozen=True):
    """`size` in bytes, `duration` in seconds."""

    recording_id: str
    size: int
    duration: float


class ReportRecordingFailed(CommandValue, tag="reportRecordingFailed", frozen=True):
    recording_id: str
    message: str


class DeleteRecording(CommandValue, tag="deleteRecording", frozen=True):
    recording_id: str


class ResetMedia(CommandValue, tag="resetMedia", frozen=True):
    """The session's media process came back as another instance: its streams are gone.

    Participants stay and may publish again (`mediaServerReconnect`, `events.md` 5.9).
    """

    media_node_id: str
    media_instance: str


class AdmitNode(CommandValue, tag="admitNode", frozen=True):
    """Take a media node that announces itself into the cluster.

    `automatic`: nobody asked for it, so a node that somebody removed stays out. `connected`: it is
    `running` at once, else when it is heard next.
    """

    node_id: str
    environment_id: str
    ip: str
    uri: str
    cluster_id: str
    automatic: bool = False
    connected: bool = False


class ReportNodeConnected(CommandValue, tag="reportNodeConnected", frozen=True):
    """The launch is complete: the node was heard after its admission."""


class ReportNodeLost(CommandValue, tag="reportNodeLost", frozen=True):
    """The node was not heard for so long that it will not come back."""


class ReportNodeIdle(CommandValue, tag="reportNodeIdle", frozen=True):
    """The node hosts nothing any more: the next step of its end may be taken."""


class ChangeNodeStatus(CommandValue, tag="changeNodeStatus", frozen=True):
    """Somebody wants the node in this status (`cluster.md` 3.3)."""

    status: NodeStatus


class RemoveNode(CommandValue, tag="removeNode", frozen=True):
    """`busy`: it hosts sessions or recordings, as far as who asks can see."""

    strategy: DeletionStrategy
    busy: bool


Command = (
    InitializeSession
    | CloseSession
    | CollectSession
    | CreateConnection
    | ModifyConnection
    | RemoveConnection
    | JoinSession
    | LeaveSession
    | PublishStream
    | UnpublishStream
    | SubscribeToStream
    | UnsubscribeFromStream
    | ChangeStreamProperty
    | SendSignal
    | StartRecording
    | ReportRecordingStarted
    | StopRecording
    | AutostopRecording
    | ReportRecordingReady
    | ReportRecordingFailed
    | DeleteRecording
    | ResetMedia
    | AdmitNode
    | ReportNodeConnected
    | ReportNodeLost
    | ReportNodeIdle
    | ChangeNodeStatus
    | RemoveNode
)
