"""A router whose answers to OPTIONS name every method of a path."""

from __future__ import annotations

from litestar import Router
from litestar.types.internal_types import RouteHandlerMapItem


class Routes(Router):
    """Litestar makes a handler for OPTIONS with the first handler of a path, and keeps that one
    when others join. Forgotten, it is made anew."""

    @property
    def route_handler_method_map(self) -> dict[str, RouteHandlerMapItem]:
        return {
            path: {method: handler for method, handler in methods.items() if method != "OPTIONS"}
            for path, methods in super().route_handler_method_map.items()
        }
