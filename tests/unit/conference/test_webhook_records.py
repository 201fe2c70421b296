"""What webhooks and the CDR file get: `events.md` section 4, field by field and in order."""

from __future__ import annotations

import pytest

from services.conference import events as e
from services.conference.cdr import Record, records
from services.conference.commands import (
    CloseSession,
    LeaveSession,
    StartRecording,
    UnpublishStream,
)
from services.conference.decide import decide
from services.conference.events import Event
from services.conference.model import (
    OutputMode,
    Reason,
    RecordingLayout,
    RecordingOptions,
    RecordingProperties,
)
from services.conference.state import EMPTY

from .ordering import check_order
from .scenario import (
    MICROPHONE,
    NOW,
    SESSION,
    THEN,
    UNIQUE,
    Given,
    allocated,
    created,
    destroyed,
    entered,
    given,
    joined,
    left,
    pending,
    published,
    recording,
    requested,
    stopped,
    stream,
    subscribed,
    unpublished,
    unsubscribed,
)

HEAD = {"sessionId": SESSION, "uniqueSessionId": UNIQUE}


def told(history: Given, *events: Event) -> list[Record]:
    return records(history.state, events)


def one(history: Given, event: Event) -> Record:
    found = told(history, event)
    assert len(found) == 1
    return found[0]


def check(record: Record, name: str, fields: dict[str, object]) -> None:
    """Equal in name, values and order of the keys."""
    assert record.name == name
    assert list(record.fields.items()) == list(fields.items())


def person(name: str) -> dict[str, object]:
    return {
        "participantId": name,
        "connectionId": name,
        "location": "unknown",
        "ip": "203.0.113.77",
        "platform": "Chrome 156 on Linux",
        "clientData": f"client data of {name}",
        "serverData": f"server data of {name}",
    }


VIDEO = {
    "videoSource": "CAMERA",
    "videoFramerate": 30,
    "videoDimensions": '{"width":640,"height":480}',
    "audioEnabled": True,
    "videoEnabled": True,
}


def test_session_created() -> None:
    check(one(given(), created()), "sessionCreated", HEAD | {"timestamp": THEN})


def test_session_destroyed_counts_whole_seconds_from_the_creation() -> None:
    check(
        one(given(created()), destroyed(Reason.SESSION_CLOSED_BY_SERVER)),
        "sessionDestroyed",
        HEAD | {"timestamp": NOW, "startTime": THEN, "duration": 61,
                "reason": "sessionClosedByServer"},
    )  # fmt: skip


def test_participant_joined() -> None:
    history = given(created(), allocated(), pending("A"))
    check(one(history, entered("A", NOW)), "participantJoined",
          HEAD | {"timestamp": NOW} | person("A"))  # fmt: skip


def test_an_unknown_address_is_null() -> None:
    event = e.ParticipantJoined("A", NOW, "p", "", "unknown", "digest")
    fields = one(given(created(), allocated(), pending("A")), event).fields
    assert fields["ip"] is None
    assert fields["clientData"] == ""


def test_participant_left_repeats_the_values_of_the_join() -> None:
    history = given(created(), allocated(), joined("A"))
    check(
        one(history, left("A", Reason.NETWORK_DISCONNECT)),
        "participantLeft",
        HEAD | {"timestamp": NOW, "startTime": THEN, "duration": 61,
                "reason": "networkDisconnect"} | person("A"),
    )  # fmt: skip


def test_a_published_stream() -> None:
    history = given(created(), allocated(), joined("A"))
    check(
        one(history, published("A", at=NOW)),
        "webrtcConnectionCreated",
        HEAD | {"timestamp": NOW, "streamId": stream("A"), "participantId": "A",
                "connectionId": "A", "connection": "OUTBOUND"} | VIDEO,
    )  # fmt: skip


def test_a_stream_without_video_has_no_video_fields() -> None:
    fields = one(given(created(), allocated(), joined("A")), published("A", MICROPHONE)).fields
    assert (fields["audioEnabled"], fields["videoEnabled"]) == (True, False)
    assert not {"videoSource", "videoFramerate", "videoDimensions"} & set(fields)


def test_a_subscription_belongs_to_the_subscriber() -> None:
    history = given(created(), allocated(), joined("A"), joined("B"), published("A"))
    check(
        one(history, subscribed("B", "A", NOW)),
        "webrtcConnectionCreated",
        HEAD | {"timestamp": NOW, "streamId": stream("A"), "participantId": "B",
                "connectionId": "B", "connection": "INBOUND", "receivingFrom": "A"} | VIDEO,
    )  # fmt: skip


def test_media_ends_with_what_was_published_whatever_changed_since() -> None:
    history = given(
        created(), allocated(), joined("A"), joined("B"), published("A"), subscribed("B", "A"),
        e.StreamPropertyChanged("A", stream("A"), "videoDimensions",
                                '"{\\"width\\":1,\\"height\\":2}"', "screenResized", THEN),
        e.StreamPropertyChanged("A", stream("A"), "audioActive", "false", "publishAudio", THEN),
    )  # fmt: skip
    outcome = history.when(UnpublishStream(stream("A")))
    outbound, inbound = records(history.state, decide(outcome.before, outcome.command, NOW))
    ended = {"timestamp": NOW, "startTime": THEN, "duration": 61, "reason": "unpublish"}
    check(
        outbound, "webrtcConnectionDestroyed",
        HEAD | ended | {"streamId": stream("A"), "participantId": "A", "connectionId": "A",
                        "connection": "OUTBOUND"} | VIDEO,
    )  # fmt: skip
    check(
        inbound, "webrtcConnectionDestroyed",
        HEAD | ended | {"streamId": stream("A"), "participantId": "B", "connectionId": "B",
                        "connection": "INBOUND", "receivingFrom": "A"} | VIDEO,
    )  # fmt: skip


def test_a_clock_that_was_behind_gives_no_negative_duration() -> None:
    history = given(created(), allocated(), joined("A"), published("A", at=NOW + 5000))
    assert one(history, unpublished("A", Reason.UNPUBLISH)).fields["duration"] == 0


def test_a_signal() -> None:
    history = given(created(), allocated(), joined("A"), joined("B"))
    check(
        one(history, e.SignalSent(("A", "B"), NOW, sender="A", type="chat", data="hi")),
        "signalSent",
        HEAD | {"timestamp": NOW, "from": "A", "to": ["A", "B"], "type": "chat", "data": "hi"},
    )
    check(
        one(history, e.SignalSent(("A",), NOW)),
        "signalSent",
        HEAD | {"timestamp": NOW, "from": None, "to": ["A"], "type": None, "data": None},
    )


COMPOSED_FIELDS = {
    "id": SESSION,
    "name": SESSION,
    "outputMode": "COMPOSED",
    "resolution": "1280x720",
    "frameRate": 25,
    "recordingLayout": "BEST_FIT",
    "hasAudio": True,
    "hasVideo": True,
}


def test_a_started_recording_tells_when_it_was_made() -> None:
    history = given(created(), allocated(), joined("A"), requested())
    check(
        one(history, e.RecordingStarted(SESSION, NOW)),
        "recordingStatusChanged",
        HEAD | {"timestamp": THEN, "startTime": THEN, "duration": 0.0} | COMPOSED_FIELDS
        | {"size": 0, "status": "started"},
    )  # fmt: skip


def test_a_stopped_recording_tells_why() -> None:
    history = given(created(), allocated(), joined("A"), recording())
    check(
        one(history, stopped()),
        "recordingStatusChanged",
        HEAD | {"timestamp": NOW, "startTime": THEN, "duration": 0.0,
                "reason": "recordingStoppedByServer"} | COMPOSED_FIELDS
        | {"size": 0, "status": "stopped"},
    )  # fmt: skip


def test_a_ready_recording_tells_size_and_duration_after_its_session_too() -> None:
    history = given(
        created(), allocated(), joined("A"), recording(), stopped(),
        left("A", Reason.DISCONNECT), destroyed(Reason.LAST_PARTICIPANT_LEFT),
    )  # fmt: skip
    check(
        one(history, e.RecordingReady(SESSION, 20483321, 118.4, NOW + 1)),
        "recordingStatusChanged",
        HEAD | {"timestamp": NOW + 1, "startTime": THEN, "duration": 118.4,
                "reason": "recordingStoppedByServer"} | COMPOSED_FIELDS
        | {"size": 20483321, "status": "ready"},
    )  # fmt: skip


def test_a_failed_start_has_no_reason_and_a_failed_stop_has() -> None:
    event = e.RecordingFailed(SESSION, "no media", NOW)
    starting = given(created(), allocated(), joined("A"), requested())
    fields = one(starting, event).fields
    assert fields["status"] == "failed"
    assert "reason" not in fields
    processing = given(created(), allocated(), joined("A"), recording(), stopped())
    assert one(processing, event).fields["reason"] == "recordingStoppedByServer"


@pytest.mark.parametrize(
    ("properties", "keys"),
    [
        (RecordingProperties(output_mode=OutputMode.INDIVIDUAL), set()),
        (RecordingProperties(has_video=False), set()),
        (
            RecordingProperties(output_mode=OutputMode.COMPOSED_QUICK_START),
            {"resolution", "frameRate", "recordingLayout"},
        ),
        (
            RecordingProperties(recording_layout=RecordingLayout.CUSTOM),
            {"resolution", "frameRate", "recordingLayout"},
        ),
        (
            RecordingProperties(
                recording_layout=RecordingLayout.CUSTOM, custom_layout="grid", media_node="media_7"
            ),
            {"resolution", "frameRate", "recordingLayout", "customLayout", "media_node_id"},
        ),
        (RecordingProperties(custom_layout="left over"),
         {"resolution", "frameRate", "recordingLayout"}),
    ],
)  # fmt: skip
def test_a_recording_tells_what_applies_to_it(
    properties: RecordingProperties, keys: set[str]
) -> None:
    history = given(created(), allocated(), joined("A"), recording(properties=properties))
    found = set(one(history, stopped()).fields)
    optional = {"resolution", "frameRate", "recordingLayout", "customLayout", "media_node_id"}
    assert found & optional == keys
    check_order(records(EMPTY, (*history.events, stopped())))


def test_what_is_no_webhook_event_is_not_told() -> None:
    history = given(created())
    silent = (
        pending("A"),
        e.ConnectionPropertyChanged("A", NOW, record=False),
        e.ConnectionRemoved("A", NOW),
        allocated(),
        e.SessionCollected(NOW),
    )
    assert told(history, *silent) == []
    recorded = given(created(), allocated(), joined("A"), published("A"))
    assert told(recorded, requested()) == []
    assert told(given(*recorded.events, recording(), stopped()),
                e.RecordingDeleted(SESSION, NOW)) == []  # fmt: skip
    muted = e.StreamPropertyChanged("A", stream("A"), "audioActive", "false", "publishAudio", NOW)
    assert told(recorded, muted) == []


def names(found: list[Record]) -> list[str]:
    return [str(record.fields.get("connection", record.name)) for record in found]


def test_the_order_of_a_leaving_user_is_inbound_outbound_left_destroyed() -> None:
    history = given(
        created(), allocated(), joined("A"), joined("B"), published("A"), published("B"),
        subscribed("A", "B"), subscribed("B", "A"),
    )  # fmt: skip
    events = list(history.events)
    for name in ("A", "B"):
        events += decide(given(*events).state, LeaveSession(name), NOW)
    found = records(EMPTY, events)
    check_order(found)
    assert names(found[-7:]) == [
        "INBOUND", "INBOUND", "OUTBOUND", "participantLeft",
        "OUTBOUND", "participantLeft", "sessionDestroyed",
    ]  # fmt: skip


def test_a_recording_that_never_started_is_stopped_and_failed_with_its_session() -> None:
    history = given(created(), allocated(), joined("A"))
    events = list(history.events)
    events += decide(history.state, StartRecording(RecordingOptions()), NOW)
    events += decide(given(*events).state, CloseSession(Reason.SESSION_CLOSED_BY_SERVER), NOW)
    found = records(EMPTY, events)
    check_order(found)
    assert [record.fields.get("status", record.name) for record in found[-4:]] == [
        "participantLeft", "stopped", "failed", "sessionDestroyed",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "events",
    [
        [allocated(), pending("A"), entered("A")],
        [created(), allocated(), pending("A"), entered("A"),
         destroyed(Reason.SESSION_CLOSED_BY_SERVER)],
        [created(), allocated(), pending("A"), entered("A"), published("A"),
         left("A", Reason.DISCONNECT)],
        [created(), allocated(), pending("A"), entered("A"), requested(),
         e.RecordingStarted(SESSION, THEN), destroyed(Reason.NODE_CRASHED)],
    ],
    ids=["before creation", "left is missing", "media end is missing", "stop is missing"],
)  # fmt: skip
def test_the_checks_of_the_order_find_what_is_wrong(events: list[Event]) -> None:
    if isinstance(events[0], e.SessionCreated):
        found = records(EMPTY, events)
    else:
        found = records(given(created()).state, events)
    with pytest.raises((AssertionError, KeyError)):
        check_order(found)


def test_an_unsubscription() -> None:
    history = given(
        created(), allocated(), joined("A"), joined("B"), published("A"), subscribed("B", "A")
    )
    found = one(history, unsubscribed("B", "A", Reason.UNSUBSCRIBE))
    assert found.fields["reason"] == "unsubscribe"
    assert found.fields["receivingFrom"] == "A"
