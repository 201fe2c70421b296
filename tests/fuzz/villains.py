"""A good conference on a media node, and villains around it who send what they should not.

The stranger knows only the port. The caller has passed ICE and not DTLS. The publisher and the
subscriber are fully connected: what they send is encrypted as it should be, and hostile inside.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pylibsrtp

from services.conference.calls import (
    AcceptAnswer,
    Call,
    Discard,
    PrepareOffer,
    Publish,
    Republish,
    Subscribe,
    Tap,
)
from services.conference.model import VideoCodec
from tests.fuzz import samples
from tests.fuzz.child import Child
from tests.fuzz.mutation import Mutator
from tests.fuzz.outcome import Outcome
from tests.integration.media.peer import AUDIO_SSRC, VIDEO_SSRC, Peer
from tests.integration.media.stage import audio, video
from tests.integration.media.wire import bound

SESSION, GOOD, BAD = "ses", "str_good", "str_bad"
SHOTS = 60  # between two packets of the conference: they all fit into the port's buffer
ARRIVAL_SECONDS = 15.0
KEPT = 400  # shots remembered for a crash


class Shot(NamedTuple):
    """`how`: `raw`, or encrypted as `rtp` or `rtcp`."""

    who: str
    how: str
    data: bytes


class Villain(Peer):
    """Remembers its DTLS datagrams, to mutate them."""

    def __init__(self) -> None:
        super().__init__()
        self.flights: list[bytes] = []

    async def _send(self, data: bytes) -> None:
        self.flights.append(data)
        await super()._send(data)


class Lost(AssertionError):
    """A packet of the good conference did not arrive."""


class Scene:
    def __init__(self, child: Child, seed: int) -> None:
        self.child = child
        self.mutator = Mutator(seed)
        self.tried: Counter[str] = Counter()
        self.recent: deque[Shot] = deque(maxlen=KEPT)
        self.rounds = 0
        self._server = ("127.0.0.1", int(child.hello["port"]))
        self._stranger = bound()
        self._villains: dict[str, Villain] = {}
        self._conference: list[Peer] = []
        self._sequence = 0
        self._next: Counter[int] = Counter()

    async def call(self, call: Call) -> Any:
        return await self.child.ask("call", msgspec.to_builtins(call))

    async def rest(self, outcome: Outcome) -> int:
        """Only the conference is left: the node's memory."""
        outcome.take(await self.child.ask("report"))
        await self.leave()
        memory = outcome.take(await self.child.ask("report"))
        await self.enter()
        return memory

    # The conference

    async def begin(self) -> None:
        publisher, subscriber = Peer(), Peer()
        self._conference = [publisher, subscriber]
        await self._publish(publisher, GOOD, "con_P")
        await self._subscribe(subscriber, GOOD, "con_S")
        # The server's side of the handshake ends a little later than ours.
        async with asyncio.timeout(ARRIVAL_SECONDS):
            while not subscriber.rtp:
                self._say(publisher)
                await asyncio.sleep(0.05)
        last = self._say(publisher)
        await self._arrived(subscriber, last)
        subscriber.rtp.clear()

    def _say(self, publisher: Peer) -> list[bytes]:
        self._sequence += 1
        number = self._sequence
        said = [video(number, samples.VP8_KEY + b"%d" % number), audio(number)]
        for packet in said:
            publisher.send_rtp(packet)
        return said

    async def _arrived(self, subscriber: Peer, said: Sequence[bytes]) -> None:
        try:
            async with asyncio.timeout(ARRIVAL_SECONDS):
                while not all(packet in subscriber.rtp for packet in said):  # noqa: ASYNC110
                    await asyncio.sleep(0.002)
        except TimeoutError:
            raise Lost(f"packet {self._sequence}, round {self.rounds}") from None

    async def check(self) -> None:
        """The conference goes on: the next packets arrive, and nothing else does."""
        publisher, subscriber = self._conference
        said = self._say(publisher)
        await self._arrived(subscriber, said)
        if sorted(subscriber.rtp) != sorted(said):
            raise Lost(f"other packets than were sent: {len(subscriber.rtp)}")
        subscriber.rtp.clear()
        publisher.rtcp.clear()
        subscriber.rtcp.clear()
        if self._sequence % 100 == 0:
            publisher.check()  # consent
            subscriber.check()

    async def _publish(self, peer: Peer, stream: str, connection: str) -> None:
        offer = peer.offer()
        call = Publish(SESSION, connection, stream, offer, has_audio=True, has_video=True)
        answer = await self.call(call)
        assert answer["reply"] == "answer", answer
        await self.child.ask("confirm", stream)
        await peer.connect(answer["sdpAnswer"])

    async def _subscribe(self, peer: Peer, stream: str, connection: str) -> None:
        offer = await self.call(PrepareOffer(SESSION, connection, stream))
        assert offer["reply"] == "offer", offer
        done = await self.call(AcceptAnswer(connection, stream, peer.answer()))
        assert done["reply"] == "done", done
        await peer.connect(offer["sdpOffer"])

    # The villains

    async def enter(self) -> None:
        """They come, or come again: whatever they did to their own transports is forgotten."""
        await self.leave()
        self._villains = {who: Villain() for who in ("publisher", "subscriber", "audience")}
        await self._publish(self._villains["publisher"], BAD, "con_VP")
        await self._subscribe(self._villains["subscriber"], GOOD, "con_VS")
        await self._subscribe(self._villains["audience"], BAD, "con_VA")
        caller = self._villains["caller"] = Villain()
        offer = caller.offer()
        call = Publish(SESSION, "con_VC", "str_call", offer, has_audio=True, has_video=True)
        caller.aim((await self.call(call))["sdpAnswer"])
        caller.check()

    async def leave(self) -> None:
        silent = self.mutator.random.random() < 0.5
        for villain in self._villains.values():
            await villain.close(silent=silent)
        self._villains.clear()
        for connection, stream in (
            ("con_VP", BAD), ("con_VS", GOOD), ("con_VA", BAD), ("con_VC", "str_call"),
        ):  # fmt: skip
            await self.call(Discard(connection, stream))

    async def round(self, shots: int = SHOTS) -> None:
        """Some shots, now and then a hostile call, and a look at the conference."""
        self.rounds += 1
        if self.rounds % 40 == 1:
            await self.enter()
        if self.rounds % 4 == 0:
            await self._hostile_call()
        for _ in range(shots):
            self.fire(self._shot())
        await self.check()
        for villain in self._villains.values():
            villain.rtp.clear()
            villain.rtcp.clear()

    def _shot(self) -> Shot:
        chance = self.mutator.random
        who = chance.choice(("stranger", "caller", *("publisher", "subscriber") * 3))
        kind = chance.choice(("stun", "dtls", "rtp", "rtcp", "noise"))
        if who in ("publisher", "subscriber") and chance.random() < 0.8:
            how = "rtp" if chance.random() < (0.7 if who == "publisher" else 0.1) else "rtcp"
            return Shot(who, how, self._rtp() if how == "rtp" else self._rtcp(who))
        return Shot(who, "raw", self._raw(who, kind))

    def _raw(self, who: str, kind: str) -> bytes:
        mutator, chance = self.mutator, self.mutator.random
        peer = self._villains["caller" if who == "stranger" else who]
        match kind:
            case "stun":
                password = peer.remote_password if who != "stranger" else "wrong"
                data = mutator.stun(peer.binding_request(password=password), password.encode())
            case "dtls":
                flights = [f for v in self._villains.values() for f in v.flights]
                data = mutator.octets(chance.choice(flights), flights)
            case "rtp":
                data = self._rtp() + chance.randbytes(chance.choice((0, 16)))
            case "rtcp":
                data = self._rtcp(who) + chance.randbytes(chance.choice((0, 14, 20)))
            case _:
                data = chance.randbytes(chance.choice((0, 1, 12, 13, 100, 1599, 1600, 9000)))
        return data

    def _rtp(self) -> bytes:
        """With the next number of its stream, or it would be a repetition that nobody decrypts."""
        packet = bytearray(self.mutator.rtp(samples.PACKETS))
        if len(packet) < 12:
            return bytes(packet)
        ssrc = int.from_bytes(packet[8:12], "big")
        self._next[ssrc] += self.mutator.random.choice((1, 1, 1, 1, 2, 5, 20, 300))
        packet[2:4] = (self._next[ssrc] & 0xFFFF).to_bytes(2, "big")
        return bytes(packet)

    def _rtcp(self, who: str) -> bytes:
        chance = self.mutator.random
        if who == "subscriber":
            ssrc = chance.choice((VIDEO_SSRC, AUDIO_SSRC))
            known = samples.feedback(ssrc)
            if chance.random() < 0.2:  # for packets that are there
                return samples.rtcp.write_nack(ssrc, range(self._sequence - 30, self._sequence))
            return known[3] if chance.random() < 0.1 else self.mutator.rtcp(known)
        return self.mutator.rtcp(samples.COMPOUNDS)

    def fire(self, shot: Shot) -> None:
        self.recent.append(shot)
        self.tried[f"{shot.who} {shot.how}"] += 1
        if shot.who == "stranger":
            self._stranger.sendto(shot.data, self._server)
            return
        villain = self._villains[shot.who]
        try:
            if shot.how == "rtp":
                villain.send_rtp(shot.data)
            elif shot.how == "rtcp":
                villain.send_rtcp(shot.data)
            else:
                villain.raw(shot.data)
        except (pylibsrtp.Error, ValueError, IndexError):
            villain.raw(shot.data)  # no header that could be encrypted
            self.tried["not encryptable"] += 1

    async def _hostile_call(self) -> None:
        chance = self.mutator.random
        text = self.mutator.lines(chance.choice(samples.DESCRIPTIONS), samples.DESCRIPTIONS)
        call: Call
        match chance.randrange(6):
            case 0 | 1:
                call = Publish(
                    SESSION, "con_VX", "str_x", text, chance.random() < 0.8, chance.random() < 0.8,
                    codec=chance.choice(list(VideoCodec)), loopback=chance.random() < 0.3,
                )  # fmt: skip
            case 2:
                call = Republish(SESSION, "con_VP", BAD, text)
            case 3:
                call = Subscribe(SESSION, "con_VY", chance.choice((GOOD, BAD)), text)
            case 4:
                await self.call(PrepareOffer(SESSION, "con_VY", GOOD))
                call = AcceptAnswer("con_VY", GOOD, text)
            case _:
                host = chance.choice(("127.0.0.1", "::1", "", "x", "127.0.0.1\0"))
                port = chance.choice((0, 9, 65535, 65536, -1))
                call = Tap("tap", BAD, host, port)
        self.tried["calls"] += 1
        await self.call(call)
        for connection, stream in (("con_VX", "str_x"), ("con_VY", GOOD), ("con_VY", BAD)):
            await self.call(Discard(connection, stream))
        if isinstance(call, Republish):
            await self.enter()

    async def end(self) -> None:
        await self.leave()
        for peer in self._conference:
            await peer.close()
        self._stranger.close()

    # What did harm

    def keep(self, folder: Path, name: str) -> Path:
        file = folder / f"node-{name}.jsonl"
        lines = [json.dumps([s.who, s.how, s.data.hex()]) for s in self.recent]
        file.write_text("\n".join(lines) + "\n")
        return file

    async def replay(self, file: Path) -> None:
        await self.enter()
        for number, line in enumerate(file.read_text().splitlines()):
            who, how, data = json.loads(line)
            self.fire(Shot(who, how, bytes.fromhex(data)))
            if number % SHOTS == 0:
                await self.check()
        await self.check()


@asynccontextmanager
async def scene(child: Child, seed: int) -> AsyncIterator[Scene]:
    made = Scene(child, seed)
    await made.begin()
    try:
        yield made
    finally:
        if child.process.returncode is None:
            await made.end()
