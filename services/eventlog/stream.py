"""The stream behind the log: how it is made, and what of it must be true before a service starts.

Only what could lose, change or hide a commit is checked; replicas, placement, compression and
the like are the operator's to choose.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .log import LogMisconfigured

MINIMUM_VERSION = (2, 12)
MINIMUM_PAYLOAD = 1024 * 1024  # bytes; the end of a very large session needs more
DUPLICATE_WINDOW = 120  # seconds; a convenience of the broker, nothing relies on it

Config = dict[str, Any]  # the broker's own JSON


def wanted(name: str, prefix: str) -> Config:
    return {
        "name": name,
        "description": "Tertulia's event log: the only truth. Never delete from it.",
        "subjects": [f"{prefix}.>"],
        "storage": "file",
        "retention": "limits",
        "discard": "new",
        "max_msgs": -1,
        "max_bytes": -1,
        "max_age": 0,
        "max_msgs_per_subject": -1,
        "max_msg_size": -1,
        "max_consumers": -1,
        "num_replicas": 1,
        "duplicate_window": DUPLICATE_WINDOW * 1_000_000_000,
        "deny_delete": True,
        "deny_purge": True,
        "allow_rollup_hdrs": False,
        "allow_direct": True,
    }


class _Rule(NamedTuple):
    field: str
    holds: Callable[[Any], bool]
    must: str
    otherwise: str


def _unlimited(value: Any) -> bool:
    return value in (None, -1, 0)


def _absent(value: Any) -> bool:
    return not value


_RULES = (
    _Rule("storage", lambda v: v == "file", '"file"', "commits would not survive a restart"),
    _Rule("retention", lambda v: v == "limits", '"limits"', "read commits would be deleted"),
    _Rule("discard", lambda v: v == "new", '"new"', "old commits would make room for new ones"),
    _Rule("max_msgs", _unlimited, "unlimited", "the log would stop or drop at that many commits"),
    _Rule("max_bytes", _unlimited, "unlimited", "the log would stop or drop at that size"),
    _Rule("max_age", _unlimited, "unlimited", "old commits would be deleted"),
    _Rule("max_msgs_per_subject", _unlimited, "unlimited", "sessions would lose old commits"),
    _Rule("max_msg_size", _unlimited, "unlimited", "large commits would be refused"),
    _Rule("max_consumers", _unlimited, "unlimited", "services could not follow the log"),
    _Rule("deny_delete", lambda v: v is True, "true", "commits could be deleted"),
    _Rule("deny_purge", lambda v: v is True, "true", "the log could be emptied"),
    _Rule("allow_rollup_hdrs", _absent, "false", "a message could replace a session's commits"),
    _Rule("allow_direct", lambda v: v is True, "true", "sessions could not be loaded"),
    _Rule("allow_msg_ttl", _absent, "false", "commits could expire"),
    _Rule("no_ack", _absent, "false", "a commit would never be confirmed"),
    _Rule("sealed", _absent, "false", "nothing could be written"),
    _Rule("mirror", _absent, "absent", "nothing could be written"),
    _Rule("sources", _absent, "absent", "messages of other streams would mix with commits"),
    _Rule("subject_transform", _absent, "absent", "commits would change their session"),
    _Rule(
        "persist_mode",
        lambda v: v in (None, "", "default"),
        '"default"',
        "a commit would be confirmed before it is on disk",
    ),
)


def check_stream(live: Config, name: str, prefix: str) -> None:
    """Compare the live configuration with what the log needs; names every wrong field."""
    wrong = [
        f"{rule.field} is {_shown(live.get(rule.field))}, must be {rule.must}: {rule.otherwise}"
        for rule in _RULES
        if not rule.holds(live.get(rule.field))
    ]
    if live.get("subjects") != [f"{prefix}.>"]:
        wrong.insert(
            0,
            f"subjects is {_shown(live.get('subjects'))}, must be [{prefix}.>]: "
            "commits would be missing from the log",
        )
    if wrong:
        raise LogMisconfigured(
            f"The stream {name} is not safe to keep the log in:\n- " + "\n- ".join(wrong)
        )


def check_server(version: tuple[int, int], *, jetstream: bool, max_payload: int) -> None:
    """Compare what the server says of itself with what the log needs."""
    wrong = []
    if version < MINIMUM_VERSION:
        wrong.append(f"version is {_dotted(version)}, must be at least {_dotted(MINIMUM_VERSION)}")
    if not jetstream:
        wrong.append("jetstream is off, must be on")
    if max_payload < MINIMUM_PAYLOAD:
        wrong.append(f"max_payload is {max_payload} bytes, must be at least {MINIMUM_PAYLOAD}")
    if wrong:
        raise LogMisconfigured("The nats-server is not fit for the log:\n- " + "\n- ".join(wrong))


def check_sync(variables: Config) -> None:
    """`variables` is the server's answer to VARZ. Raises unless each write is synced to disk."""
    found = variables.get("jetstream", {}).get("config", {})
    if not found.get("sync_always"):
        interval = found.get("sync_interval", 0) / 1e9
        raise LogMisconfigured(
            f"The nats-server syncs to disk every {interval:g} s, must be `sync_interval: always`: "
            "a power cut would lose commits that were confirmed."
        )


def _shown(value: Any) -> str:
    return "absent" if value is None else repr(value)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
