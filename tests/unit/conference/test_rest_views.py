"""The REST objects key by key: `rest-api.md` as `contract/README.md` reads it."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from services.conference import events as e
from services.conference.events import Event
from services.conference.model import (
    IceServer,
    KurentoOptions,
    MediaOptions,
    OutputMode,
    Reason,
    RecordingLayout,
    RecordingProperties,
    Role,
    SessionProperties,
    VideoCodec,
    VideoSource,
)
from services.conference.state import Connection, Session, Stream
from services.conference.views import (
    connection_object,
    recording_object,
    session_object,
    stream_object,
    token_object,
    token_url,
)

from .scenario import (
    CAMERA,
    MICROPHONE,
    NOW,
    SESSION,
    THEN,
    allocated,
    camera,
    created,
    given,
    joined,
    pending,
    published,
    recording,
    requested,
    stopped,
    stream,
    subscribed,
    token,
)

WSS = "wss://ov.example.org:4443"
PUBLIC = "https://ov.example.org"
TOKEN_OF_A = f"{WSS}?sessionId={SESSION}&token=tok_A"

DEFAULTS = {
    "name": "",
    "hasAudio": True,
    "hasVideo": True,
    "outputMode": "COMPOSED",
    "recordingLayout": "BEST_FIT",
    "resolution": "1280x720",
    "frameRate": 25,
    "shmSize": 536870912,
}


def session_of(*events: Event | list[Event]) -> Session:
    session = given(*events).state.session
    assert session is not None
    return session


def connection_of(name: str, *events: Event | list[Event]) -> Connection:
    return session_of(created(), allocated(), *events).connections[name]


def check(view: object, expected: object) -> None:
    """Equal as JSON: values and order of the keys, for the real clients compare texts."""
    assert json.dumps(view) == json.dumps(expected)


def test_a_token_has_the_form_that_the_clients_parse() -> None:
    assert token_url(SESSION, token("A"), WSS) == TOKEN_OF_A


def test_a_new_session() -> None:
    check(
        session_object(session_of(created()), recording=False, websocket_url=WSS),
        {
            "id": SESSION,
            "object": "session",
            "sessionId": SESSION,
            "createdAt": THEN,
            "mediaMode": "ROUTED",
            "recordingMode": "MANUAL",
            "defaultRecordingProperties": DEFAULTS,
            "customSessionId": "",
            "connections": {"numberOfElements": 0, "content": []},
            "recording": False,
            "broadcasting": False,
            "forcedVideoCodec": "VP8",
            "allowTranscoding": False,
        },
    )


def test_a_session_tells_its_media_node_once_it_has_one() -> None:
    view = session_object(session_of(created(), allocated()), recording=True, websocket_url=WSS)
    assert view["mediaNodeId"] == "media_1"
    assert view["recording"] is True


def test_a_session_tells_what_it_was_made_with() -> None:
    properties = SessionProperties(
        custom_session_id=SESSION, forced_video_codec=VideoCodec.NONE, allow_transcoding=True
    )
    view = session_object(session_of(created(properties)), recording=False, websocket_url=WSS)
    assert view["customSessionId"] == SESSION
    assert (view["forcedVideoCodec"], view["allowTranscoding"]) == ("NONE", True)


def test_a_session_holds_active_connections_and_pending_ones_only_if_asked() -> None:
    session = session_of(created(), pending("P"), allocated(), joined("A"), joined("B"))
    for pending_too, names in ((False, ["A", "B"]), (True, ["P", "A", "B"])):
        found = session_object(session, recording=False, websocket_url=WSS, pending=pending_too)[
            "connections"
        ]
        assert [one["id"] for one in found["content"]] == names
        assert found["numberOfElements"] == len(names)


COMPOSED_KEYS = ["recordingLayout", "resolution", "frameRate", "shmSize"]


@pytest.mark.parametrize(
    ("properties", "extra"),
    [
        (RecordingProperties(), COMPOSED_KEYS),
        (RecordingProperties(output_mode=OutputMode.COMPOSED_QUICK_START), COMPOSED_KEYS),
        (RecordingProperties(has_video=False), []),
        (RecordingProperties(output_mode=OutputMode.INDIVIDUAL), ["ignoreFailedStreams"]),
        (
            RecordingProperties(recording_layout=RecordingLayout.CUSTOM),
            ["recordingLayout", "customLayout", "resolution", "frameRate", "shmSize"],
        ),
        (RecordingProperties(media_node="media_7"), [*COMPOSED_KEYS, "mediaNode"]),
    ],
)
def test_default_recording_properties_hold_what_applies(
    properties: RecordingProperties, extra: list[str]
) -> None:
    session = session_of(created(SessionProperties(default_recording_properties=properties)))
    view = session_object(session, recording=False, websocket_url=WSS)
    assert list(view["defaultRecordingProperties"]) == [
        "name", "hasAudio", "hasVideo", "outputMode", *extra,
    ]  # fmt: skip


def test_a_pending_connection() -> None:
    check(
        connection_object(connection_of("A", pending("A")), SESSION, WSS),
        {
            "id": "A",
            "object": "connection",
            "type": "WEBRTC",
            "status": "pending",
            "connectionId": "A",
            "sessionId": SESSION,
            "createdAt": THEN,
            "activeAt": None,
            "location": None,
            "ip": None,
            "platform": None,
            "token": TOKEN_OF_A,
            "serverData": "server data of A",
            "clientData": None,
            "record": True,
            "role": "PUBLISHER",
            "kurentoOptions": None,
            "customIceServers": [],
            "rtspUri": None,
            "adaptativeBitrate": None,
            "onlyPlayWithSubscribers": None,
            "networkCache": None,
            "publishers": None,
            "subscribers": None,
        },
    )


def test_an_active_connection() -> None:
    connection = connection_of(
        "A", pending("A"), joined("B"), published("B"),
        e.ParticipantJoined("A", NOW, "Firefox", "mine", "unknown", "digest", "203.0.113.7"),
        published("A"), subscribed("A", "B", NOW),
    )  # fmt: skip
    view = connection_object(connection, SESSION, WSS)
    assert list(view) == list(connection_object(connection_of("P", pending("P")), SESSION, WSS))
    assert view["status"] == "active"
    assert (view["createdAt"], view["activeAt"]) == (THEN, NOW)
    assert (view["location"], view["ip"], view["platform"]) == ("unknown", "203.0.113.7", "Firefox")
    assert (view["clientData"], view["token"]) == ("mine", TOKEN_OF_A)
    assert view["subscribers"] == [{"streamId": stream("B"), "createdAt": NOW}]
    check(
        view["publishers"],
        [
            {
                "createdAt": THEN,
                "streamId": stream("A"),
                "mediaOptions": {
                    "hasAudio": True,
                    "audioActive": True,
                    "hasVideo": True,
                    "videoActive": True,
                    "typeOfVideo": "CAMERA",
                    "frameRate": 30,
                    "videoDimensions": '{"width":640,"height":480}',
                    "filter": {},
                },
            }
        ],
    )


def test_an_idle_active_connection_has_empty_lists() -> None:
    view = connection_object(connection_of("A", joined("A")), SESSION, WSS)
    assert (view["publishers"], view["subscribers"]) == ([], [])


def test_options_and_ice_servers_show_what_was_given() -> None:
    event = e.ConnectionCreated(
        connection_id="A", token=token("A"), type=connection_of("P", pending("P")).type,
        role=Role.MODERATOR, record=False, server_data="", at=THEN,
        kurento_options=KurentoOptions(video_max_send_bandwidth=0, allowed_filters=("F",)),
        custom_ice_servers=(IceServer("turn:t", "u", "c"), IceServer("stun:s")),
    )  # fmt: skip
    view = connection_object(connection_of("A", event), SESSION, WSS)
    check(view["kurentoOptions"], {"videoMaxSendBandwidth": 0, "allowedFilters": ["F"]})
    check(
        view["customIceServers"],
        [{"url": "turn:t", "username": "u", "credential": "c"}, {"url": "stun:s"}],
    )
    assert (view["role"], view["record"]) == ("MODERATOR", False)


def test_a_camera_has_neither_token_nor_role() -> None:
    view = connection_object(connection_of("K", camera("K")), SESSION, WSS)
    assert view["type"] == "IPCAM"
    assert (view["token"], view["role"], view["kurentoOptions"]) == (None, None, None)


def test_a_token_object() -> None:
    check(
        token_object(connection_of("A", pending("A")), SESSION, WSS),
        {
            "id": TOKEN_OF_A,
            "token": TOKEN_OF_A,
            "connectionId": "A",
            "createdAt": THEN,
            "session": SESSION,
            "role": "PUBLISHER",
            "data": "server data of A",
            "record": True,
        },
    )
    options = replace(
        connection_of("A", pending("A")), kurento_options=KurentoOptions(video_max_recv_bandwidth=9)
    )
    view = token_object(options, SESSION, WSS)
    assert view["kurentoOptions"] == {"videoMaxRecvBandwidth": 9}


STREAM_KEYS = ["id", "createdAt", "hasAudio", "audioActive", "hasVideo"]
VIDEO_KEYS = ["videoActive", "typeOfVideo", "frameRate", "videoDimensions"]


@pytest.mark.parametrize(
    ("media", "keys"),
    [
        (CAMERA, [*STREAM_KEYS, *VIDEO_KEYS, "filter"]),
        (MICROPHONE, [*STREAM_KEYS, "filter"]),
        (
            MediaOptions(
                has_audio=False, has_video=True, video_active=True, type_of_video=VideoSource.SCREEN
            ),
            ["id", "createdAt", "hasAudio", "hasVideo", "videoActive", "typeOfVideo", "filter"],
        ),
    ],
    ids=["both", "sound only", "unknown size"],
)
def test_a_stream_shows_what_it_has_and_never_null(media: MediaOptions, keys: list[str]) -> None:
    view = stream_object(Stream("str", THEN, media, media))
    assert list(view) == keys
    assert None not in view.values()


def test_a_stream_shows_what_holds_now() -> None:
    muted = replace(CAMERA, audio_active=False, filter='{"type":"F","options":{}}')
    view = stream_object(Stream("str", THEN, CAMERA, muted))
    assert view["audioActive"] is False
    assert view["filter"] == {"type": "F", "options": {}}


def recorded(*events: Event | list[Event]) -> dict[str, object]:
    state = given(created(), allocated(), joined("A"), *events).state
    return recording_object(state.recordings[SESSION], PUBLIC)


def test_a_recording_that_starts() -> None:
    check(
        recorded(requested()),
        {
            "id": SESSION,
            "object": "recording",
            "name": SESSION,
            "outputMode": "COMPOSED",
            "resolution": "1280x720",
            "frameRate": 25,
            "recordingLayout": "BEST_FIT",
            "sessionId": SESSION,
            "createdAt": THEN,
            "size": 0,
            "duration": 0.0,
            "url": None,
            "hasAudio": True,
            "hasVideo": True,
            "status": "starting",
        },
    )


READY = e.RecordingReady(SESSION, 1024, 12.5, NOW)


def test_a_recording_has_a_url_when_it_is_ready_or_has_failed() -> None:
    assert recorded(recording())["url"] is None
    assert recorded(recording(), stopped())["url"] is None
    ready = recorded(recording(), stopped(), READY)
    url = f"{PUBLIC}/openvidu/recordings/{SESSION}/{SESSION}.mp4"
    assert (ready["url"], ready["status"]) == (url, "ready")
    assert (ready["size"], ready["duration"]) == (1024, 12.5)
    failed = recorded(requested(), e.RecordingFailed(SESSION, "no media", NOW))
    assert (failed["url"], failed["status"]) == (url, "failed")


@pytest.mark.parametrize(
    ("properties", "file"),
    [
        (RecordingProperties("demo"), "demo.mp4"),
        (RecordingProperties("demo", has_audio=False), "demo.mp4"),
        (RecordingProperties("demo", has_video=False), "demo.webm"),
        (RecordingProperties("demo", output_mode=OutputMode.INDIVIDUAL), "demo.zip"),
        (
            RecordingProperties("demo", has_video=False, output_mode=OutputMode.INDIVIDUAL),
            "demo.zip",
        ),
        (
            RecordingProperties("demo", output_mode=OutputMode.COMPOSED_QUICK_START),
            "demo.mp4",
        ),
    ],
)
def test_the_file_is_named_by_the_name_and_what_is_in_it(
    properties: RecordingProperties, file: str
) -> None:
    view = recorded(recording(properties=properties), stopped(), READY)
    assert view["url"] == f"{PUBLIC}/openvidu/recordings/{SESSION}/{file}"
    assert view["name"] == "demo"


@pytest.mark.parametrize(
    ("properties", "extra"),
    [
        (RecordingProperties(has_video=False), set()),
        (RecordingProperties(output_mode=OutputMode.INDIVIDUAL), set()),
        (
            RecordingProperties(recording_layout=RecordingLayout.CUSTOM),
            {"resolution", "frameRate", "recordingLayout", "customLayout"},
        ),
        (
            RecordingProperties(media_node="media_7"),
            {"resolution", "frameRate", "recordingLayout", "mediaNode"},
        ),
    ],
)
def test_a_recording_shows_what_applies(properties: RecordingProperties, extra: set[str]) -> None:
    always_there = {
        "id", "object", "name", "outputMode", "sessionId", "createdAt", "size", "duration", "url",
        "hasAudio", "hasVideo", "status",
    }  # fmt: skip
    assert set(recorded(recording(properties=properties))) == always_there | extra


def test_a_recording_outlives_its_session_in_the_views() -> None:
    view = recorded(recording(), stopped(Reason.SESSION_CLOSED_BY_SERVER),
                    e.SessionDestroyed(Reason.SESSION_CLOSED_BY_SERVER, NOW), READY)  # fmt: skip
    assert view["sessionId"] == SESSION
