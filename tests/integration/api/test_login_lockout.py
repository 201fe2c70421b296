"""Who guesses the secret is locked out for a while; nobody else is."""

from __future__ import annotations

from base64 import b64encode
from ipaddress import ip_network
from typing import Any

import pytest
from msgspec.structs import replace

from services.settings import Settings
from services.settings.load import load

WRONG = "Basic " + b64encode(b"OPENVIDUAPP:wrong").decode()
PROTECTED = [
    ("GET", "/openvidu/api/sessions"),
    ("POST", "/openvidu/api/sessions"),
    ("GET", "/openvidu/api/nowhere"),
    ("PUT", "/openvidu/api/sessions"),
    ("GET", "/openvidu/recordings/a/a.zip"),
    ("GET", "/openvidu/recordings"),
]


def limited(settings: Settings, failures: int, window: int, *proxies: str) -> Settings:
    access = replace(
        settings.access,
        login_failures=failures,
        login_window=window,
        trusted_proxies=tuple(map(ip_network, proxies)),
    )
    return replace(settings, access=access)


async def test_after_too_many_wrong_secrets_not_even_the_right_one_helps(
    start: Any, settings: Settings
) -> None:
    async with start(limited(settings, 3, 3600)) as api:
        for _ in range(2):
            assert (await api.get("/sessions", auth=WRONG)).status == 401
        assert (await api.get("/sessions")).status == 200, "not yet"
        assert (await api.get("/nowhere", auth=WRONG)).status == 401, "an unknown path counts too"
        for method, path in PROTECTED:
            for auth in ({}, {"auth": WRONG}, {"auth": None}):
                answer = await api.call(method, path, **auth)
                assert answer.status == 429, (method, path)
                assert 3590 < int(answer.headers["Retry-After"]) <= 3600
                assert set(answer.json) == {"timestamp", "status", "error", "message", "path"}
                assert (answer.json["status"], answer.json["path"]) == (429, path)
                assert "WWW-Authenticate" not in answer.headers
        assert (await api.get("/livez")).status == 200
        assert (await api.get("/docs/openapi.json")).status == 200
        cors = {"Origin": "https://app.example", "Access-Control-Request-Method": "GET"}
        answer = await api.call("OPTIONS", "/sessions", auth=None, headers=cors)
        assert answer.status == 204
        answer = await api.get("/sessions", headers={"Origin": "https://app.example"})
        assert answer.status == 429
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]


async def test_the_lock_ends_when_it_said(start: Any, settings: Settings) -> None:
    async with start(limited(settings, 1, 1)) as api:
        assert (await api.get("/sessions", auth=WRONG)).status == 401
        answer = await api.get("/sessions")
        assert (answer.status, answer.headers["Retry-After"]) == (429, "1")

        async def open_again() -> bool:
            return bool((await api.get("/sessions")).status == 200)

        await api.eventually(open_again)


async def test_asking_without_a_secret_is_no_failure(start: Any, settings: Settings) -> None:
    async with start(limited(settings, 1, 3600)) as api:
        for _ in range(5):
            assert (await api.get("/sessions", auth=None)).status == 401
            assert (await api.get("/nowhere", auth=None)).status == 401
        assert (await api.get("/sessions")).status == 200


async def test_without_a_limit_nobody_is_locked_out(start: Any, settings: Settings) -> None:
    async with start(limited(settings, 0, 3600)) as api:
        for _ in range(150):
            assert (await api.get("/sessions", auth=WRONG)).status == 401
        assert (await api.get("/sessions")).status == 200


async def test_public_recordings_need_no_login_so_they_stay_open(
    start: Any, room: Any, settings: Settings
) -> None:
    public = replace(settings, recording=replace(settings.recording, public_access=True))
    async with start(limited(public, 1, 3600)) as api:
        await api.new_session(customSessionId="salon")
        await room.person(api, "salon")
        await room.finish("salon", await room.record("salon"))
        await api.until("/recordings/salon", lambda found: found["status"] == "ready")
        file = settings.recording.path / "salon" / "salon.zip"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"zip")
        assert (await api.get("/sessions", auth=WRONG)).status == 401
        assert (await api.get("/sessions")).status == 429
        assert (await api.get("/openvidu/recordings/salon/salon.zip", auth=None)).body == b"zip"


async def test_behind_a_proxy_it_is_the_client_who_is_locked_out(
    start: Any, settings: Settings
) -> None:
    async with start(limited(settings, 2, 3600, "127.0.0.0/8")) as api:

        async def status(client: str, **more: Any) -> int:
            answer = await api.get("/sessions", headers={"X-Forwarded-For": client}, **more)
            return int(answer.status)

        for _ in range(2):
            assert await status("6.6.6.6, 192.0.2.1", auth=WRONG) == 401
        assert await status("192.0.2.1") == 429
        assert await status("6.6.6.6") == 200
        assert await status("192.0.2.1, 192.0.2.2") == 200
        for last in (1, 2):
            assert await status(f"2001:db8::{last}", auth=WRONG) == 401
        assert await status("2001:db8::3") == 429, "one network is one client"
        assert await status("2001:db8:0:1::3") == 200
        assert (await api.get("/sessions")).status == 200, "the proxy itself failed never"


async def test_who_is_no_proxy_cannot_name_another_address(start: Any, settings: Settings) -> None:
    async with start(limited(settings, 2, 3600, "192.0.2.0/24")) as api:
        for last in range(2):
            headers = {"X-Forwarded-For": f"198.51.100.{last}"}
            assert (await api.get("/sessions", auth=WRONG, headers=headers)).status == 401
        headers = {"X-Forwarded-For": "198.51.100.9"}
        assert (await api.get("/sessions", headers=headers)).status == 429


@pytest.mark.parametrize(("host", "failures"), [("127.0.0.1", 0), ("::1", 0), ("0.0.0.0", 100)])
def test_by_default_only_what_others_can_reach_is_limited(host: str, failures: int) -> None:
    given = {"TERTULIA_HOST": host, "OPENVIDU_SECRET": "one_of_my_own"}
    assert load(given).access.login_failures == failures
    assert load(given).access.login_window == 60
    assert load({**given, "TERTULIA_LOGIN_FAILURES": "5"}).access.login_failures == 5
