"""pyopenvidu: sessions, connections that nobody has taken yet, and the configuration."""

from __future__ import annotations

import re

import pyopenvidu
import pytest
from requests import HTTPError

from tests.compat.python_client import WARNING, Connect, recent
from tests.e2e.server_under_test import SECRET, Server

pytestmark = [
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.timeout(90),
    pytest.mark.filterwarnings(WARNING),
]


async def test_sessions_are_created_found_and_closed(connect: Connect) -> None:
    ov = connect()
    assert (ov.sessions, ov.session_count) == ([], 0)
    assert ov.fetch() is False
    plain = ov.create_session()
    assert re.fullmatch("ses_[A-Z][0-9A-Za-z]{9}", plain.id)
    assert (plain.media_mode, plain.is_being_recorded) == ("ROUTED", False)
    assert (plain.connections, plain.is_valid) == ([], True)
    assert recent(plain.created_at)
    relayed = ov.create_session(custom_session_id="relayed", media_mode="RELAYED")
    assert (relayed.id, relayed.media_mode) == ("relayed", "RELAYED")
    assert ov.session_count == 2

    other = connect()
    assert [session.id for session in other.sessions] == [plain.id, "relayed"]
    assert other.get_session("relayed").media_mode == "RELAYED"
    assert other.fetch() is False

    relayed.close()
    assert relayed.is_valid is False
    assert ov.session_count == 1
    assert other.fetch() is True
    assert [session.id for session in other.sessions] == [plain.id]
    with pytest.raises(pyopenvidu.OpenViduSessionDoesNotExistsError):
        other.get_session("relayed")


async def test_an_existing_or_a_bad_session_id_is_an_error(connect: Connect) -> None:
    ov = connect()
    ov.create_session("once")
    with pytest.raises(pyopenvidu.OpenViduSessionExistsError):
        ov.create_session("once")
    with pytest.raises(ValueError, match=r"^$"):  # the client's answer to 400
        ov.create_session("not allowed")
    assert ov.session_count == 1


async def test_the_configuration_is_told(connect: Connect, server: Server) -> None:
    config = connect().get_config()
    assert config["OPENVIDU_RECORDING"] is True
    assert config["OPENVIDU_STREAMS_VIDEO_MAX_RECV_BANDWIDTH"] == 1000
    assert config["HTTPS_PORT"] == server.port
    assert SECRET not in config.values()


async def test_connections_have_the_properties_they_were_given(connect: Connect) -> None:
    session = connect().create_session("given")
    for role in ("SUBSCRIBER", "PUBLISHER", "MODERATOR"):
        assert session.create_webrtc_connection(role).role == role
    connection = session.create_webrtc_connection(
        role="MODERATOR",
        data="Ünal",
        video_max_recv_bandwidth=1000,
        video_min_recv_bandwidth=0,
        video_max_send_bandwidth=2000,
        video_min_send_bandwidth=300,
        allowed_filters=["ZBarFilter"],
    )
    assert re.fullmatch("con_[A-Z][0-9A-Za-z]{9}", connection.id)
    assert (connection.type, connection.session_id) == ("WEBRTC", "given")
    assert (connection.role, connection.server_data) == ("MODERATOR", "Ünal")
    assert recent(connection.created_at)
    assert "sessionId=given&token=tok_" in (connection.token or "")
    assert connection.kurento_options == {
        "videoMaxRecvBandwidth": 1000,
        "videoMinRecvBandwidth": 0,
        "videoMaxSendBandwidth": 2000,
        "videoMinSendBandwidth": 300,
        "allowedFilters": ["ZBarFilter"],
    }
    for later in (connection.active_at, connection.platform, connection.client_data):
        assert later is None
    assert (connection.publishers, connection.subscribers) == ([], [])
    assert session.connection_count == 4
    plain = session.create_webrtc_connection()
    assert (plain.role, plain.server_data, plain.kurento_options) == ("PUBLISHER", "", None)
    with pytest.raises(ValueError, match=r"^$"):
        session.create_webrtc_connection(video_max_recv_bandwidth=-1)


async def test_fetch_tells_whether_anything_changed(connect: Connect, server: Server) -> None:
    ov = connect()
    session = ov.create_session("fetched")
    other = connect()
    connection = session.create_webrtc_connection()
    assert connection.fetch() is False
    assert session.fetch() is False  # pending connections are no part of a session
    assert other.fetch() is False
    path = f"/openvidu/api/sessions/fetched/connection/{connection.id}"
    await server.request("PATCH", path, {"role": "SUBSCRIBER", "record": False})
    assert connection.fetch() is True
    assert connection.role == "SUBSCRIBER"
    assert connection.fetch() is False


async def test_what_is_not_there_is_told_by_the_exception(connect: Connect) -> None:
    ov = connect()
    session = ov.create_session("gone")
    removed, stays = session.create_webrtc_connection(), session.create_webrtc_connection()
    removed.force_disconnect()
    assert removed.is_valid is False
    again = connect().get_session("gone")
    with pytest.raises(pyopenvidu.OpenViduConnectionDoesNotExistsError):
        removed.fetch()
    removed.is_valid = True  # as another process would still believe
    with pytest.raises(pyopenvidu.OpenViduConnectionDoesNotExistsError):
        removed.fetch()
    removed.is_valid = True
    with pytest.raises(pyopenvidu.OpenViduConnectionDoesNotExistsError):
        removed.force_disconnect()

    session.close()
    for call in (again.fetch, again.create_webrtc_connection, again.close):
        with pytest.raises(pyopenvidu.OpenViduSessionDoesNotExistsError):
            call()
    for call in (stays.fetch, stays.force_disconnect, stays.signal):
        stays.is_valid = True
        with pytest.raises(pyopenvidu.OpenViduSessionDoesNotExistsError):
            call()
    again.is_valid = True
    with pytest.raises(pyopenvidu.OpenViduSessionDoesNotExistsError):
        again.signal("type", "data")


async def test_an_ip_camera_is_an_error_in_this_version(connect: Connect) -> None:
    session = connect().create_session()
    with pytest.raises(ValueError, match=r"^$"):
        session.create_ipcam_connection("not a URI")
    with pytest.raises(pyopenvidu.OpenViduError) as refused:
        session.create_ipcam_connection(
            "rtsp://camera.example.org/stream",
            data="the door",
            adaptive_bitrate=True,
            only_play_with_subscribers=False,
            network_cache=1000,
        )
    assert b'"message":' in refused.value.args[0]
    assert session.fetch() is False


async def test_a_wrong_secret_opens_nothing(server: Server) -> None:
    url = f"{server.url}/openvidu/api/"
    with pytest.raises(HTTPError, match=r"^401 "):
        pyopenvidu.OpenVidu(url, "WRONG", timeout=30)
    stranger = pyopenvidu.OpenVidu(url, "WRONG", initial_fetch=False, timeout=30)
    for call in (stranger.fetch, stranger.create_session, stranger.get_config):
        with pytest.raises(HTTPError, match=r"^401 "):
            call()
    stranger._session.close()
