"""The page at `/docs` that shows the OpenAPI document, without the internet."""

from __future__ import annotations

from typing import Any

import swagger_ui_bundle
from litestar import Request, Router
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.static_files import create_static_files_router

ASSETS = "/docs/assets"


class Page(SwaggerRenderPlugin):
    """The version of Swagger UI that Python has a package of knows OpenAPI 3.0."""

    def __init__(self) -> None:
        super().__init__(
            path="/",
            js_url=f"{ASSETS}/swagger-ui-bundle.js",
            css_url=f"{ASSETS}/swagger-ui.css",
            standalone_preset_js_url=f"{ASSETS}/swagger-ui-standalone-preset.js",
            favicon=f'<link rel="icon" type="image/png" href="{ASSETS}/favicon-32x32.png">',
        )

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return super().render(request, {**_older(openapi_schema), "openapi": "3.0.3"})


def assets() -> Router:
    directory = str(swagger_ui_bundle.swagger_ui_path)
    return create_static_files_router(path=ASSETS, directories=[directory], include_in_schema=False)


def _older(value: Any) -> Any:
    """Schemas as OpenAPI 3.0 has them: null is no type, and there is one example."""
    match value:
        case list():
            return [_older(item) for item in value]
        case {"type": list(kinds), **rest}:
            named = [kind for kind in kinds if kind != "null"]
            types = {"type": named[0]} if len(named) == 1 else _any_of(named)
            return _older({**types, **rest, **_nullable(len(named) < len(kinds))})
        case {"type": "null", **rest}:
            return {**rest, "nullable": True}
        case {"anyOf": list(options), **rest} if {"type": "null"} in options:
            named = [option for option in options if option != {"type": "null"}]
            return _older({"anyOf": named, **rest, **_nullable(True)})
        case {"examples": [example, *_], **rest}:
            return _older({**rest, "example": example})
        case {"enum": list(choices), **rest} if None in choices:
            return _older({**rest, "enum": [choice for choice in choices if choice is not None]})
        case dict():
            return {key: _older(inner) for key, inner in value.items()}
    return value


def _any_of(kinds: list[str]) -> dict[str, Any]:
    return {"anyOf": [{"type": kind} for kind in kinds]}


def _nullable(is_so: bool) -> dict[str, bool]:
    return {"nullable": True} if is_so else {}
