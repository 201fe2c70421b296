"""The table's part on connections and tokens."""

from __future__ import annotations

from tests.integration.api.conftest import Answer

from .operations import CONNECTION, SESSION
from .situations import answers
from .world import World


@answers(f"POST {SESSION}/connection", 200)
async def a_connection(world: World) -> Answer:
    await world.salon()
    return await world.api.post("/sessions/salon/connection", {"role": "MODERATOR"})


@answers(f"POST {SESSION}/connection", 400)
async def a_bad_role(world: World) -> Answer:
    await world.salon()
    return await world.api.post("/sessions/salon/connection", {"role": "KING"})


@answers(f"POST {SESSION}/connection", 400)
async def a_camera_without_a_uri(world: World) -> Answer:
    await world.salon()
    return await world.api.post("/sessions/salon/connection", {"type": "IPCAM"})


@answers(f"POST {SESSION}/connection", 404)
async def a_connection_to_nothing(world: World) -> Answer:
    return await world.api.post("/sessions/nobody/connection", {})


@answers(f"POST {SESSION}/connection", 404)
async def a_camera_in_nothing(world: World) -> Answer:
    body = {"type": "IPCAM", "rtspUri": "rtsp://camera.example/1"}
    return await world.api.post("/sessions/nobody/connection", body)


@answers(f"POST {SESSION}/connection", 500)
async def a_camera(world: World) -> Answer:
    await world.salon()
    body = {"type": "IPCAM", "rtspUri": "rtsp://camera.example/1"}
    return await world.api.post("/sessions/salon/connection", body)


@answers(f"GET {CONNECTION}", 200)
async def a_pending_connection(world: World) -> Answer:
    await world.salon()
    made = await world.api.new_connection("salon")
    return await world.api.get(f"/sessions/salon/connection/{made['id']}")


@answers(f"GET {CONNECTION}", 200)
async def a_publisher(world: World) -> Answer:
    await world.salon()
    ana = await world.person()
    await world.room.publish("salon", ana)
    path = f"/sessions/salon/connection/{ana}"
    await world.api.until(path, lambda found: found["publishers"])
    return await world.api.get(path)


@answers(f"GET {CONNECTION}", 400)
async def a_connection_of_no_session(world: World) -> Answer:
    return await world.api.get("/sessions/nobody/connection/con_Abcdefghij")


@answers(f"GET {CONNECTION}", 404)
async def no_such_connection(world: World) -> Answer:
    await world.salon()
    return await world.api.get("/sessions/salon/connection/con_Abcdefghij")


@answers(f"GET {SESSION}/connection", 200)
async def connections_of_both_kinds(world: World) -> Answer:
    await world.salon()
    await world.person()
    await world.api.new_connection("salon")
    return await world.api.get("/sessions/salon/connection")


@answers(f"GET {SESSION}/connection", 404)
async def connections_of_no_session(world: World) -> Answer:
    return await world.api.get("/sessions/nobody/connection")


@answers(f"PATCH {CONNECTION}", 200)
async def another_role(world: World) -> Answer:
    await world.salon()
    ana = await world.person()
    body = {"role": "MODERATOR", "record": False}
    return await world.api.call("PATCH", f"/sessions/salon/connection/{ana}", body)


@answers(f"PATCH {CONNECTION}", 400)
async def another_role_that_is_none(world: World) -> Answer:
    await world.salon()
    made = await world.api.new_connection("salon")
    path = f"/sessions/salon/connection/{made['id']}"
    return await world.api.call("PATCH", path, {"role": "KING"})


@answers(f"PATCH {CONNECTION}", 404)
async def another_role_in_nothing(world: World) -> Answer:
    path = "/sessions/nobody/connection/con_Abcdefghij"
    return await world.api.call("PATCH", path, {"record": True})


@answers(f"PATCH {CONNECTION}", 404)
async def another_role_of_nobody(world: World) -> Answer:
    await world.salon()
    path = "/sessions/salon/connection/con_Abcdefghij"
    return await world.api.call("PATCH", path, {"record": True})


@answers(f"DELETE {CONNECTION}", 204)
async def a_person(world: World) -> Answer:
    await world.salon()
    return await world.api.delete(f"/sessions/salon/connection/{await world.person()}")


@answers(f"DELETE {CONNECTION}", 204)
async def a_token_not_used(world: World) -> Answer:
    await world.salon()
    made = await world.api.new_connection("salon")
    return await world.api.delete(f"/sessions/salon/connection/{made['id']}")


@answers(f"DELETE {CONNECTION}", 400)
async def somebody_of_no_session(world: World) -> Answer:
    return await world.api.delete("/sessions/nobody/connection/con_Abcdefghij")


@answers(f"DELETE {CONNECTION}", 404)
async def nobody_of_a_session(world: World) -> Answer:
    await world.salon()
    return await world.api.delete("/sessions/salon/connection/con_Abcdefghij")


@answers("POST /tokens", 200)
async def a_token(world: World) -> Answer:
    await world.salon()
    kurento = {"videoMaxRecvBandwidth": 1000, "allowedFilters": ["ZBarFilter"]}
    body = {"session": "salon", "role": "SUBSCRIBER", "data": "Ana", "kurentoOptions": kurento}
    return await world.api.post("/tokens", body)


@answers("POST /tokens", 400)
async def a_token_without_a_session(world: World) -> Answer:
    return await world.api.post("/tokens", {"role": "SUBSCRIBER"})


@answers("POST /tokens", 404)
async def a_token_of_no_session(world: World) -> Answer:
    return await world.api.post("/tokens", {"session": "nobody"})
