"""Frames without a socket: `signaling.md` 1.3."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.api.signaling import rpc
from services.api.signaling.errors import Code, RpcError
from services.api.signaling.frames import Frame, FrameQueue

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
REQUEST = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | JSON,
        "id": st.just(0) | JSON,
        "method": st.sampled_from(["ping", "joinRoom"]) | JSON,
        "params": JSON,
    },
)


@pytest.mark.parametrize("number", ["0", "7", "-1", "1.50", "12345678901234567890", '"seven"'])
def test_an_id_is_echoed_as_it_was_written(number: str) -> None:
    request = rpc.parse(f'{{"jsonrpc":"2.0","method":"ping","id":{number}}}')
    assert rpc.response(request.id, {}) == f'{{"id":{number},"result":{{}},"jsonrpc":"2.0"}}'


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", rpc.PARSE_ERROR),
        ("{", rpc.PARSE_ERROR),
        ('{"jsonrpc":"2.0","method":"a","id":1,"params":NaN}', rpc.PARSE_ERROR),
        ('{"jsonrpc":"2.0","method":"\\ud800","id":1}', rpc.PARSE_ERROR),
        ('{"jsonrpc":"2.0","method":"a","id":1,"params":' + "[" * 100_000, rpc.PARSE_ERROR),
        ("[]", rpc.INVALID_REQUEST),
        ('[{"jsonrpc":"2.0","method":"ping","id":1}]', rpc.INVALID_REQUEST),
        ('"ping"', rpc.INVALID_REQUEST),
        ("{}", rpc.INVALID_REQUEST),
        ('{"jsonrpc":"1.0","method":"ping","id":1}', rpc.INVALID_REQUEST),
        ('{"jsonrpc":"2.0","method":"ping"}', rpc.INVALID_REQUEST),
        ('{"jsonrpc":"2.0","method":"ping","id":null}', rpc.INVALID_REQUEST),
        ('{"jsonrpc":"2.0","method":"ping","id":{}}', rpc.INVALID_REQUEST),
        ('{"jsonrpc":"2.0","method":"ping","id":true}', rpc.INVALID_REQUEST),
        ('{"jsonrpc":"2.0","method":"ping","id":"' + "x" * 100 + '"}', rpc.INVALID_REQUEST),
        ('{"jsonrpc":"2.0","method":5,"id":1}', rpc.INVALID_REQUEST),
        ('{"jsonrpc":"2.0","id":1,"result":"push"}', rpc.INVALID_REQUEST),
    ],
)
def test_what_is_no_request_has_a_code(text: str, code: int) -> None:
    with pytest.raises(rpc.Malformed) as caught:
        rpc.parse(text)
    assert caught.value.code == code
    frame = json.loads(rpc.error(caught.value.id, code, str(caught.value)))
    assert "result" not in frame
    assert frame.get("id", 0) is not None


@pytest.mark.parametrize("params", ["", ',"params":null', ',"params":{}'])
def test_missing_params_are_no_params(params: str) -> None:
    request = rpc.parse(f'{{"jsonrpc":"2.0","method":"ping","id":0{params}}}')
    assert bytes(request.params) == b"{}"


@PATIENT
@given(REQUEST)
def test_any_json_object_is_a_request_or_malformed(frame: dict[str, object]) -> None:
    text = json.dumps(frame)
    try:
        request = rpc.parse(text)
    except rpc.Malformed:
        return
    assert request.method == frame["method"]
    assert json.loads(bytes(request.id)) == frame["id"]


@PATIENT
@given(st.text() | st.binary())
def test_any_text_is_a_request_or_malformed(text: str | bytes) -> None:
    with suppress(rpc.Malformed):  # and nothing else
        rpc.parse(text)


def test_only_openvidus_own_codes_stand_in_the_message() -> None:
    assert RpcError(Code.USER_NOT_FOUND, "Nobody.").message == "Nobody. Code: 102"
    assert RpcError(Code.RECONNECTION, "reconnection error").message == "reconnection error"
    assert RpcError(Code.INVALID_PARAMS, "Invalid params").message == "Invalid params"


def test_a_full_queue_refuses_and_keeps_what_it_has() -> None:
    queue = FrameQueue(max_frames=2, max_size=10)
    assert queue.push(Frame("12345", True))
    assert not queue.push(Frame("123456", True))
    assert queue.push(Frame("1234", True))
    assert not queue.push(Frame("1", True))
    assert [frame.text for frame in queue.drain()] == ["12345", "1234"]
    assert queue.push(Frame("1234567890", True))


def test_what_is_loaded_does_not_use_up_the_room_of_a_queue() -> None:
    queue = FrameQueue(max_frames=1, max_size=1)
    queue.load([Frame("long", True), Frame("longer", True)])
    assert queue.push(Frame("1", True))
    assert not queue.push(Frame("1", True))
    assert len(queue) == 3
