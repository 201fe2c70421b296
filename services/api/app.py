"""The api as an ASGI application: all routes, wired in one place."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.types import ControllerRouterHandler

from .rest import (
    config,
    connections,
    document,
    errors,
    files,
    media_nodes,
    others,
    page,
    recordings,
    restart,
    sessions,
)
from .rest.api import Api
from .rest.auth import Door, authenticated
from .rest.parsing import MAX_BODY
from .rest.routing import Routes

EXPOSED = ["Accept-Ranges", "Content-Range", "ETag", "Retry-After", "X-Request-Id"]


def create_app(api: Api, door: Door, more: Sequence[ControllerRouterHandler] = ()) -> Litestar:
    """`more`: routes that are not REST, such as the signaling socket and the pages."""
    rest = Routes(
        path="/openvidu/api",
        middleware=[authenticated],
        route_handlers=[
            *sessions.routes(api),
            *connections.routes(api),
            *recordings.routes(api),
            *media_nodes.routes(api),
            *config.routes(api),
            *restart.routes(api),
            *others.routes(api),
        ],
    )
    return Litestar(
        route_handlers=[
            rest,
            *config.public_routes(api),
            *files.handlers(api),
            others.livez,
            page.assets(),
            *more,
        ],
        cors_config=CORSConfig(
            allow_origins=["*"],
            expose_headers=EXPOSED,
        ),
        exception_handlers={Exception: errors.handle},
        openapi_config=document.config(),
        request_max_body_size=MAX_BODY,
        state=State({"door": door}),
        logging_config=None,
        debug=False,
    )
