"""The schema of `GET /openvidu/api/config`, made of the table of settings."""

from __future__ import annotations

from typing import Any

from services.settings.kinds import parse
from services.settings.property import Property
from services.settings.table import CONTRACT, MEDIA_SERVER_PREFIX

Object = dict[str, Any]

_NAMES: dict[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "array",
    dict: "object",
}
_ALWAYS = ("VERSION", "DOMAIN_OR_PUBLIC_IP", "HTTPS_PORT", "OPENVIDU_PUBLICURL")


def config_schema() -> Object:
    """Which keys are there depends on settings; secrets never are."""
    text = {"type": "string"}
    properties: Object = {
        "VERSION": {**text, "description": "Version of this server"},
        "OPENVIDU_SERVER_DEPENDENCY_VERSION": {**text, "description": "The same"},
        "OPENVIDU_PUBLICURL": {**text, "description": "Where clients reach the server"},
        "OPENVIDU_PRO_KIBANA": {"type": "boolean", "description": "Always false"},
    }
    for item in CONTRACT:
        if not item.secret:
            properties[item.name] = {"type": _types(item), "description": item.doc}
    return {
        "title": "Config",
        "type": "object",
        "properties": dict(sorted(properties.items())),
        "required": list(_ALWAYS),
        "patternProperties": {f"^{MEDIA_SERVER_PREFIX}": text},
        "additionalProperties": False,
    }


def _types(item: Property) -> list[str] | str:
    """JSON's types of the values it can have: found by trying, as a kind has no other way to say.
    (An optional number is shown as an empty string while it is not set.)"""
    texts = ["1", "true", *([item.default] if isinstance(item.default, str) else [])]
    found = sorted({_NAMES[type(value)] for text in texts for value in _parsed(item, text)})
    return found[0] if len(found) == 1 else found


def _parsed(item: Property, text: str) -> list[Any]:
    try:
        return [parse(item.kind, text)]
    except ValueError:
        return []
