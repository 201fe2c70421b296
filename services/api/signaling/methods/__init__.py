"""The methods a client may call, one file a group; this is the table.

`ping`, `connect` and `closeSession` are not here: the gateway itself answers them, out of turn.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from msgspec import Struct

from services.api.signaling.call import Call, Result

from . import filters, messages, publish, room, subscribe


class Method(NamedTuple):
    """`run` returns the result, or `None` if the response went out with a commit. `joined`: only
    for participants. `at_once`: nothing is done but to answer `{}`, so a participant need not wait
    until what it asked for before is done; 3.8 and 3.19 want it so."""

    params: type[Struct]
    run: Callable[[Call, Any], Awaitable[Result | None]]
    joined: bool = True
    at_once: bool = False


METHODS: dict[str, Method] = {
    "joinRoom": Method(room.JoinRoom, room.join_room, joined=False),
    "leaveRoom": Method(room.NoParams, room.leave_room),
    "forceDisconnect": Method(room.ForceDisconnect, room.force_disconnect),
    "publishVideo": Method(publish.PublishVideo, publish.publish_video),
    "unpublishVideo": Method(room.NoParams, publish.unpublish_video),
    "streamPropertyChanged": Method(publish.StreamPropertyChanged, publish.stream_property_changed),
    "forceUnpublish": Method(publish.ForceUnpublish, publish.force_unpublish),
    "prepareReceiveVideoFrom": Method(
        subscribe.PrepareReceiveVideoFrom, subscribe.prepare_receive_video_from
    ),
    "receiveVideoFrom": Method(subscribe.ReceiveVideoFrom, subscribe.receive_video_from),
    "unsubscribeFromVideo": Method(
        subscribe.UnsubscribeFromVideo, subscribe.unsubscribe_from_video
    ),
    "onIceCandidate": Method(subscribe.OnIceCandidate, messages.answer_only, at_once=True),
    "reconnectStream": Method(subscribe.ReconnectStream, subscribe.reconnect_stream),
    "sendMessage": Method(messages.SendMessage, messages.send_message),
    "echo": Method(room.NoParams, messages.answer_only, at_once=True),
    "videoData": Method(messages.VideoData, messages.answer_only, at_once=True),
    "sessionStatus": Method(messages.SessionStatus, messages.session_status, joined=False),
    "subscribeToSpeechToText": Method(messages.SpeechToText, messages.speech_to_text),
    "unsubscribeFromSpeechToText": Method(messages.SpeechToText, messages.speech_to_text),
    "applyFilter": Method(filters.ApplyFilter, filters.apply_filter),
    "removeFilter": Method(filters.RemoveFilter, filters.remove_filter),
    "execFilterMethod": Method(filters.ExecFilterMethod, filters.exec_filter_method),
    "addFilterEventListener": Method(filters.FilterEventListener, filters.filter_event_listener),
    "removeFilterEventListener": Method(filters.FilterEventListener, filters.filter_event_listener),
}
