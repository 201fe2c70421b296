"""The parsers, guided by coverage: `python -m tests.fuzz.guided sdp -max_total_time=600`.

Needs `atheris` (pip install atheris), which nothing else does, so it is none of the pins. What
follows the target are options of libFuzzer. A crash is written to `crashes/` for the suite.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["services", "aioice"]):
    from tests.fuzz.parsers import CRASHES, inputs
    from tests.fuzz.targets import TARGETS


def main() -> None:
    target, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory() as corpus:
        for number, data in enumerate(islice(inputs(target, 1), 500)):
            Path(corpus, str(number)).write_bytes(data)
        attack: Callable[[bytes], None] = TARGETS[target]
        prefix = f"-artifact_prefix={CRASHES}/{target}-"
        atheris.Setup([sys.argv[0], prefix, "-timeout=5", *options, corpus], attack)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
