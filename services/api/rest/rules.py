"""Rules of bodies that concern several fields at once, in JSON Schema (the types of `bodies.py` say
the rest), and the shape that a composed recording needs."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]


def ruled(name: str, schema: Object) -> Object:
    """The schema of a body with what holds for it beyond its fields."""
    match name:
        case "RecordingBody" | "RecordingStartBody":
            return _recording(schema)
        case "ConnectionBody":
            return {**schema, **_CAMERA}
        case "IceServerBody":
            return {**schema, **_ICE_SERVER}
        case "MediaNodeBody":
            return {**schema, "properties": {**schema["properties"], "uri": _uri(schema)}}
        case "MediaNodeStatusBody":
            return {**schema, "properties": {"status": _reachable(schema)}}
        case "RestartBody":
            return {**schema, "additionalProperties": {"type": "null"}}  # null: not given
    return schema


_COMPOSED_ONLY = ("resolution", "frameRate", "shmSize")
_LIMITS = frozenset({"pattern", "minimum", "maximum"})


def _recording(schema: Object) -> Object:
    """Limits of a picture do not count where there is none. One of two tracks must be there."""
    fields = schema["properties"]
    limits = {
        name: {key: value for key, value in fields[name].items() if key in _LIMITS}
        for name in _COMPOSED_ONLY
    }
    free = {
        name: {key: value for key, value in fields[name].items() if key not in _LIMITS}
        for name in _COMPOSED_ONLY
    }
    silent = {name: {"const": False} for name in ("hasAudio", "hasVideo")}
    return {
        **schema,
        "properties": {**fields, **free},
        "if": _is("outputMode", "INDIVIDUAL"),
        "else": {"properties": limits},
        "not": {"properties": silent, "required": list(silent)},
    }


def _is(name: str, value: str) -> Object:
    return {"properties": {name: {"const": value}}, "required": [name]}


def _uri(schema: Object) -> Object:
    return {**schema["properties"]["uri"], "pattern": "^wss?://"}


def _reachable(schema: Object) -> Object:
    """The others are not entered on request."""
    status = schema["properties"]["status"]
    return {**status, "enum": [one for one in status["enum"] if one not in _ON_THEIR_OWN]}


_ON_THEIR_OWN = frozenset({"failed", "terminated"})

_CAMERA: Object = {
    "if": _is("type", "IPCAM"),
    "then": {
        "properties": {
            "rtspUri": {"type": "string", "pattern": "^([rR][tT][sS][pP]|[hH][tT]{2}[pP])[sS]?://."}
        },
        "required": ["rtspUri"],
    },
}

_NONE = {"type": "null"}
_SOME = {"type": "string", "pattern": "^[^,]+$"}
_ICE_SERVER: Object = {
    "oneOf": [
        {
            "title": "A STUN server",
            "properties": {
                "url": {"pattern": "^stuns?:[^,?]+$"},
                "username": _NONE,
                "credential": _NONE,
                "staticAuthSecret": _NONE,
            },
        },
        {
            "title": "A TURN server",
            "properties": {
                "url": {"pattern": "^turns?:[^,?]+([?]transport=(udp|tcp))?$"},
                "username": _SOME,
                "credential": _SOME,
                "staticAuthSecret": _NONE,
            },
            "required": ["username", "credential"],
        },
        {
            "title": "A TURN server that makes credentials of a secret",
            "properties": {
                "url": {"pattern": "^turns?:[^,?]+([?]transport=(udp|tcp))?$"},
                "username": _NONE,
                "credential": _NONE,
                "staticAuthSecret": _SOME,
            },
            "required": ["staticAuthSecret"],
        },
    ]
}
