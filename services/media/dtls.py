"""DTLS-SRTP by aiortc and libsrtp, behind calls of ours: feed datagrams, get keys.

The only module that touches non-public names of aiortc (`_recv`, `_send`, `_set_role`,
`_rx_srtp`, `_tx_srtp`) and pylibsrtp (`_binding`, `Session._srtp`); both are pinned exactly. RTP
and RTCP never enter aiortc. We are the DTLS server always, so nothing goes to an address that has
not passed STUN, and our order of SRTP profiles counts.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, cast

from aiortc.rtcdtlstransport import (
    X509_DIGEST_ALGORITHMS,
    RTCCertificate,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
)
from pylibsrtp import Session
from pylibsrtp._binding import ffi, lib

HANDSHAKE_LIMIT = 10.0  # seconds, ICE included
QUEUE = 64  # datagrams waiting for OpenSSL
FLIGHT = 8  # datagrams of our last flight
REPEATS = 16  # times a lost flight is sent again
RENEWAL = timedelta(days=7)  # before a certificate ends; aiortc's live 30 days
HANDSHAKE_RECORD = 22
FINGERPRINTS = frozenset(X509_DIGEST_ALGORITHMS)

if str(ffi.typeof(lib.srtp_protect).args[1]) != "<ctype 'void *'>":
    raise ImportError("This is another libsrtp than the one pylibsrtp 1.0 carries.")

Transform = Callable[[Any, Any, Any], int]  # (context, buffer, int *length) -> 0 or an error

protect: Transform = lib.srtp_protect
unprotect: Transform = lib.srtp_unprotect
protect_rtcp: Transform = lib.srtp_protect_rtcp
unprotect_rtcp: Transform = lib.srtp_unprotect_rtcp


def native() -> tuple[Any, Any, Any]:
    """`protect`, `unprotect` and `unprotect_rtcp` as pointers, to be called from C."""
    return (
        ffi.addressof(lib, "srtp_protect"),
        ffi.addressof(lib, "srtp_unprotect"),
        ffi.addressof(lib, "srtp_unprotect_rtcp"),
    )


class Scratch:
    """Memory libsrtp works in: the same bytes as `pointer` for C and `view` for Python."""

    __slots__ = ("length", "pointer", "view")

    def __init__(self, size: int) -> None:
        self.pointer: Any = ffi.new("unsigned char[]", size)
        self.view = memoryview(ffi.buffer(self.pointer)).cast("B")
        self.length: Any = ffi.new("int *")


class SrtpContext:
    """One direction of a leg. `pointer` is valid as long as this object lives."""

    __slots__ = ("_session", "pointer")

    def __init__(self, session: Session) -> None:
        self._session = session
        self.pointer: Any = session._srtp[0]


class Keys(NamedTuple):
    receive: SrtpContext
    send: SrtpContext


class Fingerprint(NamedTuple):
    algorithm: str  # "sha-256", …
    value: str


class DtlsFailed(Exception):
    """No keys: time-out, wrong fingerprint, no common cipher, or the peer gave up."""


class Identity:
    """The worker's certificate: ECDSA P-256, self-signed, in memory. A bigger one would not fit
    into the one datagram that aiortc sends of a flight."""

    def __init__(self) -> None:
        self._certificate = RTCCertificate.generateCertificate()

    def current(self) -> RTCCertificate:
        """For a new leg; renewed a week before it ends. Living legs keep theirs."""
        if self._certificate.expires - datetime.now(UTC) < RENEWAL:
            self._certificate = RTCCertificate.generateCertificate()
        return self._certificate


def fingerprint(certificate: RTCCertificate) -> str:
    return next(f.value for f in certificate.getFingerprints() if f.algorithm == "sha-256")


class Dtls:
    """One association. `send` gets datagrams for the peer and drops them while STUN has not
    authenticated an address."""

    def __init__(self, certificate: RTCCertificate, send: Callable[[bytes], None]) -> None:
        self.role = "controlled"  # aiortc reads it for its statistics
        self.dropped = 0
        self._send_datagram = send
        self._queue: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._ended = asyncio.Event()
        self._established = False
        self._seen: set[bytes] = set()
        self._flight: list[bytes] = []
        self.repeated = 0  # lost flights sent again
        self._transport = RTCDtlsTransport(cast(Any, self), [certificate])
        self._transport._set_role("server")
        self._transport.on("statechange", self._state_changed)

    def feed(self, datagram: bytes) -> None:
        """A DTLS datagram of the peer; also before `handshake` is called."""
        if self._ended.is_set() or not datagram:
            return
        if not self._established and self._is_repeated(datagram):
            return
        if len(self._queue) >= QUEUE:
            self.dropped += 1
            return
        self._queue.append(datagram)
        self._wake()

    async def handshake(self, fingerprints: Sequence[Fingerprint]) -> Keys:
        """Raises `DtlsFailed`; waits for the peer's first datagram, 10 s in all."""
        parameters = RTCDtlsParameters([RTCDtlsFingerprint(*f) for f in fingerprints])
        try:
            async with asyncio.timeout(HANDSHAKE_LIMIT):
                await self._transport.start(parameters)
        except TimeoutError:
            raise DtlsFailed("no handshake in time") from None
        if self._transport.state != "connected":
            raise DtlsFailed("handshake failed")
        self._established = True
        self._seen.clear()
        self._flight.clear()
        return Keys(SrtpContext(self._transport._rx_srtp), SrtpContext(self._transport._tx_srtp))

    async def closed(self) -> None:
        """Returns after `abandon`, or when the peer has closed the association (a hint only)."""
        await self._ended.wait()

    def abandon(self) -> None:
        """End a handshake that is under way, or `closed`. `stop` must follow."""
        self._ended.set()
        if not self._established:
            self._wake()

    async def stop(self) -> None:
        """Say goodbye (close_notify) if there is somebody to hear it, and let go."""
        await self._transport.stop()
        self._ended.set()
        self.release()

    def release(self) -> None:
        """The last call of all, and the only one if `handshake` never was called: leaves no circle,
        or 100 kB would wait for a collection, which is rare."""
        self._transport.remove_all_listeners()
        del self._transport, self._send_datagram

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _state_changed(self) -> None:
        if self._transport.state in ("closed", "failed"):
            self._ended.set()

    def _is_repeated(self, datagram: bytes) -> bool:
        """Cure for a lost flight: OpenSSL ignores a repeated ClientHello until its own timer of
        1 s, so answer a handshake record that came before (it differs in its record sequence
        only) with our last flight, once, at its last fragment."""
        if len(datagram) < 25 or datagram[0] != HANDSHAKE_RECORD:
            return False
        mark = datagram[:5] + datagram[11:]
        if mark not in self._seen:
            if len(self._seen) < QUEUE:
                self._seen.add(mark)
            return False
        length, offset, part = (int.from_bytes(datagram[i : i + 3], "big") for i in (14, 19, 22))
        if offset + part == length and self._flight and self.repeated < REPEATS:
            self.repeated += 1
            for sent in self._flight:
                self._send_datagram(sent)
        return bool(self._flight)

    async def _recv(self) -> bytes:
        while not self._queue:
            if self._ended.is_set():
                raise ConnectionError
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            except asyncio.CancelledError:
                self._flight.clear()  # OpenSSL's timer: it makes the flight anew
                raise
            finally:
                self._waiter = None
        self._flight.clear()
        return self._queue.popleft()

    async def _send(self, data: bytes) -> None:
        if not self._established and len(self._flight) < FLIGHT:
            self._flight.append(data)
        self._send_datagram(data)
