"""Seeded mutations: of bytes, of lines, of JSON values, and of datagrams by their grammar."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from random import Random
from typing import Any

from aioice import stun

NUMBERS = (0, 1, 2, 15, 16, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
TEXTS = (
    "", " ", "\r", "\n", "\r\na=inactive", "\0", "%s", "../..", "*", "-1", "0", "65536", "1e999",
    "4294967296", "99999999999999999999", "١٢٣", "é", "😀", "\u2028", "x" * 300, ":" * 50,
    ";" * 300, " " * 300, "=", "a=b=c", "~", "FID 0 0",
)  # fmt: skip
JSON_LEAVES: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**31, 2**63, 2**64, -(2**70), 1.5, -0.0, 1e308, "", "\0", "😀",
    "x" * 5000, "\u2028", [], {}, [None], {"": ""}, {"__proto__": {}}, "tok_", "con_", "str_",
)  # fmt: skip
LARGEST_DATAGRAM = 1500


class Mutator:
    """The same seed makes the same inputs."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    # Bytes

    def octets(self, sample: bytes, others: Sequence[bytes] = ()) -> bytes:
        data = bytearray(sample)
        for _ in range(self.random.randint(1, 4)):
            self._octets_once(data, others)
        return bytes(data)

    def _octets_once(self, data: bytearray, others: Sequence[bytes]) -> None:
        chance = self.random
        at = chance.randrange(len(data) + 1)
        match chance.randrange(9):
            case 0 if data:
                data[at % len(data)] ^= 1 << chance.randrange(8)
            case 1 if data:
                data[at % len(data)] = chance.choice(NUMBERS) & 0xFF
            case 2:
                del data[at:]
            case 3:
                del data[at : at + chance.randint(1, 8)]
            case 4:
                data[at:at] = chance.randbytes(chance.randint(1, 8))
            case 5:
                piece = bytes(data[at : at + chance.randint(1, 64)])
                data[at:at] = piece * chance.randint(1, 8)
            case 6:
                data[at : at + 2] = struct.pack("!H", chance.choice(NUMBERS) & 0xFFFF)
            case 7:
                data[at : at + 4] = struct.pack("!I", chance.choice(NUMBERS))
            case 8 if others:
                other = chance.choice(others)
                data[at:] = other[chance.randrange(len(other) + 1) :]

    # Lines: session descriptions

    def lines(self, sample: str, others: Sequence[str] = ()) -> str:
        lines = sample.split("\r\n")
        for _ in range(self.random.randint(1, 5)):
            self._lines_once(lines, others)
        return "\r\n".join(lines)

    def _lines_once(self, lines: list[str], others: Sequence[str]) -> None:
        chance = self.random
        if not lines:
            lines.append("v=0")
        at = chance.randrange(len(lines))
        match chance.randrange(9):
            case 0:
                del lines[at]
            case 1:
                lines[at:at] = [lines[at]] * chance.choice((1, 2, 70, 300))
            case 2:
                lines.insert(chance.randrange(len(lines) + 1), lines.pop(at))
            case 3:
                words = lines[at].split(" ")
                words[chance.randrange(len(words))] = self._text()
                lines[at] = " ".join(words)
            case 4:
                name, colon, value = lines[at].partition(":")
                lines[at] = name + colon + (self._text() if chance.random() < 0.5 else value * 2)
            case 5:
                place = chance.randrange(len(lines[at]) + 1)
                lines[at] = lines[at][:place] + self._text() + lines[at][place:]
            case 6:
                lines[at] = "".join(
                    str(chance.choice(NUMBERS)) if c.isdigit() and chance.random() < 0.3 else c
                    for c in lines[at]
                )
            case 7 if others:
                other = chance.choice(others).split("\r\n")
                start = chance.randrange(len(other))
                lines[at:at] = other[start : start + chance.randint(1, 40)]
            case 8:
                del lines[at:]

    def _text(self) -> str:
        return self.random.choice((*TEXTS, str(self.random.choice(NUMBERS))))

    # JSON

    def json(self, value: Any) -> Any:
        """A changed copy: of a member somewhere inside, or of the whole."""
        chance = self.random
        if isinstance(value, dict) and value and chance.random() < 0.85:
            copy = dict(value)
            name = chance.choice(tuple(copy))
            match chance.randrange(5):
                case 0:
                    del copy[name]
                case 1:
                    copy[chance.choice((*copy, "", "dest", "sessionId", "x" * 999))] = self._leaf()
                case 2:
                    copy[name] = copy[chance.choice(tuple(copy))]
                case _:
                    copy[name] = self.json(copy[name])
            return copy
        if isinstance(value, list) and value and chance.random() < 0.7:
            items = list(value)
            items[chance.randrange(len(items))] = self.json(items[0])
            return items * chance.choice((1, 1, 2, 500))
        if isinstance(value, str) and chance.random() < 0.5:
            place = chance.randrange(len(value) + 1)
            return value[:place] + self._text() + value[place + chance.randrange(3) :]
        return self._leaf()

    def _leaf(self) -> Any:
        chance = self.random
        leaf = chance.choice(JSON_LEAVES)
        for _ in range(chance.choice((0, 0, 0, 1, 3, 60))):
            leaf = [leaf] if chance.random() < 0.5 else {"a": leaf}
        return leaf

    # Datagrams

    def rtcp(self, samples: Sequence[bytes]) -> bytes:
        """A compound of several packets: some as they are, some with other fields or lengths."""
        chance = self.random
        compound = b""
        for _ in range(chance.choice((1, 1, 2, 3, 8, 40))):
            packet = bytearray(chance.choice(samples))
            match chance.randrange(7):
                case 0:
                    packet[0] = chance.choice((0x80, 0x81, 0x9F, 0xA0, 0xBF, 0x40, 0xC1))
                case 1:
                    packet[1] = chance.randint(192, 223)
                case 2:
                    packet[2:4] = struct.pack("!H", chance.choice(NUMBERS) & 0xFFFF)
                case 3:
                    filling = chance.randbytes(4 * chance.choice((1, 10, 100, 300)))
                    packet += filling
                    packet[2:4] = struct.pack("!H", len(packet) // 4 - 1)
                case 4:
                    self._octets_once(packet, samples)
            compound += packet
        return compound[:LARGEST_DATAGRAM]

    def rtp(self, samples: Sequence[bytes]) -> bytes:
        """A packet with strange flags, extensions, padding, payload; SSRC and type mostly kept."""
        chance = self.random
        packet = bytearray(chance.choice(samples))
        for _ in range(chance.randint(1, 3)):
            match chance.randrange(9):
                case 0:  # sequence number: mostly near, to be taken as a gap or as late
                    step = chance.choice((0, 1, 2, 17, 255, 256, 257, 0x7FFF, 0x8000, 0xFFFF))
                    number = (int.from_bytes(packet[2:4], "big") + step) & 0xFFFF
                    packet[2:4] = struct.pack("!H", number)
                case 1:
                    packet[4:8] = struct.pack("!I", chance.choice(NUMBERS))
                case 2:
                    packet[0] = 0x80 | chance.randrange(64)
                case 3:
                    profile = chance.choice((0xBEDE, 0x1000, 0x100F, 0x0000, 0xFFFF))
                    words = chance.choice((0, 1, 2, 50, 300, 0xFFFF))
                    elements = chance.randbytes(4 * min(words, 60))
                    packet[0] |= 0x10
                    packet[12:12] = struct.pack("!HH", profile, words) + elements
                case 4:
                    packet[0] |= 0x20
                    packet += bytes(3) + bytes((chance.choice(NUMBERS) & 0xFF,))
                case 5:
                    del packet[12 + chance.randrange(max(1, len(packet) - 11)) :]
                case 6:
                    packet += chance.randbytes(chance.choice((1, 100, 1200)))
                case 7:
                    packet[12:] = self.octets(bytes(packet[12:]), samples)
                case 8 if chance.random() < 0.2:
                    packet = bytearray(self.octets(bytes(packet), samples))
            if len(packet) < 12:
                break
        return bytes(packet[:LARGEST_DATAGRAM])

    def stun(self, sample: bytes, key: bytes) -> bytes:
        """Attributes dropped, doubled, changed, of wrong lengths; mostly signed again."""
        chance = self.random
        attributes = _attributes(sample)
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(attributes) + 1)
            match chance.randrange(5):
                case 0 if at < len(attributes):
                    del attributes[at]
                case 1 if at < len(attributes):
                    attributes[at:at] = [attributes[at]] * chance.choice((1, 2, 40))
                case 2 if at < len(attributes):
                    kind, value, length = attributes[at]
                    attributes[at] = (kind, self.octets(value) if value else b"x", length)
                case 3 if at < len(attributes):
                    kind, value, _ = attributes[at]
                    attributes[at] = (kind, value, chance.choice(NUMBERS) & 0xFFFF)
                case _:
                    kind = chance.choice((*stun.ATTRIBUTES_BY_TYPE, 0xFFFF, 0x8000, 0x0002))
                    value = chance.randbytes(chance.choice((0, 1, 3, 4, 8, 20, 200)))
                    attributes.insert(at, (kind, value, None))
        data = sample[:20]
        for kind, value, length in attributes:
            told = len(value) if length is None else length
            data += struct.pack("!HH", kind, told) + value + bytes(-len(value) % 4)
        data = stun.set_body_length(data, (len(data) - 20) & 0xFFFF)
        if chance.random() < 0.8 and len(data) < 0x8000:
            digest = stun.message_integrity(data, key)
            data += struct.pack("!HH", 0x0008, 20) + digest
            data = stun.set_body_length(data, len(data) - 20)
            if chance.random() < 0.8:
                data += struct.pack("!HHI", 0x8028, 4, stun.message_fingerprint(data))
                data = stun.set_body_length(data, len(data) - 20)
        return data if chance.random() < 0.9 else self.octets(data)


def _attributes(message: bytes) -> list[tuple[int, bytes, int | None]]:
    """Those before the signature: type, value, and a length to lie with."""
    found: list[tuple[int, bytes, int | None]] = []
    offset = 20
    while offset + 4 <= len(message):
        kind, length = struct.unpack_from("!HH", message, offset)
        if kind == 0x0008:
            break
        found.append((kind, message[offset + 4 : offset + 4 + length], None))
        offset += 4 + length + -length % 4
    return found
