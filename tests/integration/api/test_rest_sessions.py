"""`rest-api.md`, "The Session object", with the readings of `contract/README.md`."""

from __future__ import annotations

from typing import Any

SESSION_KEYS = {
    "id", "object", "sessionId", "createdAt", "mediaMode", "recordingMode",
    "defaultRecordingProperties", "customSessionId", "connections", "recording",
    "broadcasting", "forcedVideoCodec", "allowTranscoding",
}  # fmt: skip


async def test_a_session_without_any_body_has_the_defaults(api: Any) -> None:
    answer = await api.post("/sessions")
    assert answer.status == 200
    session = answer.json
    assert set(session) == SESSION_KEYS
    assert session["id"].startswith("ses_")
    assert session["sessionId"] == session["id"]
    assert session["object"] == "session"
    assert session["mediaMode"] == "ROUTED"
    assert session["recordingMode"] == "MANUAL"
    assert session["customSessionId"] == ""
    assert session["forcedVideoCodec"] == "VP8"
    assert session["allowTranscoding"] is False
    assert session["recording"] is False
    assert session["connections"] == {"numberOfElements": 0, "content": []}
    assert session["defaultRecordingProperties"] == {
        "name": "",
        "hasAudio": True,
        "hasVideo": True,
        "outputMode": "COMPOSED",
        "recordingLayout": "BEST_FIT",
        "resolution": "1280x720",
        "frameRate": 25,
        "shmSize": 536870912,
    }


async def test_a_session_keeps_what_it_was_made_with(api: Any) -> None:
    body = {
        "mediaMode": "RELAYED",
        "recordingMode": "ALWAYS",
        "customSessionId": "My_salon-1",
        "forcedVideoCodec": "H264",
        "allowTranscoding": "true",
        "defaultRecordingProperties": {
            "name": "Lesson",
            "outputMode": "INDIVIDUAL",
            "hasVideo": False,
            "ignoreFailedStreams": True,
            "mediaNode": {"id": "media_1"},
        },
        "somethingUnknown": {"a": [1]},
    }
    made = await api.post("/sessions", body)
    assert made.status == 200
    assert made.json["id"] == made.json["customSessionId"] == "My_salon-1"
    assert made.json["mediaMode"] == "RELAYED"
    assert made.json["recordingMode"] == "ALWAYS"
    assert made.json["forcedVideoCodec"] == "H264"
    assert made.json["allowTranscoding"] is True
    assert made.json["defaultRecordingProperties"] == {
        "name": "Lesson",
        "hasAudio": True,
        "hasVideo": False,
        "outputMode": "INDIVIDUAL",
        "ignoreFailedStreams": True,
        "mediaNode": "media_1",
    }
    assert (await api.get("/sessions/My_salon-1")).body == made.body


async def test_nulls_are_values_that_were_not_given(api: Any) -> None:
    names = (
        "mediaMode", "recordingMode", "customSessionId", "forcedVideoCodec", "allowTranscoding",
        "defaultRecordingProperties", "mediaNode",
    )  # fmt: skip
    assert (await api.post("/sessions", dict.fromkeys(names))).status == 200


async def test_what_a_session_answers_at_first_is_what_it_answers_later(api: Any) -> None:
    made = await api.post("/sessions", {"customSessionId": "salon"})
    assert (await api.get("/sessions/salon")).body == made.body
    assert (await api.get("/sessions")).json["content"] == [made.json]


async def test_an_id_in_use_is_a_conflict_that_changes_nothing(api: Any) -> None:
    await api.post("/sessions", {"customSessionId": "salon", "recordingMode": "ALWAYS"})
    before = await api.get("/sessions/salon")
    again = await api.post("/sessions", {"customSessionId": "salon"})
    assert again.status == 409
    assert (await api.get("/sessions/salon")).body == before.body


async def test_an_id_is_free_again_after_its_session(api: Any) -> None:
    await api.new_session(customSessionId="salon")
    assert (await api.delete("/sessions/salon")).status == 204
    assert (await api.post("/sessions", {"customSessionId": "salon"})).status == 200


async def test_sessions_are_listed_in_the_order_of_their_creation(api: Any) -> None:
    names = ["zebra", "ant", "Moth", "bee"]
    for name in names:
        await api.new_session(customSessionId=name)
    listed = (await api.get("/sessions")).json
    assert listed["numberOfElements"] == 4
    assert [session["id"] for session in listed["content"]] == names


async def test_pending_connections_are_shown_on_request_only(api: Any, room: Any) -> None:
    session = await api.new_session()
    active = await room.person(api, session)
    pending = (await api.new_connection(session))["id"]

    def shown(answer: dict[str, Any]) -> list[str]:
        connections = answer["connections"]
        assert connections["numberOfElements"] == len(connections["content"])
        return [connection["id"] for connection in connections["content"]]

    one = f"/sessions/{session}"
    assert shown((await api.get(one)).json) == [active]
    assert shown((await api.get(one + "?pendingConnections=false")).json) == [active]
    assert shown((await api.get(one + "?pendingConnections=true")).json) == [active, pending]
    every = "/sessions?pendingConnections=true"
    assert shown((await api.get("/sessions")).json["content"][0]) == [active]
    assert shown((await api.get(every)).json["content"][0]) == [active, pending]


async def test_the_media_node_is_shown_once_somebody_joined(api: Any, room: Any) -> None:
    session = await api.new_session()
    assert "mediaNodeId" not in (await api.get(f"/sessions/{session}")).json
    await room.person(api, session)
    assert (await api.get(f"/sessions/{session}")).json["mediaNodeId"] == "media_local"


ABSENT = ["nobody", "a~b", "%00", "%F0%9F%98%80", "a" * 4000, "%2e%2e"]


async def test_a_session_that_is_not_there_is_404(api: Any) -> None:
    for session in ABSENT:
        assert (await api.get(f"/sessions/{session}")).status == 404, session
        assert (await api.delete(f"/sessions/{session}")).status == 404, session


async def test_a_closed_session_is_gone_with_its_connections(api: Any, room: Any) -> None:
    session = await api.new_session()
    connection = await room.person(api, session)
    closed = await api.delete(f"/sessions/{session}")
    assert closed.status == 204
    assert closed.body == b""
    assert (await api.get(f"/sessions/{session}")).status == 404
    assert (await api.get(f"/sessions/{session}/connection/{connection}")).status == 400
    assert (await api.delete(f"/sessions/{session}")).status == 404
    assert (await api.get("/sessions")).json == {"numberOfElements": 0, "content": []}


async def test_form_encoded_requests_without_a_body_are_no_error(api: Any) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    session = await api.new_session()
    assert (await api.get("/sessions", headers=form)).status == 200
    assert (await api.delete(f"/sessions/{session}", headers=form)).status == 204
    assert (await api.call("POST", "/sessions", headers=form)).status == 200


async def test_a_trailing_slash_is_the_same_path(api: Any) -> None:
    session = await api.new_session()
    assert (await api.get("/sessions/")).json["numberOfElements"] == 1
    assert (await api.get(f"/sessions/{session}/")).status == 200
