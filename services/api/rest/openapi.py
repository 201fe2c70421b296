"""What handlers tell the OpenAPI document of themselves.

Handlers parse their bodies and make their answers themselves, so all that the document knows is
said here: `operation_class=operation(...)`. What is the same everywhere (401, 413, 503, ...) is
added by `rest/document.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import msgspec
from litestar.openapi.spec import (
    Example,
    Link,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Parameter,
    RequestBody,
    Schema,
)
from msgspec import Struct

from .bodies import Body
from .schemas import Answer, Error

COMPONENT = "#/components/schemas/"


class Empty(str):
    """The meaning of an answer without a body."""


class Plain(str):
    """The meaning of an answer in plain text."""


class Typed(NamedTuple):
    """An answer with a body of its own."""

    meaning: str
    gives: type[Answer]


def operation(
    ok: str,
    gives: type[Answer] | tuple[str, ...] | None = None,
    *,
    takes: type[Body] | None = None,
    examples: Mapping[str, Any] | None = None,
    fails: Mapping[int, str | Typed] | None = None,
    query: tuple[Parameter, ...] = (),
    links: Mapping[str, Mapping[str, Any]] | None = None,
) -> type[Operation]:
    """The docs of a handler, for its `operation_class`.

    `ok`, `gives`: what success means, and its JSON, or the media types that its bytes can have; an
    empty body without. `takes`: the JSON body, with `examples` by their titles. `fails`: all other
    statuses with their meanings, which have the body `Error` (from 400 on) unless they are
    `Empty`, `Plain` or `Typed`. `query`: see `boolean` and `choice`. `links`: operations that go on
    with what this one gave, each with its parameters as runtime expressions, and `body` for parts
    of its body: `{"getSession": {"session_id": "$response.body#/id"}}`.
    """

    @dataclass
    class Documented(Operation):
        def __post_init__(self) -> None:
            success = next(iter(self.responses or ()))  # Litestar begins with it
            self.responses = {
                success: _answer(ok, gives, links or {}),
                **{str(status): _failure(status, why) for status, why in (fails or {}).items()},
            }
            self.parameters = [*(self.parameters or []), *query] or None
            if takes is not None:
                self.request_body = _body(takes, examples)

    return Documented


def boolean(name: str, description: str, *, default: bool) -> Parameter:
    """A query parameter that is `true` or `false`."""
    schema = {"type": "boolean", "default": default}
    return Parameter(name=name, param_in="query", description=description, schema=_schema(schema))


def choice(name: str, description: str, *, of: list[str], default: str) -> Parameter:
    """A query parameter that is one of some words."""
    schema = {"type": "string", "enum": of, "default": default}
    return Parameter(name=name, param_in="query", description=description, schema=_schema(schema))


def _body(form: type[Struct], examples: Mapping[str, Any] | None) -> RequestBody:
    media = OpenAPIMediaType(
        schema=_reference(form),
        examples={title: Example(value=value) for title, value in (examples or {}).items()} or None,
    )
    mandatory = any(field.required for field in msgspec.structs.fields(form))
    return RequestBody(content={"application/json": media}, required=mandatory)


def _answer(
    meaning: str,
    gives: type[Answer] | tuple[str, ...] | None,
    links: Mapping[str, Mapping[str, Any]],
) -> OpenAPIResponse:
    if isinstance(gives, tuple):
        content = {kind: OpenAPIMediaType(_schema({})) for kind in gives}
    elif gives is not None:
        content = {"application/json": OpenAPIMediaType(_reference(gives))}
    else:
        content = {}
    return OpenAPIResponse(
        description=meaning,
        content=content or None,
        links={name: _link(name, given) for name, given in links.items()} or None,
    )


def _failure(status: int, meaning: str | Typed) -> OpenAPIResponse:
    if isinstance(meaning, Typed):
        return _answer(meaning.meaning, meaning.gives, {})
    if isinstance(meaning, Plain):
        text = OpenAPIMediaType(_schema({"type": "string"}))
        return OpenAPIResponse(description=meaning, content={"text/plain": text})
    has_body = status >= 400 and not isinstance(meaning, Empty)
    return _answer(meaning, Error if has_body else None, {})


def _link(operation_id: str, given: Mapping[str, Any]) -> Link:
    parameters = {name: value for name, value in given.items() if name != "body"}
    return Link(
        operation_id=operation_id, parameters=parameters or None, request_body=given.get("body")
    )


def _reference(form: type[Struct]) -> Schema:
    return _schema({"$ref": COMPONENT + form.__name__})


def _schema(schema: dict[str, Any]) -> Schema:
    """Litestar's classes of schemas say less than JSON Schema does."""
    return cast(Schema, schema)
