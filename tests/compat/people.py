"""Two people who talk to each other, in real pages with real media."""

from __future__ import annotations

from typing import NamedTuple

from tests.e2e.page_client import Client, Pages

CAMERA = {"resolution": "320x240", "frameRate": 15}  # small, as the machine may be


class Couple(NamedTuple):
    """Each publishes one stream and plays the other's."""

    ana: Client
    ben: Client
    of_ana: str
    of_ben: str


async def meet(pages: Pages, for_ana: str, for_ben: str) -> Couple:
    """With these tokens. Ben joins first, whoever was made first."""
    ana, ben = await pages.open(), await pages.open()
    await ben.join(for_ben, "client: ben")
    await ana.join(for_ana, "client: ana")
    couple = Couple(ana, ben, await ana.publish(**CAMERA), await ben.publish(**CAMERA))
    await ana.sees("streamPlaying", stream=couple.of_ben)
    await ben.sees("streamPlaying", stream=couple.of_ana)
    return couple
