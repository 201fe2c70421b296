"""The table's part on media nodes."""

from __future__ import annotations

from tests.integration.api.conftest import Answer

from .operations import MEDIA_NODE
from .situations import answers
from .world import NODE, NODE_URI, World

GET = f"GET {MEDIA_NODE}"
LIST = "GET /media-nodes"
ADD = "POST /media-nodes"
REMOVE = f"DELETE {MEDIA_NODE}"
MODIFY = f"PATCH {MEDIA_NODE}"
DISCOVER = "PUT /media-nodes"

ONE = f"/media-nodes/{NODE}"
NOBODY = "/media-nodes/media_nobody"
ALL = "?sessions=true&recordings=true&extra-info=true"


async def removed(world: World) -> None:
    """The node is there, but not part of the cluster."""
    answer = await world.api.delete(f"{ONE}?wait=true")
    assert answer.status == 204


@answers(GET, 200)
async def a_media_node(world: World) -> Answer:
    async with world.media_node():
        return await world.api.get(ONE)


@answers(GET, 200)
async def a_media_node_with_all_that_is_on_it(world: World) -> Answer:
    async with world.media_node():
        await world.recording()
        await world.api.until(ONE + ALL, lambda found: found["sessions"] and found["recordingIds"])
        return await world.api.get(ONE + ALL)


@answers(GET, 404)
async def no_such_media_node(world: World) -> Answer:
    async with world.media_node():
        return await world.api.get(NOBODY)


@answers(LIST, 200)
async def one_media_node(world: World) -> Answer:
    async with world.media_node():
        return await world.api.get("/media-nodes")


@answers(ADD, 200)
async def a_node_that_was_removed(world: World) -> Answer:
    async with world.media_node():
        await removed(world)
        return await world.api.post("/media-nodes", {"uri": NODE_URI})


@answers(ADD, 200)
async def a_node_to_wait_for(world: World) -> Answer:
    async with world.media_node():
        await removed(world)
        body = {"uri": NODE_URI, "environmentId": "myCustomInstance"}
        answer = await world.api.post("/media-nodes?wait=true", body)
        assert answer.json["status"] == "running"
        return answer


@answers(ADD, 400)
async def a_uri_that_is_none(world: World) -> Answer:
    return await world.api.post("/media-nodes", {"uri": "http://172.17.0.5:8888/kurento"})


@answers(ADD, 404)
async def a_uri_of_nobody(world: World) -> Answer:
    async with world.media_node():
        return await world.api.post("/media-nodes", {"uri": "ws://192.0.2.1:8888/kurento"})


@answers(ADD, 409)
async def a_node_of_the_cluster(world: World) -> Answer:
    async with world.media_node():
        return await world.api.post("/media-nodes", {"uri": NODE_URI})


@answers(ADD, 501)
async def a_machine_to_launch(world: World) -> Answer:
    return await world.api.post("/media-nodes", {"instanceType": "c5.2xlarge", "volumeSize": 200})


@answers(REMOVE, 202)
async def a_node_to_drain(world: World) -> Answer:
    async with world.media_node():
        await world.on_the_node()
        answer = await world.api.delete(f"{ONE}?deletion-strategy=when-no-sessions")
        assert (await world.api.get(ONE)).json["status"] == "waiting-idle-to-terminate"
        return answer


@answers(REMOVE, 204)
async def an_idle_node(world: World) -> Answer:
    async with world.media_node():
        return await world.api.delete(ONE)


@answers(REMOVE, 204)
async def a_busy_node_now(world: World) -> Answer:
    async with world.media_node():
        await world.on_the_node()
        answer = await world.api.delete(f"{ONE}?deletion-strategy=now&wait=true")
        assert (await world.api.get("/sessions/salon")).status == 404
        return answer


@answers(REMOVE, 404)
async def no_node_to_remove(world: World) -> Answer:
    return await world.api.delete(NOBODY)


@answers(REMOVE, 409)
async def a_busy_node(world: World) -> Answer:
    async with world.media_node():
        await world.on_the_node()
        answer = await world.api.delete(ONE)
        assert (await world.api.get(ONE)).json["status"] == "running"
        return answer


@answers(MODIFY, 200)
async def a_node_that_shall_drain(world: World) -> Answer:
    async with world.media_node():
        await world.on_the_node()
        return await world.api.call("PATCH", ONE, {"status": "waiting-idle-to-terminate"})


@answers(MODIFY, 204)
async def the_status_that_it_has(world: World) -> Answer:
    async with world.media_node():
        return await world.api.call("PATCH", ONE, {"status": "running"})


@answers(MODIFY, 400)
async def a_status_out_of_reach(world: World) -> Answer:
    async with world.media_node():
        return await world.api.call("PATCH", ONE, {"status": "launching"})


@answers(MODIFY, 400)
async def a_status_that_is_none(world: World) -> Answer:
    async with world.media_node():
        return await world.api.call("PATCH", ONE, {"status": "sleeping"})


@answers(MODIFY, 404)
async def no_node_to_modify(world: World) -> Answer:
    return await world.api.call("PATCH", NOBODY, {"status": "terminating"})


@answers(DISCOVER, 200)
async def a_node_to_discover(world: World) -> Answer:
    async with world.media_node():
        await removed(world)
        return await world.api.call("PUT", "/media-nodes")
