"""The OpenAPI document at `/docs/openapi.json`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from http import HTTPStatus
from typing import Any

from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, OpenAPI, SecurityScheme, Tag

from services.conference.ids import SESSION_ID
from services.settings import VERSION

from .components import schemas
from .idempotency import HEADER, USED
from .openapi import COMPONENT
from .page import Page

DESCRIPTION = """The OpenVidu 2.x REST API.

Requests have the header `Authorization: Basic ...` with the user `OPENVIDUAPP` and the password
`OPENVIDU_SECRET`. Bodies are JSON objects; fields that are not named here are ignored, and null is
a field that is not given. Times are UTC milliseconds.

Every answer has the header `X-Request-Id`: that of the request, if it has one, else a new one.
"""

TAGS = {
    "Sessions": "A session is a room whose participants see and hear each other.",
    "Connections": "A connection is a seat in a session: its token lets one client in.",
    "Recordings": "A recording keeps what a session's streams carry, in one file or in many.",
    "Media nodes": "A media node is a process that carries the media of sessions.",
    "Others": "Signals, streams, the configuration and the server itself.",
    "Operations": "For who runs the server.",
}

Object = dict[str, Any]


def config() -> OpenAPIConfig:
    return Config(
        title="Tertulia",
        version=VERSION,
        description=DESCRIPTION,
        path="/docs",
        render_plugins=[Page()],
        security=[{"basic": []}],
        components=Components(
            security_schemes={"basic": SecurityScheme(type="http", scheme="basic")},
        ),
        tags=[Tag(name=name, description=meaning) for name, meaning in TAGS.items()],
    )


class Config(OpenAPIConfig):
    def to_openapi_schema(self) -> OpenAPI:
        plain = super().to_openapi_schema()
        return Document(**{field.name: getattr(plain, field.name) for field in fields(plain)})


@dataclass
class Document(OpenAPI):
    """With what is the same in every operation, and the schemas, which Litestar keeps to itself."""

    def to_schema(self) -> Object:
        document = super().to_schema()
        document["components"]["schemas"] = schemas()
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if path.startswith("/openvidu/"):
                    _finish(operation)
                if method == "post":
                    _repeatable(operation)
                _exemplify(path, operation["responses"])
        return document


def _finish(operation: Object) -> None:
    answers = operation["responses"]
    if operation.get("security") != [{}]:
        answers["401"] = _error("The Authorization header is missing or wrong")
        answers["401"]["headers"] = {"WWW-Authenticate": {"required": True, "schema": _STRING}}
        answers["429"] = _error("Too many wrong secrets came from this address")
        answers["429"]["headers"] = {"Retry-After": {"required": True, "schema": _SECONDS}}
    if "requestBody" in operation:
        answers.setdefault("400", _error("The body is no JSON object, or a field does not fit"))
        answers["408"] = _error("The body did not come within 30 seconds")
        answers["413"] = _error("The body is longer than a megabyte")
    elif any(parameter["in"] == "query" for parameter in operation.get("parameters", ())):
        answers.setdefault("400", _error("A query parameter does not fit"))
    answers.setdefault("503", _error("The log or the database cannot be reached"))
    operation["responses"] = dict(sorted(answers.items()))
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            parameter.update(PATHS[parameter["name"]])


def _repeatable(operation: Object) -> None:
    operation.setdefault("parameters", []).append(_KEY)
    answers = operation["responses"]
    if "422" in answers:
        answers["422"]["description"] += f". {USED}"
    else:
        answers["422"] = _error(USED)
    answers.setdefault("400", _error("The Idempotency-Key is none"))
    operation["responses"] = dict(sorted(answers.items()))


def _exemplify(path: str, answers: Object) -> None:
    for status, answer in answers.items():
        media = answer.get("content", {}).get("application/json", {})
        if media.get("schema") == _ERROR:
            media["example"] = {
                "timestamp": 1538481996019,
                "status": int(status),
                "error": HTTPStatus(int(status)).phrase,
                "message": answer["description"],
                "path": path.format_map({name: of["example"] for name, of in PATHS.items()}),
            }


def _error(meaning: str) -> Object:
    return {"description": meaning, "content": {"application/json": {"schema": _ERROR}}}


_ERROR = {"$ref": COMPONENT + "Error"}
_STRING = {"type": "string"}
_SECONDS = {"type": "integer", "minimum": 1}


def _id(description: str, pattern: str, example: str) -> Object:
    schema = {"type": "string", "pattern": pattern}
    return {"description": description, "schema": schema, "example": example}


_KEY = {
    "name": HEADER,
    "in": "header",
    "description": "Makes a repetition safe: the same request with the same key is done once, and "
    "answered as it was. Visible ASCII, of your making, such as a UUID.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
    "example": "0d9f2c9e-54a3-4b5e-8f8e-2f6c5f1f8e1b",
}

_SESSION = SESSION_ID.pattern

# Parameters in paths. Ids that do not fit are answered as ids that nothing has.
PATHS = {
    "session_id": _id("Id of a session", f"^{_SESSION}$", "ses_YnDaGYNcd7"),
    "connection_id": _id("Id of a connection", "^con_[A-Za-z0-9]+$", "con_Xnxg19tonh"),
    "stream_id": _id("Id of a stream", "^str_[A-Za-z0-9_-]+$", "str_CAM_NhxL_con_Xnxg19tonh"),
    "recording_id": _id("Id of a recording", f"^{_SESSION}(~[0-9]+)?$", "ses_YnDaGYNcd7~1"),
    "media_node_id": _id("Id of a media node", "^[A-Za-z0-9_.-]+$", "media_i-0c58bcdd26l11d0sd"),
    "name": _id("Name of a file", "^[A-Za-z0-9_~-][A-Za-z0-9_~.-]*$", "MyRecording.mp4"),
}
