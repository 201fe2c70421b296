"""Peers without a browser over bad networks: what the node does about each lost packet."""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from services.media import rtcp, rtp
from tests.integration.media.peer import RTX_SSRC, VIDEO_SSRC, Peer
from tests.integration.media.stage import STREAM, Stage, until, video
from tests.media.network import Profile, Relay

SEED = 20261129
COUNT = 300
NARROW = Profile(rate=200_000)
PAUSE = 0.002  # seconds between two packets, so that a burst of losses is one in time


@contextmanager
def relays(stage: Stage) -> Iterator[tuple[Relay, Relay]]:
    """The publisher's and the viewer's."""
    server = stage.node.port.address
    both = Relay(server, seed=SEED), Relay(server, seed=SEED + 1)
    try:
        yield both
    finally:
        for relay in both:
            relay.close()


def asked_for(peer: Peer) -> list[int]:
    found = [rtcp.nacked(one) for compound in peer.rtcp for one in rtcp.packets(compound)]
    return [sequence for pair in found if pair for sequence in pair[1]]


def arrived(peer: Peer) -> Counter[int]:
    """How often each packet came, repeats unpacked, by sequence number."""
    found: Counter[int] = Counter()
    for packet in peer.rtp:
        whole: bytes | None = packet
        if packet[8:12] == struct.pack("!I", RTX_SSRC):
            whole = rtp.unpack_rtx(packet, 96, VIDEO_SSRC)
        assert whole is not None
        number = struct.unpack("!H", whole[2:4])[0]
        assert whole == video(number)
        found[number] += 1
    return found


class Call:
    """A publisher that repeats what is asked for and a viewer that asks for what it misses."""

    def __init__(self, publisher: Peer, viewer: Peer) -> None:
        self.publisher = publisher
        self.viewer = viewer
        self._answered = 0

    async def send(self, first: int, end: int) -> None:
        for number in range(first, end):
            self.publisher.send_rtp(video(number))
            await asyncio.sleep(PAUSE)
            self.repair()

    def repair(self) -> None:
        for sequence in asked_for(self.publisher)[self._answered :]:
            packet = rtp.pack_rtx(video(sequence), 97, self._answered & 0xFFFF, RTX_SSRC)
            assert packet is not None
            self.publisher.send_rtp(packet)
            self._answered += 1

    def complete(self, count: int) -> bool:
        self.repair()
        have = arrived(self.viewer)
        missing = [n for n in range(max(have, default=-1)) if n not in have]
        if missing:
            self.viewer.send_rtcp(rtcp.write_nack(VIDEO_SSRC, missing))
        return len(have) == count


@pytest.mark.parametrize(
    "profile",
    [Profile(loss=0.05), Profile(loss=0.1, burst=5), Profile(loss=0.05, reorder=0.1, jitter=0.01)],
    ids=["random", "bursts", "reordered"],
)
async def test_losses_on_the_viewers_way_are_repaired_from_the_history(
    stage: Stage, profile: Profile
) -> None:
    with relays(stage) as (uplink, downlink):
        call = Call(
            await stage.publish(relay=uplink.address), await stage.subscribe(relay=downlink.address)
        )
        downlink.impair(up=profile, down=profile)
        await call.send(0, COUNT)
        downlink.impair()
        call.publisher.send_rtp(video(COUNT))  # tells that those before it are missing
        await until(lambda: call.complete(COUNT + 1), "every packet arrived")
        assert downlink.down.lost_video > 0
        assert not asked_for(call.publisher)


async def test_losses_on_the_publishers_way_are_asked_for_once_for_all(stage: Stage) -> None:
    """The last packet is spared: nobody could tell that it is missing."""
    with relays(stage) as (uplink, downlink):
        call = Call(
            await stage.publish(relay=uplink.address), await stage.subscribe(relay=downlink.address)
        )
        await call.send(0, 1)
        uplink.impair(up=Profile(loss=0.05))
        await call.send(1, COUNT)
        uplink.impair()
        await call.send(COUNT, COUNT + 1)
        await until(lambda: call.complete(COUNT + 1), "every packet arrived")
        track = stage.node.publications[STREAM].tracks["video"]
        assert uplink.up.lost_video > 0
        assert track.repaired > 0
        assert track.given_up == 0


async def test_reordered_packets_are_forwarded_once_each(stage: Stage) -> None:
    with relays(stage) as (uplink, downlink):
        call = Call(
            await stage.publish(relay=uplink.address), await stage.subscribe(relay=downlink.address)
        )
        await call.send(0, 1)
        uplink.impair(up=Profile(reorder=0.1, held=0.01))
        for number in range(1, COUNT):
            call.publisher.send_rtp(video(number))
            await asyncio.sleep(PAUSE)
        await until(lambda: len(arrived(call.viewer)) == COUNT, "every packet arrived")
        assert set(arrived(call.viewer).values()) == {1}
        assert stage.node.publications[STREAM].tracks["video"].given_up == 0


async def test_media_goes_on_after_an_outage_on_both_ways(stage: Stage) -> None:
    with relays(stage) as (uplink, downlink):
        call = Call(
            await stage.publish(relay=uplink.address), await stage.subscribe(relay=downlink.address)
        )
        await call.send(0, 20)
        await until(lambda: len(arrived(call.viewer)) == 20, "media came")
        for relay in (uplink, downlink):
            relay.impair(up=Profile(loss=1), down=Profile(loss=1))
        await call.send(20, 60)
        assert uplink.up.lost_video == 40
        for relay in (uplink, downlink):
            relay.impair()
        await call.send(60, 80)
        await until(lambda: call.complete(80), "every packet arrived")


async def test_a_viewer_on_a_narrow_way_harms_no_other(stage: Stage) -> None:
    """It asks for the same packets again and again and asks for key frames, as a page does."""
    with relays(stage) as (_, downlink):
        publisher = await stage.publish()
        good = await stage.subscribe("con_good")
        call = Call(publisher, await stage.subscribe("con_bad", relay=downlink.address))
        downlink.impair(up=NARROW, down=NARROW)
        for number in range(COUNT):
            publisher.send_rtp(video(number, bytes(1000)))
            await asyncio.sleep(PAUSE)
            if number % 10 == 9:
                first = max(0, number - 100)
                call.viewer.send_rtcp(rtcp.write_nack(VIDEO_SSRC, list(range(first, number))))
                call.viewer.send_rtcp(rtcp.write_report() + rtcp.write_pli(VIDEO_SSRC))
        await until(lambda: len(good.rtp) == COUNT, "the other got every packet")
        assert downlink.down.lost_video > 0
        numbers = [struct.unpack("!H", packet[2:4])[0] for packet in good.rtp]
        assert numbers == list(range(COUNT))
        subscriptions = stage.node.publications[STREAM].subscriptions
        assert subscriptions["con_good"].estimate == 0
        assert subscriptions["con_bad"].repeated["video"] < COUNT
