"""Nothing of the contract is forgotten: not by the table, not by the app, not by its document.

What is there beside the contract is listed here.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute

from services.api import service

from . import (  # noqa: F401  (they register themselves)
    situations_of_connections,
    situations_of_nodes,
    situations_of_recordings,
)
from .operations import OPERATIONS, PAIRS, UNREACHABLE
from .situations import SITUATIONS
from .world import World

API = "/openvidu/api"
EXTRAS = {
    ("GET", f"{API}/status"),  # has a restart been done?
    ("GET", f"{API}/config/openvidu-version"),
    ("GET", f"{API}/config/openvidu-publicurl"),
    ("GET", f"{API}/config/openvidu-recording"),
    ("GET", f"{API}/config/openvidu-recording-path"),
    ("GET", f"{API}/config/openvidu-cdr"),
    ("GET", "/openvidu/recordings/{recording_id}/{name}"),  # the `url` of a recording
    ("HEAD", "/openvidu/recordings/{recording_id}/{name}"),
}
UNDOCUMENTED = {
    ("HEAD", f"{API}/config/openvidu-publicurl"),
    # Recordings of sessions that are called so, beside the paths that begin with these words.
    ("GET", f"{API}/recordings/start"),
    ("GET", f"{API}/recordings/stop"),
    ("DELETE", f"{API}/recordings/start"),
    ("DELETE", f"{API}/recordings/stop"),
}


def test_the_table_has_every_status_of_every_operation_and_no_other() -> None:
    covered = {(situation.operation, situation.status) for situation in SITUATIONS}
    assert covered | set(UNREACHABLE) == set(PAIRS)
    assert not covered & set(UNREACHABLE)


def spelled(path: str) -> str:
    """`/sessions/<SESSION_ID>` and `/sessions/{session_id:str}` in one way."""
    return re.sub(r"<(\w+)>", lambda name: "{" + name[1].lower() + "}", path).replace(":str}", "}")


CONTRACT = {(one.method, API + spelled(one.path)) for one in OPERATIONS}


@pytest.fixture
def apps(monkeypatch: pytest.MonkeyPatch) -> list[Litestar]:
    """The apps that services are made of from now on."""
    made: list[Litestar] = []
    create = service.create_app

    def remember(*arguments: Any) -> Litestar:
        made.append(create(*arguments))
        return made[-1]

    monkeypatch.setattr(service, "create_app", remember)
    return made


async def test_the_app_has_the_operations_of_the_contract_and_the_extras(
    apps: list[Litestar], world: World
) -> None:
    (app,) = apps
    found = {
        (method, spelled(route.path_format))
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method in route.methods - {"OPTIONS"}
    }
    found = {(method, path) for method, path in found if path.startswith("/openvidu/")}
    assert found == CONTRACT | EXTRAS | UNDOCUMENTED


async def test_the_document_has_them_too(world: World) -> None:
    document = json.loads((await world.api.get("/docs/openapi.json", auth=None)).body)
    found = {
        (method.upper(), path): {int(status) for status in operation["responses"]}
        for path, methods in document["paths"].items()
        if path.startswith("/openvidu/")
        for method, operation in methods.items()
    }
    assert found.keys() == CONTRACT | EXTRAS
    for operation in OPERATIONS:
        documented = found[operation.method, API + spelled(operation.path)]
        unreachable = {status for name, status in UNREACHABLE if name == operation.name}
        assert set(operation.statuses) - unreachable <= documented, operation.name
