"""The OpenAPI document at `/docs/openapi.json` and a page that shows it, without the internet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import msgspec
import swagger_ui_bundle
from litestar import Request, Router
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import Components, OpenAPI, SecurityScheme
from litestar.static_files import create_static_files_router

from services.settings import VERSION

from .bodies import Body
from .openapi import COMPONENT
from .schemas import Answer

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
        document["components"]["schemas"] = {
            **document["components"].get("schemas", {}),
            **_schemas(),
        }
        for path, methods in document["paths"].items():
            for operation in methods.values():
                if path.startswith("/openvidu/"):
                    _finish(operation)
        return document


def _finish(operation: Object) -> None:
    answers = operation["responses"]
    if operation.get("security") != [{}]:
        answers["401"] = {
            "description": "The Authorization header is missing or wrong",
            "headers": {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}},
            "content": {"application/json": {"schema": {"$ref": COMPONENT + "Error"}}},
        }


def _schemas() -> Object:
    forms = [*_leaves(Body), *_leaves(Answer)]
    _, found = msgspec.json.schema_components(forms, ref_template=COMPONENT + "{name}")
    return dict(sorted(found.items()))


def _leaves(kind: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for leaf in kind.__subclasses__():
        yield leaf
        yield from _leaves(leaf)
