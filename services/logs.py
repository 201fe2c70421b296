"""Log lines: one readable format for all processes, and no secret in any of them."""

from __future__ import annotations

import json
import logging
import re
import sys
from base64 import b64encode
from collections.abc import Iterable, MutableMapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from services.settings import Settings

MASK = "***"
VALUE_WIDTH = 1000  # characters of one value; what is longer is cut

_SECRET_KEYS = re.compile(r"secret|token|password|credential|authorization|cookie", re.IGNORECASE)
# Each with what a text without it need not be searched for, in small letters: most texts.
_PATTERNS = (
    ("tok_", re.compile(r"\btok_\w+"), f"tok_{MASK}"),
    ("basic", re.compile(r"(?i)\b(basic)\s+[\w+/=.~-]{4,}"), rf"\1 {MASK}"),
    ("bearer", re.compile(r"(?i)\b(bearer)\s+[\w+/=.~-]{4,}"), rf"\1 {MASK}"),
    (
        "authorization",
        re.compile(r"(?i)(authorization[\"']?\s*[:=]\s*[\"']?)(?!basic|bearer)[^\s,\"'}]+"),
        rf"\1{MASK}",
    ),
    ("://", re.compile(r"(://)[^/@\s]+@"), rf"\1{MASK}@"),
)
_HEAD = ("timestamp", "level", "service", "event", "exception", "stack")

# Libraries that tell of every packet, request or connection.
QUIET = (
    "aiortc",
    "aioice",
    "aiosqlite",
    "alembic",
    "asyncio",
    "av",
    "httpx",
    "nats",
    "sqlalchemy",
    "uvicorn",
)


class Masker:
    """Takes secrets out of texts: those of the settings, tokens, `Authorization` values."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms: set[str] = set()
        for secret in secrets:
            forms |= {
                secret,
                json.dumps(secret)[1:-1],
                b64encode(f"OPENVIDUAPP:{secret}".encode()).decode(),
            }
        longest_first = sorted(filter(None, forms), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def text(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(MASK, text)
        small = text.lower()
        for sign, pattern, replacement in _PATTERNS:
            if sign in small:
                text = pattern.sub(replacement, text)
        return text

    def __call__(self, logger: WrappedLogger, method: str, entry: EventDict) -> EventDict:
        """As a processor of structlog, before rendering: the values of keys with telling names."""
        for key, value in entry.items():
            if value and isinstance(value, str) and _SECRET_KEYS.search(key):
                entry[key] = MASK
        return entry


def configure(service: str, settings: Settings, *, to: TextIO | None = None) -> None:
    """Set up structlog and standard logging for this process. Lines go to stderr by default."""
    stream = to or sys.stderr
    masker = Masker(settings.secrets)
    level = logging.getLevelNamesMapping()[settings.log_level]
    renderer = _Json(masker) if settings.log_format == "json" else _Console(masker)

    def name_service(logger: WrappedLogger, method: str, entry: EventDict) -> EventDict:
        entry["service"] = service
        return entry

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%S.%fZ", utc=True),
        name_service,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        masker,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(level + 10, logging.INFO))
    logging.captureWarnings(capture=True)


class _Console:
    """`time level service event key=value …`, then the traceback, if there is one."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker

    def __call__(self, logger: WrappedLogger, method: str, entry: MutableMapping[str, Any]) -> str:
        words = [
            str(entry.get("timestamp", ""))[:23] + "Z",  # milliseconds
            f"{str(entry.get('level', '')).upper():<8}",
            f"{entry.get('service', '')!s:<8}",
            _one_line(str(entry.get("event", ""))),
        ]
        words += [f"{key}={_value(value)}" for key, value in entry.items() if key not in _HEAD]
        line = " ".join(words)
        for key in ("stack", "exception"):
            if entry.get(key):
                line += f"\n{entry[key]}"
        return self._masker.text(line)


class _Json:
    def __init__(self, masker: Masker) -> None:
        self._masker = masker

    def __call__(self, logger: WrappedLogger, method: str, entry: MutableMapping[str, Any]) -> str:
        head = {key: entry[key] for key in _HEAD if key in entry}
        return self._masker.text(json.dumps({**head, **entry}, default=str, ensure_ascii=False))


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    text = _one_line(text)
    if isinstance(value, str) and (not text or any(char in ' "=' for char in text)):
        return json.dumps(text, ensure_ascii=False)
    return text


def _one_line(text: str) -> str:
    """Nothing a terminal would act upon, no line break, and not too long."""
    if len(text) > VALUE_WIDTH:
        text = text[: VALUE_WIDTH - 1] + "…"
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
