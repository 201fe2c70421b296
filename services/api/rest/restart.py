"""New settings, and a restart of all services with them: `rest-api.md`, "Restart OpenVidu"."""

from __future__ import annotations

from typing import cast

import msgspec
from litestar import get, post
from litestar.handlers import HTTPRouteHandler

from services.api.restarting import KeyUsed
from services.settings.changes import NotKept, json_types
from services.settings.load import SettingsError

from . import examples, replies
from .api import Api, HttpRequest
from .bodies import Body
from .errors import ApiError
from .idempotency import USED, command_id, key_of
from .openapi import operation
from .parsing import read
from .replies import Reply
from .schemas import Answer, Milliseconds

TAGS = ["Others"]
MOST_PROBLEMS = 20  # told of in one answer

RestartBody = cast(
    type[Body],
    msgspec.defstruct(
        "RestartBody",
        [(item.name, of_json | str | None, None) for item, of_json in json_types()],
        bases=(Body,),
        rename=lambda name: name,
    ),
)


class Status(Answer):
    start_time: Milliseconds
    restart_counter: int
    last_restart_time: Milliseconds  # 0: never


def routes(api: Api) -> list[HTTPRouteHandler]:
    restarting = api.restarting

    @post(
        "/restart",
        operation_id="restart",
        summary="Restart with new settings",
        description="Settings that are not given stay as they are. The new ones are written to "
        "the `.env` file, then all sessions are closed (`openviduServerStopped`) and all services "
        "restart. When `restartCounter` of `/status` has grown, that is done. A repetition with "
        "the `Idempotency-Key` of the last restart does nothing.",
        tags=TAGS,
        status_code=200,
        operation_class=operation(
            "The settings are good and kept, the restart has begun",
            takes=RestartBody,
            examples=examples.RESTART,
            fails={
                400: "A setting does not exist, cannot be changed so, or has a wrong value; "
                "nothing was changed",
                503: "The `.env` file cannot be written, or the log cannot be reached",
            },
        ),
    )
    async def restart(request: HttpRequest) -> Reply:
        key = key_of(request.scope["headers"])
        try:
            await restarting.ask(
                await read(request), None if key is None else command_id("restart", key)
            )
        except KeyUsed:
            raise ApiError(422, USED) from None
        except SettingsError as error:
            raise ApiError(400, _told(error)) from None
        except NotKept as error:
            raise ApiError(503, f"Nothing was changed. {error}") from error
        return replies.empty(200)

    @get(
        "/status",
        operation_id="getStatus",
        summary="Count the restarts",
        tags=TAGS,
        operation_class=operation("Since when this process runs, after how many", Status),
    )
    async def status() -> Reply:
        behind = restarting.behind
        return replies.ok(Status(restarting.started, behind.counter, behind.time))

    return [restart, status]


def _told(error: SettingsError) -> str:
    problems = [str(problem) for problem in error.problems]
    more = len(problems) - MOST_PROBLEMS
    told = problems[:MOST_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])
    return "; ".join(told)
