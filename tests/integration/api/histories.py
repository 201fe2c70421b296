"""What there may be in a projection, and all that REST answers from it."""

from __future__ import annotations

from typing import Any


async def make_history(api: Any, room: Any) -> None:
    """Sessions, connections and recordings in every state, some of them gone again."""
    await api.new_session(customSessionId="gone")
    await api.delete("/sessions/gone")
    await api.new_session(customSessionId="zoo", recordingMode="ALWAYS", mediaMode="RELAYED")
    await api.new_session(
        customSessionId="salon", defaultRecordingProperties={"outputMode": "INDIVIDUAL"}
    )
    ana, bob, eve = [await room.person(api, "salon", data=f"n. {n}") for n in range(3)]
    await api.new_connection("salon", role="MODERATOR", kurentoOptions={"allowedFilters": ["x"]})
    pending = await api.new_connection("salon")
    await api.delete(f"/sessions/salon/connection/{pending['id']}")
    stream = await room.publish("salon", ana)
    await room.subscribe("salon", bob, stream)
    await api.call("PATCH", f"/sessions/salon/connection/{bob}", {"role": "SUBSCRIBER"})
    await api.delete(f"/sessions/salon/connection/{eve}")
    await room.finish("salon", await room.record("salon"))
    deleted = await room.record("salon", name="lesson")
    await room.finish("salon", deleted)
    await api.until(f"/recordings/{deleted}", lambda found: found["status"] == "ready")
    await api.delete(f"/recordings/{deleted}")
    await api.new_session(customSessionId="gone")
    await room.record("salon", name="lesson")
    await api.until("/recordings/salon~1", lambda found: found["status"] == "started")


async def answers(api: Any) -> dict[str, bytes]:
    paths = [
        "/sessions",
        "/sessions?pendingConnections=true",
        "/sessions/zoo",
        "/sessions/salon",
        "/sessions/salon?pendingConnections=true",
        "/sessions/gone",
        "/sessions/salon/connection",
        "/recordings",
        "/recordings/salon",
        "/recordings/salon~1",
    ]
    listed = (await api.get("/sessions/salon/connection")).json["content"]
    paths += [f"/sessions/salon/connection/{connection['id']}" for connection in listed]
    found = {}
    for path in paths:
        answer = await api.get(path)
        assert answer.status == 200, path
        found[path] = answer.body
    return found
