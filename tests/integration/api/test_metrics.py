"""`/metrics`: off unless wanted, for whom the token says, and right."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import Any

import aiohttp
import pytest
from msgspec.json import encode
from msgspec.structs import replace
from nats.aio.client import Client
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from services.conference.calls import (
    Heartbeat,
    Statistics,
    TrackStatistics,
    heartbeat_subject,
    statistics_subject,
)
from services.conference.model import Direction
from services.eventlog.server import NatsServer
from services.settings import Metrics, Settings

TOKEN = "the_token_of_the_tests"
BEARER = f"Bearer {TOKEN}"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, metrics=Metrics(enabled=True, token=TOKEN))


def basic(pair: str) -> str:
    return "Basic " + b64encode(pair.encode()).decode()


async def scrape(api: Any) -> dict[str, float]:
    """Values by name and labels, as `name{a="b"}`."""
    answer = await api.get("/metrics", auth=BEARER)
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        assert family.documentation
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            key = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert key not in found
            found[key] = sample.value
    return found


async def test_without_the_switch_it_is_a_path_like_any_unknown_one(
    start: Any, settings: Settings
) -> None:
    async with start(replace(settings, metrics=Metrics(token=TOKEN))) as api:
        answer = await api.get("/metrics", auth=BEARER)
        unknown = await api.get("/livez/nowhere", auth=BEARER)
        assert answer.status == unknown.status == 404
        assert answer.json["message"] == unknown.json["message"]


async def test_only_who_has_the_token_may_read(api: Any) -> None:
    for header in (BEARER, f"bearer  {TOKEN}", basic(f"anybody:{TOKEN}"), basic(f":{TOKEN}")):
        assert (await api.get("/metrics", auth=header)).status == 200, header
    wrong = [
        None,
        "",
        "Bearer",
        "Bearer ",
        TOKEN,
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Digest {TOKEN}",
        basic(TOKEN),
        basic(f"{TOKEN}:"),
        basic(f"a:{TOKEN}:"),
        "Basic ====",
        "Basic \u00f1\u00f1",
        basic(f"OPENVIDUAPP:{api.settings.access.secret}"),
    ]
    for header in wrong:
        answer = await api.get("/metrics", auth=header)
        assert answer.status == 401, header
        assert answer.headers["WWW-Authenticate"]
        assert set(answer.json) == {"timestamp", "status", "error", "message", "path"}


async def test_wrong_tokens_are_no_failed_logins(start: Any, settings: Settings) -> None:
    strict = replace(settings, access=replace(settings.access, login_failures=1))
    async with start(strict) as api:
        for _ in range(3):
            assert (await api.get("/metrics", auth="Bearer wrong")).status == 401
        assert (await api.get("/sessions")).status == 200


async def test_an_open_one_is_warned_of_where_others_can_reach_it(
    start: Any, settings: Settings
) -> None:
    for host, token, warned in [
        ("127.0.0.1", "", False),
        ("0.0.0.0", TOKEN, False),
        ("0.0.0.0", "", True),
    ]:
        given = replace(
            settings,
            access=replace(settings.access, listen_host=host),
            metrics=Metrics(enabled=True, token=token),
        )
        with capture_logs() as lines:
            async with start(given) as api:
                assert (await api.get("/metrics", auth=BEARER)).status == 200
                expected = 401 if token else 200
                assert (await api.get("/metrics", auth=None)).status == expected
        found = [line for line in lines if "TERTULIA_METRICS_TOKEN" in line["event"]]
        assert bool(found) is warned, host


async def test_requests_are_counted_by_what_they_were_for(api: Any) -> None:
    await api.new_session(customSessionId="salon")
    for _ in range(3):
        assert (await api.get("/sessions/salon")).status == 200
    assert (await api.get("/sessions/nobody")).status == 404
    for number in range(20):
        assert (await api.get(f"/nowhere/{number}")).status == 404
        assert (await api.get(f"/livez/nowhere/{number}", auth=None)).status == 404
    assert (await api.get("/sessions", auth=basic("OPENVIDUAPP:wrong"))).status == 401
    assert (await api.get("/livez", auth=None)).status == 200
    found = await scrape(api)

    def requests(operation: str, method: str, status: int) -> float:
        labels = f'method="{method}",operation="{operation}",status="{status}"'
        return found[f"tertulia_http_requests_total{{{labels}}}"]

    assert requests("initializeSession", "POST", 200) == 1
    assert requests("getSession", "GET", 200) == 3
    assert requests("getSession", "GET", 404) == 1
    assert requests("unknown", "GET", 404) == 40
    assert requests("livez", "GET", 200) == 1
    assert found["tertulia_logins_failed_total"] == 1
    assert found["tertulia_http_requests_in_flight"] == 1
    took = 'tertulia_http_request_duration_seconds_count{method="GET",operation="getSession"}'
    assert found[took] == 4
    names = {name for name in found if name.startswith("tertulia_http_requests_total")}
    assert len(names) < 12, "a path is no label"


async def test_the_state_of_the_conference_is_told(
    api: Any, room: Any, nats_client: Client
) -> None:
    await api.new_session(customSessionId="salon")
    await api.new_session(customSessionId="empty")
    await room.person(api, "salon")
    await api.new_connection("salon")
    await room.record("salon")
    commits = (await scrape(api))["tertulia_commits_total"]
    assert commits == 4, "what this process did; the rest is another's"
    beat = Heartbeat("media_1", "one", "127.0.0.1", 1, 150.0, 3, 7)

    async def all_seen() -> dict[str, float] | None:
        await nats_client.publish(heartbeat_subject("media_1"), encode(beat))
        found = await scrape(api)
        if not (found["tertulia_media_nodes"] and found["tertulia_sessions_recorded"]):
            return None
        settled = found["tertulia_log_position"] == found["tertulia_projection_position"]
        return found if settled else None  # a commit may come between the two

    found = await api.eventually(all_seen)
    assert found["tertulia_sessions"] == 2
    assert found['tertulia_connections{status="active"}'] == 1
    assert found['tertulia_connections{status="pending"}'] == 1
    assert found["tertulia_media_nodes"] == 1
    assert found['tertulia_media_node_load_ratio{node="media_1"}'] == 1.5
    assert found['tertulia_media_node_streams{direction="in",node="media_1"}'] == 3
    assert found['tertulia_media_node_streams{direction="out",node="media_1"}'] == 7
    assert found["tertulia_commands_repeated_total"] == 0
    assert found["tertulia_log_position"] > commits
    assert found["tertulia_projection_lag_commits"] == 0
    assert found["tertulia_nats_connected"] == 1
    assert found["process_cpu_seconds_total"] > 0
    assert found["process_resident_memory_bytes"] > 1e6


async def test_what_the_media_nodes_say_of_streams_is_told(api: Any, nats_client: Client) -> None:
    track = TrackStatistics(
        "salon", "con_A", "str_CAM_AAAA_con_A", Direction.OUTBOUND, "video", packets=7, bitrate=900
    )
    figures = Statistics("media_1", 1, (track,))

    async def heard() -> dict[str, float] | None:
        await nats_client.publish(statistics_subject("media_1"), encode(figures))
        found = await scrape(api)
        return found if any(name.startswith("tertulia_stream_") for name in found) else None

    found = await api.eventually(heard)
    where = 'direction="OUTBOUND",kind="video",node="media_1"'
    labels = f'connection="con_A",{where},session="salon",stream="str_CAM_AAAA_con_A"'
    assert found[f"tertulia_stream_packets_total{{{labels}}}"] == 7
    assert found[f"tertulia_media_node_bits_per_second{{{where}}}"] == 900


async def test_websocket_clients_are_counted(api: Any) -> None:
    async def clients(number: int) -> bool:
        return bool((await scrape(api))["tertulia_websocket_connections"] == number)

    async with aiohttp.ClientSession() as http:
        sockets = [await http.ws_connect(f"{api.url}/openvidu") for _ in range(3)]
        await api.eventually(lambda: clients(3))
        await sockets[0].close()
        await api.eventually(lambda: clients(2))
    await api.eventually(lambda: clients(0))
    assert (await scrape(api))["tertulia_websocket_connections_opened_total"] == 3


async def test_without_the_broker_the_rest_is_told(
    api: Any, nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.metrics.ASK_SECONDS", 0.3)
    await api.new_session()
    await nats.stop()
    found = await scrape(api)
    assert "tertulia_log_position" not in found
    assert "tertulia_projection_lag_commits" not in found
    assert found["tertulia_projection_position"] == 1
    assert found["tertulia_sessions"] == 1

    async def disconnected() -> bool:
        return (await scrape(api))["tertulia_nats_connected"] == 0

    await api.eventually(disconnected)


async def test_two_apis_of_a_process_count_each_for_itself(start: Any, settings: Settings) -> None:
    one = settings
    database = f"sqlite:///{settings.storage.data_dir}/other.db"
    other = replace(settings, storage=replace(settings.storage, database_url=database))
    async with start(one) as first, start(other) as second:
        await asyncio.gather(*(first.get("/livez") for _ in range(5)))
        labels = 'method="GET",operation="livez",status="200"'
        assert (await scrape(first))[f"tertulia_http_requests_total{{{labels}}}"] == 5
        assert f"tertulia_http_requests_total{{{labels}}}" not in await scrape(second)
