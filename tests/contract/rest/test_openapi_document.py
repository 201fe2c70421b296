"""The OpenAPI document: valid, whole, and true of the objects that are made."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31

from services.api.app import create_app
from services.api.rest.examples import ANSWERS
from services.conference.evolve import evolve_all
from services.conference.state import EMPTY, State
from services.conference.views import (
    Link,
    connection_object,
    media_node_object,
    recording_object,
    session_object,
    token_object,
)
from services.eventlog.commit import decode
from services.settings.config_object import config_object
from services.settings.load import load

from .world import World

GOLDEN = Path(__file__).parents[2] / "golden"
METHODS = {"get", "put", "post", "delete", "head", "patch"}
HTTPS = "https://my.openvidu.ip"
WSS = "wss://my.openvidu.ip"

Object = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Object:
    api = MagicMock(settings=load({"OPENVIDU_SECRET": "A_SECRET", "TERTULIA_DATA_DIR": "/unused"}))
    made = create_app(api, MagicMock()).openapi_schema.to_schema()
    return json.loads(json.dumps(made))


def operations(document: Object) -> Iterator[tuple[str, Object]]:
    for methods in document["paths"].values():
        for method, operation in methods.items():
            assert method in METHODS
            yield method, operation


def fits(document: Object, schema: Object, value: Any) -> None:
    """With the document's components at hand. Raises `jsonschema_rs.ValidationError`."""
    whole = {**schema, "components": document["components"]}
    jsonschema_rs.Draft202012Validator(whole).validate(value)


def reference(name: str) -> Object:
    return {"$ref": f"#/components/schemas/{name}"}


def parts(value: Any) -> Iterator[Object]:
    match value:
        case dict():
            yield value
            for inner in value.values():
                yield from parts(inner)
        case list():
            for inner in value:
                yield from parts(inner)


def test_the_document_is_valid(document: Object) -> None:
    assert document["openapi"].startswith("3.1")
    jsonschema_rs.Draft202012Validator(OPENAPI_31).validate(document)
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert {part["$ref"] for part in parts(document) if "$ref" in part} <= known


def test_every_operation_is_described(document: Object) -> None:
    for method, operation in operations(document):
        name = operation["operationId"]
        assert operation["summary"], name
        assert operation["tags"], name
        assert all(answer["description"] for answer in operation["responses"].values()), name
        for parameter in operation.get("parameters", ()):
            assert parameter["description"], (name, parameter)
        if operation.get("security") != [{}]:
            assert {"401", "429"} <= set(operation["responses"]), name
        if method == "post":
            assert "Idempotency-Key" in {one["name"] for one in operation["parameters"]}, name
        if "requestBody" in operation:
            assert operation["requestBody"]["content"]["application/json"]["examples"], name


def test_every_field_is_described(document: Object) -> None:
    silent = {
        f"{name}.{field}"
        for name, schema in document["components"]["schemas"].items()
        for field, of_field in schema["properties"].items()
        if not of_field.get("description")
    }
    assert not silent


def test_examples_fit_their_schemas(document: Object) -> None:
    for name, example in ANSWERS.items():
        fits(document, reference(name), example)
    for _, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            if "example" in parameter:
                fits(document, parameter["schema"], parameter["example"])
        for answer in operation["responses"].values():
            media = answer.get("content", {}).get("application/json", {})
            if "example" in media:
                fits(document, media["schema"], media["example"])
        media = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        for example in media.get("examples", {}).values():
            fits(document, media["schema"], example["value"])


def test_links_lead_somewhere(document: Object) -> None:
    known = {operation["operationId"]: operation for _, operation in operations(document)}
    for _, operation in operations(document):
        for answer in operation["responses"].values():
            for link in answer.get("links", {}).values():
                target = known[link["operationId"]]
                names = {one["name"] for one in target.get("parameters", ())}
                assert set(link.get("parameters", {})) <= names
                assert ("requestBody" in link) <= ("requestBody" in target)


def states(name: str) -> Iterator[State]:
    state = EMPTY
    for line in (GOLDEN / f"{name}.commits.jsonl").read_bytes().splitlines():
        state = evolve_all(state, decode(line).events)
        yield state


def objects(state: State) -> Iterator[tuple[str, Object]]:
    session = state.session
    if session is not None:
        for pending in (True, False):
            shown = session_object(session, recording=True, websocket_url=WSS, pending=pending)
            yield "Session", shown
        for connection in session.connections.values():
            yield "Connection", connection_object(connection, session.id, WSS)
            yield "Token", token_object(connection, session.id, WSS)
    for recording in state.recordings.values():
        yield "Recording", recording_object(recording, HTTPS)
    if state.node is not None:
        yield "MediaNode", media_node_object(state.node, Link())
        yield "MediaNode", media_node_object(state.node, Link(connected=True, since=1, load=2.5))
        yield "MediaNode", media_node_object(state.node, Link(since=1, lost=2))


def test_objects_of_every_state_in_golden_logs_fit_their_schemas(document: Object) -> None:
    found = [
        (name, shown)
        for path in GOLDEN.glob("*.commits.jsonl")
        for state in states(path.name.removesuffix(".commits.jsonl"))
        for name, shown in objects(state)
    ]
    assert {name for name, _ in found} == {
        "Session", "Connection", "Token", "Recording", "MediaNode",
    }  # fmt: skip
    for name, shown in found:
        fits(document, reference(name), shown)


@pytest.mark.parametrize("more", [{}, {"OPENVIDU_WEBHOOK": "true", "OPENVIDU_CDR": "true"}])
def test_configurations_fit_their_schema(document: Object, more: dict[str, str]) -> None:
    if more:
        more = {**more, "OPENVIDU_WEBHOOK_ENDPOINT": "http://localhost/hook"}
    given = {
        "OPENVIDU_SECRET": "A_SECRET",
        "OPENVIDU_RECORDING": "false" if more else "true",
        "OPENVIDU_PRO_CLUSTER_AUTOSCALING": "true" if more else "false",
        "AWS_VOLUME_SIZE": "100" if more else "",
        "KMS_DOCKER_ENV_ANY": "thing",
        **more,
    }
    shown = config_object(load(given))
    fits(document, reference("Config"), shown)


async def test_defaults_are_those_of_empty_bodies(document: Object, world: World) -> None:
    schemas = document["components"]["schemas"]

    def defaults(name: str) -> Object:
        fields = schemas[name]["properties"].items()
        return {field: of_field["default"] for field, of_field in fields if "default" in of_field}

    session = (await world.api.post("/sessions", {})).json
    assert defaults("SessionBody").items() <= session.items()
    made = (
        await world.api.post(
            "/sessions", {"defaultRecordingProperties": {"recordingLayout": "CUSTOM"}}
        )
    ).json["defaultRecordingProperties"]
    individual = (
        await world.api.post(
            "/sessions", {"defaultRecordingProperties": {"outputMode": "INDIVIDUAL"}}
        )
    ).json["defaultRecordingProperties"]
    assert defaults("RecordingBody") == {
        **individual,
        **made,
        "recordingLayout": session["defaultRecordingProperties"]["recordingLayout"],
    }
    connection = (await world.api.post(f"/sessions/{session['id']}/connection", {})).json
    wanted = {name: value for name, value in defaults("ConnectionBody").items() if name != "data"}
    camera = {"adaptativeBitrate", "onlyPlayWithSubscribers", "networkCache"}
    assert {name: connection[name] for name in wanted.keys() - camera} == {
        name: wanted[name] for name in wanted.keys() - camera
    }
    assert connection["serverData"] == defaults("ConnectionBody")["data"]
    token = (await world.api.post("/tokens", {"session": session["id"]})).json
    assert defaults("TokenBody").items() <= token.items()


async def test_the_page_shows_the_document_in_terms_of_openapi_3_0(world: World) -> None:
    page = (await world.api.get("/docs", auth=None)).body.decode()
    assert re.search(r'"openapi":\s*"3\.0\.3"', page)
    assert '"null"' not in page
