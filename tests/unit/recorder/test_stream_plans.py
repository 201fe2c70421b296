from __future__ import annotations

import pytest

from services.conference.model import (
    ConnectionType,
    MediaOptions,
    OutputMode,
    RecordingProperties,
    RecordingStatus,
    Role,
    SessionProperties,
    VideoSource,
)
from services.conference.state import Connection, MediaNode, Recording, Session, Stream
from services.recorder.plan import StreamPlan, plan_streams


def connection(name: str, media: MediaOptions | None, *, record: bool = True) -> Connection:
    return Connection(
        id=name,
        token="tok",
        type=ConnectionType.WEBRTC,
        role=Role.PUBLISHER,
        record=record,
        server_data="server",
        client_data="client",
        created_at=1,
        active_at=2,
        stream=None if media is None else Stream(f"str_{name}", 3, media, media),
    )


def session(*connections: Connection, created_at: int = 5) -> Session:
    return Session(
        id="ses_A",
        created_at=created_at,
        properties=SessionProperties(),
        connections={item.id: item for item in connections},
        media_node=MediaNode("media_1", "one"),
    )


def recording(*, audio: bool = True, video: bool = True) -> Recording:
    return Recording(
        id="ses_A",
        session_id="ses_A",
        unique_session_id="ses_A_5",
        properties=RecordingProperties(
            has_audio=audio, has_video=video, output_mode=OutputMode.INDIVIDUAL
        ),
        created_at=6,
        status=RecordingStatus.STARTING,
    )


def media(
    *, audio: bool = True, video: bool = True, sounds: bool = True, shows: bool = True
) -> MediaOptions:
    return MediaOptions(
        has_audio=audio,
        has_video=video,
        audio_active=sounds if audio else None,
        video_active=shows if video else None,
        type_of_video=VideoSource.SCREEN if video else None,
    )


@pytest.mark.parametrize(
    ("has", "wants", "takes"),
    [
        ("av", "av", "av"),
        ("av", "a", "a"),
        ("av", "v", "v"),
        ("a", "av", "a"),
        ("a", "a", "a"),
        ("a", "v", ""),
        ("v", "av", "v"),
        ("v", "a", ""),
        ("v", "v", "v"),
    ],
)
def test_a_stream_contributes_what_both_have(has: str, wants: str, takes: str) -> None:
    plans = plan_streams(
        session(connection("A", media(audio="a" in has, video="v" in has))),
        recording(audio="a" in wants, video="v" in wants),
    )
    found = [("a" * plan.audio) + ("v" * plan.video) for plan in plans.values()]
    assert found == ([takes] if takes else [])


def test_a_plan_tells_whose_the_stream_is() -> None:
    plans = plan_streams(session(connection("A", media())), recording())
    assert plans == {
        "str_A": StreamPlan(
            stream_id="str_A",
            connection_id="A",
            client_data="client",
            server_data="server",
            node_id="media_1",
            audio=True,
            video=True,
            audio_active=True,
            video_active=True,
            type_of_video=VideoSource.SCREEN,
        )
    }


def test_only_recorded_publishers_count() -> None:
    people = session(
        connection("A", media(), record=False), connection("B", None), connection("C", media())
    )
    assert list(plan_streams(people, recording())) == ["str_C"]


def test_muted_tracks_are_taken_but_not_expected() -> None:
    muted = connection("A", media(sounds=False, shows=False))
    half = connection("B", media(sounds=False))
    plans = plan_streams(session(muted, half), recording())
    assert all(plan.audio and plan.video for plan in plans.values())
    assert [plan.expects_media for plan in plans.values()] == [False, True]


def test_a_later_life_of_the_session_is_another_session() -> None:
    assert plan_streams(session(connection("A", media()), created_at=99), recording()) == {}
    assert plan_streams(None, recording()) == {}
