"""The configuration: `rest-api.md`, "GET /openvidu/api/config", and `config.md` 8.1."""

from __future__ import annotations

from litestar import MediaType, get, head
from litestar.handlers import HTTPRouteHandler

from services.settings import VERSION
from services.settings.config_object import config_object

from . import replies, schemas
from .api import Api
from .openapi import operation
from .replies import Reply

TAGS = ["Others"]
PUBLIC_URL = "/openvidu/api/config/openvidu-publicurl"


def routes(api: Api) -> list[HTTPRouteHandler]:
    settings = api.settings
    config = config_object(settings)

    @get(
        "/config",
        operation_id="getConfig",
        summary="Get the active configuration",
        description="Settings under their names. Secrets are left out, and what does not count "
        "while something else is off, such as the folder of recordings.",
        tags=TAGS,
        operation_class=operation("The configuration", schemas.Config),
    )
    async def show_config() -> Reply:
        return replies.ok(config)

    @get(
        "/config/openvidu-version",
        operation_id="getVersion",
        summary="Get the version of OpenVidu that this server is compatible with",
        tags=TAGS,
        media_type=MediaType.TEXT,
    )
    async def version() -> str:
        return VERSION

    @get(
        "/config/openvidu-recording",
        operation_id="getRecordingEnabled",
        summary="Can sessions be recorded?",
        tags=TAGS,
    )
    async def recording() -> bool:
        return settings.recording.enabled

    @get(
        "/config/openvidu-recording-path",
        operation_id="getRecordingPath",
        summary="Get the folder of the recordings",
        tags=TAGS,
        media_type=MediaType.TEXT,
    )
    async def recording_path() -> str:
        return str(settings.properties["OPENVIDU_RECORDING_PATH"])

    @get(
        "/config/openvidu-cdr",
        operation_id="getCdrEnabled",
        summary="Are CDR files written?",
        tags=TAGS,
    )
    async def cdr() -> bool:
        return settings.cdr.enabled

    return [show_config, version, recording, recording_path, cdr]


def public_routes(api: Api) -> list[HTTPRouteHandler]:
    """What everybody may ask; with its whole path."""
    url = f"{api.settings.access.public_url}/"

    @get(
        PUBLIC_URL,
        operation_id="getPublicUrl",
        summary="Get the public URL",
        tags=TAGS,
        media_type=MediaType.TEXT,
        security=[{}],
    )
    async def show() -> str:
        return url

    @head(PUBLIC_URL, operation_id="headPublicUrl", include_in_schema=False)
    async def show_head() -> None:
        """Is the server there?"""

    return [show, show_head]
