"""The small relatives of GET /config (`config.md` 8.1)."""

from __future__ import annotations

from typing import Any

import pytest

PUBLIC_URL = "/config/openvidu-publicurl"


async def test_the_public_url_is_for_everybody(api: Any) -> None:
    answer = await api.get(PUBLIC_URL, auth=None)
    assert answer.status == 200
    assert answer.body.decode() == f"{api.settings.access.public_url}/"
    assert answer.headers["Content-Type"].startswith("text/plain")
    head = await api.call("HEAD", PUBLIC_URL, auth=None)
    assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize(
    ("name", "body", "kind"),
    [
        ("version", b"2.32.1", "text/plain"),
        ("recording", b"true", "application/json"),
        ("cdr", b"false", "application/json"),
    ],
)
async def test_one_value_each(api: Any, name: str, body: bytes, kind: str) -> None:
    answer = await api.get(f"/config/openvidu-{name}")
    assert (answer.status, answer.body) == (200, body)
    assert answer.headers["Content-Type"].startswith(kind)
    assert (await api.get(f"/config/openvidu-{name}", auth=None)).status == 401


async def test_the_recording_path_is_that_of_the_configuration(api: Any) -> None:
    answer = await api.get("/config/openvidu-recording-path")
    config = (await api.get("/config")).json
    assert answer.body.decode() == config["OPENVIDU_RECORDING_PATH"]
    assert (await api.get("/config/openvidu-recording-path", auth=None)).status == 401


async def test_others_do_not_exist(api: Any) -> None:
    assert (await api.get("/config/openvidu-secret")).status == 404
