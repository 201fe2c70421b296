"""One transport of one client: ICE-lite addresses, the DTLS association, and who uses its media.

A client's every PeerConnection is a leg of its own; a reconnection makes a new one, for clients
never restart ICE on a living one. Legs are told apart by our ufrag.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from secrets import choice
from string import ascii_letters, digits
from time import monotonic
from typing import Protocol

import structlog

from . import stun
from .dtls import Dtls, DtlsFailed, Fingerprint, Identity, fingerprint
from .negotiation import Ice
from .port import Port
from .stun import Address

CONSENT = 30.0  # seconds without a valid check (RFC 7675)
MAX_ADDRESSES = 8
ADDRESS_HELD = 10.0  # seconds a checked address stays with its leg if another claims it
CHECKS_PER_SECOND = 50
log = structlog.get_logger(__name__)
_ALPHABET = ascii_letters + digits


class State(Enum):
    OFFERED = "offered"  # waits for the client's answer
    CONNECTING = "connecting"
    READY = "ready"
    CLOSED = "closed"


class User(Protocol):
    """A publication or a subscription on a leg."""

    def ready(self, now: float) -> None:
        """Keys are there, media may flow."""
        ...

    def closed(self, reason: str) -> None:
        """The leg has ended by itself."""
        ...

    def feedback(self, compound: bytes, now: float) -> None:
        """Decrypted RTCP of the client."""
        ...

    def unknown(self, packet: bytes, now: float) -> None:
        """A decrypted RTP packet of an SSRC that is not known."""
        ...


class Leg:
    def __init__(
        self,
        port: Port,
        identity: Identity,
        hosts: tuple[str, ...],
        handshake: Callable[[Leg, bytes], None],
    ) -> None:
        """`hosts` are the addresses clients are told; `handshake` takes DTLS datagrams until the
        leg is connected and brings them to `dtls.feed` when there is time."""
        self._handshake = handshake
        self._port = port
        certificate = identity.current()
        self.endpoint = port.make_endpoint(self)
        self.dtls = Dtls(certificate, self._send)
        self.state = State.OFFERED
        self.users: list[User] = []
        self.created_at = self.checked_at = monotonic()
        self.ice = Ice(_secret(12), _secret(24), hosts, port.address[1], fingerprint(certificate))
        self._addresses: dict[Address, float] = {}
        self._checks = {True: 0, False: 0}
        self._checks_since = 0.0

    def check(self, datagram: bytes, address: Address, now: float) -> None:
        """A Binding request that names our ufrag. Those from addresses of the client are counted
        by themselves: who has seen the ufrag must not use up their turns."""
        if now - self._checks_since >= 1:
            self._checks, self._checks_since = {True: 0, False: 0}, now
        is_known = address in self._addresses
        self._checks[is_known] += 1
        if self._checks[is_known] > CHECKS_PER_SECOND or self.state is State.CLOSED:
            return
        checked = stun.check(datagram, self.ice.password.encode(), address)
        if checked is None:
            return
        if checked.accepted:
            if not self._claim(address, now):
                return
            self.checked_at = now
            if self.endpoint.address is None or checked.nominated:
                self._port.aim(self.endpoint, address)
        self._port.send_datagram(checked.response, address)

    def _claim(self, address: Address, now: float) -> bool:
        """An address has one owner: a forged source address must not steal another's media."""
        holder = self._port.owner(address)
        if holder is not None and holder is not self.endpoint:
            other = holder.leg
            assert isinstance(other, Leg)  # noqa: S101 - only legs are routed to
            if now - other._addresses.get(address, 0.0) < ADDRESS_HELD:
                return False
            other._forget(address)
        self._addresses.pop(address, None)
        self._addresses[address] = now  # the latest is last
        self._port.route(address, self.endpoint)
        if len(self._addresses) > MAX_ADDRESSES:
            self._forget(next(a for a in self._addresses if a != self.endpoint.address))
        return True

    def _forget(self, address: Address) -> None:
        self._addresses.pop(address, None)
        self._port.unroute(address)

    def _send(self, datagram: bytes) -> None:
        if self.endpoint.address is not None:
            self._port.send_datagram(datagram, self.endpoint.address)

    def dtls_received(self, datagram: bytes) -> None:
        if self.state is State.READY:
            self.dtls.feed(datagram)
        else:
            self._handshake(self, datagram)

    def rtcp_received(self, compound: bytes, now: float) -> None:
        for user in self.users:
            user.feedback(compound, now)

    def unknown_received(self, packet: bytes, now: float) -> None:
        for user in self.users:
            user.unknown(packet, now)

    def send_rtcp(self, compound: bytes) -> None:
        self._port.send_rtcp(self.endpoint, compound)

    async def run(
        self, fingerprints: Sequence[Fingerprint], ended: Callable[[Leg, str], None]
    ) -> None:
        """From the handshake to the end; `ended` is told why, unless `close` was the cause. The
        leg is CONNECTING, or CLOSED again already."""
        reason = ""
        try:
            if self.state is State.CONNECTING:
                reason = await self._live(fingerprints)
        except Exception:  # one client's trouble must not end the others
            log.exception("leg failed")
            reason = "internal error"
        finally:
            by_itself = self.state is not State.CLOSED
            self.close()
            await self.dtls.stop()
            self._forget_all()
            if by_itself:
                ended(self, reason)
            self._let_go()

    async def _live(self, fingerprints: Sequence[Fingerprint]) -> str:
        try:
            keys = await self.dtls.handshake(fingerprints)
        except DtlsFailed as error:
            return str(error)
        if self.state is State.CLOSED:
            return ""
        self.state = State.READY
        self._port.open(self.endpoint, keys)
        for user in self.users:
            user.ready(monotonic())
        await self.dtls.closed()
        return "closed by the peer"

    def close(self) -> None:
        """Media ends now; a running `run` says goodbye and returns."""
        if self.state is State.CLOSED:
            return
        never_ran = self.state is State.OFFERED
        self.state = State.CLOSED
        self._port.shut(self.endpoint)
        self.dtls.abandon()
        if never_ran:
            self._forget_all()
            self.dtls.release()
            self._let_go()

    def _let_go(self) -> None:
        """Leave no circle of references, which would wait for a collection."""
        self.users.clear()
        del self.endpoint.leg

    def _forget_all(self) -> None:
        for address in tuple(self._addresses):
            self._forget(address)


def _secret(length: int) -> str:
    return "".join(choice(_ALPHABET) for _ in range(length))
