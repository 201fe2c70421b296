"""What browsers are told, to whom and in which order: the scenarios of `signaling.md` 7.

A story is written as it is read there: who hears what before the response, `RESPONSE`, and after.
"""

from __future__ import annotations

import json

import pytest

from services.conference import events as e
from services.conference.commands import (
    AutostopRecording,
    ChangeStreamProperty,
    CloseSession,
    Command,
    CreateConnection,
    InitializeSession,
    JoinSession,
    LeaveSession,
    ModifyConnection,
    PublishStream,
    RemoveConnection,
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
from services.conference.decide import decide
from services.conference.evolve import evolve_all
from services.conference.model import (
    ConnectionType,
    MediaOptions,
    Reason,
    RecordingOptions,
    RecordingProperties,
    Role,
    SessionProperties,
    VideoSource,
)
from services.conference.notices import (
    Notice,
    Notices,
    existing_participants,
    metadata,
    notices,
    recording_hint,
)

from .scenario import (
    CAMERA,
    MICROPHONE,
    NOW,
    SESSION,
    THEN,
    Given,
    allocated,
    camera,
    created,
    given,
    joined,
    left,
    pending,
    published,
    recording,
    requested,
    stream,
    subscribed,
    token,
)

RESPONSE = "response"
PUBLISHERS = frozenset({Role.PUBLISHER, Role.MODERATOR})
TRIO = (created(), allocated(), joined("A"), joined("B"), joined("C"))


def tell(history: Given, command: Command, roles: frozenset[Role] = PUBLISHERS) -> Notices:
    events = decide(history.state, command, NOW)
    after = evolve_all(history.state, events)
    return notices(history.state, command, events, after, roles)


def story(found: Notices) -> list[str]:
    def lines(part: list[Notice]) -> list[str]:
        return [f"{notice.to} {notice.method}" for notice in part]

    return [*lines(found.before_response), RESPONSE, *lines(found.after_response)]


def everything(found: Notices) -> list[Notice]:
    return [*found.before_response, *found.after_response]


def params(found: Notices, method: str) -> dict[str, object]:
    """Of all notices of this method, which must say the same."""
    said = [notice.params for notice in everything(found) if notice.method == method]
    assert said
    assert all(one == said[0] for one in said)
    return said[0]


def join(name: str) -> JoinSession:
    return JoinSession(token(name), "Chrome", f"client data of {name}", "d", "media_1", "first")


def test_the_first_user_comes_in_alone() -> None:
    assert story(tell(given(created(), pending("A")), join("A"))) == [RESPONSE]


def test_others_hear_of_a_joiner_before_its_response() -> None:
    found = tell(given(*TRIO, pending("D"), pending("E")), join("D"))
    assert story(found) == [
        "A participantJoined", "B participantJoined", "C participantJoined", RESPONSE,
    ]  # fmt: skip
    assert params(found, "participantJoined") == {
        "id": "D",
        "createdAt": NOW,
        "metadata": "client data of D%/%server data of D",
    }


def test_others_hear_of_a_stream_after_the_response() -> None:
    found = tell(given(*TRIO), PublishStream("A", stream("A"), CAMERA, NOW - 5))
    assert story(found) == [RESPONSE, "B participantPublished", "C participantPublished"]
    assert params(found, "participantPublished") == {
        "id": "A",
        "streams": [
            {
                "id": stream("A"),
                "createdAt": NOW - 5,
                "hasAudio": True,
                "audioActive": True,
                "hasVideo": True,
                "videoActive": True,
                "typeOfVideo": "CAMERA",
                "frameRate": 30,
                "videoDimensions": '{"width":640,"height":480}',
                "filter": {},
            }
        ],
    }


def test_nobody_hears_of_a_subscription() -> None:
    session = given(*TRIO, published("A"), subscribed("B", "A"))
    assert story(tell(session, SubscribeToStream("C", stream("A"), NOW))) == [RESPONSE]
    assert story(tell(session, UnsubscribeFromStream("B", "A"))) == [RESPONSE]


DIMENSIONS = '{"width":1,"height":2}'


@pytest.mark.parametrize(
    ("name", "sent", "heard"),
    [
        ("audioActive", False, "false"),
        ("videoActive", True, "true"),
        ("videoDimensions", DIMENSIONS, '"{\\"width\\":1,\\"height\\":2}"'),
        ("videoTrack", {"label": "x"}, '{"label":"x"}'),
        ("audioTrack", {"label": "x"}, '{"label":"x"}'),
    ],
)
def test_a_change_is_the_json_text_of_what_the_publisher_sent(
    name: str, sent: object, heard: str
) -> None:
    command = ChangeStreamProperty("A", name, json.dumps(sent), "a reason")
    found = tell(given(*TRIO, published("A")), command)
    assert story(found) == [RESPONSE, "B streamPropertyChanged", "C streamPropertyChanged"]
    assert params(found, "streamPropertyChanged") == {
        "connectionId": "A",
        "streamId": stream("A"),
        "property": name,
        "newValue": heard,
        "reason": "a reason",
    }


def test_the_client_can_read_the_dimensions_as_it_does() -> None:
    """It parses twice (`signaling.md` 4.6)."""
    command = ChangeStreamProperty("A", "videoDimensions", json.dumps(DIMENSIONS), "")
    found = params(tell(given(*TRIO, published("A")), command), "streamPropertyChanged")
    assert json.loads(json.loads(str(found["newValue"]))) == {"width": 1, "height": 2}


def test_others_hear_of_an_unpublished_stream_but_not_its_owner() -> None:
    session = given(*TRIO, published("A"), subscribed("B", "A"))
    found = tell(session, UnpublishStream(stream("A")))
    assert story(found) == [RESPONSE, "B participantUnpublished", "C participantUnpublished"]
    assert params(found, "participantUnpublished") == {"connectionId": "A", "reason": "unpublish"}


def test_all_hear_of_a_stream_that_was_forced_to_end() -> None:
    session = given(*TRIO, joined("M", Role.MODERATOR), published("A"), subscribed("B", "A"))
    by_moderator = UnpublishStream(stream("A"), Reason.FORCE_UNPUBLISH_BY_USER, requested_by="M")
    all_of_them = [f"{name} participantUnpublished" for name in "ABCM"]
    found = tell(session, by_moderator)
    assert story(found) == [RESPONSE, *all_of_them]
    assert params(found, "participantUnpublished")["reason"] == "forceUnpublishByUser"
    found = tell(session, UnpublishStream(stream("A"), Reason.FORCE_UNPUBLISH_BY_SERVER))
    assert story(found) == [RESPONSE, *all_of_them]
    assert params(found, "participantUnpublished")["reason"] == "forceUnpublishByServer"


def test_all_hear_of_streams_that_a_restarted_media_process_lost() -> None:
    session = given(*TRIO, published("A"), published("B"), subscribed("C", "A"))
    found = everything(tell(session, ResetMedia("media_1", "second")))
    assert {notice.method for notice in found} == {"participantUnpublished"}
    heard = [(notice.to, notice.params["connectionId"]) for notice in found]
    assert heard == [(to, owner) for owner in "AB" for to in "ABC"]
    assert {notice.params["reason"] for notice in found} == {"mediaServerReconnect"}


def test_who_leaves_is_gone_for_the_others_before_the_response() -> None:
    session = given(*TRIO, published("A"), subscribed("B", "A"))
    found = tell(session, LeaveSession("A"))
    assert story(found) == ["B participantLeft", "C participantLeft", RESPONSE]
    assert params(found, "participantLeft") == {"connectionId": "A", "reason": "disconnect"}


def test_the_last_one_to_leave_is_missed_by_nobody() -> None:
    assert story(tell(given(created(), allocated(), joined("A")), LeaveSession("A"))) == [RESPONSE]


def test_who_was_lost_is_evicted_for_the_others() -> None:
    found = tell(given(*TRIO, published("A")), LeaveSession("A", Reason.NETWORK_DISCONNECT))
    assert [line for line in story(found) if line != RESPONSE] == [
        "B participantLeft", "C participantLeft", "B participantEvicted", "C participantEvicted",
    ]  # fmt: skip
    gone = {"connectionId": "A", "reason": "networkDisconnect"}
    assert params(found, "participantLeft") == params(found, "participantEvicted") == gone


def test_a_moderator_hears_left_response_evicted() -> None:
    session = given(created(), allocated(), joined("M", Role.MODERATOR), joined("B"), joined("C"))
    found = tell(session, RemoveConnection("B", requested_by="M"))
    assert story(found) == [
        "M participantLeft", "C participantLeft", RESPONSE,
        "M participantEvicted", "B participantEvicted", "C participantEvicted",
    ]  # fmt: skip
    assert params(found, "participantEvicted") == {
        "connectionId": "B",
        "reason": "forceDisconnectByUser",
    }


def test_the_server_evicts_like_a_moderator() -> None:
    found = tell(given(*TRIO), RemoveConnection("B"))
    assert [line for line in story(found) if line != RESPONSE] == [
        "A participantLeft", "C participantLeft",
        "A participantEvicted", "B participantEvicted", "C participantEvicted",
    ]  # fmt: skip
    assert params(found, "participantEvicted")["reason"] == "forceDisconnectByServer"


def test_the_last_one_to_be_evicted_hears_it() -> None:
    found = tell(given(created(), allocated(), joined("A")), RemoveConnection("A"))
    assert [line for line in story(found) if line != RESPONSE] == ["A participantEvicted"]


def test_nobody_hears_of_pending_connections() -> None:
    session = given(*TRIO, pending("P"))
    assert story(tell(session, CreateConnection("Q", "tok_Q"))) == [RESPONSE]
    assert story(tell(session, RemoveConnection("P"))) == [RESPONSE]
    assert story(tell(session, ModifyConnection("P", record=False))) == [RESPONSE]
    new = InitializeSession(SESSION, SessionProperties())
    assert story(tell(given(), new)) == [RESPONSE]


def test_a_closing_session_is_told_user_by_user() -> None:
    """The first one hears only of itself, the last of everybody."""
    session = given(*TRIO, published("A"), subscribed("B", "A"), recording())
    found = tell(session, CloseSession(Reason.SESSION_CLOSED_BY_SERVER))
    heard = [f"{one.to} {one.method} {one.params['connectionId']}" for one in everything(found)]
    assert heard == [
        "B participantLeft A", "C participantLeft A",
        "A participantEvicted A", "B participantEvicted A", "C participantEvicted A",
        "C participantLeft B", "B participantEvicted B", "C participantEvicted B",
        "C participantEvicted C",
    ]  # fmt: skip
    assert {one.params["reason"] for one in everything(found)} == {"sessionClosedByServer"}


def test_a_signal_goes_to_the_sender_too_and_before_the_response() -> None:
    found = tell(given(*TRIO), SendSignal(sender="A", type="chat", data="hi"))
    assert story(found) == ["A sendMessage", "B sendMessage", "C sendMessage", RESPONSE]
    assert params(found, "sendMessage") == {"data": "hi", "type": "signal:chat", "from": "A"}


def test_a_signal_goes_only_to_whom_it_names() -> None:
    found = tell(given(*TRIO), SendSignal(sender="A", to=("C",), type="chat", data=""))
    assert story(found) == ["C sendMessage", RESPONSE]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (SendSignal(), {}),
        (SendSignal(data="d"), {"data": "d"}),
        (SendSignal(type="MY_TYPE"), {"type": "signal:MY_TYPE"}),
        (SendSignal(type="signal:MY_TYPE"), {"type": "signal:MY_TYPE"}),
        (SendSignal(sender="A", type="signal:x"), {"type": "signal:signal:x", "from": "A"}),
    ],
)
def test_a_signal_has_no_member_that_was_not_given(
    command: SendSignal, said: dict[str, str]
) -> None:
    assert params(tell(given(*TRIO), command), "sendMessage") == said


def test_only_the_connection_itself_hears_of_its_properties() -> None:
    found = tell(given(*TRIO), ModifyConnection("B", role=Role.MODERATOR, record=False))
    assert everything(found) == [
        Notice("B", "connectionPropertyChanged", {"property": "role", "newValue": "MODERATOR"}),
        Notice("B", "connectionPropertyChanged", {"property": "record", "newValue": "false"}),
    ]
    only_record = tell(
        given(*TRIO, e.ConnectionPropertyChanged("B", THEN, record=False)),
        ModifyConnection("B", record=True),
    )
    assert [one.params["newValue"] for one in everything(only_record)] == ["true"]


ROLES = (
    created(),
    allocated(),
    joined("S", Role.SUBSCRIBER),
    joined("P", Role.PUBLISHER),
    joined("M", Role.MODERATOR),
)


@pytest.mark.parametrize(
    ("roles", "heard"),
    [
        (frozenset[Role](), ""),
        (frozenset({Role.MODERATOR}), "M"),
        (PUBLISHERS, "PM"),
        (frozenset(Role), "SPM"),
    ],
)
def test_recordings_are_told_by_role(roles: frozenset[Role], heard: str) -> None:
    named = RecordingProperties(name="Lesson")
    starting = given(*ROLES, requested(properties=named))
    found = everything(tell(starting, ReportRecordingStarted(SESSION), roles))
    identity = {"id": SESSION, "name": "Lesson"}
    assert found == [Notice(name, "recordingStarted", identity) for name in heard]
    running = given(*ROLES, recording(properties=named))
    found = everything(tell(running, StopRecording(SESSION), roles))
    ended = identity | {"reason": "recordingStoppedByServer"}
    assert found == [Notice(name, "recordingStopped", ended) for name in heard]


def test_an_automatic_stop_is_told_to_who_is_there() -> None:
    found = tell(given(*ROLES, recording()), AutostopRecording(SESSION))
    assert params(found, "recordingStopped")["reason"] == "automaticStop"


def test_a_failure_of_a_running_recording_is_told_without_a_reason() -> None:
    found = tell(given(*ROLES, recording()), ReportRecordingFailed(SESSION, "disk"))
    assert params(found, "recordingStopped") == {"id": SESSION, "name": SESSION, "reason": ""}


def test_who_never_heard_of_a_start_hears_of_no_end() -> None:
    starting = given(*ROLES, requested())
    assert everything(tell(starting, ReportRecordingFailed(SESSION, "no media"))) == []
    assert everything(tell(starting, ResetMedia("media_1", "second"))) == []
    assert everything(tell(given(*ROLES), StartRecording(RecordingOptions()))) == []


def test_what_happens_to_the_file_is_not_told() -> None:
    ended = given(*ROLES, recording(), e.RecordingStopped(SESSION, Reason.AUTOMATIC_STOP, THEN))
    assert everything(tell(ended, ReportRecordingReady(SESSION, 1, 1.0))) == []
    assert everything(tell(ended, ReportRecordingFailed(SESSION, "disk"))) == []


def test_a_camera_is_told_nothing() -> None:
    session = given(created(), allocated(), camera("K"), joined("A"), joined("B"))
    for command in (
        SendSignal(sender="A"),
        PublishStream("A", stream("A"), CAMERA, NOW),
        LeaveSession("B"),
        CloseSession(Reason.SESSION_CLOSED_BY_SERVER),
    ):
        found = everything(tell(session, command))
        assert found
        assert "K" not in [notice.to for notice in found]
    assert session.state.session is not None
    assert session.state.session.connections["K"].type is ConnectionType.IPCAM


def test_a_joiner_is_told_who_is_there_and_what_they_publish() -> None:
    session = given(*TRIO, pending("P"), published("B", MICROPHONE)).state.session
    assert session is not None
    a, b = existing_participants(session, "C")
    assert a == {
        "id": "A",
        "createdAt": THEN,
        "metadata": "client data of A%/%server data of A",
    }
    assert list(b) == ["id", "createdAt", "metadata", "streams"]
    assert b["streams"] == [
        {
            "id": stream("B"),
            "createdAt": THEN,
            "hasAudio": True,
            "audioActive": True,
            "hasVideo": False,
            "filter": {},
        }
    ]


@pytest.mark.parametrize(
    ("client", "server", "joined_text"),
    [("c", "s", "c%/%s"), ("c", "", "c"), ("", "s", "s"), ("", "", "")],
)
def test_metadata_is_what_both_sides_gave(client: str, server: str, joined_text: str) -> None:
    history = given(
        created(),
        e.ConnectionCreated(
            "A", "tok_A", ConnectionType.WEBRTC, Role.PUBLISHER, True, server, THEN
        ),
        e.ParticipantJoined("A", THEN, "p", client, "unknown", "d"),
    )
    assert history.state.session is not None
    assert metadata(history.state.session.connections["A"]) == joined_text


def test_a_late_joiner_is_told_of_the_recording_by_role() -> None:
    running = given(*ROLES, recording()).state.active_recording
    hint = {"recordingId": SESSION, "recordingName": SESSION}
    assert recording_hint(running, Role.PUBLISHER, PUBLISHERS) == hint
    assert recording_hint(running, Role.SUBSCRIBER, PUBLISHERS) == {}
    assert recording_hint(None, Role.MODERATOR, PUBLISHERS) == {}


@pytest.mark.parametrize(
    "command",
    [
        join("P"),
        PublishStream(
            "A", stream("A"), MediaOptions(False, True, None, True, VideoSource.CUSTOM), NOW
        ),
        LeaveSession("B"),
        RemoveConnection("B"),
        SendSignal(),
        ModifyConnection("A", role=Role.MODERATOR),
        CloseSession(Reason.NODE_CRASHED),
    ],
)
def test_no_notice_has_a_null_member(command: Command) -> None:
    def values(value: object) -> list[object]:
        if isinstance(value, dict):
            return [one for member in value.values() for one in values(member)]
        if isinstance(value, list):
            return [one for member in value for one in values(member)]
        return [value]

    found = everything(tell(given(*TRIO, pending("P"), recording()), command))
    assert found
    assert None not in [value for notice in found for value in values(notice.params)]


def test_those_who_hear_the_same_share_one_object() -> None:
    """So the gateway encodes it once."""
    found = tell(given(*TRIO), LeaveSession("A"))
    assert len({id(notice.params) for notice in everything(found)}) == 1
    gone = given(*TRIO, left("A", Reason.DISCONNECT, THEN))
    assert story(tell(gone, LeaveSession("B"))) == ["C participantLeft", RESPONSE]
