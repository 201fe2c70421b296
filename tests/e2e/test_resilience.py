"""Any process may be killed while people talk, and nothing is lost."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import av
import pytest
import pytest_asyncio

from tests.e2e.page_client import Client, Pages
from tests.e2e.server_under_test import Server, eventually, free_port
from tests.e2e.webhook_sink import WebhookSink

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sink() -> AsyncIterator[WebhookSink]:
    receiver = WebhookSink(free_port())
    await receiver.up()
    yield receiver
    await receiver.down()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(folder: Path, sink: WebhookSink) -> AsyncIterator[Server]:
    started = Server(folder, OPENVIDU_WEBHOOK="true", OPENVIDU_WEBHOOK_ENDPOINT=sink.url)
    await started.start()
    yield started
    await started.stop()


async def _two_in_a_call(
    server: Server, pages: Pages, session: str
) -> tuple[Client, Client, str, str]:
    await server.new_session(customSessionId=session)
    ana, ben = await pages.open(), await pages.open()
    await ana.join(await server.new_token(session), "ana")
    of_ana = await ana.publish()
    await ben.join(await server.new_token(session), "ben")
    of_ben = await ben.publish()
    await ana.plays(of_ben)
    await ben.plays(of_ana)
    return ana, ben, of_ana, of_ben


async def test_a_call_survives_the_death_of_the_api(server: Server, pages: Pages) -> None:
    ana, ben, of_ana, of_ben = await _two_in_a_call(server, pages, "api-dies")

    old = await server.kill("api")
    await ana.sees("reconnecting")
    await ben.sees("reconnecting")
    await ana.plays(of_ben)  # media does not wait for the API
    await ben.plays(of_ana)
    await server.until_replaced("api", old)
    await server.until_ready()
    await ana.sees("reconnected")
    await ben.sees("reconnected")

    session = await server.get("/openvidu/api/sessions/api-dies")
    first, second = session["connections"]["content"]
    assert (first["id"], second["id"]) == (ana.id, ben.id)
    assert [p["streamId"] for p in first["publishers"]] == [of_ana]
    assert [s["streamId"] for s in first["subscribers"]] == [of_ben]
    assert [p["streamId"] for p in second["publishers"]] == [of_ben]
    assert [s["streamId"] for s in second["subscribers"]] == [of_ana]

    await ana.call("signal", "still here", "greeting")
    await ben.sees("signal", data="still here")
    await ana.plays(of_ben)
    await ben.plays(of_ana)
    late = await pages.open()
    await late.join(await server.new_token("api-dies", role="SUBSCRIBER"), "late")
    await late.plays(of_ana)
    code, output = await server.run("verify")
    assert code == 0, output
    for client in (late, ana, ben):
        assert not await client.events("exception")
        await client.call("leave")


async def test_webhooks_killed_in_the_middle_miss_nothing(
    server: Server, pages: Pages, sink: WebhookSink
) -> None:
    session = "webhooks-die"
    ana, ben, of_ana, of_ben = await _two_in_a_call(server, pages, session)
    await eventually(lambda: len(sink.names(session)) >= 7)

    old = await server.kill("webhooks")
    await ana.call("signal", "while nobody delivers", "greeting")
    await ben.call("leave")
    await ana.sees("connectionDestroyed", connection=ben.id)
    await server.until_replaced("webhooks", old)
    await ana.call("leave")

    await eventually(lambda: "sessionDestroyed" in sink.names(session), what="the last webhook")
    names = sink.names(session)
    assert names.count("participantJoined") == names.count("participantLeft") == 2
    assert names.count("webrtcConnectionCreated") == names.count("webrtcConnectionDestroyed") == 4
    assert names.count("signalSent") == 1
    assert names[0] == "sessionCreated"
    assert names[-1] == "sessionDestroyed"
    assert len(names) == 2 + 4 + 8 + 1
    assert {of_ana, of_ben} == {
        event["streamId"] for event in sink.of(session, "webrtcConnectionDestroyed")
    }
    code, output = await server.run("verify")
    assert code == 0, output


async def test_a_recording_survives_the_death_of_the_recorder(server: Server, pages: Pages) -> None:
    session = "recorder-dies"
    ana, ben, of_ana, of_ben = await _two_in_a_call(server, pages, session)
    recording = await server.post(
        "/openvidu/api/recordings/start", {"session": session, "outputMode": "INDIVIDUAL"}
    )
    await ana.plays(of_ben, frames=60)

    old = await server.kill("recorder")
    await ana.plays(of_ben)
    await ben.plays(of_ana)
    await server.until_replaced("recorder", old)
    folder = server.folder / "data/recordings" / recording["id"]
    await eventually(
        lambda: (
            len([file for file in folder.glob("*-1.webm") if file.stat().st_size > 50_000]) == 2
        ),
        what="both streams are recorded again",
    )
    await ana.plays(of_ben, frames=60)
    await server.post(f"/openvidu/api/recordings/stop/{recording['id']}")

    async def ready() -> bool:
        status = (await server.get(f"/openvidu/api/recordings/{recording['id']}"))["status"]
        assert status in ("stopped", "ready"), server.log()[-4000:]
        return bool(status == "ready")

    await eventually(ready, limit=30)
    done = await server.get(f"/openvidu/api/recordings/{recording['id']}")
    files = zipfile.ZipFile(
        io.BytesIO(await server.get_bytes(re.sub(r"^https?://[^/]+", "", done["url"])))
    )
    index = json.loads(files.read(f"{recording['id']}.json"))
    parts = sorted(entry["name"] for entry in index["files"])
    assert parts == sorted(f"{s}{part}.webm" for s in (of_ana, of_ben) for part in ("", "-1"))
    for name in parts:
        with av.open(io.BytesIO(files.read(name))) as container:
            assert sum(1 for _ in container.decode(video=0)) > 20
    for client in (ana, ben):
        assert len(await client.events("recordingStarted")) == 1
        assert len(await client.events("recordingStopped")) == 1
        await client.call("leave")
    code, output = await server.run("verify")
    assert code == 0, output


async def test_after_the_death_of_the_media_process_people_can_publish_again(
    server: Server, pages: Pages
) -> None:
    ana, ben, of_ana, of_ben = await _two_in_a_call(server, pages, "media-dies")
    await server.kill("media")
    for client, stream in ((ana, of_ben), (ben, of_ana)):
        await client.sees("streamDestroyed", stream=stream, reason="mediaServerReconnect")
    again = await ana.publish()
    await ben.plays(again)
    for client in (ana, ben):
        await client.call("leave")
