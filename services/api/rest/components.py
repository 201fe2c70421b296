"""The schemas of the OpenAPI document: of all bodies and all answers, as people read them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from services.settings.table import PROPERTIES

from .bodies import Body
from .config_schema import config_schema
from .examples import ANSWERS
from .glossary import DEFAULTS, MEANINGS
from .openapi import COMPONENT
from .rules import ruled
from .schemas import Answer

Object = dict[str, Any]


def schemas() -> Object:
    """By their names."""
    forms = [*_leaves(Body), *_leaves(Answer)]
    _, found = msgspec.json.schema_components(forms, ref_template=COMPONENT + "{name}")
    enums = {COMPONENT + name: schema for name, schema in found.items() if "enum" in schema}
    described = {form.__name__: _of_form(form, found[form.__name__], enums) for form in forms}
    return {**described, "Config": config_schema()}


def _leaves(kind: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for leaf in sorted(kind.__subclasses__(), key=lambda leaf: leaf.__name__):
        yield leaf
        yield from _leaves(leaf)


def _of_form(form: type[msgspec.Struct], schema: Object, enums: Object) -> Object:
    name = form.__name__
    properties = {
        field: _of_field(form, field, _simple(of_field, enums))
        for field, of_field in schema["properties"].items()
    }
    described = {**schema, "properties": properties}
    if not described["required"]:
        del described["required"]
    if name in ANSWERS:
        described["examples"] = [ANSWERS[name]]
    return ruled(name, described)


def _of_field(form: type[msgspec.Struct], field: str, schema: Object) -> Object:
    owners = (f"{owner.__name__}.{field}" for owner in form.__mro__)
    meaning = next((MEANINGS[key] for key in (*owners, field) if key in MEANINGS), None)
    if meaning is None and field in PROPERTIES:
        meaning = PROPERTIES[field].doc
    described = {**schema, **({"description": meaning} if meaning else {})}
    described.pop("default", None)  # msgspec's null: not given
    if (key := f"{form.__name__}.{field}") in DEFAULTS:
        described["default"] = DEFAULTS[key]
    return described


def _simple(schema: Object, enums: Object) -> Object:
    """The same with enumerations in place, types written out, and null as one more type."""
    if schema.get("$ref") in enums:
        return _simple({"enum": enums[schema["$ref"]]["enum"]}, enums)
    if "enum" in schema:
        return {"type": "string", **schema}
    if "items" in schema:
        return {**schema, "items": _simple(schema["items"], enums)}
    if "pattern" in schema:  # there is no line feed that `$` would not see
        return {**schema, "pattern": schema["pattern"].removesuffix(r"(?!\n)")}
    if "anyOf" not in schema:
        return schema
    options: list[Object] = []
    for option in (_simple(option, enums) for option in schema["anyOf"]):
        options += option.get("anyOf", [option])
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    match options:
        case [{"type": str(kind)} as only, {"type": "null"}]:
            nullable = {**only, **rest, "type": [kind, "null"]}
            return {**nullable, "enum": [*only["enum"], None]} if "enum" in only else nullable
    return {**rest, "anyOf": options}
