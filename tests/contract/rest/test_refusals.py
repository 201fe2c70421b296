"""Fields that depend on each other, and values that are hostile in other ways than by type."""

from __future__ import annotations

import pytest

from . import objects
from .world import INDIVIDUAL, World

JSON = {"Content-Type": "application/json"}

CAMERAS = [
    "rtsp://your.camera.ip:7777/path",
    "rtsp://your.camera.ip.sdp",
    "RTSP://user:pa%20ss@[2001:db8::1]:554/live?channel=1",
    "rtsps://camera.example/1",
    "http://camera.example/video.mjpg",
    "https://camera.example:8443/",
]
NO_CAMERAS = [
    None, "", " ", "camera", "camera.example/1", "rtsp:", "rtsp:camera.example", "rtsp://",
    "rtsp:///live", "rtsp://:554/", "rtsp://camera.example:port/", "rtsp://camera.example:70000/",
    "rtsp://camera.example:0/", "rtsp://[::1/", "rtsp://camera example/", "rtsp://a/\\u0000",
    "rtsp://a/\n", " rtsp://a/", "rtsp://a/<b>", "file:///etc/passwd", "rtmp://camera.example/1",
    "javascript:alert(1)", "udp://@239.0.0.1:1234", "-i /etc/passwd",
]  # fmt: skip


async def test_a_camera_needs_a_uri_that_is_one(world: World) -> None:
    await world.salon()
    before = await world.everything()
    for uri in NO_CAMERAS:
        body = {"type": "IPCAM", "rtspUri": uri}
        answer = await world.api.post("/sessions/salon/connection", body)
        assert answer.status == 400, uri
        assert answer.json["message"].startswith("rtspUri "), uri
    for uri in CAMERAS:
        body = {"type": "IPCAM", "rtspUri": uri}
        answer = await world.api.post("/sessions/salon/connection", body)
        assert answer.status == 500, uri
        assert answer.json["message"] == "IP cameras are not supported by this version"
        assert (await world.api.post("/sessions/nobody/connection", body)).status == 404
    assert await world.everything() == before


async def test_what_is_for_cameras_only_does_not_count_for_people(world: World) -> None:
    await world.salon()
    body = {
        "type": "WEBRTC", "rtspUri": "no URI", "adaptativeBitrate": False,
        "onlyPlayWithSubscribers": False, "networkCache": 1,
    }  # fmt: skip
    answer = await world.api.post("/sessions/salon/connection", body)
    assert answer.status == 200
    assert objects.misfit(answer.json, objects.PENDING) is None


ICE_SERVERS = [
    {"url": "turn:a.example"},
    {"url": "turn:a.example", "username": "u"},
    {"url": "turn:a.example", "credential": "c"},
    {"url": "turns:a.example", "username": "u", "credential": "c", "staticAuthSecret": "s"},
    {"url": "stun:a.example", "username": "u", "credential": "c"},
    {"url": "stun:a.example", "staticAuthSecret": "s"},
    {"url": "turn:a.example", "username": "", "credential": "c"},
    {"url": "turn:a.example,username=x", "credential": "c"},
]


@pytest.mark.parametrize("path", ["/sessions/salon/connection", "/tokens"])
async def test_the_parts_of_an_ice_server_go_together(world: World, path: str) -> None:
    await world.salon()
    before = await world.everything()
    for server in ICE_SERVERS:
        servers = [{"url": "stun:a.example"}, server]
        answer = await world.api.post(path, {"session": "salon", "customIceServers": servers})
        assert answer.status == 400, server
        assert answer.json["message"].startswith("customIceServers[1]"), server
    assert await world.everything() == before


async def test_a_recording_has_audio_or_video(world: World) -> None:
    await world.salon()
    await world.person()
    before = await world.everything()
    nothing = {"hasAudio": False, "hasVideo": False}
    for more in ({}, INDIVIDUAL):
        start = await world.api.post("/recordings/start", {"session": "salon", **nothing, **more})
        assert start.status == 422
        assert start.json["message"] == "hasAudio and hasVideo cannot both be false"
        body = {"defaultRecordingProperties": {**nothing, **more}}
        made = await world.api.post("/sessions", body)
        assert made.status == 400
        assert "defaultRecordingProperties.hasAudio" in made.json["message"]
    assert await world.everything() == before


async def test_half_of_it_may_come_from_the_defaults_of_the_session(world: World) -> None:
    await world.salon(defaultRecordingProperties={"hasAudio": False})
    await world.person()
    start = await world.api.post("/recordings/start", {"session": "salon", "hasVideo": False})
    assert start.status == 422


UNUSED = {"resolution": "1x1", "frameRate": 0, "shmSize": 1, "customLayout": "x"}


async def test_values_that_do_not_apply_are_ignored_their_types_are_not(world: World) -> None:
    made = await world.api.post(
        "/sessions", {"defaultRecordingProperties": {**INDIVIDUAL, **UNUSED}}
    )
    assert made.status == 200
    assert objects.misfit(made.json, objects.SESSION) is None
    assert not UNUSED.keys() & made.json["defaultRecordingProperties"].keys()
    for name in UNUSED:
        body = {"defaultRecordingProperties": {**INDIVIDUAL, name: []}}
        answer = await world.api.post("/sessions", body)
        assert answer.status == 400
        assert answer.json["message"].startswith(f"defaultRecordingProperties.{name} must be ")


NUMBERS = {"25": 25, "25.0": 25, "2.5e1": 25, "250e-1": 25, "1": 1, "120": 120}


async def test_an_integer_may_be_written_in_any_way(world: World) -> None:
    for text, value in NUMBERS.items():
        raw = f'{{"defaultRecordingProperties": {{"frameRate": {text}}}}}'
        made = await world.api.call("POST", "/sessions", data=raw.encode(), headers=JSON)
        assert made.status == 200, text
        assert made.json["defaultRecordingProperties"]["frameRate"] == value
    await world.salon()
    for text in ("0", "-0", "-0.0", "0e5"):
        raw = f'{{"kurentoOptions": {{"videoMaxRecvBandwidth": {text}}}}}'
        path = "/sessions/salon/connection"
        made = await world.api.call("POST", path, data=raw.encode(), headers=JSON)
        assert made.json["kurentoOptions"] == {"videoMaxRecvBandwidth": 0}, text


async def test_of_a_repeated_key_the_last_value_counts(world: World) -> None:
    raw = b'{"mediaMode": 5, "customSessionId": "a", "customSessionId": "last", "mediaMode": null}'
    made = await world.api.call("POST", "/sessions", data=raw, headers=JSON)
    assert made.status == 200
    assert made.json["id"] == "last"


TYPES = {
    "application/json": 200,
    "application/json; charset=utf-8": 200,
    "Application/JSON;charset=UTF-8": 200,
    "application/problem+json": 200,
    "": 400,
    "text/plain": 400,
    "text/json": 400,
    "application/x-www-form-urlencoded": 400,
    "multipart/form-data; boundary=x": 400,
    "application/octet-stream": 400,
    "application/jsonp": 400,
    "nonsense": 400,
}


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/sessions"), ("POST", "/recordings/start"), ("POST", "/signal")]
)
async def test_a_body_must_be_called_json(world: World, method: str, path: str) -> None:
    await world.salon()
    await world.person()
    bodies = {"/sessions": b"{}", "/signal": b'{"session": "salon"}'}
    before = await world.everything()
    for kind, status in TYPES.items():
        data = bodies.get(path, b'{"session": "nobody"}')
        headers = {"Content-Type": kind}
        answer = await world.api.call(method, path, data=data, headers=headers)
        if status == 200:
            assert answer.status in {200, 404}, kind
            before = await world.everything()
        else:
            assert answer.status == 400, kind
            assert answer.json["message"] == "The Content-Type of the body must be application/json"
            assert await world.everything() == before
        empty = await world.api.call(method, path, data=b"", headers=headers)
        assert (empty.status == 200) is (path == "/sessions"), "without a body any is fine"
        before = await world.everything()
