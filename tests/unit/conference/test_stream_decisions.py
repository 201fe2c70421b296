"""Streams are published, subscribed to, changed and ended."""

from __future__ import annotations

import json

import pytest

from services.conference import events as e
from services.conference.commands import (
    ChangeStreamProperty,
    Command,
    PublishStream,
    SubscribeToStream,
    UnpublishStream,
    UnsubscribeFromStream,
)
from services.conference.decide import decide
from services.conference.errors import (
    AlreadyPublishing,
    ConnectionNotFound,
    InvalidProperty,
    MediaRestarted,
    NotAllowed,
    NotPublishing,
    OwnStream,
    SessionNotFound,
    StreamNotFound,
)
from services.conference.model import Reason, Role

from .scenario import (
    CAMERA,
    MICROPHONE,
    NOW,
    THEN,
    allocated,
    camera,
    created,
    given,
    joined,
    left,
    pending,
    published,
    stream,
    subscribed,
    unpublished,
    unsubscribed,
)

NEGOTIATED = NOW - 250


def publish(name: str, stream_id: str = "") -> PublishStream:
    return PublishStream(name, stream_id or stream(name), CAMERA, NEGOTIATED)


def subscribe(name: str, to: str) -> SubscribeToStream:
    return SubscribeToStream(name, stream(to), NEGOTIATED)


def change(name: str, value: str) -> ChangeStreamProperty:
    return ChangeStreamProperty("A", name, value, "publishVideo")


@pytest.mark.parametrize(
    "command",
    [
        publish("A"),
        subscribe("A", "B"),
        UnpublishStream(stream("A")),
        UnsubscribeFromStream("A", "B"),
        change("audioActive", "true"),
    ],
)
def test_without_a_session_there_are_no_streams(command: Command) -> None:
    given().when(command).is_refused(SessionNotFound)


@pytest.mark.parametrize("role", [Role.PUBLISHER, Role.MODERATOR])
def test_a_stream_is_published_at_the_time_it_was_negotiated(role: Role) -> None:
    state = (
        given(created(), allocated(), joined("A", role))
        .when(publish("A"))
        .then(published("A", at=NEGOTIATED))
    )
    assert state.session is not None
    found = state.session.connections["A"].stream
    assert found is not None
    assert (found.id, found.created_at) == (stream("A"), NEGOTIATED)
    assert found.published is found.current is CAMERA


def test_a_subscriber_does_not_publish() -> None:
    given(created(), allocated(), joined("A", Role.SUBSCRIBER)).when(publish("A")).is_refused(
        NotAllowed
    )


def test_one_connection_publishes_one_stream() -> None:
    given(created(), allocated(), joined("A"), published("A")).when(
        publish("A", "str_SCR_Xyzw_A")
    ).is_refused(AlreadyPublishing)


def test_a_stream_is_of_the_media_process_that_took_its_offer() -> None:
    offered = PublishStream("A", stream("A"), CAMERA, NEGOTIATED, "first")
    here = given(created(), allocated(), joined("A"))
    here.when(offered).then(published("A", at=NEGOTIATED))
    anew = given(created(), allocated(), joined("A"), allocated("second"))
    anew.when(offered).is_refused(MediaRestarted)


def test_a_stream_id_is_used_by_one_connection() -> None:
    given(created(), allocated(), joined("A"), joined("B"), published("A")).when(
        publish("B", stream("A"))
    ).is_refused(AlreadyPublishing)


def test_the_same_user_may_publish_again_after_unpublishing() -> None:
    given(
        created(), allocated(), joined("A"), published("A"), unpublished("A", Reason.UNPUBLISH)
    ).when(publish("A")).then(published("A", at=NEGOTIATED))


@pytest.mark.parametrize(
    "command",
    [
        publish("X"),
        publish("P"),
        subscribe("X", "A"),
        subscribe("P", "A"),
        UnsubscribeFromStream("X", "A"),
        UnsubscribeFromStream("P", "A"),
        UnsubscribeFromStream("A", "X"),
        UnsubscribeFromStream("A", "P"),
        ChangeStreamProperty("X", "audioActive", "true", ""),
        ChangeStreamProperty("P", "audioActive", "true", ""),
    ],
)
def test_who_is_not_in_the_session_has_no_part_in_streams(command: Command) -> None:
    given(created(), allocated(), joined("A"), published("A"), pending("P")).when(
        command
    ).is_refused(ConnectionNotFound)


@pytest.mark.parametrize("role", list(Role))
def test_everybody_may_subscribe(role: Role) -> None:
    state = (
        given(created(), allocated(), joined("A"), joined("B", role), published("A"))
        .when(subscribe("B", "A"))
        .then(subscribed("B", "A", NEGOTIATED))
    )
    assert state.session is not None
    subscription = state.session.connections["B"].subscriptions[stream("A")]
    assert (subscription.publisher_id, subscription.created_at) == ("A", NEGOTIATED)


def test_nobody_subscribes_to_a_stream_that_is_not_there() -> None:
    session = given(created(), allocated(), joined("A"), joined("B"))
    session.when(subscribe("B", "A")).is_refused(StreamNotFound)


def test_nobody_subscribes_to_the_own_stream() -> None:
    given(created(), allocated(), joined("A"), published("A")).when(subscribe("A", "A")).is_refused(
        OwnStream
    )


def test_subscribing_again_only_replaces_the_media() -> None:
    given(
        created(), allocated(), joined("A"), joined("B"), published("A"), subscribed("B", "A")
    ).when(subscribe("B", "A")).nothing_happens()


def test_unsubscribing_names_the_publisher() -> None:
    session = given(
        created(), allocated(), joined("A"), joined("B"), joined("C"), published("A"),
        published("C"), subscribed("B", "A"), subscribed("B", "C"),
    )  # fmt: skip
    state = session.when(UnsubscribeFromStream("B", "A")).then(
        unsubscribed("B", "A", Reason.UNSUBSCRIBE)
    )
    assert state.session is not None
    assert list(state.session.connections["B"].subscriptions) == [stream("C")]


def test_unsubscribing_from_who_is_not_received_changes_nothing() -> None:
    given(created(), allocated(), joined("A"), joined("B"), published("A")).when(
        UnsubscribeFromStream("B", "A")
    ).nothing_happens()


def test_unpublishing_ends_the_stream_before_its_subscriptions() -> None:
    reason = Reason.UNPUBLISH
    given(
        created(), allocated(), joined("A"), joined("B"), joined("C"), published("A"),
        published("B"), subscribed("B", "A"), subscribed("C", "A"), subscribed("A", "B"),
    ).when(UnpublishStream(stream("A"))).then(
        unpublished("A", reason), unsubscribed("B", "A", reason), unsubscribed("C", "A", reason)
    )  # fmt: skip


def test_the_server_unpublishes_a_stream() -> None:
    reason = Reason.FORCE_UNPUBLISH_BY_SERVER
    given(created(), allocated(), joined("A"), published("A")).when(
        UnpublishStream(stream("A"), reason)
    ).then(unpublished("A", reason))


def test_a_moderator_unpublishes_a_stream() -> None:
    reason = Reason.FORCE_UNPUBLISH_BY_USER
    given(created(), allocated(), joined("A"), joined("M", Role.MODERATOR), published("A")).when(
        UnpublishStream(stream("A"), reason, requested_by="M")
    ).then(unpublished("A", reason))


@pytest.mark.parametrize("role", [Role.SUBSCRIBER, Role.PUBLISHER])
def test_only_a_moderator_unpublishes_what_is_of_others(role: Role) -> None:
    session = given(created(), allocated(), joined("A"), joined("B", role), published("A"))
    by_user = Reason.FORCE_UNPUBLISH_BY_USER
    session.when(UnpublishStream(stream("A"), by_user, requested_by="B")).is_refused(NotAllowed)
    session.when(UnpublishStream("unknown", by_user, requested_by="B")).is_refused(NotAllowed)


def test_a_moderator_who_is_not_there_unpublishes_nothing() -> None:
    session = given(
        created(), allocated(), joined("A"), pending("M", Role.MODERATOR), published("A")
    )
    by_user = Reason.FORCE_UNPUBLISH_BY_USER
    for name in ("M", "X"):
        session.when(UnpublishStream(stream("A"), by_user, requested_by=name)).is_refused(
            ConnectionNotFound
        )


def test_an_unknown_stream_is_not_unpublished() -> None:
    session = given(created(), allocated(), joined("A"), joined("M", Role.MODERATOR))
    session.when(UnpublishStream(stream("A"))).is_refused(StreamNotFound)
    session.when(
        UnpublishStream(stream("A"), Reason.FORCE_UNPUBLISH_BY_USER, requested_by="M")
    ).is_refused(StreamNotFound)


@pytest.mark.parametrize("reason", [Reason.UNPUBLISH, Reason.FORCE_UNPUBLISH_BY_SERVER])
def test_the_stream_of_a_camera_ends_only_with_its_connection(reason: Reason) -> None:
    given(created(), allocated(), camera("K")).when(
        UnpublishStream(stream("K"), reason)
    ).is_refused(NotAllowed)


@pytest.mark.parametrize(
    "command",
    [
        UnpublishStream(stream("A"), Reason.DISCONNECT),
        UnpublishStream(stream("A"), Reason.FORCE_UNPUBLISH_BY_USER),
        UnpublishStream(stream("A"), Reason.UNPUBLISH, requested_by="A"),
    ],
)
def test_a_reason_that_does_not_fit_is_a_defect_of_the_caller(command: UnpublishStream) -> None:
    state = given(created(), allocated(), joined("A"), published("A")).state
    with pytest.raises(ValueError, match=r"reason|names who asks"):
        decide(state, command, NOW)


DIMENSIONS = json.dumps('{"width":1280,"height":720}')


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("audioActive", "false"),
        ("videoActive", "true"),
        ("videoDimensions", DIMENSIONS),
        ("videoTrack", '{"label":"FaceTime"}'),
        ("audioTrack", '{"label":"Micrófono"}'),
    ],
)
def test_a_publisher_changes_its_stream(name: str, value: str) -> None:
    given(created(), allocated(), joined("A"), published("A")).when(change(name, value)).then(
        e.StreamPropertyChanged("A", stream("A"), name, value, "publishVideo", NOW)
    )


def test_later_joiners_see_what_was_changed_last() -> None:
    session = given(created(), allocated(), joined("A"), published("A"))
    for name, value in (("audioActive", "false"), ("videoDimensions", DIMENSIONS)):
        events = decide(session.state, change(name, value), NOW)
        session = given(*session.events, *events)
    assert session.state.session is not None
    found = session.state.session.connections["A"].stream
    assert found is not None
    assert found.current.audio_active is False
    assert found.current.video_dimensions == '{"width":1280,"height":720}'
    assert found.published is CAMERA


def test_values_are_kept_without_spacing_and_extra_members() -> None:
    given(created(), allocated(), joined("A"), published("A")).when(
        change("videoTrack", ' { "label" : "x", "secret": [1] } ')
    ).then(
        e.StreamPropertyChanged(
            "A", stream("A"), "videoTrack", '{"label":"x"}', "publishVideo", NOW
        )
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("audioActive", '"true"'),
        ("audioActive", "1"),
        ("audioActive", "null"),
        ("videoActive", "{}"),
        ("videoActive", ""),
        ("videoActive", "tru"),
        ("videoDimensions", '{"width":1280,"height":720}'),
        ("videoDimensions", '"1280x720"'),
        ("videoDimensions", '"[1280,720]"'),
        ("videoDimensions", json.dumps('{"width":"wide"}')),
        ("videoDimensions", "NaN"),
        ("videoTrack", '"x"'),
        ("videoTrack", "{}"),
        ("audioTrack", '{"label":null}'),
        ("audioTrack", '{"label":"x","y":' + "[" * 100_000 + "]" * 100_000 + "}"),
        ("audioTrack", '{"label":"\\ud800"}'),
        ("videoTrack", '{"label":"\ud800"}'),
        ("filter", "{}"),
        ("id", '"str_CAM_Tz6f_B"'),
        ("", "true"),
        ("audioactive", "true"),
    ],
)
def test_what_would_break_the_receivers_is_refused(name: str, value: str) -> None:
    given(created(), allocated(), joined("A"), published("A")).when(change(name, value)).is_refused(
        InvalidProperty
    )


def test_who_publishes_nothing_changes_nothing() -> None:
    session = given(created(), allocated(), joined("A"))
    session.when(change("audioActive", "true")).is_refused(NotPublishing)
    session.when(change("nonsense", "true")).is_refused(NotPublishing)


def test_a_stream_does_not_gain_a_track_by_a_property() -> None:
    session = given(created(), allocated(), joined("A"), published("A", MICROPHONE))
    for name, value in (("videoActive", "true"), ("videoDimensions", DIMENSIONS)):
        before = session.state
        session = given(*session.events, *decide(session.state, change(name, value), NOW))
        assert session.state == before


def test_streams_of_others_are_left_alone_when_somebody_leaves() -> None:
    state = given(
        created(), allocated(), joined("A"), joined("B"), published("A"), published("B"),
        subscribed("A", "B"), unsubscribed("A", "B", Reason.DISCONNECT, THEN),
        unpublished("B", Reason.DISCONNECT, THEN), left("B", Reason.DISCONNECT, THEN),
    ).state  # fmt: skip
    assert state.session is not None
    assert list(state.session.connections) == ["A"]
    assert state.session.connections["A"].stream is not None
    assert state.session.connections["A"].subscriptions == {}
