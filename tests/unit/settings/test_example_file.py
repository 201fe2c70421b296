"""`.env.example` tells the truth."""

from __future__ import annotations

import re
from pathlib import Path

from services.settings import dotenv
from services.settings.example import example
from services.settings.load import load
from services.settings.table import PROPERTIES

FILE = Path(__file__).parents[3] / ".env.example"


def test_the_file_is_what_the_tables_make() -> None:
    assert FILE.read_text() == example(), "run `make env-example`"


def test_every_setting_is_in_it_once() -> None:
    names = re.findall(r"^#([A-Z0-9_]+)=", FILE.read_text(), re.MULTILINE)
    assert len(names) == len(set(names))
    assert set(names) == set(PROPERTIES)


def test_as_it_is_it_changes_nothing() -> None:
    found = dotenv.read(FILE)
    assert found.values == {}
    assert not found.bad_lines


def test_with_every_line_in_force_it_gives_the_defaults(tmp_path: Path) -> None:
    text = re.sub(r"^#([A-Z0-9_]+=)", r"\1", FILE.read_text(), flags=re.MULTILINE)
    (tmp_path / ".env").write_text(text)
    found = dotenv.read(tmp_path / ".env")
    assert found.values.keys() == PROPERTIES.keys()
    assert load({}, found.values) == load({})
