"""Every status that the contract knows is answered, in the situation and the form it says."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from msgspec.structs import replace

from tests.integration.api.conftest import SECRET, Answer

from . import (  # noqa: F401  (situations register themselves)
    objects,
    situations_of_connections,
    situations_of_nodes,
    situations_of_recordings,
)
from .operations import CONNECTION, MEDIA_NODE, OPERATIONS, RECORDING_PATH, SESSION
from .situations import SITUATIONS, Situation
from .world import World

GIVES = {
    "POST /sessions": objects.SESSION,
    f"GET {SESSION}": objects.SESSION,
    "GET /sessions": objects.page(objects.SESSION),
    f"POST {SESSION}/connection": objects.PENDING,
    f"GET {CONNECTION}": objects.CONNECTION,
    f"GET {SESSION}/connection": objects.page(objects.CONNECTION),
    f"PATCH {CONNECTION}": objects.CONNECTION,
    "POST /recordings/start": objects.RECORDING,
    "POST /recordings/stop/<RECORDING_ID>": objects.RECORDING,
    f"GET {RECORDING_PATH}": objects.RECORDING,
    "GET /recordings": {"count": int, "items": [objects.RECORDING]},
    f"GET {MEDIA_NODE}": (objects.MEDIA_NODE, objects.MEDIA_NODE_IN_FULL),
    "GET /media-nodes": objects.page(objects.MEDIA_NODE),
    "POST /media-nodes": objects.MEDIA_NODE,
    f"PATCH {MEDIA_NODE}": objects.MEDIA_NODE,
    "PUT /media-nodes": objects.page(objects.MEDIA_NODE),
    "POST /tokens": objects.TOKEN_OBJECT,
    "GET /health": {"status": {"UP"}},
}
EMPTY_OF_RECORDINGS = {404, 406, 409, 501}  # without a body, unlike all other refusals


@pytest.mark.parametrize("situation", SITUATIONS, ids=str)
async def test_a_situation_has_its_status(
    situation: Situation, open_world: Any, settings: Any
) -> None:
    if situation.recording_off:
        settings = replace(settings, recording=replace(settings.recording, enabled=False))
    async with open_world(settings) as world:
        answer = await situation.call(world)
    assert answer.status == situation.status, answer.body
    assert body_misfit(situation.operation, answer) is None


def body_misfit(operation: str, answer: Answer) -> str | None:
    status = answer.status
    empty = operation in {"POST /signal", "POST /restart"} and status == 200
    if "/recordings" in operation:
        empty |= status in EMPTY_OF_RECORDINGS
    if empty or status in {202, 204}:
        return f"a body: {answer.body!r}" if answer.body else None
    if operation == "GET /health" and status == 503:
        return objects.misfit(answer.json, {"status": {"DOWN"}})
    if status < 300:
        found = objects.misfit(answer.json, GIVES[operation]) if operation in GIVES else None
        return found or miscount(answer.json)
    return objects.misfit(answer.json, {**objects.ERROR, "status": {status}})


def miscount(page: Any) -> str | None:
    """Does a list have the length it says, and something in it to be judged by?"""
    for number, items in (("numberOfElements", "content"), ("count", "items")):
        if number in page and page[number] != len(page[items]):
            return f"{number} is {page[number]}, there are {len(page[items])} {items}"
        if number in page and not page[items]:
            return f"no {items}"
    return None


def basic(user: str, secret: str) -> str:
    return "Basic " + b64encode(f"{user}:{secret}".encode()).decode()


STRANGERS = {
    "no header": None,
    "a wrong secret": basic("OPENVIDUAPP", SECRET[:-1]),
    "a wrong user": basic("OPENVIDU", SECRET),
    "another scheme": basic("OPENVIDUAPP", SECRET).replace("Basic", "Digest"),
    "the bare secret": SECRET,
}


async def test_every_operation_is_401_to_strangers(world: World, subtests: Any) -> None:
    await world.salon()
    before = await world.everything()
    for operation in OPERATIONS:
        path = operation.path.replace("<SESSION_ID>", "salon").replace("<", "").replace(">", "")
        for kind, header in STRANGERS.items():
            with subtests.test(operation=operation.name, kind=kind):
                answer = await world.api.call(operation.method, path, auth=header)
                assert answer.status == 401
                assert answer.headers["WWW-Authenticate"].startswith("Basic ")
                assert objects.misfit(answer.json, {**objects.ERROR, "status": {401}}) is None
    assert await world.everything() == before
