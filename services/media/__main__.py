"""`python -m services.media`: one media worker."""

from __future__ import annotations

from services.media.codecless import forbid_codecs
from services.process import run


def start() -> None:
    forbid_codecs()
    from services.media.service import main  # noqa: PLC0415 - imports aiortc

    run("media", main)


if __name__ == "__main__":
    start()
