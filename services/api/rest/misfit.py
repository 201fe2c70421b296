"""Why a value does not fit a struct of `bodies.py`, in a sentence for people.

msgspec says "Expected `int`, got `str` - at `$.frameRate`", which is about Python; who calls the
API has sent "a string" for "frameRate".
"""

from __future__ import annotations

import math
import re
from typing import Any

from msgspec import inspect

_JSON_NAMES = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    type(None): "null",
}
# What Python values fit the types that bodies are made of; there are no others.
FITTING: dict[type[inspect.Type], tuple[type, ...]] = {
    inspect.StructType: (dict,),
    inspect.ListType: (list,),
    inspect.StrType: (str,),
    inspect.EnumType: (str,),
    inspect.LiteralType: (str,),
    inspect.BoolType: (bool,),
    inspect.IntType: (int,),
    inspect.NoneType: (type(None),),
}


def sentence(value: dict[str, Any], form: type) -> str | None:
    """The first misfit: the contract's path of the field and what it takes, such as
    `kurentoOptions.allowedFilters[1] must be a string, got a number`.

    `extra["takes"]` of a field's `Meta` is what it takes, where that is more than its type says.
    Values are not repeated: they may be secrets, and long. `None`: none found.
    """
    return _misfit(value, inspect.type_info(form), "")


def _misfit(value: Any, kind: inspect.Type, path: str) -> str | None:
    option = next((one for one in _options(kind) if type(value) in FITTING[type(one)]), None)
    match option:
        case None:
            return f"{path} must be {takes(kind)}, got {_json_name(value)}"
        case inspect.StructType():
            return _misfit_of_fields(value, option, path)
        case inspect.ListType():
            items = (
                _misfit(item, option.item_type, f"{path}[{index}]")
                for index, item in enumerate(value)
            )
            return next((found for found in items if found), None)
    return None if _within(value, option) else f"{path} must be {takes(kind)}"


def _misfit_of_fields(value: dict[str, Any], kind: inspect.StructType, path: str) -> str | None:
    for field in kind.fields:
        name, given = field.encode_name, value.get(field.encode_name)
        inner = f"{path}.{name}" if path else name
        if given is None:
            if field.required:
                return f"{inner} is mandatory and must be {takes(field.type)}"
        elif found := _misfit(given, field.type, inner):
            return found
    return None


def _within(value: Any, kind: inspect.Type) -> bool:
    match kind:
        case inspect.IntType(ge=low, le=high):
            return (low is None or value >= low) and (high is None or value <= high)
        case inspect.StrType(min_length=low, max_length=high, pattern=pattern):
            return (low or 0) <= len(value) <= (math.inf if high is None else high) and (
                pattern is None or re.search(pattern, value) is not None
            )
        case inspect.EnumType():
            return value in {member.value for member in kind.cls}
        case inspect.LiteralType():
            return value in kind.values
    return True


def takes(kind: inspect.Type) -> str:
    """What a field of that type takes: `an integer from 1 to 120`."""
    match kind:
        case inspect.Metadata(type=inner, extra=more):
            return str(more["takes"]) if more and "takes" in more else takes(inner)
        case inspect.UnionType():
            phrases = [takes(one) for one in kind.types if not isinstance(one, inspect.NoneType)]
            return " or ".join(phrases)
        case inspect.IntType(ge=low, le=high):
            start = f" from {low}" if low is not None else ""
            return f"an integer{start}" + (f" to {high}" if high is not None else "")
        case inspect.StrType(min_length=low, max_length=high):
            limit = f" of up to {high} characters" if high is not None else ""
            return f"a string{limit}" + (" that is not empty" if low else "")
        case inspect.EnumType():
            return "one of " + ", ".join(member.value for member in kind.cls)
        case inspect.LiteralType():
            return "one of " + ", ".join(f'"{value}"' for value in kind.values)
        case inspect.BoolType():
            return "true or false"
        case inspect.ListType():
            return "an array"
    return "an object"


def _options(kind: inspect.Type) -> list[inspect.Type]:
    """The plain types that a value may fit."""
    match kind:
        case inspect.Metadata():
            return _options(kind.type)
        case inspect.UnionType():
            return [option for one in kind.types for option in _options(one)]
    return [kind]


def _json_name(value: Any) -> str:
    if isinstance(value, float):
        return "a number with a fraction" if math.isfinite(value) else "a number out of range"
    return _JSON_NAMES[type(value)]
