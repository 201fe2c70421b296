"""The table: a situation for every status of every operation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from tests.integration.api.conftest import Answer

from .operations import SESSION
from .world import World

Call = Callable[[World], Awaitable[Answer]]


class Situation(NamedTuple):
    operation: str
    status: int
    call: Call
    recording_off: bool

    def __str__(self) -> str:
        return f"{self.operation} {self.status} {self.call.__name__}"


SITUATIONS: list[Situation] = []


def answers(operation: str, status: int, *, recording_off: bool = False) -> Callable[[Call], Call]:
    """The function makes the situation and the call that has that answer."""

    def register(call: Call) -> Call:
        SITUATIONS.append(Situation(operation, status, call, recording_off))
        return call

    return register


@answers("POST /sessions", 200)
async def without_a_body(world: World) -> Answer:
    return await world.api.post("/sessions")


@answers("POST /sessions", 200)
async def with_all_of_the_example(world: World) -> Answer:
    recording = {
        "name": "MyRecording", "hasAudio": True, "hasVideo": True, "outputMode": "COMPOSED",
        "recordingLayout": "BEST_FIT", "resolution": "1280x720", "frameRate": 25,
        "shmSize": 536870912, "mediaNode": {"id": "media_i-0c58bcdd26l11d0sd"},
    }  # fmt: skip
    body = {
        "mediaMode": "ROUTED", "recordingMode": "MANUAL", "customSessionId": "CUSTOM_SESSION_ID",
        "forcedVideoCodec": "VP8", "allowTranscoding": "false",
        "defaultRecordingProperties": recording,
    }  # fmt: skip
    return await world.api.post("/sessions", body)


@answers("POST /sessions", 400)
async def a_bad_parameter(world: World) -> Answer:
    return await world.api.post("/sessions", {"mediaMode": "ROUNDED"})


@answers("POST /sessions", 409)
async def the_id_of_a_session(world: World) -> Answer:
    await world.salon()
    return await world.api.post("/sessions", {"customSessionId": "salon"})


@answers(f"GET {SESSION}", 200)
async def a_session_with_people(world: World) -> Answer:
    await world.salon()
    await world.person()
    await world.api.new_connection("salon")
    return await world.api.get("/sessions/salon?pendingConnections=true")


@answers(f"GET {SESSION}", 404)
async def no_such_session(world: World) -> Answer:
    return await world.api.get("/sessions/nobody")


@answers("GET /sessions", 200)
async def two_sessions(world: World) -> Answer:
    await world.salon()
    await world.person()
    await world.api.new_session()
    return await world.api.get("/sessions")


@answers(f"DELETE {SESSION}", 204)
async def an_open_session(world: World) -> Answer:
    await world.salon()
    await world.person()
    return await world.api.delete("/sessions/salon")


@answers(f"DELETE {SESSION}", 404)
async def a_session_that_was_closed(world: World) -> Answer:
    await world.salon()
    await world.api.delete("/sessions/salon")
    return await world.api.delete("/sessions/salon")


@answers(f"DELETE {SESSION}/stream/<STREAM_ID>", 204)
async def a_stream(world: World) -> Answer:
    await world.salon()
    ana = await world.person()
    stream = await world.room.publish("salon", ana)
    return await world.api.delete(f"/sessions/salon/stream/{stream}")


@answers(f"DELETE {SESSION}/stream/<STREAM_ID>", 400)
async def a_stream_of_no_session(world: World) -> Answer:
    return await world.api.delete("/sessions/nobody/stream/str_CAM_Ab12_con_Abcdefghij")


@answers(f"DELETE {SESSION}/stream/<STREAM_ID>", 404)
async def no_such_stream(world: World) -> Answer:
    await world.salon()
    await world.person()
    return await world.api.delete("/sessions/salon/stream/str_CAM_Ab12_con_Abcdefghij")


@answers(f"DELETE {SESSION}/stream/<STREAM_ID>", 405)
async def the_stream_of_a_camera(world: World) -> Answer:
    await world.salon()
    return await world.api.delete(f"/sessions/salon/stream/{await world.camera()}")


@answers("POST /signal", 200)
async def a_signal(world: World) -> Answer:
    await world.salon()
    body = {"session": "salon", "to": [await world.person()], "type": "chat", "data": "hola"}
    return await world.api.post("/signal", body)


@answers("POST /signal", 400)
async def a_signal_to_one_text(world: World) -> Answer:
    await world.salon()
    return await world.api.post("/signal", {"session": "salon", "to": await world.person()})


@answers("POST /signal", 404)
async def a_signal_to_no_session(world: World) -> Answer:
    return await world.api.post("/signal", {"session": "nobody"})


@answers("POST /signal", 406)
async def a_signal_to_an_empty_session(world: World) -> Answer:
    await world.salon()
    return await world.api.post("/signal", {"session": "salon"})


@answers("POST /signal", 406)
async def a_signal_to_a_stranger_too(world: World) -> Answer:
    await world.salon()
    to = [await world.person(), "con_Abcdefghij"]
    return await world.api.post("/signal", {"session": "salon", "to": to})


@answers("GET /config", 200)
async def the_configuration(world: World) -> Answer:
    return await world.api.get("/config")


@answers("GET /health", 200)
async def a_node_that_lives(world: World) -> Answer:
    async with world.media_node():
        return await world.api.get("/health")


@answers("GET /health", 503)
async def no_node(world: World) -> Answer:
    return await world.api.get("/health")


@answers("POST /restart", 200)
async def nothing_new(world: World) -> Answer:
    return await world.api.post("/restart", {})


@answers("POST /restart", 400)
async def a_setting_with_a_bad_value(world: World) -> Answer:
    return await world.api.post("/restart", {"OPENVIDU_SESSIONS_GARBAGE_INTERVAL": -1})


@answers("POST /restart", 400)
async def a_setting_that_does_not_exist(world: World) -> Answer:
    return await world.api.post("/restart", {"OPENVIDU_COLOUR": "blue"})
