"""Decide what follows from a command: events, or a refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .commands import (
    AdmitNode,
    AutostopRecording,
    ChangeNodeStatus,
    ChangeStreamProperty,
    CloseSession,
    CollectSession,
    Command,
    CreateConnection,
    DeleteRecording,
    InitializeSession,
    JoinSession,
    LeaveSession,
    ModifyConnection,
    PublishStream,
    RemoveConnection,
    RemoveNode,
    ReportNodeConnected,
    ReportNodeIdle,
    ReportNodeLost,
    ReportRecordingFailed,
    ReportRecordingReady,
    ReportRecordingStarted,
    ResetMedia,
    SendSignal,
    StartRecording,
    StopRecording,
    SubscribeToStream,
    UnpublishStream,
    UnsubscribeFromStream,
)
from .decisions import connections, nodes, recordings, sessions, streams
from .decisions.draft import Draft
from .events import Event
from .state import State


def decide(state: State, command: Command, at: int) -> tuple[Event, ...]:
    """The events that follow from the command at the time `at`, in the order of `events.md` 5.

    Nothing if there is nothing to do. Raises `ConferenceError` if the command is refused, and
    `ValueError` for a reason that the command does not go with.
    """
    draft = Draft(state, at)
    _DECISIONS[type(command)](draft, command)
    return tuple(draft.events)


_DECISIONS: dict[type, Callable[[Draft, Any], None]] = {
    InitializeSession: sessions.initialize,
    CloseSession: sessions.close,
    CollectSession: sessions.collect,
    ResetMedia: sessions.reset_media,
    CreateConnection: connections.create,
    ModifyConnection: connections.modify,
    RemoveConnection: connections.remove,
    JoinSession: connections.join,
    LeaveSession: connections.leave,
    PublishStream: streams.publish,
    UnpublishStream: streams.unpublish,
    SubscribeToStream: streams.subscribe,
    UnsubscribeFromStream: streams.unsubscribe,
    ChangeStreamProperty: streams.change_property,
    SendSignal: sessions.send_signal,
    StartRecording: recordings.start,
    ReportRecordingStarted: recordings.report_started,
    StopRecording: recordings.stop,
    AutostopRecording: recordings.autostop,
    ReportRecordingReady: recordings.report_ready,
    ReportRecordingFailed: recordings.report_failed,
    DeleteRecording: recordings.delete,
    AdmitNode: nodes.admit,
    ReportNodeConnected: nodes.report_connected,
    ReportNodeLost: nodes.report_lost,
    ReportNodeIdle: nodes.report_idle,
    ChangeNodeStatus: nodes.change_status,
    RemoveNode: nodes.remove,
}
