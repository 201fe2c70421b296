"""Publish and subscribe over real UDP, DTLS and SRTP."""

from __future__ import annotations

import itertools
import struct
from time import monotonic

from services.conference.calls import (
    Answer,
    Discard,
    Done,
    Republish,
    Subscribe,
    Tap,
    Tapped,
    Untap,
)
from services.media import rtcp
from tests.integration.media.peer import AUDIO_SSRC, RTX_SSRC, VIDEO_SSRC, Peer
from tests.integration.media.stage import PUBLISHER, SESSION, STREAM, Stage, audio, until, video
from tests.integration.media.wire import Collector


def plis(compounds: list[bytes]) -> int:
    return sum(
        bool(rtcp.key_frames_wanted(one))
        for compound in compounds
        for one in rtcp.packets(compound)
    )


def sender_reports(peer: Peer) -> list[rtcp.SenderReport]:
    packets = (one for compound in peer.rtcp for one in rtcp.packets(compound))
    return [report for one in packets if (report := rtcp.sender_report(one)) is not None]


async def test_a_subscriber_gets_every_packet_byte_for_byte(stage: Stage) -> None:
    publisher = await stage.publish()
    subscribers = [await stage.subscribe(f"con_{n}") for n in range(3)]
    sent = [packet for n in range(100) for packet in (video(n), audio(n))]
    for packet in sent:
        publisher.send_rtp(packet)
    for subscriber in subscribers:
        await until(lambda s=subscriber: len(s.rtp) == len(sent), "all packets came")
        assert subscriber.rtp == sent


async def test_a_client_that_offers_gets_the_payload_types_of_its_offer(stage: Stage) -> None:
    publisher = await stage.publish()
    subscriber = stage.peer()
    offer = subscriber.offer(direction="recvonly", pt=120, rtx=121)
    answer = stage.node.handle(Subscribe(SESSION, "con_S", STREAM, offer))
    assert isinstance(answer, Answer)
    assert "UDP/TLS/RTP/SAVPF 120 121" in answer.sdp_answer
    await subscriber.connect(answer.sdp_answer)
    edges = stage.node.publications[STREAM].subscriptions["con_S"].edges
    await until(lambda: edges["video"].source, "the edge is connected")
    publisher.send_rtp(video(1))
    publisher.send_rtp(audio(1))
    await until(lambda: len(subscriber.rtp) == 2, "both packets came")
    assert subscriber.rtp == [video(1, pt=120), audio(1)]


async def test_a_connecting_subscriber_makes_the_publisher_send_a_key_frame(stage: Stage) -> None:
    publisher = await stage.publish()
    publisher.send_rtp(video(1))
    await stage.subscribe()
    await until(lambda: plis(publisher.rtcp), "a request for a key frame came")


async def test_requests_for_key_frames_are_merged(stage: Stage) -> None:
    publisher = await stage.publish()
    publisher.send_rtp(video(1))
    subscriber = await stage.subscribe()
    await until(lambda: plis(publisher.rtcp) == 1, "the first request came")
    started = monotonic()
    for _ in range(50):
        subscriber.send_rtcp(rtcp.write_report() + rtcp.write_pli(VIDEO_SSRC))
    await until(lambda: plis(publisher.rtcp) == 2, "a merged request came")
    subscription = stage.node.publications[STREAM].subscriptions["con_S"]
    await until(lambda: subscription.key_frames == 50, "all requests arrived")
    windows = (monotonic() - started) / 0.3
    assert plis(publisher.rtcp) <= 3 + windows


async def test_the_publisher_hears_reports_and_its_limit(stage: Stage) -> None:
    publisher = await stage.publish(limit=640)
    for number in (1, 2, 4):
        publisher.send_rtp(video(number))
    report = rtcp.SenderReport(VIDEO_SSRC, 0x0001000200030004, 9000, 3, 30)
    publisher.send_rtcp(rtcp.write_sender_report(report, "peer"))

    def ones() -> list[rtcp.Packet]:
        return [one for compound in publisher.rtcp for one in rtcp.packets(compound)]

    await until(
        lambda: any(b.last_report == report.middle for one in ones() for b in rtcp.blocks(one)),
        "a report with the time of the sender report came",
    )
    [block] = [b for one in ones() for b in rtcp.blocks(one) if b.last_report == report.middle][:1]
    assert (block.ssrc, block.highest, block.lost) == (VIDEO_SSRC, 4, 1)
    assert 640_000 in [rtcp.remb(one) for one in ones()]


async def test_sender_reports_reach_the_subscribers_with_the_publishers_clock(
    stage: Stage,
) -> None:
    publisher = await stage.publish()
    subscriber = await stage.subscribe()
    publisher.send_rtp(video(1))
    await until(lambda: subscriber.rtp, "media flows")
    report = rtcp.SenderReport(VIDEO_SSRC, 0x1111222233334444, 3000, 1, 7)
    publisher.send_rtcp(rtcp.write_sender_report(report, "peer") + rtcp.write_pli(5))
    await until(lambda: subscriber.rtcp, "the report came")
    first, name = rtcp.packets(subscriber.rtcp[0])
    assert rtcp.sender_report(first) == report
    assert b"peer" in name.body


async def test_sender_reports_come_no_more_often_than_they_tell_something(stage: Stage) -> None:
    """Each goes to every subscriber, and a compound may hold many."""
    publisher = await stage.publish()
    subscriber = await stage.subscribe()
    publisher.send_rtp(audio(1))
    await until(lambda: subscriber.rtp, "sound came")
    many = b"".join(
        rtcp.write_sender_report(rtcp.SenderReport(AUDIO_SSRC, n << 32, n, n, n), "peer")
        for n in range(1, 20)
    )
    publisher.send_rtcp(many)
    publisher.send_rtp(audio(2))
    await until(lambda: len(subscriber.rtp) == 2, "the sound after it came")
    assert len(sender_reports(subscriber)) == 1


async def test_a_muted_edge_tells_no_report_in_the_numbers_of_a_transport_before(
    stage: Stage,
) -> None:
    publisher = await stage.publish()
    subscriber = await stage.subscribe()
    publisher.send_rtp(audio(1))
    await until(lambda: subscriber.rtp, "sound came")
    publication = stage.node.publications[STREAM]
    publication.activate("audio", False, monotonic())
    again = stage.peer()
    offer = again.offer().replace(str(AUDIO_SSRC), "4111")
    answer = stage.node.handle(Republish(SESSION, PUBLISHER, STREAM, offer))
    assert isinstance(answer, Answer)
    await again.connect(answer.sdp_answer)
    packet = struct.pack("!BBHII", 0x80, 111, 7, 3_000_000_000, 4111) + b"sound"
    report = rtcp.SenderReport(4111, 1 << 40, 3_000_000_000, 3, 3)
    again.send_rtp(packet)
    again.send_rtcp(rtcp.write_sender_report(report, "peer"))
    again.send_rtp(video(1, ssrc=VIDEO_SSRC))
    await until(lambda: subscriber.rtp[-1][12:] == b"video 1", "what came after it came")
    assert not sender_reports(subscriber)


async def test_a_report_without_a_time_measures_no_round_trip(stage: Stage) -> None:
    publisher = await stage.publish()
    subscriber = await stage.subscribe()
    publisher.send_rtp(audio(1))
    await until(lambda: subscriber.rtp, "sound came")
    publisher.send_rtcp(rtcp.write_sender_report(rtcp.SenderReport(AUDIO_SSRC, 0, 9, 1, 1), "p"))
    await until(lambda: sender_reports(subscriber), "a report that knows no time")
    block = rtcp.Block(AUDIO_SSRC, 128, 0, 1, 0, 0, 0)  # no report was seen
    subscription = stage.node.publications[STREAM].subscriptions["con_S"]
    subscriber.send_rtcp(rtcp.write_report([block]))
    await until(lambda: subscription.fractions["audio"] == 0.5, "the subscriber's report came")
    assert subscription.round_trip is None


async def test_the_round_trip_of_a_subscriber_is_measured(stage: Stage) -> None:
    publisher = await stage.publish()
    subscriber = await stage.subscribe()
    publisher.send_rtp(video(1))
    report = rtcp.SenderReport(VIDEO_SSRC, 0x1111222233334444, 3000, 1, 7)
    publisher.send_rtcp(rtcp.write_sender_report(report, "peer"))
    await until(lambda: subscriber.rtcp, "the report came")
    block = rtcp.Block(VIDEO_SSRC, 128, 1, 1, 0, report.middle, 0)
    subscriber.send_rtcp(rtcp.write_report([block]))
    subscription = stage.node.publications[STREAM].subscriptions["con_S"]
    await until(lambda: subscription.round_trip is not None, "it is measured")
    assert subscription.round_trip is not None
    assert 0 <= subscription.round_trip < 10
    assert subscription.fractions["video"] == 0.5


async def test_a_publisher_reconnects_without_a_seam_for_its_subscribers(stage: Stage) -> None:
    first = await stage.publish()
    subscriber = await stage.subscribe()
    for number in range(65530, 65540):
        first.send_rtp(video(number, at=1000 + number * 10))
    await until(lambda: len(subscriber.rtp) == 10, "the first transport's packets came")
    second = stage.peer()
    other = 9_999_999
    offer = second.offer(pt=100, rtx=101).replace(f"{VIDEO_SSRC}", f"{other}")
    answer = stage.node.handle(Republish(SESSION, PUBLISHER, STREAM, offer))
    assert isinstance(answer, Answer)
    await second.connect(answer.sdp_answer)
    for number in range(500, 510):
        second.send_rtp(video(number, pt=100, ssrc=other, at=77_000 + (number - 500) * 3000))
    await until(lambda: len(subscriber.rtp) == 20, "the second transport's packets came")
    sequences = [struct.unpack("!H", packet[2:4])[0] for packet in subscriber.rtp]
    assert sequences == [n & 0xFFFF for n in range(65530, 65550)]
    assert {packet[1] & 0x7F for packet in subscriber.rtp} == {96}
    assert {packet[8:12] for packet in subscriber.rtp} == {struct.pack("!I", VIDEO_SSRC)}
    times = [struct.unpack("!I", packet[4:8])[0] for packet in subscriber.rtp]
    assert 0 <= times[10] - times[9] < 10 * 90000
    assert [b - a for a, b in itertools.pairwise(times[10:])] == [3000] * 9
    assert [p[12:] for p in subscriber.rtp[10:]] == [b"video %d" % n for n in range(500, 510)]
    report = rtcp.SenderReport(other, 1 << 40, 77_000, 1, 1)
    second.send_rtcp(rtcp.write_sender_report(report, "peer"))
    await until(lambda: subscriber.rtcp, "the report came")
    told = rtcp.sender_report(next(rtcp.packets(subscriber.rtcp[0])))
    assert told == report._replace(ssrc=VIDEO_SSRC, timestamp=times[10])


async def test_pictures_are_numbered_on_when_a_publisher_reconnects(stage: Stage) -> None:
    """The transport before may end, and its history with it, long before there is another."""

    def picture(number: int) -> bytes:
        key = b"\x00\x00\x00\x9d\x01\x2a"
        return b"\x90\x80" + (0x8000 | number).to_bytes(2, "big") + key

    first = await stage.publish()
    subscriber = await stage.subscribe()
    first.send_rtp(video(1, picture(700)))
    await until(lambda: subscriber.rtp, "the first transport's picture came")
    publication = stage.node.publications[STREAM]
    await first.close()
    await until(lambda: publication.leg is None, "the transport has ended")
    second = stage.peer()
    answer = stage.node.handle(Republish(SESSION, PUBLISHER, STREAM, second.offer()))
    assert isinstance(answer, Answer)
    await second.connect(answer.sdp_answer)
    second.send_rtp(video(900, picture(20)))
    await until(lambda: len(subscriber.rtp) == 2, "the second transport's picture came")
    assert [packet[12:] for packet in subscriber.rtp] == [picture(700), picture(701)]


async def test_packets_lost_after_a_reconnection_are_repeated_in_the_subscribers_numbers(
    stage: Stage,
) -> None:
    first = await stage.publish()
    subscriber = await stage.subscribe()
    first.send_rtp(video(100))
    await until(lambda: subscriber.rtp, "media flows")
    second = stage.peer()
    answer = stage.node.handle(
        Republish(SESSION, PUBLISHER, STREAM, second.offer().replace(str(VIDEO_SSRC), "42"))
    )
    assert isinstance(answer, Answer)
    await second.connect(answer.sdp_answer)
    second.send_rtp(video(5000, ssrc=42))
    await until(lambda: len(subscriber.rtp) == 2, "media flows again")
    subscriber.send_rtcp(rtcp.write_nack(VIDEO_SSRC, [101]))
    await until(lambda: len(subscriber.rtp) == 3, "the packet was repeated")
    repeat = subscriber.rtp[2]
    assert repeat[8:12] == struct.pack("!I", RTX_SSRC)
    assert repeat[12:14] == struct.pack("!H", 101)
    assert repeat[14:] == b"video 5000"


async def test_own_media_comes_back_under_other_ssrcs(stage: Stage) -> None:
    publisher = await stage.publish(loopback=True)
    assert publisher.description.count("a=sendrecv") == 2
    returned = stage.node.publications[STREAM].returned
    assert returned is not None
    await until(lambda: returned.edges["video"].source, "the edge is connected")
    publisher.send_rtp(video(1))
    await until(lambda: publisher.rtp, "the packet came back")
    ssrc = struct.unpack("!I", publisher.rtp[0][8:12])[0]
    assert ssrc not in (VIDEO_SSRC, AUDIO_SSRC, RTX_SSRC)
    assert f"a=ssrc:{ssrc} " in publisher.description
    assert publisher.rtp[0] == video(1, ssrc=ssrc)


async def test_a_tap_gets_media_and_sender_reports_in_the_clear(stage: Stage) -> None:
    publisher = await stage.publish()
    collector = Collector()
    try:
        tap = Tap("tap-1", STREAM, *collector.address)
        assert stage.node.handle(tap) == Tapped()
        publisher.send_rtp(video(1))
        publisher.send_rtp(audio(1))
        report = rtcp.SenderReport(VIDEO_SSRC, 1 << 40, 3000, 1, 7)
        publisher.send_rtcp(rtcp.write_sender_report(report, "peer"))
        await until(lambda: len(collector.datagrams) == 3, "media and report came")
        assert collector.datagrams[:2] == [video(1), audio(1)]
        assert rtcp.sender_report(next(rtcp.packets(collector.datagrams[2]))) == report
        await until(lambda: plis(publisher.rtcp), "a request for a key frame came")
        told = stage.node.handle(tap)
        assert isinstance(told, Tapped)
        assert told.video is not None
        assert (told.video.codec, told.video.payload_type) == ("VP8", 96)
        assert (told.video.ssrc, told.video.clock_rate) == (VIDEO_SSRC, 90000)
        assert told.audio is not None
        assert (told.audio.codec, told.audio.channels) == ("opus", 2)
        assert stage.node.handle(Untap("tap-1", STREAM)) == Done()
        assert all(t.source and not t.source.taps for t in _tracks(stage))
    finally:
        collector.close()


def _tracks(stage: Stage):  # type: ignore[no-untyped-def]
    return stage.node.publications[STREAM].tracks.values()


async def test_a_tap_that_is_not_renewed_ends(stage: Stage) -> None:
    await stage.publish()
    stage.node.handle(Tap("tap-1", STREAM, "127.0.0.1", 9))
    assert all(track.source.taps for track in _tracks(stage))
    stage.node.publications[STREAM].taps.expire(monotonic() + 10)
    assert stage.node.publications[STREAM].taps.addresses
    stage.node.each_second(monotonic() + 13)
    assert not any(track.source.taps for track in _tracks(stage))


async def test_a_discarded_publication_takes_its_subscriptions_along(stage: Stage) -> None:
    publisher = await stage.publish()
    subscriber = await stage.subscribe()
    assert stage.node.handle(Discard(PUBLISHER, STREAM)) == Done()
    assert not stage.node.publications
    for peer in (publisher, subscriber):
        await until(lambda p=peer: p.dtls.state == "closed", "the client hears a goodbye")
    await until(lambda: not len(stage.node.legs), "no leg is left")


async def test_the_second_subscription_of_a_pair_replaces_the_first(stage: Stage) -> None:
    publisher = await stage.publish()
    first = await stage.subscribe()
    second = await stage.subscribe()
    await until(lambda: first.dtls.state == "closed", "the first one ended")
    publisher.send_rtp(video(1))
    await until(lambda: second.rtp, "the second one gets the media")
    assert first.rtp == []
