"""Head and body of an answer leave in one write, and in order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from services.api.http import Joined


class Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.writes.append(b"".join(bytes(data) for data in list_of_data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


async def test_two_writes_in_one_turn_are_one() -> None:
    wire = Wire()
    joined = Joined(wire, asyncio.get_running_loop())
    joined.write(b"head ")
    joined.write(b"body")
    assert wire.writes == [b"head body"]
    await asyncio.sleep(0)
    assert wire.writes == [b"head body"]


async def test_a_write_alone_leaves_at_the_end_of_the_turn() -> None:
    wire = Wire()
    joined = Joined(wire, asyncio.get_running_loop())
    joined.write(b"head")
    assert wire.writes == []
    await asyncio.sleep(0)
    assert wire.writes == [b"head"]


async def test_bytes_keep_their_order_whatever_their_number() -> None:
    wire = Wire()
    joined = Joined(wire, asyncio.get_running_loop())
    sent = [bytes([number]) for number in range(7)]
    for turn in (sent[:3], sent[3:4], sent[4:]):
        for data in turn:
            joined.write(data)
        await asyncio.sleep(0)
    assert b"".join(wire.writes) == b"".join(sent)


async def test_closing_sends_what_is_held() -> None:
    wire = Wire()
    joined = Joined(wire, asyncio.get_running_loop())
    joined.write(b"last words")
    joined.close()
    assert (wire.writes, wire.closed) == ([b"last words"], True)


async def test_nothing_is_written_to_what_was_closed_meanwhile() -> None:
    wire = Wire()
    joined = Joined(wire, asyncio.get_running_loop())
    joined.write(b"too late")
    wire.close()
    await asyncio.sleep(0)
    assert wire.writes == []
    assert joined.is_closing()
