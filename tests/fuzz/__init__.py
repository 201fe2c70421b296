"""Hostile inputs: how they are made, what they are given to, and what is measured meanwhile.

`tests/fuzz_media.py` and `tests/fuzz_signaling.py` run for minutes; `crashes/` keeps every input
that once did harm, and the suite replays them all.
"""
