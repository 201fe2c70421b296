"""Lost datagrams: repair on both hops, and of the handshake."""

from __future__ import annotations

import asyncio
import random
import re
import struct
from time import monotonic

import pytest

from services.conference.calls import AcceptAnswer, Answer, Done, Offer, PrepareOffer, Publish
from services.media import rtcp, rtp
from services.media.repair import TRIES, Repeats
from services.media.stream import OUTAGE
from services.media.subscription import ASKED, MISSES
from tests.integration.media.peer import RTX_SSRC, VIDEO_SSRC, Peer
from tests.integration.media.stage import PUBLISHER, SESSION, STREAM, Stage, until, video
from tests.integration.media.wire import Relay


def nacked(peer: Peer) -> list[int]:
    asked = [rtcp.nacked(one) for compound in peer.rtcp for one in rtcp.packets(compound)]
    return [sequence for pair in asked if pair for sequence in pair[1]]


def originals(peer: Peer) -> dict[int, bytes]:
    """What the peer has, repeats unpacked, by sequence number."""
    found: dict[int, bytes] = {}
    for packet in peer.rtp:
        whole: bytes | None = packet
        if packet[8:12] == struct.pack("!I", RTX_SSRC):
            whole = rtp.unpack_rtx(packet, 96, VIDEO_SSRC)
        assert whole is not None
        found[struct.unpack("!H", whole[2:4])[0]] = whole
    return found


async def test_a_gap_is_asked_for_at_once_and_its_repeat_is_forwarded(stage: Stage) -> None:
    publisher = await stage.publish()
    subscriber = await stage.subscribe()
    publisher.send_rtp(video(10))
    publisher.send_rtp(video(13))
    await until(lambda: set(nacked(publisher)) == {11, 12}, "both packets are asked for")
    for number, sequence in enumerate((11, 12)):
        repeat = rtp.pack_rtx(video(sequence), 97, 700 + number, RTX_SSRC)
        assert repeat is not None
        publisher.send_rtp(repeat)
    await until(lambda: len(subscriber.rtp) == 4, "all packets came")
    assert subscriber.rtp == [video(10), video(13), video(11), video(12)]
    track = stage.node.publications[STREAM].tracks["video"]
    assert track.repaired == 2
    assert not track.layers[0].missing


async def test_the_publishers_probes_are_not_forwarded(stage: Stage) -> None:
    publisher = await stage.publish()
    subscriber = await stage.subscribe()
    publisher.send_rtp(video(10))
    copy = rtp.pack_rtx(video(10), 97, 700, RTX_SSRC)
    assert copy is not None
    publisher.send_rtp(copy)
    publisher.send_rtp(struct.pack("!BBHII", 0xA0, 97, 701, 0, RTX_SSRC) + bytes(9) + b"\x0a")
    publisher.send_rtp(video(11))
    await until(lambda: len(subscriber.rtp) >= 2, "media came")
    assert subscriber.rtp == [video(10), video(11)]


async def test_who_misses_something_is_looked_at_more_often(stage: Stage) -> None:
    publisher = await stage.publish()
    await stage.subscribe()
    publication = stage.node.publications[STREAM]
    publisher.send_rtp(video(10))
    await until(lambda: not publication.tick(monotonic()), "nothing is asked for")
    publisher.send_rtp(video(12))
    await until(lambda: set(nacked(publisher)) == {11}, "the gap was seen")
    assert publication.tick(monotonic())
    publisher.send_rtp(video(11))
    await until(lambda: not publication.tick(monotonic()), "nothing is missing any more")


async def test_a_packet_that_never_comes_is_given_up(stage: Stage) -> None:
    publisher = await stage.publish()
    publisher.send_rtp(video(10))
    publisher.send_rtp(video(12))
    track = stage.node.publications[STREAM].tracks["video"]
    await until(lambda: track.given_up == 1, "it is given up")
    assert nacked(publisher) == [11] * TRIES


async def test_after_an_outage_a_key_frame_is_asked_for_beside_what_is_missing(
    stage: Stage,
) -> None:
    """Seen: it was asked for only when all repeats were given up, half a second later."""
    publisher = await stage.publish()
    publisher.send_rtp(video(10))
    source = stage.node.publications[STREAM].tracks["video"].layers[0].source
    assert source is not None
    await until(lambda: source.highest == 10, "media came")
    publisher.send_rtp(video(10 + OUTAGE))  # one packet less than an outage
    publisher.send_rtp(video(11 + 2 * OUTAGE))

    def asked() -> list[tuple[bool, list[int]]]:
        """Is a key frame, and which packets are asked for, by each compound that asks."""
        packets = [list(rtcp.packets(compound)) for compound in publisher.rtcp]
        keys = [any(map(rtcp.key_frames_wanted, one)) for one in packets]
        nacks = [
            [n for found in map(rtcp.nacked, one) if found for n in found[1]] for one in packets
        ]
        return [one for one in zip(keys, nacks, strict=True) if any(one)]

    await until(lambda: any(key for key, _ in asked()), "a key frame is asked for")
    of_the_outage = list(range(11 + OUTAGE, 11 + 2 * OUTAGE))
    place = next(n for n, (_, numbers) in enumerate(asked()) if numbers == of_the_outage)
    assert [key for key, _ in asked()[: place + 2]] == [False] * (place + 1) + [True]


async def test_a_late_packet_is_forwarded_once(stage: Stage) -> None:
    publisher = await stage.publish()
    subscriber = await stage.subscribe()
    for number in (10, 12, 11, 13):
        publisher.send_rtp(video(number))
    await until(lambda: len(subscriber.rtp) == 4, "all packets came")
    assert subscriber.rtp == [video(n) for n in (10, 12, 11, 13)]
    assert not stage.node.publications[STREAM].tracks["video"].layers[0].missing


async def test_a_subscriber_gets_repeats_on_the_rtx_stream(stage: Stage) -> None:
    publisher = await stage.publish()
    subscriber = await stage.subscribe()
    for number in range(20):
        publisher.send_rtp(video(number))
    await until(lambda: len(subscriber.rtp) == 20, "media came")
    subscriber.send_rtcp(rtcp.write_nack(VIDEO_SSRC, [3, 4, 17]))
    await until(lambda: len(subscriber.rtp) == 23, "three repeats came")
    repeats = subscriber.rtp[20:]
    numbers = [struct.unpack("!H", packet[2:4])[0] for packet in repeats]
    assert [n - numbers[0] for n in numbers] == [0, 1, 2]
    assert [rtp.unpack_rtx(p, 96, VIDEO_SSRC) for p in repeats] == [video(n) for n in (3, 4, 17)]


async def test_who_takes_no_rtx_gets_repeats_as_they_were(stage: Stage) -> None:
    publisher = await stage.publish()
    subscriber = stage.peer()
    offer = stage.node.handle(PrepareOffer(SESSION, "con_S", STREAM))
    assert isinstance(offer, Offer)
    answer = re.sub(r"a=(rtpmap|fmtp):97[^\n]*\n", "", subscriber.answer()).replace("96 97", "96")
    assert stage.node.handle(AcceptAnswer("con_S", STREAM, answer)) == Done()
    is_lossy = False
    relay = Relay(stage.node.port.address, lambda datagram, _: is_lossy and datagram[0] >= 128)
    try:
        await subscriber.connect(offer.sdp_offer, relay.address)
        publisher.send_rtp(video(1))
        await until(lambda: subscriber.rtp, "media came")
        is_lossy = True
        publisher.send_rtp(video(2))
        await until(lambda: relay.lost, "a packet was lost")
        is_lossy = False
        subscriber.send_rtcp(rtcp.write_report() + rtcp.write_nack(VIDEO_SSRC, [2]))
        await until(lambda: len(subscriber.rtp) == 2, "the repeat came")
        assert subscriber.rtp[1] == video(2)
    finally:
        relay.close()


async def test_numbers_asked_for_without_end_are_not_looked_at(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each packet could ask for thousands, again and again."""
    publisher = await stage.publish()
    subscriber = await stage.subscribe()
    publisher.send_rtp(video(1))
    await until(lambda: subscriber.rtp, "media came")
    looked_at = []
    monkeypatch.setattr(Repeats, "may", lambda _self, sequence, *_: looked_at.append(sequence))
    subscription = stage.node.publications[STREAM].subscriptions["con_S"]
    asked = rtcp.write_report() + rtcp.write_nack(VIDEO_SSRC, list(range(0, 17 * 200)))
    now = monotonic()
    for _ in range(100):
        subscription.feedback(asked, now)
    assert len(looked_at) == ASKED
    subscription.feedback(asked, now + 1)
    assert len(looked_at) > ASKED, "a second later it goes on"


async def test_nacks_for_what_nobody_has_end_in_a_request_for_a_key_frame(stage: Stage) -> None:
    publisher = await stage.publish()
    subscriber = await stage.subscribe()
    publisher.send_rtp(video(10))
    await until(lambda: subscriber.rtp, "media came")
    publication = stage.node.publications[STREAM]
    before = publication.plis
    for start in range(20_000, 20_000 + 4 * MISSES, 100):
        subscriber.send_rtcp(rtcp.write_nack(VIDEO_SSRC, range(start, start + 100)))
    await until(lambda: publication.plis > before, "a key frame is asked for")
    assert len(subscriber.rtp) == 1


async def test_losses_on_both_hops_are_repaired(stage: Stage) -> None:
    """The first and the last packet are spared: nobody could tell that they are missing."""
    chance = random.Random(20261124)
    lossy = False

    def lose(datagram: bytes, _from_client: bool) -> bool:
        return lossy and datagram[0] >= 128 and chance.random() < 0.05

    count = 300
    sent = {n: video(n) for n in range(count)}
    server = stage.node.port.address
    uplink, downlink = Relay(server, lose), Relay(server, lose)
    try:
        publisher = await stage.publish(relay=uplink.address)
        subscriber = await stage.subscribe(relay=downlink.address)
        publisher.send_rtp(sent[0])
        await until(lambda: subscriber.rtp, "the first packet came")
        lossy = True
        repeated = 0

        def repeat_what_is_asked_for() -> None:
            nonlocal repeated
            for sequence in nacked(publisher)[repeated:]:
                packet = rtp.pack_rtx(sent[sequence], 97, repeated, RTX_SSRC)
                assert packet is not None
                publisher.send_rtp(packet)
                repeated += 1

        def complete() -> bool:
            repeat_what_is_asked_for()
            have = originals(subscriber)
            holes = [n for n in range(max(have)) if n not in have]
            if holes:
                subscriber.send_rtcp(rtcp.write_nack(VIDEO_SSRC, holes))
            return len(have) == count

        for number in range(1, count - 1):
            publisher.send_rtp(sent[number])
            if number % 10 == 0:
                await asyncio.sleep(0)
                complete()
        lossy = False
        publisher.send_rtp(sent[count - 1])
        await until(lambda: count - 1 in originals(subscriber), "the last packet came")
        lossy = True
        await until(complete, "every packet arrived in the end")
        assert originals(subscriber) == sent
        assert uplink.lost
        assert downlink.lost
        assert stage.node.publications[STREAM].tracks["video"].repaired
    finally:
        uplink.close()
        downlink.close()


async def test_a_lost_first_flight_is_sent_again_when_the_client_repeats_itself(
    stage: Stage,
) -> None:
    """OpenSSL's own timer would take 1 s; the client's repetition must be answered at once."""
    hellos: list[bytes] = []
    state = {"lost": 0, "again": 0.0}

    def lose(datagram: bytes, from_client: bool) -> bool:
        if datagram[0] != 22:
            return False
        if from_client:
            hellos.append(datagram)
            return False
        if state["lost"] == 0:
            state["lost"] = 1
            return True
        state["again"] = state["again"] or monotonic()
        return False

    relay = Relay(stage.node.port.address, lose)
    try:
        peer = stage.peer()
        answer = stage.node.handle(
            Publish(SESSION, PUBLISHER, STREAM, peer.offer(), has_audio=True, has_video=True)
        )
        assert isinstance(answer, Answer)
        connecting = asyncio.ensure_future(peer.connect(answer.sdp_answer, relay.address))
        await until(lambda: state["lost"], "the flight is lost")
        # As BoringSSL does: the same ClientHello with another record sequence number.
        hello = hellos[0]
        peer.raw(hello[:5] + (99).to_bytes(6, "big") + hello[11:])
        repeated = monotonic()
        await until(lambda: state["again"], "the flight comes again")
        assert relay.lost == 1
        leg = next(iter(stage.node.legs))
        assert leg.dtls.repeated == 1
        assert state["again"] >= repeated
        await connecting
        assert peer.dtls.state == "connected"
    finally:
        relay.close()
