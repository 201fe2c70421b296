"""ICE-lite's only duty: answer authenticated Binding requests, stay silent on all else.

No error replies but 487 (a lite agent is always controlled): the port is no reflector.
"""

from __future__ import annotations

from struct import Struct, error
from typing import NamedTuple

from aioice import stun

Address = tuple[str, int]

_header = Struct("!HHI")
_attribute = Struct("!HH")
BINDING_REQUEST = 0x0001
USERNAME = 0x0006
MAX_SIZE = 548  # a check of a browser has 88 to 108 bytes


class Check(NamedTuple):
    """A request that passed the integrity check. `accepted` is false for a role conflict."""

    response: bytes
    accepted: bool
    nominated: bool


def addressee(datagram: bytes) -> str | None:
    """Our ufrag in a Binding request; cheap, so that garbage costs little.

    `USERNAME` is `<our ufrag>:<theirs>`.
    """
    size = len(datagram)
    if not stun.HEADER_LENGTH <= size <= MAX_SIZE:
        return None
    kind, length, cookie = _header.unpack_from(datagram)
    if kind != BINDING_REQUEST or cookie != stun.COOKIE or length + stun.HEADER_LENGTH != size:
        return None
    offset = stun.HEADER_LENGTH
    while offset + 4 <= size:
        attribute, length = _attribute.unpack_from(datagram, offset)
        if attribute == USERNAME:
            name = datagram[offset + 4 : offset + 4 + length].partition(b":")[0]
            return name.decode("ascii", "replace")
        offset += 4 + length + -length % 4
    return None


def check(datagram: bytes, password: bytes, source: Address) -> Check | None:
    """Verify a Binding request with our password and write the answer; `None`: drop it."""
    try:
        request = stun.parse_message(datagram)
    except (ValueError, error):
        return None
    if not request.check_message_integrity(password):
        return None
    accepted = "ICE-CONTROLLED" not in request.attributes
    response = stun.Message(
        message_method=stun.Method.BINDING,
        message_class=stun.Class.RESPONSE if accepted else stun.Class.ERROR,
        transaction_id=request.transaction_id,
    )
    if accepted:
        response.attributes["XOR-MAPPED-ADDRESS"] = source
    else:
        response.attributes["ERROR-CODE"] = (487, "Role Conflict")
    response.add_message_integrity(password)
    return Check(bytes(response), accepted, accepted and "USE-CANDIDATE" in request.attributes)
