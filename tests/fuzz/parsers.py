"""The campaign against the parsers, in this process: fast, and nothing but them."""

from __future__ import annotations

import json
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from tests.fuzz import samples
from tests.fuzz.measure import GROWTH_LIMIT, STALL_LIMIT, resident
from tests.fuzz.mutation import Mutator
from tests.fuzz.targets import TARGETS

CRASHES = Path(__file__).with_name("crashes")
MEDIA = ("sdp", "rtcp", "rtp", "stun")
WARM_UP = 2000  # inputs of each target


@dataclass(slots=True)
class Findings:
    tried: Counter[str] = field(default_factory=Counter)
    crashes: dict[str, str] = field(default_factory=dict)  # file name -> where it raised
    slowest: dict[str, float] = field(default_factory=dict)  # ms of CPU for one input
    growth: int = 0  # KiB

    def problems(self) -> list[str]:
        found = [f"{name}\n{text}" for name, text in self.crashes.items()]
        found += [
            f"{name}: {spent:.0f} ms of CPU for one input"
            for name, spent in self.slowest.items()
            if spent > STALL_LIMIT
        ]
        if self.growth > GROWTH_LIMIT:
            found.append(f"memory grew by {self.growth} KiB")
        return found

    def show(self) -> None:
        print(f"Parsers: {self.tried.total()} inputs; memory grew by {self.growth} KiB")
        for name, count in self.tried.items():
            print(f"  {name:24} {count:>10}   slowest {self.slowest.get(name, 0):6.1f} ms of CPU")


def inputs(target: str, seed: int) -> Iterator[bytes]:
    """Without end, the same for the same seed."""
    mutator = Mutator(seed)
    chance = mutator.random
    while True:
        rough = chance.random() < 0.15
        match target:
            case "sdp":
                text = chance.choice(samples.DESCRIPTIONS)
                data = mutator.lines(text, samples.DESCRIPTIONS).encode()
            case "rtcp":
                data = mutator.rtcp(samples.COMPOUNDS)
            case "rtp":
                data = mutator.rtp(samples.PACKETS)
            case "stun":
                data = mutator.stun(samples.check(), samples.LOCAL_PASSWORD.encode())
            case _:
                data = json.dumps(mutator.json(json.loads(chance.choice(samples.FRAMES)))).encode()
        yield mutator.octets(data) if rough else data


def attack(
    targets: tuple[str, ...],
    seed: int,
    more: Callable[[Counter[str]], bool],
    keep: Path | None = CRASHES,
) -> Findings:
    """Give each target its inputs in turn as long as `more` says of the counts of inputs tried.
    What does harm is written to the folder `keep`."""
    found = Findings()
    streams = {target: inputs(target, seed) for target in targets}
    known: set[str] = set()  # one input is kept of each kind of harm
    warm = 0
    while more(found.tried):
        for target, stream in streams.items():
            for _ in range(100):
                data = next(stream)
                harm, spent = _give(target, data)
                found.tried[target] += 1
                if spent > found.slowest.get(target, 0.0) and found.tried[target] > 100:
                    found.slowest[target] = spent
                if (harm or spent > STALL_LIMIT) and harm not in known:
                    known.add(harm)
                    name = f"{target}-{sha256(data).hexdigest()[:8]}"
                    if harm:
                        found.crashes[name] = harm
                    if keep is not None:
                        (keep / name).write_bytes(data)
        if not warm and min(found.tried.values()) >= WARM_UP:
            warm = resident()
    if warm:
        found.growth = resident() - warm
    return found


def _give(target: str, data: bytes) -> tuple[str, float]:
    """Where it raised, if it did, and ms of CPU."""
    before = time.thread_time()
    try:
        TARGETS[target](data)
    except Exception as error:
        places = traceback.format_tb(error.__traceback__, limit=-3)
        return "".join((*places, type(error).__name__)), 0.0
    return "", (time.thread_time() - before) * 1000
