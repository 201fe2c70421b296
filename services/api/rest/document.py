"""The OpenAPI document at `/docs/openapi.json` and a page that shows it, without the internet."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import swagger_ui_bundle
from litestar import Request, Router
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import Components, OpenAPI, SecurityScheme
from litestar.static_files import create_static_files_router

from services.conference.ids import SESSION_ID
from services.settings import VERSION

from .components import schemas
from .idempotency import HEADER
from .openapi import COMPONENT

ASSETS = "/docs/assets"

Object = dict[str, Any]


def config() -> OpenAPIConfig:
    page = Page(
        path="/",
        js_url=f"{ASSETS}/swagger-ui-bundle.js",
        css_url=f"{ASSETS}/swagger-ui.css",
        standalone_preset_js_url=f"{ASSETS}/swagger-ui-standalone-preset.js",
        favicon=f'<link rel="icon" type="image/png" href="{ASSETS}/favicon-32x32.png">',
    )
    return Config(
        title="Tertulia",
        version=VERSION,
        description="The OpenVidu 2.x REST API. User `OPENVIDUAPP`, password `OPENVIDU_SECRET`.",
        path="/docs",
        render_plugins=[page],
        security=[{"basic": []}],
        components=Components(
            security_schemes={"basic": SecurityScheme(type="http", scheme="basic")},
        ),
    )


def assets() -> Router:
    directory = str(swagger_ui_bundle.swagger_ui_path)
    return create_static_files_router(path=ASSETS, directories=[directory], include_in_schema=False)


class Page(SwaggerRenderPlugin):
    """The version of Swagger UI that Python has a package of knows OpenAPI 3.0, of which our
    document is one but for the number."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: Object) -> bytes:
        return super().render(request, {**openapi_schema, "openapi": "3.0.3"})


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
    used = "The Idempotency-Key was used for another request"
    if "422" in answers:
        answers["422"]["description"] += f". {used}"
    else:
        answers["422"] = _error(used)
    answers.setdefault("400", _error("The Idempotency-Key is none"))
    operation["responses"] = dict(sorted(answers.items()))


def _error(meaning: str) -> Object:
    media = {"schema": {"$ref": COMPONENT + "Error"}}
    return {"description": meaning, "content": {"application/json": media}}


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
