"""The commented example file `.env.example`, made from the tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from textwrap import wrap
from typing import Any

from . import community, deployment, enterprise, own, pro
from .load import load
from .property import Property

_HEAD = """\
# Settings of Tertulia, made by `make env-example`. Copy this file to .env and change what you need:
# take away the # before a name. Every line here shows the default, as long as nothing else is set.
#
# A line is KEY=value, with nothing trimmed and no quotes around the value. A key in this file wins
# over the environment, even if its value is empty. A wrong value stops the start.
"""
_CHAPTERS = (
    ("Tertulia", own.OWN),
    ("Addresses and security", community.ADDRESSING),
    ("CDR and webhook", community.WEBHOOK),
    ("Recording", community.RECORDING),
    ("Streams, codecs, housekeeping", community.STREAMS),
    ("ICE and media servers", community.ICE),
    ("Cluster", pro.CLUSTER),
    ("Monitoring and quality", pro.MONITORING),
    ("Storage of recordings", pro.STORAGE),
    ("Speech to text, media nodes", pro.SPEECH_AND_NODES),
    ("High availability", enterprise.ENTERPRISE),
    ("Deployment", deployment.DEPLOYMENT),
)
_INERT = "Checked and shown by GET /openvidu/api/config, without effect in this version:"


def example() -> str:
    """The whole file."""
    values = load({}).properties
    chapters = (_chapter(title, items, values) for title, items in _CHAPTERS)
    return _HEAD + "".join("\n".join(lines) + "\n" for lines in chapters)


def _chapter(title: str, items: Iterable[Property], values: Any) -> Iterator[str]:
    yield ""
    yield ""
    yield f"# ---- {title} ".ljust(99, "-")
    items = list(items)
    for item in items:
        if not item.inert:
            yield from _entry(item, values)
    inert = [item for item in items if item.inert]
    if inert:
        yield ""
        yield f"# {_INERT}"
    for item in inert:
        yield from _entry(item, values)


def _entry(item: Property, values: Any) -> Iterator[str]:
    yield ""
    text = f"{item.doc} Accepts {item.kind.accepts}."
    yield from wrap(text, 99, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
    default = item.default if isinstance(item.default, str) else _text(values[item.name])
    yield f"#{item.name}={default}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
