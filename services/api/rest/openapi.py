"""The OpenAPI document at `/docs/openapi.json` and a page that shows it, without the internet.

Handlers parse their bodies themselves, so the document is told of them here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import msgspec
import swagger_ui_bundle
from litestar import Request, Router
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import (
    Components,
    OpenAPIMediaType,
    Operation,
    RequestBody,
    Schema,
    SecurityScheme,
)
from litestar.static_files import create_static_files_router

from services.settings import VERSION

from .bodies import Body

ASSETS = "/docs/assets"


class Error(msgspec.Struct):
    """The body of an error."""

    timestamp: int
    status: int
    error: str
    message: str
    path: str


def takes(form: type[Body]) -> type[Operation]:
    """An operation with a JSON body of that form."""
    (schema,), parts = msgspec.json.schema_components([form], ref_template="{name}")
    media = OpenAPIMediaType(schema=cast(Schema, _inlined(schema, parts)))

    @dataclass
    class Documented(Operation):
        def __post_init__(self) -> None:
            self.request_body = RequestBody(content={"application/json": media})

    return Documented


def _inlined(schema: Any, parts: dict[str, Any]) -> Any:
    """Without references: Litestar keeps the document's list of schemas to itself."""
    match schema:
        case {"$ref": name}:
            return _inlined(parts[name], parts)
        case dict():
            return {key: _inlined(value, parts) for key, value in schema.items()}
        case list():
            return [_inlined(value, parts) for value in schema]
    return schema


def fails(reasons: dict[int, str]) -> dict[int, ResponseSpec]:
    """The statuses of an operation beside success, and 401."""
    everywhere = {401: "The Authorization header is missing or wrong"}
    return {
        status: ResponseSpec(Error, description=reason, generate_examples=False)
        for status, reason in {**everywhere, **reasons}.items()
    }


class Page(SwaggerRenderPlugin):
    """The version of Swagger UI that Python has a package of knows OpenAPI 3.0, of which our
    document is one but for the number."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return super().render(request, {**openapi_schema, "openapi": "3.0.3"})


def config() -> OpenAPIConfig:
    page = Page(
        path="/",
        js_url=f"{ASSETS}/swagger-ui-bundle.js",
        css_url=f"{ASSETS}/swagger-ui.css",
        standalone_preset_js_url=f"{ASSETS}/swagger-ui-standalone-preset.js",
        favicon=f'<link rel="icon" type="image/png" href="{ASSETS}/favicon-32x32.png">',
    )
    return OpenAPIConfig(
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
