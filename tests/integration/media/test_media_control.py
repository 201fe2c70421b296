"""What control does to the packets: mute, feedback to the publisher, caps, lost transports."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from time import monotonic

import pytest

from services.conference.calls import (
    AcceptAnswer,
    Answer,
    Discard,
    Done,
    Offer,
    PrepareOffer,
    Publish,
    Republish,
    Tap,
)
from services.conference.events import StreamPropertyChanged
from services.conference.model import Direction
from services.media import rtcp
from services.media.following import apply
from services.media.leg import State
from services.media.losses import CLOSED, PATIENCE
from services.media.statistics import Sampler
from services.media.stream import Publication
from services.media.subscription import SOUND
from tests.integration.media.peer import AUDIO_SSRC, VIDEO_SSRC, Peer
from tests.integration.media.stage import PUBLISHER, SESSION, STREAM, Stage, audio, until, video
from tests.integration.media.wire import Collector

TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
KEY, DELTA = b"\x10\0\0\0\x9d\x01\x2a\x40\x01\xb4\0key", b"\x10\x01delta"


def property_changed(stage: Stage, name: str, value: str) -> None:
    changed = StreamPropertyChanged(PUBLISHER, STREAM, name, value, "trackMuted", 0)
    apply(stage.node, SESSION, changed)


def ones(peer: Peer) -> list[rtcp.Packet]:
    return [one for compound in peer.rtcp for one in rtcp.packets(compound)]


def key_frames_asked(peer: Peer) -> int:
    return sum(bool(rtcp.key_frames_wanted(one)) for one in ones(peer))


def publication(stage: Stage) -> Publication:
    return stage.node.publications[STREAM]


async def test_a_muted_track_is_not_forwarded_but_recorded(stage: Stage) -> None:
    collector = Collector()
    try:
        publisher = await stage.publish()
        subscriber = await stage.subscribe()
        stage.node.handle(Tap("tap", STREAM, *collector.address))
        publisher.send_rtp(video(1, KEY))
        await until(lambda: len(subscriber.rtp) == 1, "media came")
        property_changed(stage, "videoActive", "false")
        before = key_frames_asked(publisher)
        publisher.send_rtp(video(2, DELTA))
        publisher.send_rtp(audio(1))
        await until(lambda: len(subscriber.rtp) == 2, "the sound came")
        assert subscriber.rtp[1] == audio(1)
        await until(lambda: len(collector.datagrams) == 3, "the recorder got everything")
        property_changed(stage, "videoActive", "true")
        await until(lambda: key_frames_asked(publisher) > before, "a key frame is asked for")
        for number, payload in ((3, DELTA), (4, KEY), (5, DELTA)):
            publisher.send_rtp(video(number, payload))
        await until(lambda: len(subscriber.rtp) == 4, "the picture is back")
        numbers = [struct.unpack("!H", packet[2:4])[0] for packet in subscriber.rtp]
        assert numbers == [1, 1, 2, 3]  # video goes on without a gap; the sound is the second
        assert [packet[12:] for packet in subscriber.rtp[2:]] == [KEY, DELTA]
    finally:
        collector.close()


async def test_who_comes_while_it_is_muted_gets_nothing_until_it_is_not(stage: Stage) -> None:
    peer = stage.peer()
    answer = stage.node.handle(
        Publish(
            SESSION,
            PUBLISHER,
            STREAM,
            peer.offer(),
            has_audio=True,
            has_video=True,
            audio_active=False,
        )
    )
    assert isinstance(answer, Answer)
    await peer.connect(answer.sdp_answer)
    subscriber = await stage.subscribe()
    peer.send_rtp(audio(1))
    peer.send_rtp(video(1, KEY))
    await until(lambda: subscriber.rtp, "the picture came")
    property_changed(stage, "audioActive", "true")
    peer.send_rtp(audio(2))
    await until(lambda: len(subscriber.rtp) == 2, "the sound came")
    assert subscriber.rtp[0][12:] == KEY
    assert subscriber.rtp[1][12:] == audio(2)[12:]


async def test_a_publisher_hears_when_its_packets_arrived(stage: Stage) -> None:
    peer = stage.peer()
    offer = peer.offer().replace("a=extmap:4 urn", f"a=extmap:3 {TRANSPORT_CC}\r\na=extmap:4 urn")
    answer = stage.node.handle(
        Publish(SESSION, PUBLISHER, STREAM, offer, has_audio=True, has_video=True)
    )
    assert isinstance(answer, Answer)
    assert TRANSPORT_CC in answer.sdp_answer
    assert "transport-cc" in answer.sdp_answer
    await peer.connect(answer.sdp_answer)
    for number in range(20):
        packet = video(number)
        extension = struct.pack("!HHBHB", 0xBEDE, 1, 0x31, 65_530 + number & 0xFFFF, 0)
        peer.send_rtp(bytes((0x90,)) + packet[1:12] + extension + packet[12:])

    def told() -> int:
        bodies = [one.body for one in ones(peer) if (one.type, one.format) == (205, 15)]
        return sum(struct.unpack_from("!H", body, 10)[0] for body in bodies)

    await until(lambda: told() >= 20, "all packets are told of")


async def test_the_publisher_sends_what_its_best_subscriber_takes(stage: Stage) -> None:
    publisher = await stage.publish()
    subscriber = await stage.subscribe()
    await stage.subscribe("con_2")
    publisher.send_rtp(video(1))
    await until(lambda: subscriber.rtp, "media came")
    subscription = publication(stage).subscriptions["con_S"]
    other = publication(stage).subscriptions["con_2"]
    subscription.estimator.estimate = 300_000
    await until(lambda: 2_500_000 in [rtcp.remb(one) for one in ones(publisher)], "no cap yet")
    publisher.rtcp.clear()
    await until(lambda: [x for x in map(rtcp.remb, ones(publisher)) if x], "it is told again")
    assert {rtcp.remb(one) for one in ones(publisher)} == {None, 2_500_000}
    subscription.estimator.estimate, other.estimator.estimate = 300_000, 200_000
    await until(lambda: publication(stage).cap < 2_500_000, "both count")
    assert 300_000 <= publication(stage).cap - SOUND < 400_000  # the better one, and it is growing


async def test_loss_reports_make_an_estimate(stage: Stage) -> None:
    publisher = await stage.publish()
    subscriber = await stage.subscribe()
    subscription = publication(stage).subscriptions["con_S"]
    number = 0

    def reported() -> bool:
        nonlocal number
        for _ in range(10):
            number += 1
            publisher.send_rtp(video(number, bytes(1000)))
        block = rtcp.Block(VIDEO_SSRC, 128, number // 2, number, 0, 0, 0)
        subscriber.send_rtcp(rtcp.write_report([block]))
        return subscription.estimate > 0

    await until(reported, "half lost is trouble")


async def test_what_the_publishers_way_lost_is_not_the_subscribers(stage: Stage) -> None:
    """Seen: a publisher on 200 kbit/s made an estimate for a viewer on a clear network, and the
    cap that followed kept the publisher low when its own way was clear again."""
    publisher = await stage.publish()
    subscriber = await stage.subscribe()
    subscription = publication(stage).subscriptions["con_S"]
    source = publication(stage).tracks["video"].layers[0].source
    assert source is not None
    for turn in range(20):
        for number in range(20 * turn, 20 * turn + 20, 2):  # each second packet never comes
            publisher.send_rtp(video(number, bytes(1000)))
        last = 20 * turn + 18
        await until(lambda last=last: source.highest == last, "media came")  # type: ignore[misc]
        block = rtcp.Block(VIDEO_SSRC, 128, last // 2, last, 0, 0, 0)
        subscriber.send_rtcp(rtcp.write_report([block]))
    told = subscription.lost
    await until(lambda: told["video"] == 199, "all is reported")
    assert subscription.estimate == 0


async def test_a_full_way_gets_few_repeats_and_a_key_frame(stage: Stage) -> None:
    """Seen: 200 kbit/s took 1.8 Mbit/s of repeats, most of them lost, for as long as it lasted."""
    publisher = await stage.publish()
    subscriber = await stage.subscribe()
    for number in range(100):
        publisher.send_rtp(video(number, KEY + bytes(1000) if not number else bytes(1000)))
    await until(lambda: len(subscriber.rtp) >= 100, "media came")
    subscription = publication(stage).subscriptions["con_S"]
    subscription.estimator.estimate = 100_000
    before = key_frames_asked(publisher)
    for _ in range(20):
        subscriber.send_rtcp(rtcp.write_nack(VIDEO_SSRC, list(range(1, 100))))
    await until(lambda: key_frames_asked(publisher) > before, "a key frame is asked for")
    assert 0 < subscription.repeated["video"] < 20
    publisher.send_rtp(video(100, KEY))
    await until(lambda: subscriber.rtp[-1] == video(100, KEY), "the key frame came")
    already = subscription.repeated["video"]
    nacked = subscription.nacked["video"]
    subscription.estimator.estimate = 10_000_000
    subscriber.send_rtcp(rtcp.write_nack(VIDEO_SSRC, [99, 100]))
    await until(lambda: subscription.nacked["video"] == nacked + 2, "asked for again")
    assert subscription.repeated["video"] == already + 1  # of the key frame alone


async def test_a_cap_that_falls_is_told_at_once(stage: Stage) -> None:
    publisher = await stage.publish()
    subscriber = await stage.subscribe()
    publisher.send_rtp(video(1))
    await until(lambda: subscriber.rtp and publication(stage).cap, "media came")
    stage.node.each_second = lambda _: None  # type: ignore[method-assign] - not by the clock
    publication(stage).subscriptions["con_S"].estimator.estimate = 200_000
    await until(lambda: 200_000 + SOUND in map(rtcp.remb, ones(publisher)), "the publisher is told")


async def test_a_packet_is_repeated_once_in_a_round_trip(stage: Stage) -> None:
    publisher = await stage.publish()
    subscriber = await stage.subscribe()
    publisher.send_rtp(video(1))
    publisher.send_rtp(video(2))
    await until(lambda: len(subscriber.rtp) == 2, "media came")
    publication(stage).subscriptions["con_S"].round_trip = 60.0
    for _ in range(5):
        subscriber.send_rtcp(rtcp.write_nack(VIDEO_SSRC, [1]))
    subscriber.send_rtcp(rtcp.write_nack(VIDEO_SSRC, [2]))
    await until(lambda: len(subscriber.rtp) >= 4, "both are repeated")
    assert len(subscriber.rtp) == 4


async def test_repeats_on_a_lossy_way_go_out_twice(stage: Stage) -> None:
    """Seen: with 20 % loss the picture stood for 10 s in a minute, when a repeat was lost, too."""
    publisher = await stage.publish()
    subscriber = await stage.subscribe()
    publisher.send_rtp(video(1))
    await until(lambda: len(subscriber.rtp) == 1, "media came")
    publication(stage).subscriptions["con_S"].estimator.floor = 0.2
    subscriber.send_rtcp(rtcp.write_nack(VIDEO_SSRC, [1]))
    await until(lambda: len(subscriber.rtp) == 3, "it is repeated twice")
    first, second = (struct.unpack("!H", packet[2:4])[0] for packet in subscriber.rtp[1:])
    assert second == first + 1
    assert subscriber.rtp[1][12:] == subscriber.rtp[2][12:]


async def test_a_lost_transport_is_told_unless_the_log_ended_it(stage: Stage) -> None:
    publisher = await stage.publish()
    first, second = await stage.subscribe("con_1"), await stage.subscribe("con_2")
    subscriptions = publication(stage).subscriptions
    await first.close()
    await second.close()
    await until(lambda: not subscriptions, "both are gone")
    stage.node.handle(Discard("con_2", STREAM))
    await publisher.close()
    await until(lambda: publication(stage).leg is None, "the publisher is gone")
    losses = list(stage.node.losses.due(monotonic() + PATIENCE))
    assert losses == [
        (SESSION, "con_1", STREAM, Direction.INBOUND, CLOSED),
        (SESSION, PUBLISHER, STREAM, Direction.OUTBOUND, CLOSED),
    ]


async def test_the_sound_of_a_starved_picture_goes_on(stage: Stage) -> None:
    publisher = await stage.publish()
    subscriber = await stage.subscribe()
    subscription = publication(stage).subscriptions["con_S"]
    number = 0

    def starves() -> bool:
        nonlocal number
        number += 1
        subscription.estimator.estimate = 30_000
        publisher.send_rtp(video(number, KEY + bytes(1000)))
        return subscription.edges["video"].paused

    await until(starves, "the picture pauses")
    subscriber.rtp.clear()
    publisher.send_rtp(video(number + 1))
    publisher.send_rtp(audio(1))
    await until(
        lambda: any(p[8:12] == struct.pack("!I", AUDIO_SSRC) for p in subscriber.rtp), "sound"
    )
    before = key_frames_asked(publisher)
    subscription.estimator.estimate = 10_000_000
    await until(lambda: key_frames_asked(publisher) > before, "a key frame is asked for")
    assert not subscription.edges["video"].paused


async def test_own_media_that_is_sent_back_pauses_and_goes_on(stage: Stage) -> None:
    publisher = await stage.publish(loopback=True)
    subscription = publication(stage).returned
    assert subscription is not None
    number = 0

    def sends(estimate: int) -> bool:
        nonlocal number
        number += 1
        subscription.estimator.estimate = estimate
        publisher.send_rtp(video(number, KEY + bytes(1000)))
        return subscription.edges["video"].paused

    await until(lambda: sends(30_000), "the picture pauses")
    publisher.rtp.clear()
    await until(lambda: not sends(10_000_000), "it goes on")

    def is_back() -> bool:
        sends(10_000_000)
        return any(packet[12:].startswith(KEY) for packet in publisher.rtp)

    await until(is_back, "the picture is back")


async def goes_on_until(sender: Callable[[], None], holds: Callable[[], object], what: str) -> None:
    """Packets each 50 ms until it holds."""

    def sent() -> object:
        sender()
        return holds()

    await until(sent, what, pause=0.05)


async def test_a_request_for_a_key_frame_that_was_lost_is_repeated(stage: Stage) -> None:
    """After an unmute, and after a pause for want of bandwidth: nobody else asks."""
    publisher, number = await stage.publish(), 0
    subscriber = await stage.subscribe()

    def send() -> None:
        nonlocal number
        number += 1
        publisher.send_rtp(video(number, KEY if number == 1 else DELTA))

    await goes_on_until(send, lambda: subscriber.rtp, "media came")
    publication(stage).activate("video", False, monotonic())
    publication(stage).activate("video", True, monotonic())
    before = key_frames_asked(publisher)
    await goes_on_until(send, lambda: key_frames_asked(publisher) >= before + 3, "it is repeated")


async def test_without_rtx_a_picture_that_paused_comes_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.media.bandwidth.FORGOTTEN", 1.0)
    monkeypatch.setattr("services.media.layers.PATIENCE", 0.2)
    peer = stage.peer()
    offer = peer.offer()
    for line in (r"ssrc-group", r"ssrc:3333", r"rtpmap:97", r"fmtp:97"):
        offer = re.sub(rf"a={line}[^\n]*\n", "", offer)
    offer = offer.replace("SAVPF 96 97", "SAVPF 96")
    answer = stage.node.handle(
        Publish(SESSION, PUBLISHER, STREAM, offer, has_audio=True, has_video=True)
    )
    assert isinstance(answer, Answer)
    await peer.connect(answer.sdp_answer)
    await stage.subscribe("con_G")  # who takes everything
    await stage.subscribe()
    subscription, number = publication(stage).subscriptions["con_S"], 0

    def send() -> None:
        nonlocal number
        number += 1
        peer.send_rtp(video(number, (KEY if number % 20 == 1 else DELTA) + bytes(1000)))
        if not subscription.is_starved and number < 1000:
            subscription.estimator.estimate = 10_000
            subscription.estimator._trouble_at = monotonic()
        else:
            number = max(number, 1000)

    await goes_on_until(send, lambda: subscription.is_starved, "the picture pauses")
    await goes_on_until(send, lambda: not subscription.is_starved, "the picture is back")
    assert subscription._padded_bytes == 0


async def test_a_subscriber_of_sound_alone_is_no_hurry(stage: Stage) -> None:
    await stage.publish()
    listener = stage.peer()
    offer = stage.node.handle(PrepareOffer(SESSION, "con_S", STREAM))
    assert isinstance(offer, Offer)
    answer = AcceptAnswer("con_S", STREAM, listener.answer(kinds="audio"))
    assert stage.node.handle(answer) == Done()
    await listener.connect(offer.sdp_offer)
    subscription = publication(stage).subscriptions["con_S"]
    await until(lambda: subscription.leg.state is State.READY, "it is connected")
    await until(lambda: not publication(stage).tick(monotonic()), "nothing is left to do")


async def test_the_answer_names_the_floor_as_the_feedback_does(stage: Stage) -> None:
    answer = stage.node.handle(
        Publish(
            SESSION,
            PUBLISHER,
            STREAM,
            stage.peer().offer(),
            has_audio=True,
            has_video=True,
            max_send_kbps=300,
            min_send_kbps=1000,
        )
    )
    assert isinstance(answer, Answer)
    assert "b=AS:1000" in answer.sdp_answer


async def test_counters_go_on_when_the_publisher_reconnects(stage: Stage) -> None:
    publisher = await stage.publish()
    for number in (1, 2, 3, 7):
        publisher.send_rtp(video(number, KEY))
    track = publication(stage).tracks["video"]
    await until(lambda: track.totals.packets == 4, "media came")
    before = track.totals
    assert before.lost == 3
    again = stage.peer()
    answer = stage.node.handle(Republish(SESSION, PUBLISHER, STREAM, again.offer()))
    assert isinstance(answer, Answer)
    await again.connect(answer.sdp_answer)
    assert track.totals == before
    again.send_rtp(video(100, KEY))
    await until(lambda: track.totals.packets == 5, "media goes on")
    (sample, *_) = [
        one
        for one in Sampler().sample([publication(stage)], monotonic())
        if (one.kind, one.direction) == ("video", Direction.OUTBOUND)
    ]
    assert (sample.packets, sample.lost) == (5, 3)
    assert sample.bytes > before.bytes
    assert publication(stage).statistics()["video_packets"] == 5
