"""Tables in Markdown."""

from __future__ import annotations


class Table:
    def __init__(self, *heads: str) -> None:
        self._lines: list[tuple[str, ...]] = [heads, ("-",) * len(heads)]

    def add(self, *cells: str) -> None:
        """Missing cells are empty."""
        self._lines.append(cells + ("",) * (len(self._lines[0]) - len(cells)))

    def print(self) -> None:
        for line in self._lines:
            print("| " + " | ".join(line) + " |")
        print(flush=True)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
