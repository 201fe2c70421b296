"""One readable format, no secret in it, nothing a terminal would act upon."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import structlog

from services import logs
from services.settings import Settings
from services.settings.load import load


@contextmanager
def logging_to(settings: Settings) -> Iterator[io.StringIO]:
    """As in a process of its own; what was set up before is put back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    libraries = {name: logging.getLogger(name).level for name in logs.QUIET}
    config = structlog.get_config()
    stream = io.StringIO()
    try:
        logs.configure("api", settings, to=stream)
        yield stream
    finally:
        logging.captureWarnings(capture=False)
        structlog.configure(**config)
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, level_before in libraries.items():
            logging.getLogger(name).setLevel(level_before)


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    with logging_to(load({"OPENVIDU_SECRET": "the_secret_1"})) as lines:
        yield lines


def test_a_line_has_time_level_service_event_and_values(stream: io.StringIO) -> None:
    structlog.get_logger().info("it happened", count=3, name="a b", empty="")
    line = stream.getvalue()
    assert line.endswith('Z INFO     api      it happened count=3 name="a b" empty=""\n')
    assert line[:4].isdigit()


def test_standard_logging_has_the_same_format(stream: io.StringIO) -> None:
    logging.getLogger("somebody").warning("told %s", "so")
    assert stream.getvalue().endswith("Z WARNING  api      told so\n")


def test_talkative_libraries_are_heard_only_when_something_is_wrong(stream: io.StringIO) -> None:
    for name in ("uvicorn.error", "nats.aio.client", "aiortc.rtcpeerconnection", "aioice.ice"):
        logging.getLogger(name).info("chatter")
        logging.getLogger(name).warning("trouble")
    assert "chatter" not in stream.getvalue()
    assert stream.getvalue().count("trouble") == 4


@pytest.mark.parametrize(
    ("event", "values"),
    [
        ("the_secret_1", {}),
        ("x", {"anything": "prefix the_secret_1 suffix"}),
        ("x", {"nested": {"deep": ["the_secret_1"]}}),
        ("ws://host?token=tok_hushHUSH1", {}),
        ("x", {"url": "nats://user:hush@host:4222"}),
        ("x", {"token": "hush"}),
        ("x", {"turn_credential": "hush"}),
        ("x", {"headers": {"Authorization": "Bearer hush.hush-hush"}}),
        ("x", {"headers": "{'authorization': 'Basic aHVzaGh1c2g='}"}),
        ("Basic T1BFTlZJRFVBUFA6dGhlX3NlY3JldF8x", {}),
    ],
)
def test_secrets_are_masked(stream: io.StringIO, event: str, values: dict[str, object]) -> None:
    structlog.get_logger().info(event, **values)
    logging.getLogger("somebody").warning("%s %s", event, values.get("url", ""))
    text = stream.getvalue()
    assert "***" in text
    for hidden in ("the_secret_1", "hush", "aHVza", "T1BFTl"):
        assert hidden not in text


def test_secrets_are_masked_in_tracebacks(stream: io.StringIO) -> None:
    try:
        raise ValueError("tok_abcdef and the_secret_1")
    except ValueError:
        structlog.get_logger().exception("failed")
    text = stream.getvalue()
    assert "Traceback" in text
    assert "ValueError" in text
    assert "tok_abcdef" not in text
    assert "the_secret_1" not in text


def test_what_others_send_cannot_forge_lines_or_drive_the_terminal(stream: io.StringIO) -> None:
    structlog.get_logger().info("joined\nforged", name="a\x1b[31m\r\nforged", raw=b"\x00")
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert "\x1b" not in text
    assert r"\x1b" in text


def test_a_long_value_is_cut(stream: io.StringIO) -> None:
    structlog.get_logger().info("sdp", offer="x" * 100_000)
    assert len(stream.getvalue()) < 2000


def test_the_level_of_the_settings_counts() -> None:
    with logging_to(load({"TERTULIA_LOG_LEVEL": "WARNING"})) as stream:
        structlog.get_logger().info("quiet")
        structlog.get_logger().warning("loud")
    assert "quiet" not in stream.getvalue()
    assert "loud" in stream.getvalue()


def test_json_lines_are_json_and_masked() -> None:
    settings = load({"TERTULIA_LOG_FORMAT": "json", "OPENVIDU_SECRET": "the_secret_1"})
    with logging_to(settings) as stream:
        structlog.get_logger().info("it happened", count=3, url="x?token=tok_abc", ok=None)
        logging.getLogger("somebody").error("the_secret_1")
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first["level"] == "info"
    assert first["service"] == "api"
    assert first["event"] == "it happened"
    assert first["count"] == 3
    assert first["url"] == "x?token=tok_***"
    assert second["event"] == "***"
