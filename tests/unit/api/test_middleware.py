"""What surrounds a request: its id, its line in the log, its measures."""

from __future__ import annotations

import asyncio
import contextvars
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from prometheus_client.core import Metric
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from services.api.middleware import Surrounded
from services.api.traffic import Traffic

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"

log = structlog.get_logger()


async def app(scope: Any, receive: Any, send: Any) -> None:
    log.info("inside")
    if scope["path"] != "/nowhere":
        scope["route_handler"] = SimpleNamespace(operation_id="getThing", handler_name="thing")
    scope["path"] = "changed by the router"
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 201, "headers": [(b"a", b"b")]})
    await send({"type": "http.response.body", "body": b"12345", "more_body": True})
    await send({"type": "http.response.body", "body": b"67"})


async def broken(scope: Any, receive: Any, send: Any) -> None:
    raise LookupError


def scope_of(**more: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": "/thing",
        "query_string": b"secret=hush&token=tok_hush",
        "headers": [],
        "client": ("192.0.2.1", 1),
        **more,
    }


async def sent(
    surrounded: Surrounded, scope: dict[str, Any], context: contextvars.Context | None = None
) -> list[Any]:
    """In a context of its own, or in one that had a request before."""
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    call = surrounded(scope, None, send)  # type: ignore[arg-type]
    await asyncio.create_task(call, context=context or contextvars.Context())  # type: ignore[arg-type]
    return messages


def id_of(messages: list[Any]) -> str:
    (found,) = (value for name, value in messages[0]["headers"] if name == b"x-request-id")
    return found.decode()


def families(traffic: Traffic) -> dict[str, Metric]:
    return {metric.name: metric for metric in traffic.collect()}


def samples(metric: Metric) -> dict[tuple[str, ...], float]:
    return {(s.name, *s.labels.values()): s.value for s in metric.samples}


@pytest.mark.parametrize("given", ["a", "A-b_c.9", "x" * 128])
async def test_a_given_request_id_is_kept(given: str) -> None:
    scope = scope_of(headers=[(b"x-request-id", given.encode())])
    messages = await sent(Surrounded(app), scope)
    assert id_of(messages) == given
    assert (b"a", b"b") in messages[0]["headers"]


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a\r\nb", "\u00f1", "a/b", "<script>"])
async def test_an_unfit_request_id_is_replaced(given: str) -> None:
    scope = scope_of(headers=[(b"x-request-id", given.encode("latin-1"))])
    assert len(id_of(await sent(Surrounded(app), scope))) == 32


async def test_each_request_has_an_id_of_its_own() -> None:
    ids = {id_of(await sent(Surrounded(app), scope_of())) for _ in range(100)}
    assert len(ids) == 100


async def test_log_lines_have_the_id_and_the_trace_of_their_request_alone() -> None:
    context = contextvars.Context()
    with capture_logs(processors=[merge_contextvars]) as lines:
        traced = [(b"x-request-id", b"one"), (b"traceparent", PARENT.encode())]
        await sent(Surrounded(app), scope_of(headers=traced), context)
        await sent(Surrounded(app), scope_of(headers=[(b"x-request-id", b"two")]), context)
        log.info("outside")
    one, two, outside = lines
    assert (one["request_id"], one["trace_id"]) == ("one", TRACE)
    assert two["request_id"] == "two"
    assert "trace_id" not in two
    assert "request_id" not in outside


async def test_a_websocket_has_an_id_too() -> None:
    with capture_logs(processors=[merge_contextvars]) as lines:
        messages = await sent(Surrounded(app), scope_of(type="websocket"))
    assert lines[0]["request_id"] == id_of(messages)


async def test_the_access_log_has_one_line_a_request_and_no_query() -> None:
    with capture_logs(processors=[merge_contextvars]) as lines:
        messages = await sent(Surrounded(app, access_log=True), scope_of())
        await sent(Surrounded(app, access_log=True), scope_of(path="/nowhere", client=None))
    _, line, _, other = lines
    assert line.pop("duration_ms") >= 0
    assert line == {
        "event": "request",
        "log_level": "info",
        "method": "GET",
        "path": "/thing",
        "status": 201,
        "bytes": 7,
        "client": "192.0.2.1",
        "operation": "getThing",
        "request_id": id_of(messages),
    }
    assert (other["operation"], other["client"]) == ("unknown", None)


async def test_without_the_access_log_there_is_no_line() -> None:
    with capture_logs() as lines:
        await sent(Surrounded(app, traffic=Traffic()), scope_of())
        await sent(Surrounded(app), scope_of())
    assert [line["event"] for line in lines] == ["inside", "inside"]


async def test_the_access_log_has_one_line_a_websocket() -> None:
    with capture_logs() as lines:
        await sent(Surrounded(app, access_log=True), scope_of(type="websocket"))
    assert (lines[1]["event"], lines[1]["path"]) == ("websocket", "/thing")


async def test_a_monstrous_path_is_cut() -> None:
    with capture_logs() as lines:
        await sent(Surrounded(app, access_log=True), scope_of(path="/x" * 30_000))
    assert len(lines[1]["path"]) <= 1000


async def test_requests_are_counted_by_operation_method_and_status() -> None:
    traffic = Traffic()
    surrounded = Surrounded(app, traffic=traffic)
    for path in ("/thing", "/thing", "/nowhere", "/nowhere"):
        await sent(surrounded, scope_of(path=path))
    for method in ("PROPFIND", "UNLINK"):
        await sent(surrounded, scope_of(path="/nowhere", method=method))
    name = "tertulia_http_requests_total"
    assert samples(families(traffic)["tertulia_http_requests"]) == {
        (name, "getThing", "GET", "201"): 2,
        (name, "unknown", "GET", "201"): 2,
        (name, "unknown", "other", "201"): 2,
    }


async def test_an_application_that_breaks_is_counted_and_told() -> None:
    traffic = Traffic()
    surrounded = Surrounded(broken, traffic=traffic, access_log=True)
    with capture_logs() as lines, pytest.raises(LookupError):
        await sent(surrounded, scope_of())
    assert lines[0]["status"] == 500
    assert traffic.in_flight == 0
    found = samples(families(traffic)["tertulia_http_requests"])
    assert found == {("tertulia_http_requests_total", "unknown", "GET", "500"): 1}


async def test_what_is_going_on_is_counted() -> None:
    traffic, inside = Traffic(), []

    async def look(scope: Any, receive: Any, send: Any) -> None:
        inside.append((traffic.in_flight, traffic.sockets))

    await sent(Surrounded(look, traffic=traffic), scope_of())
    await sent(Surrounded(look, traffic=traffic), scope_of(type="websocket"))
    assert inside == [(1, 0), (0, 1)]
    assert (traffic.in_flight, traffic.sockets, traffic.sockets_opened) == (0, 0, 1)


def test_durations_fall_into_buckets() -> None:
    traffic = Traffic()
    for seconds in (0.001, 0.005, 0.006, 3.0, 1000.0):
        traffic.count("getThing", "GET", 200, seconds)
    found = samples(families(traffic)["tertulia_http_request_duration_seconds"])
    bucket = "tertulia_http_request_duration_seconds_bucket"
    by_bound = {key[-1]: value for key, value in found.items() if key[0] == bucket}
    assert by_bound == {
        "0.005": 2, "0.02": 3, "0.1": 3, "0.5": 3, "2.0": 3, "10.0": 4, "+Inf": 5,
    }  # fmt: skip
    assert found["tertulia_http_request_duration_seconds_sum", "getThing", "GET"] == 1003.012
    assert found["tertulia_http_request_duration_seconds_count", "getThing", "GET"] == 5
