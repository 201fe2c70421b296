"""The few EBML elements a WebM file needs (RFC 8794, RFC 9559)."""

from __future__ import annotations

from struct import pack

EBML = b"\x1a\x45\xdf\xa3"
SEGMENT = b"\x18\x53\x80\x67"
SEEK_HEAD = b"\x11\x4d\x9b\x74"
SEEK = b"\x4d\xbb"
SEEK_ID = b"\x53\xab"
SEEK_POSITION = b"\x53\xac"
VOID = b"\xec"
INFO = b"\x15\x49\xa9\x66"
TIMESTAMP_SCALE = b"\x2a\xd7\xb1"
DURATION = b"\x44\x89"
MUXING_APP = b"\x4d\x80"
WRITING_APP = b"\x57\x41"
TRACKS = b"\x16\x54\xae\x6b"
TRACK_ENTRY = b"\xae"
TRACK_NUMBER = b"\xd7"
TRACK_UID = b"\x73\xc5"
TRACK_TYPE = b"\x83"
FLAG_LACING = b"\x9c"
LANGUAGE = b"\x22\xb5\x9c"
CODEC_ID = b"\x86"
CODEC_PRIVATE = b"\x63\xa2"
SEEK_PRE_ROLL = b"\x56\xbb"
VIDEO = b"\xe0"
PIXEL_WIDTH = b"\xb0"
PIXEL_HEIGHT = b"\xba"
AUDIO = b"\xe1"
SAMPLING_FREQUENCY = b"\xb5"
CHANNELS = b"\x9f"
CLUSTER = b"\x1f\x43\xb6\x75"
TIMESTAMP = b"\xe7"
SIMPLE_BLOCK = b"\xa3"
CUES = b"\x1c\x53\xbb\x6b"
CUE_POINT = b"\xbb"
CUE_TIME = b"\xb3"
CUE_TRACK_POSITIONS = b"\xb7"
CUE_TRACK = b"\xf7"
CUE_CLUSTER_POSITION = b"\xf1"

UNKNOWN_SIZE = b"\x01" + b"\xff" * 7


def size(value: int) -> bytes:
    """A size in as few bytes as it takes."""
    for length in range(1, 9):
        if value < (1 << 7 * length) - 1:
            return (1 << 7 * length | value).to_bytes(length, "big")
    raise ValueError(f"{value} is no size")


def long_size(value: int) -> bytes:
    """A size in eight bytes, so that another can take its place."""
    return (1 << 56 | value).to_bytes(8, "big")


def element(identifier: bytes, data: bytes) -> bytes:
    return identifier + size(len(data)) + data


def uint(identifier: bytes, value: int, length: int = 0) -> bytes:
    """`length` in bytes; 0 takes as few as possible."""
    length = length or max(1, (value.bit_length() + 7) // 8)
    return element(identifier, value.to_bytes(length, "big"))


def real(identifier: bytes, value: float) -> bytes:
    """Eleven bytes with a two-byte identifier."""
    return element(identifier, pack("!d", value))


def text(identifier: bytes, value: str) -> bytes:
    return element(identifier, value.encode())


def void(total: int) -> bytes:
    """`total` bytes (2 to 127) that mean nothing."""
    return VOID + size(total - 2) + bytes(total - 2)


def read_size(data: bytes, offset: int) -> tuple[int, int]:
    """A size and how many bytes it took. Raises `ValueError` if there is none."""
    if offset >= len(data) or not data[offset]:
        raise ValueError("no size here")
    length = 9 - data[offset].bit_length()
    if offset + length > len(data):
        raise ValueError("a size is cut off")
    value = int.from_bytes(data[offset : offset + length], "big")
    return value & (1 << 7 * length) - 1, length
