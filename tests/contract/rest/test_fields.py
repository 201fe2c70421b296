"""Whatever is wrong with a field is a refusal that names it, says what it takes, and changes
nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from . import objects
from .operations import ARRAY, BOOLEAN, CONNECTION, NUMBER, OBJECT, OPERATIONS, STRING, Field
from .operations import SESSION as ONE_SESSION
from .world import World

SAMPLES = [
    (STRING, '"text"'), (STRING, '""'), (STRING, '"1"'), (STRING, '"true"'), (NUMBER, "0"),
    (NUMBER, "1"), (NUMBER, "-1.5"), (NUMBER, "1e400"), (BOOLEAN, "true"), (BOOLEAN, "false"),
    (OBJECT, "{}"), (OBJECT, '{"id": "a"}'), (ARRAY, "[]"), (ARRAY, '["a"]'), (ARRAY, "[[]]"),
]  # fmt: skip
FORGIVEN = {("allowTranscoding", '"true"')}  # a Boolean in the text, a String in the example

Target = tuple[str, dict[str, object]]  # path, and what the body needs beside the field


async def sessions(_world: World) -> Target:
    return "/sessions", {}


async def connections(_world: World) -> Target:
    return "/sessions/salon/connection", {}


async def a_connection(world: World) -> Target:
    made = await world.api.new_connection("salon")
    return f"/sessions/salon/connection/{made['id']}", {}


async def recordings(_world: World) -> Target:
    return "/recordings/start", {"session": "salon"}


async def tokens(_world: World) -> Target:
    return "/tokens", {"session": "salon"}


async def signals(_world: World) -> Target:
    return "/signal", {"session": "salon"}


TARGETS: dict[str, Callable[[World], Awaitable[Target]]] = {
    "POST /sessions": sessions,
    f"POST {ONE_SESSION}/connection": connections,
    f"PATCH {CONNECTION}": a_connection,
    "POST /recordings/start": recordings,
    "POST /tokens": tokens,
    "POST /signal": signals,
}


def mistakes(field: Field) -> Iterator[tuple[str, int]]:
    """JSON texts that are no values of the field, and their statuses."""
    for kind, text in SAMPLES:
        if kind not in field.takes and (field.path, text) not in FORGIVEN:
            yield text, 400
    if NUMBER in field.takes:
        yield from (("1.5", 400), ("1e400", 400), ("-1e400", 400))
    if field.mandatory:
        yield "null", 400
    yield from ((text, field.status) for text in field.wrong)


def body_with(field: Field, text: str, needed: dict[str, object]) -> str:
    """A JSON object that is good but for the field, which has this text."""
    steps = re.findall(r"\w+|\[0\]", field.path)
    beside = dict(field.beside)
    for step in reversed(steps[1:]):
        if step == "[0]":
            text = f"[{text}]"
        else:
            text = object_of(
                {**{key: json.dumps(value) for key, value in beside.items()}, step: text}
            )
            beside = {}
    return object_of({**{key: json.dumps(value) for key, value in needed.items()}, steps[0]: text})


def object_of(texts: dict[str, str]) -> str:
    return "{" + ", ".join(f"{json.dumps(key)}: {text}" for key, text in texts.items()) + "}"


def beginnings(field: Field, text: str) -> tuple[str, ...]:
    """How the sentence begins: with the field's path, or with that of the object whose parts
    disagree."""
    own = (f"{field.path} must be ", f"{field.path} is mandatory")
    parent = field.path.rpartition(".")[0]
    return (*own, f"{parent}: ", f"{parent} may not ") if parent and text in field.wrong else own


@pytest.mark.parametrize(
    "operation", [one for one in OPERATIONS if one.name in TARGETS], ids=lambda one: one.name
)
async def test_a_wrong_field_is_named(operation: Any, world: World, subtests: Any) -> None:
    await world.salon()
    await world.person()
    path, needed = await TARGETS[operation.name](world)
    before = await world.everything()
    for field in operation.body:
        with subtests.test(field=field.path):
            for text, status in mistakes(field):
                answer = await world.api.call(
                    operation.method,
                    path,
                    data=body_with(field, text, needed).encode(),
                    headers={"Content-Type": "application/json"},
                )
                assert answer.status == status, (text, answer.body)
                assert objects.misfit(answer.json, {**objects.ERROR, "status": {status}}) is None
                message = answer.json["message"]
                assert message.startswith(beginnings(field, text)), (text, message)
                assert len(message) < 200
                assert not re.search(r"[`$\n]|\b(str|int|bool|msgspec|None)\b", message), message
            assert await world.everything() == before
