"""Commands at random: most of them sensible in the state they meet, some of them nonsense."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import Any, TypeVar

from services.conference import commands as c
from services.conference.model import (
    ConnectionType,
    DeletionStrategy,
    IceServer,
    KurentoOptions,
    MediaMode,
    MediaOptions,
    NodeStatus,
    OutputMode,
    Reason,
    RecordingMode,
    RecordingOptions,
    RecordingProperties,
    RecordingStatus,
    Role,
    SessionProperties,
)
from services.conference.state import Connection, State

from .scenario import CAMERA, MICROPHONE, SESSION

SENSIBLE = 0.8

T = TypeVar("T")
SILENT = MediaOptions(has_audio=False, has_video=False)
CLOSING = (
    Reason.SESSION_CLOSED_BY_SERVER,
    Reason.MEDIA_SERVER_DISCONNECT,
    Reason.NODE_CRASHED,
    Reason.OPENVIDU_SERVER_STOPPED,
)
CHANGES = (
    ("audioActive", "false"),
    ("videoActive", "true"),
    ("videoDimensions", '"{\\"width\\":1,\\"height\\":2}"'),
    ("videoTrack", '{"label":"ñ"}'),
    ("audioTrack", "null"),
    ("id", "true"),
)


class Dice:
    """Draws commands. Connections get ever new ids, so that a token once used stays used."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._made = 0

    def command(self, state: State, at: int) -> c.Command:
        if state.session is None and self._rng.random() < SENSIBLE / 2:
            return self.initialize(state, at)
        kind = self._rng.choices(list(_KINDS), weights=[weight for weight, _ in _KINDS.values()])
        command: c.Command = _KINDS[kind[0]][1](self, state, at)
        return command

    def one(self, *values: T) -> T:
        return self._rng.choice(values)

    def text(self) -> str:
        return self.one("", "x", "ñ€😀", '"\\\n', "<&>")

    def sensible(self, fitting: Iterable[str], other: Iterable[str]) -> str:
        """Mostly what fits, if there is any; at times anything, the unknown included."""
        good = list(fitting)
        if good and self._rng.random() < SENSIBLE:
            return self._rng.choice(good)
        return self.one(*good, *other, "unknown", "")

    def connections(self, state: State, *, active: bool) -> list[Connection]:
        found = state.session.connections.values() if state.session else ()
        return [connection for connection in found if connection.active is active]

    def connection(self, state: State) -> str:
        active = [connection.id for connection in self.connections(state, active=True)]
        pending = [connection.id for connection in self.connections(state, active=False)]
        return self.sensible(active, [*pending, f"con_{self._rng.randint(0, self._made)}"])

    def token(self, state: State) -> str:
        waiting = [connection.token for connection in self.connections(state, active=False)]
        return self.sensible(waiting, [f"tok_{self._rng.randint(0, self._made)}"])

    def stream(self, state: State) -> str:
        publishing = self.connections(state, active=True)
        return self.sensible([one.stream.id for one in publishing if one.stream], ())

    def recording(self, state: State, *statuses: RecordingStatus) -> str:
        fitting = [one.id for one in state.recordings.values() if one.status in statuses]
        return self.sensible(fitting, [*state.recordings, SESSION])

    def initialize(self, state: State, at: int) -> c.Command:
        defaults = RecordingProperties(
            name=self.text(),
            has_audio=self.one(True, True, False),
            output_mode=self.one(*OutputMode),
        )
        return c.InitializeSession(
            SESSION,
            SessionProperties(
                media_mode=self.one(*[MediaMode.ROUTED] * 5, MediaMode.RELAYED),
                recording_mode=self.one(*RecordingMode),
                default_recording_properties=defaults,
            ),
        )

    def create(self, state: State, at: int) -> c.Command:
        self._made += 1
        return c.CreateConnection(
            connection_id=self.one(*[f"con_{self._made}"] * 9, self.connection(state)),
            token=f"tok_{self._made}",
            type=self.one(*[ConnectionType.WEBRTC] * 9, ConnectionType.IPCAM),
            role=self.one(*Role, Role.MODERATOR),
            record=self.one(True, False),
            server_data=self.text(),
            kurento_options=self.one(None, KurentoOptions(allowed_filters=("F",))),
            custom_ice_servers=self.one((), (IceServer("stun:s"),)),
        )

    def join(self, state: State, at: int) -> c.Command:
        instance = self.one("first", "second")
        return c.JoinSession(
            self.token(state), "p", self.text(), "digest", "media_1", instance, self.one(None, "ip")
        )

    def unpublish(self, state: State, at: int) -> c.Command:
        reason = self.one(
            Reason.UNPUBLISH, Reason.FORCE_UNPUBLISH_BY_USER, Reason.FORCE_UNPUBLISH_BY_SERVER
        )
        by_user = reason is Reason.FORCE_UNPUBLISH_BY_USER
        asks = self.connection(state) if by_user else None
        return c.UnpublishStream(self.stream(state), reason, asks)

    def signal(self, state: State, at: int) -> c.Command:
        to = tuple(self.connection(state) for _ in range(self._rng.randint(0, 2)))
        sender = self.one(None, self.connection(state))
        return c.SendSignal(sender, to, self.one(None, self.text()), self.one(None, self.text()))

    def start(self, state: State, at: int) -> c.Command:
        options = RecordingOptions(
            name=self.one(None, self.text()),
            has_video=self.one(None, True, False),
            output_mode=self.one(None, *OutputMode),
        )
        return c.StartRecording(options, automatic=self.one(True, False))


_KINDS: dict[type, tuple[float, Callable[[Dice, State, int], Any]]] = {
    c.InitializeSession: (2, Dice.initialize),
    c.CloseSession: (0.2, lambda dice, state, at: c.CloseSession(dice.one(*CLOSING))),
    c.CollectSession: (0.2, lambda dice, state, at: c.CollectSession()),
    c.CreateConnection: (6, Dice.create),
    c.ModifyConnection: (
        1,
        lambda dice, state, at: c.ModifyConnection(
            dice.connection(state), dice.one(None, *Role), dice.one(None, True, False)
        ),
    ),
    c.RemoveConnection: (
        0.5,
        lambda dice, state, at: c.RemoveConnection(
            dice.connection(state), dice.one(None, dice.connection(state))
        ),
    ),
    c.JoinSession: (7, Dice.join),
    c.LeaveSession: (
        0.7,
        lambda dice, state, at: c.LeaveSession(
            dice.connection(state), dice.one(Reason.DISCONNECT, Reason.NETWORK_DISCONNECT)
        ),
    ),
    c.PublishStream: (
        5,
        lambda dice, state, at: c.PublishStream(
            name := dice.connection(state),
            dice.one(f"str_{at}_{name}", f"str_{at}_{name}", dice.stream(state)),
            dice.one(CAMERA, MICROPHONE, SILENT),
            at - dice.one(0, 0, 1500),
            dice.one("", "", "", "first"),
        ),
    ),
    c.UnpublishStream: (2, Dice.unpublish),
    c.SubscribeToStream: (
        6,
        lambda dice, state, at: c.SubscribeToStream(
            dice.connection(state), dice.stream(state), at - dice.one(0, 0, 1500)
        ),
    ),
    c.UnsubscribeFromStream: (
        1,
        lambda dice, state, at: c.UnsubscribeFromStream(
            dice.connection(state), dice.connection(state)
        ),
    ),
    c.ChangeStreamProperty: (
        2,
        lambda dice, state, at: c.ChangeStreamProperty(
            dice.connection(state), *dice.one(*CHANGES), dice.text()
        ),
    ),
    c.SendSignal: (1, Dice.signal),
    c.StartRecording: (3, Dice.start),
    c.ReportRecordingStarted: (
        3,
        lambda dice, state, at: c.ReportRecordingStarted(
            dice.recording(state, RecordingStatus.STARTING)
        ),
    ),
    c.StopRecording: (
        1,
        lambda dice, state, at: c.StopRecording(dice.recording(state, RecordingStatus.STARTED)),
    ),
    c.AutostopRecording: (
        1,
        lambda dice, state, at: c.AutostopRecording(
            dice.recording(state, RecordingStatus.STARTED), dice.one(True, False)
        ),
    ),
    c.ReportRecordingReady: (
        1,
        lambda dice, state, at: c.ReportRecordingReady(
            dice.recording(state, RecordingStatus.STOPPED), 7, 1.5
        ),
    ),
    c.ReportRecordingFailed: (
        1,
        lambda dice, state, at: c.ReportRecordingFailed(
            dice.recording(state, RecordingStatus.STARTING, RecordingStatus.STOPPED), dice.text()
        ),
    ),
    c.DeleteRecording: (
        1,
        lambda dice, state, at: c.DeleteRecording(
            dice.recording(state, RecordingStatus.READY, RecordingStatus.FAILED)
        ),
    ),
    c.ResetMedia: (
        1,
        lambda dice, state, at: c.ResetMedia("media_1", dice.one("first", "second", "third")),
    ),
}


class NodeDice:
    """Draws commands to one media node."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def command(self, state: State, at: int) -> c.Command:
        return self._rng.choice(_NODE_KINDS)(self._rng)


_NODE_KINDS: tuple[Callable[[Random], c.Command], ...] = (
    lambda rng: c.AdmitNode("m", "m", "ip", "uri", "c", rng.random() < 0.5, rng.random() < 0.5),
    lambda rng: c.ReportNodeConnected(),
    lambda rng: c.ReportNodeLost(),
    lambda rng: c.ReportNodeIdle(),
    lambda rng: c.ChangeNodeStatus(rng.choice(list(NodeStatus))),
    lambda rng: c.RemoveNode(rng.choice(list(DeletionStrategy)), rng.random() < 0.5),
)

KINDS = frozenset(_KINDS) | {type(make(Random(0))) for make in _NODE_KINDS}
