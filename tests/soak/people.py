"""One person of a room: a WebSocket that speaks JSON-RPC, and real media by UDP, DTLS, SRTP."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from websockets.asyncio.client import connect

from tests.integration.media.peer import AUDIO_SSRC, VIDEO_SSRC, Peer
from tests.unit.signaling.harness import PUBLISH, Client, join_params

# A key frame of VP8 (RFC 7741 4.3): 320 x 240, and nothing that could be decoded.
KEY_FRAME = bytes((0x10, 0x10, 0x02, 0x00, 0x9D, 0x01, 0x2A, 0x40, 0x01, 0xF0, 0x00))
PING_MS = 20_000  # a busy machine keeps this process, which pings, from doing so


class Media:
    """What a publisher sends: 20 packets of audio and 10 of video a second, when asked."""

    def __init__(self) -> None:
        self.peer = Peer()
        self._audio = self._video = 0

    def tick(self) -> None:
        """A twentieth of a second."""
        self._audio += 1
        head = struct.pack(
            "!BBHII", 0x80, 0x80 | 111, self._audio & 0xFFFF, self._audio * 2400, AUDIO_SSRC
        )
        self.peer.send_rtp(head + b"\x78" + bytes(60))
        if self._audio % 2:
            self._video += 1
            head = struct.pack(
                "!BBHII", 0x80, 0x80 | 96, self._video & 0xFFFF, self._video * 9000, VIDEO_SSRC
            )
            self.peer.send_rtp(head + KEY_FRAME + bytes(600))


class Person:
    def __init__(self, port: int, session: str) -> None:
        self.session = session
        self.client: Client
        self.stream = ""
        self.media: Media | None = None
        self.watching: dict[str, Peer] = {}  # by stream
        self._port = port

    @property
    def id(self) -> str:
        return self.client.id

    def peers(self) -> Iterator[Peer]:
        if self.media is not None:
            yield self.media.peer
        yield from self.watching.values()

    # Signaling

    async def _socket(self) -> Client:
        url = f"ws://localhost:{self._port}/openvidu?sessionId={self.session}"
        client = Client(await connect(url, max_size=None, ping_interval=None, proxy=None))
        await client.result("ping", {"interval": PING_MS})
        return client

    async def join(self, token: str) -> None:
        self.client = await self._socket()
        result = await self.client.result("joinRoom", join_params(self.session, token))
        self.client.id, self.client.rpc_id = result["id"], result["sessionId"]

    async def lose_socket(self) -> None:
        """It breaks, and another one takes over."""
        old = self.client
        await old.drop()
        self.client = await self._socket()
        self.client.id, self.client.rpc_id = old.id, old.rpc_id
        result = await self.client.result("connect", {"sessionId": old.rpc_id, "reconnect": True})
        assert result["value"] == "reconnection successful", result

    async def alive(self) -> None:
        await self.client.result("ping")
        self.client.frames.clear()
        for peer in self.peers():
            peer.check()
            peer.rtp.clear()
            peer.rtcp.clear()

    # Media

    async def publish(self) -> None:
        self.media = Media()
        offer = self.media.peer.offer()
        result = await self.client.result("publishVideo", {**PUBLISH, "sdpOffer": offer})
        self.stream = result["id"]
        await self.media.peer.connect(result["sdpAnswer"])

    async def republish(self) -> None:
        """The transport is lost without a word; a new one takes over."""
        assert self.media is not None
        lost, fresh = self.media, Media()
        await lost.peer.close(silent=True)
        self.media = None
        params = {"stream": self.stream, "sdpString": fresh.peer.offer()}
        result = await self.client.result("reconnectStream", params)
        await fresh.peer.connect(result["sdpAnswer"])
        self.media = fresh

    async def unpublish(self) -> None:
        assert self.media is not None
        gone, self.media, self.stream = self.media, None, ""
        await self.client.result("unpublishVideo")
        await gone.peer.close()

    async def watch(self, stream: str) -> None:
        await self._negotiate(stream, "receiveVideoFrom", "sender", "sdpAnswer", again=False)

    async def watch_again(self, stream: str) -> None:
        """The way to us is lost without a word; a new one is made."""
        await self.watching.pop(stream).close(silent=True)
        await self._negotiate(stream, "reconnectStream", "stream", "sdpString", again=True)

    async def _negotiate(
        self, stream: str, method: str, name: str, description: str, *, again: bool
    ) -> None:
        prepare = {"sender": stream, "reconnect": again}
        offer = (await self.client.result("prepareReceiveVideoFrom", prepare))["sdpOffer"]
        peer = Peer()
        await self.client.result(method, {name: stream, description: peer.answer()})
        await peer.connect(offer)
        self.watching[stream] = peer

    async def stop_watching(self, stream: str) -> None:
        if peer := self.watching.pop(stream, None):
            await peer.close()

    async def mute(self, kind: str, on: bool) -> None:
        await self.client.result(
            "streamPropertyChanged",
            {
                "streamId": self.stream,
                "property": f"{kind}Active",
                "newValue": on,
                "reason": "publish" + kind.capitalize(),
            },
        )

    # Ends

    async def close(self, *, silent: bool = False) -> None:
        for peer in tuple(self.peers()):
            await peer.close(silent=silent)
        self.media = None
        self.watching.clear()
        if silent:
            await self.client.drop()
        else:
            await self.client.close()
