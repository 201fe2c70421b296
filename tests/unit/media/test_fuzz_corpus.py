"""Every input that once did harm, again; and a short walk with the mutations of the campaigns."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import samples
from tests.fuzz.parsers import CRASHES, MEDIA, attack
from tests.fuzz.targets import TARGETS

KEPT = sorted(file for file in CRASHES.iterdir() if file.name.partition("-")[0] in TARGETS)
GOOD = {
    "sdp": [text.encode() for text in samples.DESCRIPTIONS],
    "rtcp": list(samples.COMPOUNDS),
    "rtp": list(samples.PACKETS),
    "stun": [samples.check()],
    "rpc": [text.encode() for text in samples.FRAMES],
}


@pytest.mark.parametrize("file", KEPT, ids=lambda file: file.name)
def test_what_did_harm_does_none_any_more(file: Path) -> None:
    TARGETS[file.name.partition("-")[0]](file.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_the_samples_are_good(target: str) -> None:
    for data in GOOD[target]:
        TARGETS[target](data)


def test_mutations_do_no_harm() -> None:
    found = attack((*MEDIA, "rpc"), 1, lambda tried: min(tried.values(), default=0) < 300, None)
    assert found.crashes == {}
