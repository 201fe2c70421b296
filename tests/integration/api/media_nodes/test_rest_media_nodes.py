"""Media nodes: every operation with every status of the document, on a real broker."""

from __future__ import annotations

from typing import Any

import pytest

from services.conference.model import Reason
from tests.integration.api.media_nodes.conftest import (
    NODE,
    URI,
    MakeWorker,
    Worker,
    reasons,
    removed,
    running,
    seat,
    statuses,
)

# GET


async def test_a_node_that_announces_itself_is_shown_with_all_its_keys(
    api: Any, worker: Worker
) -> None:
    node = await running(api)
    times = node.pop("launchingTime"), node.pop("connectionTime")
    assert node == {
        "id": "media_w1",
        "object": "mediaNode",
        "environmentId": "w1",
        "ip": "10.0.4.21",
        "uri": URI,
        "connected": True,
        "load": 12.46,
        "status": "running",
    }
    assert 1_600_000_000_000 < times[0] <= times[1]
    listed = (await api.get("/media-nodes")).json
    assert listed["numberOfElements"] == 1
    assert listed["content"][0]["id"] == "media_w1"


async def test_what_is_asked_for_in_addition(
    api: Any, worker: Worker, room: Any, make_worker: MakeWorker
) -> None:
    await running(api)
    await seat(room, api)
    recording = await room.record("salon")
    await api.until(f"/recordings/{recording}", lambda found: True)
    every = "sessions=true&recordings=true&extra-info=true"
    shown = (await api.get(f"{NODE}?{every}")).json
    assert shown["sessions"] == [(await api.get("/sessions/salon")).json]
    assert shown["recordingIds"] == ["salon"]
    assert shown["kurentoInfo"] == {
        "memory": 50 * 1024,
        "version": "1.2",
        "capabilities": ["opus", "VP8"],
        "modules": [{"name": "media", "version": "1.2"}],
    }
    (listed,) = (await api.get(f"/media-nodes?{every}")).json["content"]
    assert listed["sessions"] == shown["sessions"]
    without = (await api.get(f"{NODE}?sessions=false&recordings=False")).json
    assert not {"sessions", "recordingIds", "kurentoInfo"} & without.keys()
    await room.finish("salon", "salon")
    assert await api.until(f"{NODE}?{every}", lambda found: found["recordingIds"] == [])


@pytest.mark.parametrize("query", ["sessions=1", "recordings=", "extra-info=yes"])
@pytest.mark.parametrize("path", ["/media-nodes", NODE])
async def test_a_query_that_is_no_boolean_is_400(
    api: Any, worker: Worker, query: str, path: str
) -> None:
    await running(api)
    answer = await api.get(f"{path}?{query}")
    assert (answer.status, answer.json["status"]) == (400, 400)
    assert query.partition("=")[0] in answer.json["message"]


async def test_a_node_that_is_not_heard_is_disconnected_since_then(
    api: Any, make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.nodes.ALIVE_SECONDS", 0.5)
    async with make_worker().running():
        node = await running(api)
    gone = await api.until(NODE, lambda found: not found["connected"])
    assert gone["disconnectionTime"] >= gone["connectionTime"] == node["connectionTime"]
    assert (gone["load"], gone["status"]) == (0.0, "running")
    assert "kurentoInfo" not in (await api.get(f"{NODE}?extra-info=true")).json
    assert (await api.get("/health")).status == 503
    async with make_worker().running():
        back = await api.until(NODE, lambda found: found["connected"])
        assert "disconnectionTime" not in back


UNKNOWN = ["media_nobody", "a.b", "%2A", "x" * 300, "a%3Ab", "%20", "%C3%B1", "node%3Amedia_w1"]


@pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH"])
async def test_a_node_that_does_not_exist_is_404(api: Any, method: str) -> None:
    for name in UNKNOWN:
        body = {"status": "running"} if method == "PATCH" else None
        answer = await api.call(method, f"/media-nodes/{name}", body)
        assert (answer.status, answer.json["status"]) == (404, 404), name


# POST


@pytest.mark.usefixtures("patient")
async def test_a_removed_node_is_added_by_its_uri_and_runs_when_it_is_heard_again(
    api: Any, make_worker: MakeWorker, event_log: Any
) -> None:
    worker = make_worker()
    await worker.beat()
    await removed(api, worker)
    body = {"uri": "ws://10.0.4.21:40000/media", "environmentId": "rack 7"}
    added = await api.post("/media-nodes", body)
    assert added.status == 200
    assert added.json["launchingTime"] > 1_600_000_000_000
    assert {key: added.json[key] for key in added.json if key != "launchingTime"} == {
        "id": "media_w1",
        "object": "mediaNode",
        "environmentId": "rack 7",
        "ip": "10.0.4.21",
        "uri": "ws://10.0.4.21:40000/media",
        "connected": False,
        "connectionTime": None,
        "load": 0.0,
        "status": "launching",
    }
    assert (await api.get("/health")).status == 503
    await worker.beat()
    node = await running(api)
    assert (node["environmentId"], node["uri"]) == ("rack 7", "ws://10.0.4.21:40000/media")
    assert await statuses(event_log) == [
        *("launching", "running", "terminating", "terminated"),
        *("launching", "running"),
    ]


async def test_with_wait_the_answer_is_the_running_node(api: Any, worker: Worker) -> None:
    await removed(api, worker)
    added = await api.post("/media-nodes?wait=true", {"uri": URI})
    assert (added.status, added.json["status"], added.json["connected"]) == (200, "running", True)


async def test_a_node_is_found_by_its_environment_id_too(api: Any, worker: Worker) -> None:
    await removed(api, worker)
    body = {"uri": "ws://10.9.9.9:8888/kurento", "environmentId": "w1"}
    added = await api.post("/media-nodes?wait=true", body)
    assert (added.status, added.json["uri"]) == (200, body["uri"])
    assert (await api.delete(f"{NODE}?wait=true")).status == 204
    again = await api.post("/media-nodes", {"uri": body["uri"]})
    assert again.status == 200, "by what it was called before"


async def test_a_node_that_falls_silent_has_failed(
    api: Any, make_worker: MakeWorker, event_log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.reactors.membership.LAUNCH_MS", 500)
    monkeypatch.setattr("services.api.nodes.ALIVE_SECONDS", 0.3)
    worker = make_worker()
    async with worker.running():
        await removed(api, worker)
    added = await api.post("/media-nodes?wait=true", {"uri": URI})
    assert added.status == 404
    assert (await statuses(event_log))[-2:] == ["launching", "failed"]
    assert (await api.get("/media-nodes")).json == {"numberOfElements": 0, "content": []}


BAD_NODES = [
    ({}, 501),
    ({"environmentId": "w1"}, 501),
    ({"uri": None}, 501),
    ({"instanceType": "c5.2xlarge", "volumeSize": 200}, 501),
    ({"uri": 5}, 400),
    ({"uri": ["ws://a"]}, 400),
    ({"uri": ""}, 400),
    ({"uri": "10.0.4.21:40000"}, 400),
    ({"uri": "http://10.0.4.21:40000/kurento"}, 400),
    ({"uri": "ws:///kurento"}, 400),
    ({"uri": "ws://10.0.4.21:99999/kurento"}, 400),
    ({"uri": "ws://10.0.4.21:0/kurento"}, 400),
    ({"uri": "ws://10.0.4.21:port/kurento"}, 400),
    ({"uri": "ws://[::1/kurento"}, 400),
    ({"uri": "ws://10.0.4.21:40000/\n"}, 400),
    ({"uri": "ws://10.0.4.21:40000/ñ"}, 400),
    ({"uri": "ws://10.0.4.21/" + "k" * 2048}, 400),
    ({"uri": URI, "environmentId": 1}, 400),
    ({"uri": URI, "environmentId": "e" * 256}, 400),
    ({"uri": URI, "instanceType": {}}, 400),
    ({"uri": URI, "volumeSize": "200"}, 400),
    ({"uri": URI, "volumeSize": 0}, 400),
    ({"uri": URI, "volumeSize": 2.5}, 400),
    ({"uri": "ws://10.0.4.21:8888/kurento"}, 404),
    ({"uri": "ws://10.9.9.9:40000/kurento", "environmentId": "w2"}, 404),
    ({"uri": URI}, 409),
    ({"uri": "ws://10.0.4.21:40000/other/path", "environmentId": "w2"}, 409),
    ({"uri": "ws://10.9.9.9:8888/kurento", "environmentId": "w1"}, 409),
]


async def test_nodes_that_cannot_be_added(api: Any, worker: Worker) -> None:
    await running(api)
    for body, status in BAD_NODES:
        answer = await api.post("/media-nodes", body)
        assert (answer.status, answer.json["status"]) == (status, status), body
        assert answer.json["message"]
    assert (await api.post("/media-nodes?wait=1", {"uri": URI})).status == 400
    assert (await api.get("/media-nodes")).json["numberOfElements"] == 1


async def test_an_addition_that_is_repeated_is_done_once(
    api: Any, make_worker: MakeWorker, event_log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.nodes.ALIVE_SECONDS", 60.0)
    worker, key = make_worker(), {"Idempotency-Key": "rack-7"}
    await worker.beat()
    await removed(api, worker)
    first = await api.post("/media-nodes", {"uri": URI}, headers=key)
    assert (first.status, first.json["status"]) == (200, "launching")
    again = await api.post("/media-nodes", {"uri": URI}, headers=key)
    assert again.body == first.body
    assert (await api.post("/media-nodes", {"uri": URI})).status == 409
    await worker.beat()
    await running(api)
    waited = await api.post("/media-nodes?wait=true", {"uri": URI}, headers=key)
    assert (waited.status, waited.json["status"]) == (200, "running")
    assert (await statuses(event_log))[4:] == ["launching", "running"]


# DELETE


@pytest.mark.parametrize("strategy", ["", "now", "if-no-sessions", "when-no-sessions"])
async def test_an_idle_node_is_removed_and_stays_out(
    api: Any, worker: Worker, event_log: Any, strategy: str
) -> None:
    await running(api)
    query = f"?deletion-strategy={strategy}" if strategy else ""
    answer = await api.delete(NODE + query)
    assert (answer.status, answer.body) == (204, b"")
    assert (await api.get(NODE)).status == 404
    assert (await api.get("/media-nodes")).json["content"] == []
    assert (await api.get("/health")).status == 503
    assert (await api.delete(NODE)).status == 404
    for _ in range(3):
        await worker.beat()
    expected = ["launching", "running", "terminating", "terminated"]
    assert await statuses(event_log) == expected, "it is heard, and stays out"


async def test_a_busy_node_is_not_removed_by_default(
    api: Any, worker: Worker, room: Any, event_log: Any
) -> None:
    await running(api)
    await seat(room, api)
    for query in ("", "?deletion-strategy=if-no-sessions"):
        answer = await api.delete(NODE + query)
        assert (answer.status, answer.json["status"]) == (409, 409)
    assert (await api.get(NODE)).json["status"] == "running"
    assert await statuses(event_log) == ["launching", "running"]


async def test_a_busy_node_drains_and_goes_with_its_last_session(
    api: Any, worker: Worker, room: Any, event_log: Any
) -> None:
    await running(api)
    await seat(room, api)
    for _ in range(2):
        answer = await api.delete(f"{NODE}?deletion-strategy=when-no-sessions&wait=true")
        assert (answer.status, answer.body) == (202, b"")
    assert (await api.get(NODE)).json["status"] == "waiting-idle-to-terminate"
    assert (await api.get("/health")).status == 503, "it takes no new sessions"
    assert (await api.delete(NODE)).status == 409
    assert (await api.delete("/sessions/salon")).status == 204

    async def gone() -> bool:
        return bool((await api.get(NODE)).status == 404)

    await api.eventually(gone)
    assert (await statuses(event_log))[2:] == [
        "waiting-idle-to-terminate",
        "terminating",
        "terminated",
    ]


@pytest.mark.parametrize("wait", ["false", "true"])
async def test_now_closes_what_the_node_hosts_between_terminating_and_terminated(
    api: Any, worker: Worker, room: Any, event_log: Any, wait: str
) -> None:
    await running(api)
    await seat(room, api)
    await room.record("salon")
    await api.until("/recordings/salon", lambda found: found["status"] == "started")
    await seat(room, api, "other", "media_other")
    await api.new_session(customSessionId="pinned", mediaNode={"id": "media_w1"})
    answer = await api.delete(f"{NODE}?deletion-strategy=now&wait={wait}")
    assert answer.status == 204
    assert (await api.get("/sessions/salon")).status == 404
    assert (await api.get("/sessions/pinned")).status == 404
    assert (await api.get("/sessions/other")).status == 200
    assert (await api.get("/recordings/salon")).json["status"] == "stopped"
    assert await reasons(event_log, "salon") == {Reason.MEDIA_SERVER_DISCONNECT}
    assert await reasons(event_log, "pinned") == set(), "nobody ever joined it"
    sequences = [recorded.sequence async for recorded in event_log.read("node:media_w1")]
    (*_, closed) = [recorded.sequence async for recorded in event_log.read("salon")]
    assert sequences[-2] < closed < sequences[-1]


@pytest.mark.usefixtures("patient")
async def test_a_launching_node_is_canceled_and_ends_when_it_is_heard(
    api: Any, make_worker: MakeWorker, event_log: Any
) -> None:
    worker = make_worker()
    await worker.beat()
    await removed(api, worker)
    assert (await api.post("/media-nodes", {"uri": URI})).json["status"] == "launching"
    for _ in range(2):
        assert (await api.delete(NODE)).status == 202
    assert (await api.get(NODE)).json["status"] == "canceled"
    await worker.beat()

    async def gone() -> bool:
        return bool((await api.get(NODE)).status == 404)

    await api.eventually(gone)
    assert (await statuses(event_log))[-4:] == [
        *("launching", "canceled"),
        *("terminating", "terminated"),
    ]


@pytest.mark.parametrize(
    "query", ["deletion-strategy=never", "deletion-strategy=", "deletion-strategy=NOW", "wait=2"]
)
async def test_a_removal_nobody_understands_is_400(api: Any, worker: Worker, query: str) -> None:
    await running(api)
    answer = await api.delete(f"{NODE}?{query}")
    assert (answer.status, answer.json["status"]) == (400, 400)
    assert (await api.get(NODE)).json["status"] == "running"


# PATCH


@pytest.mark.usefixtures("patient")
async def test_the_status_goes_the_six_ways_of_the_document(
    api: Any, make_worker: MakeWorker, room: Any
) -> None:
    worker = make_worker()

    async def to(status: str) -> None:
        answer = await api.call("PATCH", NODE, {"status": status})
        assert (answer.status, answer.json["status"]) == (200, status)
        again = await api.call("PATCH", NODE, {"status": status})
        assert (again.status, again.body) == (204, b"")

    await worker.beat()
    await removed(api, worker)
    await api.post("/media-nodes", {"uri": URI})
    await to("canceled")
    await to("launching")
    await worker.beat()
    await running(api)
    await seat(room, api)
    await to("waiting-idle-to-terminate")
    await to("running")
    await api.until("/health", lambda found: found["status"] == "UP")
    await to("waiting-idle-to-terminate")
    answer = await api.call("PATCH", NODE, {"status": "terminating"})
    assert (answer.status, answer.json["status"]) == (200, "terminating")

    async def closed() -> bool:
        return bool((await api.get("/sessions/salon")).status == 404)

    await api.eventually(closed)


BAD_STATUSES: list[Any] = [
    *({}, {"status": None}, {"status": 5}, {"status": ["running"]}, {"status": "RUNNING"}),
    *({"status": ""}, {"status": "nonsense"}, {"status": "failed"}, {"status": "terminated"}),
    *({"status": "launching"}, {"status": "canceled"}),
]


async def test_statuses_a_running_node_cannot_get(api: Any, worker: Worker) -> None:
    await running(api)
    for body in BAD_STATUSES:
        answer = await api.call("PATCH", NODE, body)
        assert (answer.status, answer.json["status"]) == (400, 400), body
    assert (await api.get(NODE)).json["status"] == "running"


# PUT


async def test_autodiscovery_takes_in_whoever_is_heard_and_tells_the_new_ones(
    api: Any, worker: Worker, make_worker: MakeWorker
) -> None:
    async with make_worker("media_w2", port=40001).running() as other:
        for one in (worker, other):
            await running(api, f"/media-nodes/{one.id}")
        nothing = await api.call("PUT", "/media-nodes")
        assert (nothing.status, nothing.json) == (200, {"numberOfElements": 0, "content": []})
        await removed(api, other)
        found = await api.call("PUT", "/media-nodes")
        assert found.json["numberOfElements"] == 1
        (node,) = found.json["content"]
        assert (node["id"], node["status"], node["connected"]) == ("media_w2", "running", True)
        assert [n["id"] for n in (await api.get("/media-nodes")).json["content"]] == [
            "media_w1",
            "media_w2",
        ]


# Who may record


async def test_a_recording_is_made_on_a_node_that_can(api: Any, worker: Worker, room: Any) -> None:
    await running(api)
    await seat(room, api)
    await seat(room, api, "elsewhere", "media_other")

    async def start(session: str, node: object, **more: object) -> int:
        body = {"session": session, "mediaNode": node, **more}
        return int((await api.post("/recordings/start", body)).status)

    built = 501  # a composed recording gets so far
    assert await start("salon", {"id": "media_nobody"}) == 400
    assert await start("salon", {"id": "media_nobody"}, hasVideo=False) == built, "no need"
    assert await start("salon", {"id": 5}) == 400
    assert await start("elsewhere", {"id": "media_w1"}) == built
    await api.call("PATCH", NODE, {"status": "waiting-idle-to-terminate"})
    assert await start("salon", {"id": "media_w1"}) == built, "it hosts the session"
    assert await start("elsewhere", {"id": "media_w1"}) == 503
