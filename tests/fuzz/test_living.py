"""The campaigns in short, and what once did harm to a living server."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz.child import child
from tests.fuzz.parsers import CRASHES
from tests.fuzz.villains import scene
from tests.fuzz_media import NODE, besiege
from tests.fuzz_signaling import intrude


async def test_villains_do_no_harm_to_a_media_node() -> None:
    outcome = await besiege(1, 60.0, rounds=45, keep=None)
    assert outcome.problems == []
    assert outcome.rounds == 45
    assert outcome.tried["publisher rtp"] > 100
    assert outcome.state["forwarded"] > 100


async def test_intruders_do_no_harm_to_the_gateway() -> None:
    outcome = await intrude(1, 60.0, rounds=30, keep=None)
    assert outcome.problems == []
    assert outcome.rounds == 30
    assert outcome.tried["frames"] > 100


async def test_what_was_kept_of_villains_does_no_harm_again(tmp_path: Path) -> None:
    async with child(NODE) as node, scene(node, 2) as stage:
        for _ in range(5):
            await stage.round()
        for file in (stage.keep(tmp_path, "2"), *sorted(CRASHES.glob("node-*"))):
            await stage.replay(file)
        assert (await node.ask("report"))["problems"] == []
