"""Simulcast: layers learned by rid, switched for each subscriber, taps."""

from __future__ import annotations

import re
import struct
from time import monotonic

from services.conference.calls import Answer, Publish, Tap, Tapped
from services.media import rtcp, rtp
from services.media.subscription import ATTENTION
from services.media.track import SILENT
from tests.integration.media.peer import Peer
from tests.integration.media.stage import PUBLISHER, SESSION, STREAM, Stage, audio, until
from tests.integration.media.wire import Collector

RIDS = ("rdiv4", "rdiv2", "rdiv1")
SSRCS = dict(zip(RIDS, (7001, 7002, 7003), strict=True))
MID_ID, RID_ID, REPAIRED_ID = 4, 10, 11
KEY, DELTA = 0x00, 0x01  # first byte of a VP8 frame
URI = "urn:ietf:params:rtp-hdrext:sdes:"


def simulcast_offer(peer: Peer) -> str:
    lines = [
        f"a=extmap:{RID_ID} {URI}rtp-stream-id",
        f"a=extmap:{REPAIRED_ID} {URI}repaired-rtp-stream-id",
        *(f"a=rid:{rid} send" for rid in RIDS),
        f"a=simulcast:send {';'.join(RIDS)}",
    ]
    head, video = peer.offer().split("m=video")
    video = re.sub(r"a=ssrc[^\n]*\n", "", video)
    return f"{head}m=video{video}" + "".join(f"{line}\r\n" for line in lines)


def named(rid: str, extension: int = RID_ID) -> bytes:
    """The header extensions mid and rid."""
    data = bytes((MID_ID << 4,)) + b"1"
    data += bytes((extension << 4 | len(rid) - 1,)) + rid.encode()
    data += bytes(-len(data) % 4)
    return struct.pack("!HH", 0xBEDE, len(data) // 4) + data


def frame(rid: str, sequence: int, at: int, *, key: bool = False, named_by: bytes = b"") -> bytes:
    """A frame of one packet. Its payload tells the layer."""
    first = 0x90 if named_by else 0x80
    head = struct.pack("!BBHII", first, 0x80 | 96, sequence, at & 0xFFFFFFFF, SSRCS[rid])
    # S = 1, no picture id; a key frame has the start code and a size
    payload = bytes((0x10, KEY if key else DELTA)) + b"\0\0\x9d\x01\x2a\x40\x01\xb4\x00"
    return head + named_by + payload + rid.encode()


def layer_of(packet: bytes) -> str:
    return next((rid for rid in RIDS if packet.endswith(rid.encode())), "")


async def publish(stage: Stage) -> Peer:
    peer = stage.peer()
    answer = stage.node.handle(
        Publish(SESSION, PUBLISHER, STREAM, simulcast_offer(peer), has_audio=True, has_video=True)
    )
    assert isinstance(answer, Answer), answer
    assert f"a=simulcast:recv {';'.join(RIDS)}" in answer.sdp_answer
    await peer.connect(answer.sdp_answer)
    return peer


def asked(peer: Peer) -> set[int]:
    return {
        ssrc
        for compound in peer.rtcp
        for one in rtcp.packets(compound)
        for ssrc in rtcp.key_frames_wanted(one)
    }


class Sender:
    """Frames of every layer; each has numbers and times of its own."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.sent = dict.fromkeys(RIDS, 0)
        self.bases = dict(zip(RIDS, (100, 40_000, 65_530), strict=True))

    def at(self, rid: str) -> int:
        return self.bases[rid] * 7919 + self.sent[rid] * 3000

    def send(self, *rids: str, key: bool = False) -> None:
        for rid in rids or RIDS:
            number = self.bases[rid] + self.sent[rid]
            packet = frame(rid, number & 0xFFFF, self.at(rid), key=key, named_by=named(rid))
            self.sent[rid] += 1
            self.peer.send_rtp(packet)

    def report(self) -> None:
        """All layers' clocks show the same moment."""
        for rid in RIDS:
            report = rtcp.SenderReport(SSRCS[rid], 1 << 40, self.at(rid), 1, 1)
            self.peer.send_rtcp(rtcp.write_sender_report(report, "peer"))


async def publishing(stage: Stage) -> Sender:
    """A publisher all of whose layers are known."""
    sender = Sender(await publish(stage))
    track = stage.node.publications[STREAM].tracks["video"]
    sender.send(key=True)
    await until(
        lambda: all(layer.source and layer.source.packets for layer in track.layers),
        "all layers are known",
    )
    return sender


async def test_the_highest_layer_is_forwarded_and_nothing_else(stage: Stage) -> None:
    sender = await publishing(stage)
    publisher = sender.peer
    subscriber = await stage.subscribe()
    await until(lambda: SSRCS["rdiv1"] in asked(publisher), "a key frame is asked for")
    sender.send(key=True)
    for _ in range(10):
        sender.send()
    await until(lambda: len(subscriber.rtp) >= 11, "media came")
    assert {layer_of(packet) for packet in subscriber.rtp} == {"rdiv1"}
    track = stage.node.publications[STREAM].tracks["video"]
    assert {packet[8:12] for packet in subscriber.rtp} == {struct.pack("!I", track.ssrc)}


async def test_layers_that_never_come_are_not_waited_for_in_a_hurry(stage: Stage) -> None:
    """A client that sends one of the layers it offered costs no more than one without others."""
    sender = Sender(await publish(stage))
    sender.send("rdiv4", key=True)
    subscriber = await stage.subscribe()
    sender.send("rdiv4", key=True)
    await until(lambda: subscriber.rtp, "media came")
    publication = stage.node.publications[STREAM]
    publication.want_key_frame(monotonic())
    await until(lambda: not publication.tick(monotonic()), "nothing is left to do")


async def test_nothing_is_asked_for_and_nothing_measured_while_it_is_muted(stage: Stage) -> None:
    """Seen: a key frame of the full layer each second, for who was to get the lowest."""
    sender = await publishing(stage)
    subscriber = await stage.subscribe()
    sender.send(key=True)
    await until(lambda: subscriber.rtp, "media came")
    publication = stage.node.publications[STREAM]
    publication.subscriptions["con_S"].limit = 300_000
    publication.activate("video", False, monotonic())
    rates = (150e3, 500e3, 1.2e6)
    for layer, rate in zip(publication.tracks["video"].layers, rates, strict=True):
        layer.rate = rate
    await stage.subscribe("con_2")
    layers = publication.tracks["video"].layers
    await until(lambda: not any(one.key_frames.wanted for one in layers), "who came has asked")
    before, now = publication.plis, monotonic()
    for later in range(10):
        publication.tick(now + later)
    assert publication.plis == before
    assert tuple(layer.rate for layer in layers) == rates


async def test_a_switch_is_seamless_and_in_time(stage: Stage) -> None:
    sender = await publishing(stage)
    publisher = sender.peer
    subscriber = await stage.subscribe()
    sender.send(key=True)
    sender.report()
    await until(lambda: len(subscriber.rtp) == 1, "the first frame came")
    publication = stage.node.publications[STREAM]
    track = publication.tracks["video"]
    await until(lambda: all(layer.report for layer in track.layers), "the clocks are known")
    subscription = publication.subscriptions["con_S"]
    subscription.limit = 1
    edge = subscription.edges["video"]
    await until(lambda: edge.waiting is track.layers[0].source, "it waits for the lowest layer")
    await until(lambda: SSRCS["rdiv4"] in asked(publisher), "its key frame is asked for")
    sender.send()
    await until(lambda: len(subscriber.rtp) == 2, "the old layer goes on")
    sender.send("rdiv4", key=True)
    sender.send("rdiv1")
    sender.send("rdiv4")
    await until(lambda: len(subscriber.rtp) == 4, "the new layer came")
    assert [layer_of(p) for p in subscriber.rtp] == ["rdiv1", "rdiv1", "rdiv4", "rdiv4"]
    heads = [struct.unpack("!HII", packet[2:12]) for packet in subscriber.rtp]
    assert [head[0] - heads[0][0] & 0xFFFF for head in heads] == [0, 1, 2, 3]
    assert [head[1] - heads[0][1] & 0xFFFFFFFF for head in heads] == [0, 3000, 6000, 9000]
    assert len({head[2] for head in heads}) == 1


async def test_a_layer_that_ends_is_left_for_the_best_living_one(stage: Stage) -> None:
    sender = await publishing(stage)
    subscriber = await stage.subscribe()
    sender.send(key=True)
    await until(lambda: subscriber.rtp, "media came")

    def falls_back() -> bool:
        sender.send("rdiv4", "rdiv2", key=True)
        return layer_of(subscriber.rtp[-1]) == "rdiv2"

    await until(falls_back, "the middle layer comes")


async def test_a_muted_publisher_that_sends_nothing_comes_back_in_full(stage: Stage) -> None:
    sender = await publishing(stage)
    subscriber = await stage.subscribe()
    sender.send(key=True)
    await until(lambda: subscriber.rtp, "media came")
    publication = stage.node.publications[STREAM]
    sources = [layer.source for layer in publication.tracks["video"].layers]

    def is_over(silence: float) -> bool:
        return all(source and monotonic() - source.last_arrival > silence for source in sources)

    publication.activate("video", False, monotonic())
    await until(lambda: is_over(SILENT + 4 * ATTENTION), "every layer was silent")
    publication.activate("video", True, monotonic())
    subscriber.rtp.clear()
    sender.send(key=True)
    sender.send()
    await until(lambda: len(subscriber.rtp) == 2, "the picture is back")
    assert {layer_of(packet) for packet in subscriber.rtp} == {"rdiv1"}


async def test_gaps_of_every_layer_are_repaired(stage: Stage) -> None:
    sender = await publishing(stage)
    publisher = sender.peer
    subscriber = await stage.subscribe()
    sender.send(key=True)
    await until(lambda: len(subscriber.rtp) == 1, "media came")
    lost = frame("rdiv1", sender.bases["rdiv1"] + sender.sent["rdiv1"] & 0xFFFF, 5)
    sender.sent["rdiv1"] += 1
    sender.send()
    number = struct.unpack("!H", lost[2:4])[0]

    def is_asked() -> bool:
        found = [rtcp.nacked(one) for c in publisher.rtcp for one in rtcp.packets(c)]
        return (SSRCS["rdiv1"], [number]) in found

    await until(is_asked, "the lost packet is asked for")
    repeat = rtp.pack_rtx(lost, 97, 500, 8003)
    assert repeat is not None
    head = bytes((repeat[0] | 0x10,)) + repeat[1:12]
    publisher.send_rtp(head + named("rdiv1", REPAIRED_ID) + repeat[12:])
    await until(lambda: len(subscriber.rtp) == 3, "it came in the end")
    assert stage.node.publications[STREAM].tracks["video"].repaired == 1


async def test_a_tap_gets_one_layer_at_a_time(stage: Stage) -> None:
    collector = Collector()
    try:
        sender = await publishing(stage)
        tap = Tap("tap", STREAM, *collector.address)
        tapped = stage.node.handle(tap)
        assert isinstance(tapped, Tapped)
        assert tapped.video is not None
        assert tapped.video.ssrc == SSRCS["rdiv1"]
        sender.send(key=True)
        await until(lambda: collector.datagrams, "a copy came")

        def falls_back() -> bool:
            sender.send("rdiv4", "rdiv2")
            return layer_of(collector.datagrams[-1]) == "rdiv2"

        await until(falls_back, "the middle layer comes")
        assert "rdiv4" not in {layer_of(one) for one in collector.datagrams}
        again = stage.node.handle(tap)
        assert isinstance(again, Tapped)
        assert again.video is not None
        assert again.video.ssrc == SSRCS["rdiv2"]
    finally:
        collector.close()


async def test_strangers_ssrcs_are_no_layers(stage: Stage) -> None:
    publisher = await publish(stage)
    track = stage.node.publications[STREAM].tracks["video"]
    for ssrc in range(9000, 9200):
        packet = frame("rdiv1", 1, 1, key=True, named_by=named("other"))
        publisher.send_rtp(packet[:8] + struct.pack("!I", ssrc) + packet[12:])
    publisher.send_rtp(audio(1))
    source = stage.node.publications[STREAM].tracks["audio"].source
    assert source is not None
    await until(lambda: source.packets, "all packets came")
    assert all(layer.source is None for layer in track.layers)
