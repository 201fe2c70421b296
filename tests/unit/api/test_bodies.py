"""Any body becomes a command that the log can hold, or a refusal with a status of its own."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect

from services.api.rest.bodies import (
    Body,
    ConnectionBody,
    IceServerBody,
    KurentoBody,
    ModificationBody,
    RecordingBody,
    RecordingStartBody,
    SessionBody,
    SignalBody,
    TokenBody,
    check_ranges,
)
from services.api.rest.errors import ApiError
from services.api.rest.media_nodes import MediaNodeBody
from services.api.rest.misfit import FITTING
from services.api.rest.parsing import fit, json_object
from services.conference.commands import (
    Command,
    CreateConnection,
    InitializeSession,
    SendSignal,
    StartRecording,
)
from services.conference.decisions.recordings import resolve
from services.conference.model import RecordingProperties
from services.eventlog.commit import Actor, ActorKind, Commit, encode
from services.eventlog.log import seal
from services.settings import Streams

FORMS = [
    SessionBody, RecordingBody, RecordingStartBody, KurentoBody, IceServerBody, TokenBody,
    ConnectionBody, ModificationBody, SignalBody,
]  # fmt: skip
NAMES = sorted({field.encode_name for form in FORMS for field in msgspec.structs.fields(form)})
WORDS = [
    "", "ROUTED", "ALWAYS", "VP8", "true", "false", "IPCAM", "WEBRTC", "MODERATOR", "INDIVIDUAL",
    "COMPOSED", "CUSTOM", "1280x720", "9999x1", "stun:a.example", "turn:a.example", "salon", "..",
]  # fmt: skip

SENTENCE = re.compile(
    r"[A-Za-z0-9.\[\]]+ (must be|is mandatory and must be|may not) .+|"
    r"hasAudio and hasVideo cannot both be false|"
    r"(defaultRecordingProperties\.has(Audio|Video)( and )?){2} cannot both be false|"
    r"customIceServers\[\d+\]: .+",
)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, 1, 25, 120, 134217728, 2**63, 10**40])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30)
    | st.sampled_from(WORDS)
)


def objects(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), values, max_size=8)


json_values = st.recursive(
    scalars, lambda values: st.lists(values, max_size=4) | objects(values), max_leaves=20
)


def outcome_of(raw: bytes, form: type[Any]) -> list[Command] | ApiError:
    """Anything else that is raised is a defect."""
    try:
        return commands_of(fit(json_object(raw), form))
    except ApiError as refused:
        return refused


def commands_of(body: Any) -> list[Command]:
    """What the handlers make of a body."""
    match body:
        case SessionBody():
            return [InitializeSession("salon", body.properties(Streams()))]
        case RecordingBody():
            options = body.options()
            check_ranges(resolve(options, RecordingProperties()), 422)
            return [StartRecording(options)]
        case SignalBody():
            return [SendSignal(to=tuple(body.to or ()), type=body.type, data=body.data)]
        case TokenBody() | ConnectionBody():
            servers = tuple(server.server() for server in body.custom_ice_servers or ())
            kurento = body.kurento_options.options() if body.kurento_options else None
            made = CreateConnection("con_A", "tok_A", kurento_options=kurento)
            return [msgspec.structs.replace(made, custom_ice_servers=servers)]
    return []


@given(objects(json_values))
def test_any_object_fits_or_is_refused_by_name(found: dict[str, Any]) -> None:
    for form in FORMS:
        outcome = outcome_of(msgspec.json.encode(found), form)
        if isinstance(outcome, ApiError):
            assert outcome.status in {400, 422}
            assert SENTENCE.fullmatch(str(outcome)), str(outcome)
            continue
        for command in outcome:
            commit = Commit("id", "salon", 1, 1, Actor(ActorKind.REST), command, ())
            seal(commit, encode(commit))


def kinds(kind: inspect.Type) -> set[type]:
    match kind:
        case inspect.StructType():
            return {type(kind)}.union(*(kinds(field.type) for field in kind.fields))
        case inspect.ListType():
            return {type(kind)} | kinds(kind.item_type)
        case inspect.Metadata():
            return kinds(kind.type)
        case inspect.UnionType():
            return set().union(*map(kinds, kind.types))
    return {type(kind)}


def test_misfits_of_all_types_that_bodies_are_made_of_can_be_told() -> None:
    forms = set(Body.__subclasses__())
    forms = {form for form in forms if form.__name__ != "RestartBody"}  # which nothing has to fit
    assert {SessionBody, MediaNodeBody} <= forms
    for form in forms:
        assert kinds(inspect.type_info(form)) <= FITTING.keys(), form


def test_the_first_misfit_is_told_by_its_path_and_without_its_value() -> None:
    told = {
        '{"name": 5}': "name must be a string of up to 200 letters, digits, dashes, underscores "
        "and tildes, got a number",
        '{"outputMode": "secret"}': "outputMode must be one of COMPOSED, COMPOSED_QUICK_START, "
        "INDIVIDUAL",
        '{"hasAudio": "true"}': "hasAudio must be true or false, got a string",
        '{"frameRate": 2.5}': "frameRate must be an integer from 1 to 120, got a number with a "
        "fraction",
        '{"frameRate": 1e999}': "frameRate must be an integer from 1 to 120, got a number out of "
        "range",
        '{"mediaNode": {"id": []}}': "mediaNode.id must be a string, got an array",
        '{"mediaNode": false}': "mediaNode must be an object or a string, got a boolean",
        '{"mediaNode": {}}': "mediaNode.id is mandatory and must be a string",
    }
    for raw, sentence in told.items():
        outcome = outcome_of(raw.encode(), RecordingBody)
        assert isinstance(outcome, ApiError)
        assert str(outcome) == sentence
    outcome = outcome_of(b'{"session": "a", "to": ["b", null]}', SignalBody)
    assert str(outcome) == "to[1] must be a string, got null"


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode()))
def test_any_bytes_are_an_object_or_refused(raw: bytes) -> None:
    outcome = outcome_of(raw, ModificationBody)
    assert outcome == [] or (isinstance(outcome, ApiError) and outcome.status == 400)


@given(json_values)
def test_any_json_that_is_no_object_is_refused(value: Any) -> None:
    if isinstance(value, dict):
        return
    with pytest.raises(ApiError, match="not a JSON object"):
        json_object(msgspec.json.encode(value))


@pytest.mark.parametrize("raw", [b"", b" ", b"\r\n\t"])
def test_nothing_is_an_empty_object(raw: bytes) -> None:
    assert json_object(raw) == {}


def test_every_field_may_be_null_but_those_that_are_mandatory() -> None:
    for form in FORMS:
        fields = msgspec.structs.fields(form)
        mandatory = {field.encode_name: "turn:a" for field in fields if field.required}
        nulls = {field.encode_name: None for field in fields if not field.required}
        assert fit({**nulls, **mandatory}, form) == fit(mandatory, form)


@pytest.mark.parametrize(
    ("given_value", "read"), [(None, False), ("false", False), ("true", True), (True, True)]
)
def test_transcoding_may_be_given_as_text(given_value: Any, read: bool) -> None:
    body = fit({"allowTranscoding": given_value}, SessionBody)
    assert body.properties(Streams()).allow_transcoding is read


def test_the_settings_of_the_server_are_the_defaults_of_a_session() -> None:
    streams = Streams(allow_transcoding=True)
    properties = fit({}, SessionBody).properties(streams)
    assert properties.allow_transcoding is True
    assert properties.forced_video_codec is streams.forced_video_codec


@pytest.mark.parametrize(
    ("resolution", "good"),
    [
        ("100x100", True),
        ("1999x1999", True),
        ("1280x720", True),
        ("99x100", False),
        ("100x2000", False),
        ("0100x0100", False),
        ("100x100 ", False),
        ("100x100\n", False),
        ("-100x100", False),
        ("1e3x100", False),
        ("٢٠٠x200", False),
        ("", False),
    ],
)
def test_the_limits_of_a_resolution(resolution: str, good: bool) -> None:
    properties = RecordingProperties(resolution=resolution)
    if good:
        check_ranges(properties, 422)
        return
    with pytest.raises(ApiError) as refused:
        check_ranges(properties, 422)
    assert refused.value.status == 422
