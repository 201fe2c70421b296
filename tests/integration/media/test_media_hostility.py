"""What strangers and broken clients do to the port, and what becomes of legs nobody tends."""

from __future__ import annotations

import asyncio
import random
import struct
from time import monotonic

import pytest

from services.conference.calls import (
    AcceptAnswer,
    Answer,
    Call,
    Discard,
    Done,
    Failure,
    FailureCode,
    Offer,
    PrepareOffer,
    Publish,
    Republish,
    Subscribe,
    Tap,
)
from services.media import dtls, legs
from services.media.leg import CHECKS_PER_SECOND, CONSENT
from services.media.node import UNANSWERED, UNCONFIRMED, Node
from tests.integration.media.stage import PUBLISHER, SESSION, STREAM, Stage, audio, until, video
from tests.integration.media.wire import Relay, bound
from tests.unit.media import offers


async def test_garbage_on_the_port_harms_nobody_and_gets_no_answer(stage: Stage) -> None:
    publisher = await stage.publish()
    subscriber = await stage.subscribe()
    chance = random.Random(7)
    stranger = bound()
    try:
        for first in range(256):
            for size in (0, 1, 11, 40, 1599, 1600, 3000):
                garbage = bytes((first,)) + chance.randbytes(max(0, size - 1))
                stranger.sendto(garbage[:size], stage.node.port.address)
        stranger.sendto(publisher.binding_request(password="wrong"), stage.node.port.address)
        publisher.send_rtp(video(1))
        await until(lambda: subscriber.rtp, "media still flows")
        assert subscriber.rtp == [video(1)]
        with pytest.raises(BlockingIOError):
            stranger.recv(2048)
        drops = stage.node.port.counters
        for reason in ("bad size", "media from elsewhere", "DTLS from elsewhere"):
            assert drops[reason], reason
        assert drops["STUN for nobody"]
        assert drops["unknown protocol"]
    finally:
        stranger.close()


async def test_garbage_of_a_client_itself_ends_nothing(stage: Stage) -> None:
    publisher = await stage.publish()
    subscriber = await stage.subscribe()
    chance = random.Random(8)
    for first in range(256):
        publisher.raw(bytes((first,)) + chance.randbytes(chance.randrange(12, 200)))
    for kind in (200, 201, 202, 203, 204, 205, 206, 207):
        body = chance.randbytes(40)
        publisher.send_rtcp(struct.pack("!BBH", 0x9F, kind, 10) + body)
        subscriber.send_rtcp(struct.pack("!BBH", 0x81, kind, 10) + body)
    publisher.send_rtp(video(1))
    await until(lambda: subscriber.rtp, "media still flows")


async def test_an_ssrc_that_was_not_negotiated_is_not_even_decrypted(stage: Stage) -> None:
    publisher = await stage.publish()
    subscriber = await stage.subscribe()
    for ssrc in range(1, 200):
        publisher.send_rtp(video(1, ssrc=ssrc))
    publisher.send_rtp(video(1))
    await until(lambda: subscriber.rtp, "the negotiated one is forwarded")
    assert subscriber.rtp == [video(1)]
    assert stage.node.port.counters["unknown SSRC"] == 199


async def test_a_payload_type_that_was_not_negotiated_is_dropped(stage: Stage) -> None:
    publisher = await stage.publish()
    subscriber = await stage.subscribe()
    publisher.send_rtp(video(1, pt=98))
    publisher.send_rtp(video(2))
    await until(lambda: subscriber.rtp, "the negotiated one is forwarded")
    assert subscriber.rtp == [video(2)]


async def test_a_forged_packet_is_dropped(stage: Stage) -> None:
    publisher = await stage.publish()
    subscriber = await stage.subscribe()
    publisher.raw(video(1) + bytes(16))
    publisher.send_rtp(video(2))
    await until(lambda: subscriber.rtp, "the true one is forwarded")
    assert subscriber.rtp == [video(2)]
    assert stage.node.port.counters["not authentic"] == 1


async def test_a_client_with_another_certificate_than_announced_gets_no_media(
    stage: Stage,
) -> None:
    publisher = stage.peer()
    publisher.fingerprint_value = ":".join(["00"] * 32)
    answer = stage.node.handle(
        Publish(SESSION, PUBLISHER, STREAM, publisher.offer(), has_audio=True, has_video=True)
    )
    assert isinstance(answer, Answer)
    await publisher.connect(answer.sdp_answer)
    publication = stage.node.publications[STREAM]
    await until(lambda: publication.leg is None, "the leg is gone")
    assert len(stage.node.legs) == 0


async def test_a_client_that_never_connects_is_let_go(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dtls, "HANDSHAKE_LIMIT", 0.2)
    peer = stage.peer()
    stage.node.handle(
        Publish(SESSION, PUBLISHER, STREAM, peer.offer(), has_audio=True, has_video=True)
    )
    await until(lambda: not len(stage.node.legs), "the leg is gone")
    assert STREAM in stage.node.publications  # the client may reconnect


async def test_a_client_that_stops_checking_loses_its_leg(stage: Stage) -> None:
    await stage.publish()
    subscriber = await stage.subscribe()
    stage.node.publications[STREAM].confirmed = True
    later = monotonic() + CONSENT - 1
    stage.node.each_second(later)
    assert len(stage.node.legs) == 2
    leg = stage.node.publications[STREAM].subscriptions["con_S"].leg
    leg.checked_at = later
    stage.node.each_second(later + 2)
    assert list(stage.node.legs) == [leg]
    assert stage.node.publications[STREAM].leg is None
    stage.node.legs.end_silent(later + CONSENT + 1)
    assert stage.node.publications[STREAM].subscriptions == {}
    await until(lambda: subscriber.dtls.state == "closed", "the client hears a goodbye")


async def test_forged_checks_do_not_take_the_turn_of_a_clients_own(stage: Stage) -> None:
    publisher = await stage.publish()
    leg = next(iter(stage.node.legs))
    address = leg.endpoint.address
    assert address is not None
    now = leg.checked_at + 10
    forged = publisher.binding_request(password="wrong" * 5)
    for _ in range(2 * CHECKS_PER_SECOND):
        leg.check(forged, ("127.0.0.1", 9), now)
    leg.check(publisher.binding_request(), address, now)
    assert leg.checked_at == now


async def test_a_second_answer_is_refused_also_before_the_first_is_acted_upon(
    stage: Stage,
) -> None:
    publisher = await stage.publish()
    peer = stage.peer()
    offer = stage.node.handle(PrepareOffer(SESSION, "con_S", STREAM))
    assert isinstance(offer, Offer)
    answer = AcceptAnswer("con_S", STREAM, peer.answer())
    assert stage.node.handle(answer) == Done()
    second = stage.node.handle(answer)
    assert isinstance(second, Failure)
    assert second.code is FailureCode.SUBSCRIPTION_NOT_FOUND
    await peer.connect(offer.sdp_offer)
    await until(lambda: publisher.rtcp, "all goes on")
    assert stage.node.serving


async def test_a_leg_that_ends_before_it_began_is_let_go(stage: Stage) -> None:
    await stage.publish()
    offer = stage.node.handle(PrepareOffer(SESSION, "con_S", STREAM))
    assert isinstance(offer, Offer)
    assert stage.node.handle(AcceptAnswer("con_S", STREAM, stage.peer().answer())) == Done()
    leg = stage.node.publications[STREAM].subscriptions["con_S"].leg
    assert stage.node.handle(Discard("con_S", STREAM)) == Done()
    await until(lambda: not hasattr(leg.endpoint, "leg"), "no circle is left")
    assert len(stage.node.legs) == 1
    assert stage.node.serving


async def test_an_offer_nobody_answers_is_dropped(stage: Stage) -> None:
    await stage.publish()
    assert isinstance(stage.node.handle(PrepareOffer(SESSION, "con_S", STREAM)), Offer)
    stage.node.publications[STREAM].confirmed = True
    stage.node.each_second(monotonic() + UNANSWERED - 1)
    assert stage.node.publications[STREAM].subscriptions
    stage.node.each_second(monotonic() + UNANSWERED + 1)
    assert not stage.node.publications[STREAM].subscriptions


async def test_a_publication_the_log_never_tells_of_is_dropped(stage: Stage) -> None:
    await stage.publish()
    stage.node.each_second(monotonic() + UNCONFIRMED + 1)
    assert not stage.node.publications


async def test_a_leg_follows_its_client_to_another_address(stage: Stage) -> None:
    relay = Relay(stage.node.port.address, lambda _data, _from_client: False)
    try:
        publisher = await stage.publish()
        subscriber = await stage.subscribe(relay=relay.address)
        endpoint = stage.node.publications[STREAM].subscriptions["con_S"].leg.endpoint
        before = endpoint.address
        relay.move()
        subscriber.check()
        await until(lambda: endpoint.address != before, "the check moved it")
        publisher.send_rtp(video(1))
        await until(lambda: subscriber.rtp, "media goes to the new address")
    finally:
        relay.close()


async def test_an_address_in_use_cannot_be_taken_by_another_leg(stage: Stage) -> None:
    publisher = await stage.publish()
    subscriber = await stage.subscribe()
    thief = stage.peer()
    offer = stage.node.handle(PrepareOffer(SESSION, "con_T", STREAM))
    assert isinstance(offer, Offer)
    thief.aim(offer.sdp_offer)
    subscriber.raw(thief.binding_request())  # as if its source address were forged
    publisher.send_rtp(video(1))
    await until(lambda: subscriber.rtp, "media still flows")
    leg = stage.node.publications[STREAM].subscriptions["con_T"].leg
    assert leg.endpoint.address is None


async def test_too_many_half_made_connections_are_refused(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(legs, "MAX_WAITING", 3)
    await stage.publish()
    replies = [stage.node.handle(PrepareOffer(SESSION, f"con_{n}", STREAM)) for n in range(4)]
    assert [type(reply) for reply in replies] == [Offer, Offer, Offer, Failure]
    refused = replies[3]
    assert isinstance(refused, Failure)
    assert refused.code is FailureCode.OVERLOADED


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (PrepareOffer(SESSION, "con_S", "str_none"), FailureCode.STREAM_NOT_FOUND),
        (Subscribe(SESSION, "con_S", "str_none", "v=0"), FailureCode.STREAM_NOT_FOUND),
        (Republish(SESSION, PUBLISHER, "str_none", "v=0"), FailureCode.STREAM_NOT_FOUND),
        (Tap("t", "str_none", "127.0.0.1", 9), FailureCode.STREAM_NOT_FOUND),
        (Tap("t", STREAM, "no.address", 9), FailureCode.ENDPOINT_CLOSED),
        (AcceptAnswer("con_S", STREAM, "v=0"), FailureCode.SUBSCRIPTION_NOT_FOUND),
        (Subscribe(SESSION, "con_S", STREAM, "garbage"), FailureCode.SDP_INVALID),
        (Republish(SESSION, "con_other", STREAM, "v=0"), FailureCode.STREAM_NOT_FOUND),
        (
            Publish(SESSION, "con_other", STREAM, "v=0", has_audio=True, has_video=True),
            FailureCode.ENDPOINT_CLOSED,
        ),
        (
            Publish(SESSION, "con_2", "str_2", "garbage", has_audio=True, has_video=True),
            FailureCode.SDP_INVALID,
        ),
    ],
)
async def test_a_call_that_cannot_be_met_says_why_and_changes_nothing(
    stage: Stage, call: Call, code: FailureCode
) -> None:
    await stage.publish()
    before = len(stage.node.legs)
    reply = stage.node.handle(call)
    assert isinstance(reply, Failure)
    assert reply.code is code
    assert len(stage.node.legs) == before
    assert list(stage.node.publications) == [STREAM]


async def test_a_stopping_node_says_goodbye() -> None:
    node = Node("127.0.0.1", range(1))
    running = asyncio.ensure_future(node.run())
    await until(lambda: node.serving, "the node serves")
    stage = Stage(node)
    publisher, subscriber = await stage.publish(), await stage.subscribe()
    running.cancel()
    for peer in (publisher, subscriber):
        await until(lambda p=peer: p.dtls.state == "closed", "the client hears it")
        await peer.close()
    with pytest.raises(asyncio.CancelledError):
        await running
    reply = node.handle(
        Publish(SESSION, PUBLISHER, STREAM, offers.publisher(), has_audio=True, has_video=True)
    )
    assert isinstance(reply, Failure)
    assert reply.code is FailureCode.OVERLOADED


async def test_clients_cannot_be_told_to_send_to_everybody() -> None:
    with pytest.raises(ValueError, match="PUBLIC_IP"):
        Node("0.0.0.0", range(1))


async def test_what_is_gone_can_be_discarded_again(stage: Stage) -> None:
    assert stage.node.handle(Discard(PUBLISHER, STREAM)) == Done()


async def test_a_subscriber_without_video_gets_audio_only(stage: Stage) -> None:
    publisher = await stage.publish()
    subscriber = stage.peer()
    offer = stage.node.handle(PrepareOffer(SESSION, "con_S", STREAM))
    assert isinstance(offer, Offer)
    answer = subscriber.answer(kinds="audio")
    assert stage.node.handle(AcceptAnswer("con_S", STREAM, answer)) == Done()
    await subscriber.connect(offer.sdp_offer)
    edges = stage.node.publications[STREAM].subscriptions["con_S"].edges
    await until(lambda: edges["audio"].source, "the edge is connected")
    publisher.send_rtp(video(1))
    publisher.send_rtp(audio(1))
    await until(lambda: subscriber.rtp, "audio came")
    assert subscriber.rtp == [audio(1)]


async def test_a_datagram_the_kernel_does_not_take_is_dropped_and_counted(stage: Stage) -> None:
    publisher = await stage.publish()
    await stage.subscribe()
    edge = stage.node.publications[STREAM].subscriptions["con_S"].edges["video"]
    # An address the kernel refuses stands for one it has no room for: the same branch.
    stage.node.port.aim(edge.endpoint, ("255.255.255.255", 9))
    publisher.send_rtp(video(1))
    await until(lambda: edge.dropped == 1, "the drop is counted")
    assert edge.packets == 0
