"""Whatever is wrong with a field is a refusal that names it, says what it takes, and changes
nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from . import objects
from .operations import ARRAY, BOOLEAN, NUMBER, OBJECT, OPERATIONS, STRING, Field, Operation
from .world import World

SAMPLES = [
    (STRING, '"text"'), (STRING, '""'), (STRING, '"1"'), (STRING, '"true"'), (NUMBER, "0"),
    (NUMBER, "1"), (NUMBER, "-1.5"), (NUMBER, "1e400"), (BOOLEAN, "true"), (BOOLEAN, "false"),
    (OBJECT, "{}"), (OBJECT, '{"id": "a"}'), (ARRAY, "[]"), (ARRAY, '["a"]'), (ARRAY, "[[]]"),
]  # fmt: skip
FORGIVEN = {("allowTranscoding", '"true"')}  # a Boolean in the text, a String in the example

NO_FLAGS = ("", "yes", "1", "0", "null", "true%20", "%00", "tru%C3%A9", "[]")
NEEDED = {
    "POST /recordings/start": {"session": "salon"},
    "POST /tokens": {"session": "salon"},
    "POST /signal": {"session": "salon"},
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
    if field.path.startswith("OPENVIDU_"):
        return (f"{field.path}=",)
    parent = field.path.rpartition(".")[0]
    return (*own, f"{parent}: ", f"{parent} may not ") if parent and text in field.wrong else own


@pytest.mark.parametrize(
    "operation", [one for one in OPERATIONS if one.body], ids=lambda one: one.name
)
async def test_a_wrong_field_is_named(operation: Operation, world: World, subtests: Any) -> None:
    await world.salon()
    await world.person()
    path = await world.path(operation)
    before = await world.everything()
    for field in operation.body:
        with subtests.test(field=field.path):
            for text, status in mistakes(field):
                answer = await world.api.call(
                    operation.method,
                    path,
                    data=body_with(field, text, NEEDED.get(operation.name, {})).encode(),
                    headers={"Content-Type": "application/json"},
                )
                assert answer.status == status, (text, answer.body)
                assert objects.misfit(answer.json, {**objects.ERROR, "status": {status}}) is None
                message = answer.json["message"]
                assert message.startswith(beginnings(field, text)), (text, message)
                assert len(message) < 500
                assert not re.search(r"[`$\n]|\b(str|int|bool|msgspec|None)\b", message), message
            assert await world.everything() == before


@pytest.mark.parametrize(
    "operation", [one for one in OPERATIONS if one.query], ids=lambda one: one.name
)
async def test_a_wrong_query_parameter_is_named(
    operation: Operation, world: World, subtests: Any
) -> None:
    async with world.media_node():
        await world.on_the_node()
        path = await world.path(operation)
        body = {} if operation.method == "POST" else None
        before = await world.everything()
        for parameter in operation.query:
            name = parameter.path
            with subtests.test(parameter=name):
                for word in NO_FLAGS if BOOLEAN in parameter.takes else parameter.wrong:
                    query = f"?{name}={word.strip(chr(34))}"
                    answer = await world.api.call(operation.method, path + query, body)
                    assert answer.status == 400, (word, answer.body)
                    message = answer.json["message"]
                    assert re.match(f"(The query parameter )?{name} must be ", message), message
                assert await world.everything() == before


async def test_a_flag_may_have_any_case_and_unknown_parameters_are_ignored(world: World) -> None:
    await world.salon()
    for path in ("/sessions", "/sessions/salon", "/sessions/salon/connection"):
        for word in ("true", "false", "True", "FALSE"):
            assert (await world.api.get(f"{path}?pendingConnections={word}")).status == 200
        assert (await world.api.get(f"{path}?other=5&=&&a")).status == 200
