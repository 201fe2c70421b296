"""Connections are made, changed, taken by their token, and ended."""

from __future__ import annotations

import pytest

from services.conference import events as e
from services.conference.commands import (
    CreateConnection,
    JoinSession,
    LeaveSession,
    ModifyConnection,
    RemoveConnection,
)
from services.conference.decide import decide
from services.conference.errors import (
    ConnectionExists,
    ConnectionNotFound,
    InvalidToken,
    NotAllowed,
    SessionNotFound,
)
from services.conference.model import (
    ConnectionType,
    IceServer,
    KurentoOptions,
    Reason,
    Role,
)

from .scenario import (
    NOW,
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
    subscribed,
    token,
    unpublished,
    unsubscribed,
)


def join(name: str) -> JoinSession:
    return JoinSession(
        token=token(name),
        platform="Chrome 156 on Linux",
        client_data=f"client data of {name}",
        rpc_digest=f"digest of {name}",
        media_node_id="media_1",
        media_instance="first",
        ip="203.0.113.77",
    )


def test_a_connection_is_created_as_asked() -> None:
    ice = (IceServer("turn:turn.example.org:3478", "user", "credential"),)
    options = KurentoOptions(video_max_recv_bandwidth=1000)
    command = CreateConnection(
        connection_id="A",
        token=token("A"),
        role=Role.MODERATOR,
        record=False,
        server_data="data",
        kurento_options=options,
        custom_ice_servers=ice,
    )
    state = (
        given(created())
        .when(command)
        .then(
            e.ConnectionCreated(
                connection_id="A",
                token=token("A"),
                type=ConnectionType.WEBRTC,
                role=Role.MODERATOR,
                record=False,
                server_data="data",
                at=NOW,
                kurento_options=options,
                custom_ice_servers=ice,
            )
        )
    )
    assert state.session is not None
    connection = state.session.connections["A"]
    assert not connection.active
    assert connection.custom_ice_servers == ice


@pytest.mark.parametrize(
    "command",
    [CreateConnection("A", "tok_other"), CreateConnection("B", token("A"))],
    ids=["id", "token"],
)
def test_an_id_or_a_token_is_given_only_once(command: CreateConnection) -> None:
    given(created(), pending("A")).when(command).is_refused(ConnectionExists)
    given(created(), allocated(), joined("A")).when(command).is_refused(ConnectionExists)


def test_the_first_user_brings_the_session_to_a_media_node() -> None:
    state = (
        given(created(), pending("A")).when(join("A")).then(allocated(at=NOW), entered("A", NOW))
    )
    assert state.session is not None
    assert state.session.joined
    assert state.session.connections["A"].active_at == NOW


def test_later_users_go_where_the_session_is() -> None:
    given(created(), allocated("elsewhere"), joined("A"), pending("B")).when(join("B")).then(
        entered("B", NOW)
    )


def test_a_token_is_used_once() -> None:
    given(created(), allocated(), joined("A")).when(join("A")).is_refused(InvalidToken)
    again = given(created(), allocated(), joined("A"), joined("B"), left("A", Reason.DISCONNECT))
    again.when(join("A")).is_refused(InvalidToken)


@pytest.mark.parametrize("text", ["tok_unknown", "", "wss://host?sessionId=s&token=tok_A"])
def test_an_unknown_token_lets_nobody_in(text: str) -> None:
    command = JoinSession(text, "p", "", "digest", "media_1", "first")
    given(created(), pending("A")).when(command).is_refused(InvalidToken)


def test_a_token_ends_with_its_session() -> None:
    ended = given(created(), pending("A"), destroyed(Reason.SESSION_CLOSED_BY_SERVER))
    ended.when(join("A")).is_refused(SessionNotFound)
    reborn = given(*ended.events, created())
    reborn.when(join("A")).is_refused(InvalidToken)


def test_a_token_ends_with_its_pending_connection() -> None:
    given(created(), pending("A"), e.ConnectionRemoved("A", NOW)).when(join("A")).is_refused(
        InvalidToken
    )


def test_nobody_comes_in_by_the_token_of_a_camera() -> None:
    given(created(), pending("K", kind=ConnectionType.IPCAM)).when(join("K")).is_refused(
        InvalidToken
    )


def test_only_what_differs_is_modified() -> None:
    session = given(created(), pending("A"))
    session.when(ModifyConnection("A", role=Role.PUBLISHER, record=False)).then(
        e.ConnectionPropertyChanged("A", NOW, record=False)
    )
    session.when(ModifyConnection("A", role=Role.SUBSCRIBER, record=True)).then(
        e.ConnectionPropertyChanged("A", NOW, role=Role.SUBSCRIBER)
    )
    session.when(ModifyConnection("A", role=Role.MODERATOR, record=False)).then(
        e.ConnectionPropertyChanged("A", NOW, role=Role.MODERATOR, record=False)
    )
    session.when(ModifyConnection("A", role=Role.PUBLISHER, record=True)).nothing_happens()
    session.when(ModifyConnection("A")).nothing_happens()


def test_an_active_connection_can_be_modified_too() -> None:
    state = (
        given(created(), allocated(), joined("A"))
        .when(ModifyConnection("A", role=Role.MODERATOR, record=False))
        .then(e.ConnectionPropertyChanged("A", NOW, role=Role.MODERATOR, record=False))
    )
    assert state.session is not None
    connection = state.session.connections["A"]
    assert (connection.role, connection.record) == (Role.MODERATOR, False)


@pytest.mark.parametrize(
    "command",
    [
        ModifyConnection("X", role=Role.PUBLISHER),
        RemoveConnection("X"),
        LeaveSession("X"),
        RemoveConnection("X", requested_by="M"),
    ],
)
def test_an_unknown_connection_is_not_found(command: object) -> None:
    given(created(), allocated(), joined("M", Role.MODERATOR)).when(command).is_refused(
        ConnectionNotFound
    )


def test_removing_a_pending_connection_voids_its_token() -> None:
    state = (
        given(created(), pending("A"))
        .when(RemoveConnection("A"))
        .then(e.ConnectionRemoved("A", NOW))
    )
    assert state.session is not None
    assert state.session.connections == {}


def test_the_server_evicts_a_user_with_all_its_media() -> None:
    reason = Reason.FORCE_DISCONNECT_BY_SERVER
    given(
        created(), allocated(), joined("A"), joined("B"), joined("C"), published("A"),
        published("B"), subscribed("B", "A"), subscribed("C", "A"), subscribed("A", "B"),
    ).when(RemoveConnection("A")).then(
        unsubscribed("B", "A", reason),
        unsubscribed("C", "A", reason),
        unsubscribed("A", "B", reason),
        unpublished("A", reason),
        left("A", reason),
    )  # fmt: skip


def test_a_moderator_evicts_a_user() -> None:
    reason = Reason.FORCE_DISCONNECT_BY_USER
    given(created(), allocated(), joined("M", Role.MODERATOR), joined("A"), published("A")).when(
        RemoveConnection("A", requested_by="M")
    ).then(unpublished("A", reason), left("A", reason))


@pytest.mark.parametrize("role", [Role.SUBSCRIBER, Role.PUBLISHER])
def test_only_a_moderator_evicts(role: Role) -> None:
    session = given(created(), allocated(), joined("A", role), joined("B"))
    session.when(RemoveConnection("B", requested_by="A")).is_refused(NotAllowed)
    session.when(RemoveConnection("unknown", requested_by="A")).is_refused(NotAllowed)


def test_who_is_not_there_evicts_nobody() -> None:
    session = given(created(), allocated(), pending("M", Role.MODERATOR), joined("A"))
    session.when(RemoveConnection("A", requested_by="M")).is_refused(ConnectionNotFound)
    session.when(RemoveConnection("A", requested_by="X")).is_refused(ConnectionNotFound)


def test_a_moderator_does_not_void_tokens() -> None:
    given(created(), allocated(), joined("M", Role.MODERATOR), pending("A")).when(
        RemoveConnection("A", requested_by="M")
    ).is_refused(ConnectionNotFound)


@pytest.mark.parametrize("reason", [Reason.DISCONNECT, Reason.NETWORK_DISCONNECT])
def test_a_user_leaves_with_all_its_media(reason: Reason) -> None:
    given(
        created(), allocated(), joined("A"), joined("B"), published("A"), published("B"),
        subscribed("A", "B"), subscribed("B", "A"),
    ).when(LeaveSession("B", reason)).then(
        unsubscribed("A", "B", reason),
        unsubscribed("B", "A", reason),
        unpublished("B", reason),
        left("B", reason),
    )  # fmt: skip


def test_a_pending_connection_cannot_leave() -> None:
    given(created(), pending("A")).when(LeaveSession("A")).is_refused(ConnectionNotFound)


def test_a_reason_that_is_not_the_users_own_is_a_defect_of_the_caller() -> None:
    state = given(created(), allocated(), joined("A")).state
    with pytest.raises(ValueError, match="nodeCrashed"):
        decide(state, LeaveSession("A", Reason.NODE_CRASHED), NOW)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (LeaveSession("A"), Reason.DISCONNECT),
        (LeaveSession("A", Reason.NETWORK_DISCONNECT), Reason.NETWORK_DISCONNECT),
        (RemoveConnection("A"), Reason.FORCE_DISCONNECT_BY_SERVER),
        (RemoveConnection("A", requested_by="A"), Reason.FORCE_DISCONNECT_BY_USER),
    ],
)
def test_the_last_user_takes_the_session_and_its_tokens_along(
    command: object, reason: Reason
) -> None:
    state = (
        given(created(), allocated(), joined("A", Role.MODERATOR), pending("B"), published("A"))
        .when(command)
        .then(unpublished("A", reason), left("A", reason), destroyed(Reason.LAST_PARTICIPANT_LEFT))
    )
    assert state.session is None


def test_a_running_recording_keeps_the_session_when_the_last_user_leaves() -> None:
    state = (
        given(created(), allocated(), joined("A"), published("A"), recording())
        .when(LeaveSession("A"))
        .then(unpublished("A", Reason.DISCONNECT), left("A", Reason.DISCONNECT))
    )
    assert state.session is not None
    assert state.session.empty_since == NOW


def test_a_starting_recording_keeps_the_session_when_the_last_user_leaves() -> None:
    given(created(), allocated(), joined("A"), requested()).when(LeaveSession("A")).then(
        left("A", Reason.DISCONNECT)
    )


def test_a_stopped_recording_does_not_keep_the_session() -> None:
    given(created(), allocated(), joined("A"), recording(), stopped()).when(LeaveSession("A")).then(
        left("A", Reason.DISCONNECT), destroyed(Reason.LAST_PARTICIPANT_LEFT)
    )
