"""The output of several processes in one log."""

from __future__ import annotations

import io
import json
import os
import threading

from services.launcher.output import MAX_LINE, MAX_WAITING, Lines, Output
from services.logs import Masker


def lines_of(*chunks: bytes, as_json: bool = False) -> list[str]:
    stream = io.BytesIO()
    output = Output(stream)
    lines = Lines("media", output, Masker(["the_secret_1"]).text, as_json=as_json)
    for chunk in chunks:
        lines.feed(chunk)
    lines.finish()
    output.finish()
    return stream.getvalue().decode().splitlines()


LOG_LINE = "2026-01-31T12:00:00.000Z INFO     media    ready"


def test_lines_of_our_format_pass_as_they_are() -> None:
    assert lines_of(f"{LOG_LINE}\n".encode()) == [LOG_LINE]


def test_other_lines_get_the_name_of_the_process() -> None:
    assert lines_of(b"Traceback (most recent call last):\n") == [
        "media    | Traceback (most recent call last):"
    ]


def test_other_lines_are_freed_of_secrets_and_control_characters() -> None:
    assert lines_of(b"the_secret_1 tok_abc \x1b[31m\n") == ["media    | *** tok_***  [31m"]


def test_lines_are_whole_however_the_chunks_fall() -> None:
    text = f"{LOG_LINE}\nsecond\r\n\nthird".encode()
    whole = lines_of(text)
    assert whole == [LOG_LINE, "media    | second", "media    | third"]
    assert lines_of(*(text[i : i + 1] for i in range(len(text)))) == whole


def test_a_line_without_end_is_cut() -> None:
    (line,) = lines_of(*[b"x" * 1000] * 1000, b"\n")
    assert len(line) < MAX_LINE + 100
    assert line.endswith(f"({1_000_000 - MAX_LINE} bytes more)")


def test_broken_encoding_is_no_error() -> None:
    assert lines_of(b"\xff\xfe!\n") == ["media    | \ufffd\ufffd!"]


def test_in_json_mode_every_line_is_json() -> None:
    first, second = lines_of(b'{"event":"ready"}\noops "quoted"\n', as_json=True)
    assert json.loads(first) == {"event": "ready"}
    assert json.loads(second) == {"service": "media", "event": 'oops "quoted"'}


def test_a_reader_who_stops_reading_stops_nobody_and_is_told_what_was_lost() -> None:
    read, write = os.pipe()
    with os.fdopen(read, "rb") as reader, os.fdopen(write, "wb") as writer:
        output = Output(writer)
        for number in range(MAX_WAITING * 2):
            output.write(f"line {number} " + "x" * 100)
        text = bytearray()

        def read_all() -> None:
            while chunk := reader.read1(1 << 16):
                text.extend(chunk)
                if b"the last" in text:
                    return

        thread = threading.Thread(target=read_all)
        thread.start()
        while b"lines were lost" not in text and thread.is_alive():
            output.write("the next")
        output.write("the last")
        output.finish()
        thread.join(10)
        assert b"lines were lost)\n" in text


def test_a_closed_stream_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    writer = os.fdopen(write, "wb", buffering=0)
    output = Output(writer)
    output.write("nobody reads this")
    output.write("nor this")
    output.finish()
    writer.close()
