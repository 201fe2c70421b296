"""The aggregates, Session and Node: what is true now, folded from their events by `evolve`.

Everything is immutable; `evolve` shares what did not change, so `before.x is after.x` tells a
reader cheaply that an event left `x` alone.
"""

from __future__ import annotations

from .model import (
    ConnectionType,
    IceServer,
    KurentoOptions,
    MediaOptions,
    NodeStatus,
    Reason,
    RecordingProperties,
    RecordingStatus,
    Role,
    SessionProperties,
    Value,
)


class Stream(Value, frozen=True):
    """`published` is what was declared at first (webhooks), `current` what holds now (REST)."""

    id: str
    created_at: int
    published: MediaOptions
    current: MediaOptions


class Subscription(Value, frozen=True):
    """`published` is the stream's, kept here because a stream may end before its subscriptions."""

    stream_id: str
    publisher_id: str
    created_at: int
    published: MediaOptions


class Connection(Value, frozen=True):
    """Pending while `active_at` is `None`: its token waits for a user."""

    id: str
    token: str
    type: ConnectionType
    role: Role
    record: bool
    server_data: str
    created_at: int
    kurento_options: KurentoOptions | None = None
    custom_ice_servers: tuple[IceServer, ...] = ()
    active_at: int | None = None
    platform: str | None = None
    client_data: str | None = None
    ip: str | None = None
    location: str | None = None
    rpc_digest: str | None = None
    stream: Stream | None = None
    subscriptions: dict[str, Subscription] = {}  # by stream id, in order of creation

    @property
    def active(self) -> bool:
        return self.active_at is not None


class MediaNode(Value, frozen=True):
    """Where the session's media lives; `instance` changes when that process starts anew."""

    id: str
    instance: str


class Recording(Value, frozen=True):
    id: str
    session_id: str
    unique_session_id: str
    properties: RecordingProperties
    created_at: int
    status: RecordingStatus
    size: int = 0
    duration: float = 0.0
    reason: Reason | None = None
    message: str | None = None  # why it failed

    @property
    def name(self) -> str:
        return self.properties.name or self.id


class Session(Value, frozen=True):
    id: str
    created_at: int
    properties: SessionProperties
    connections: dict[str, Connection] = {}  # by id, in order of creation
    media_node: MediaNode | None = None
    joined: bool = False  # somebody was in it once
    empty_since: int | None = None  # the countdown of `events.md` 5.7 runs since then
    autostart_off: bool = False  # a REST stop ends `recordingMode` ALWAYS for good


class Node(Value, frozen=True):
    """A media node of the cluster, or what is left of one (`registered` is false)."""

    id: str
    environment_id: str
    ip: str
    uri: str
    cluster_id: str
    launched_at: int
    status: NodeStatus = NodeStatus.LAUNCHING
    connected_at: int | None = None  # when it began to run
    removed: bool = False  # somebody wanted it to go, so it comes back only if somebody asks
    crashed: bool = False  # it goes because it was lost

    @property
    def registered(self) -> bool:
        """Is it part of the cluster?"""
        return self.status not in (NodeStatus.FAILED, NodeStatus.TERMINATED)


class State(Value, frozen=True):
    """One subject of the log: the open session, if any, and the recordings of all its lives; or a
    media node."""

    session: Session | None = None
    recordings: dict[str, Recording] = {}  # by id, in order of creation
    node: Node | None = None

    @property
    def active_recording(self) -> Recording | None:
        """The one recording that is starting or started."""
        for recording in self.recordings.values():
            if recording.status in (RecordingStatus.STARTING, RecordingStatus.STARTED):
                return recording
        return None


EMPTY = State()
