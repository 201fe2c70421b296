"""Order within a session, independence between sessions, retries, dead letters."""

from __future__ import annotations

import asyncio
from pathlib import Path

from structlog.testing import capture_logs

from services.webhooks.endpoint import Failure
from services.webhooks.schedule import DAY, Schedule
from services.webhooks.sender import ROOM, WINDOW, Sender
from tests.unit.webhooks.harness import AWAY, QUIET, REFUSED, World, eventually


async def test_each_session_gets_its_events_in_order(world: World) -> None:
    async with world.sending():
        for _ in range(20):
            await world.enqueue("a", "b", "c")
        await world.until_accepted("a", list(range(1, 60, 3)))
        await world.until_accepted("b", list(range(2, 61, 3)))
        await world.until_accepted("c", list(range(3, 62, 3)))
        await world.until_empty()


async def test_what_one_session_waits_for_does_not_hold_others_back(world: World) -> None:
    world.receiver.answer = lambda delivery: REFUSED if delivery.session_id == "bad" else None
    async with world.sending():
        await world.enqueue("bad", "good", "bad", "good", "bad")
        await world.until_accepted("good", [2, 4])
        await world.pass_time(1)
        await world.until_tried(1, 2)
        await world.enqueue("good")
        await world.until_accepted("good", [2, 4, 6])
        assert world.receiver.tried(3) == world.receiver.tried(5) == 0
        world.receiver.answer = lambda delivery: None
        await world.pass_time(5)
        await world.until_accepted("bad", [1, 3, 5])
        await world.until_empty()


async def test_more_failing_sessions_than_fit_in_memory_do_not_hold_others_back(
    world: World,
) -> None:
    world.receiver.answer = lambda delivery: (
        REFUSED if delivery.session_id.startswith("bad") else None
    )
    async with world.sending():
        many = WINDOW + 200
        await world.enqueue(*(f"bad{number}" for number in range(many)))
        await world.enqueue("good", "good")
        await world.until_accepted("good", [many + 1, many + 2])


async def test_sessions_that_never_answer_leave_room_for_others(world: World) -> None:
    async def post(delivery: object, now: float) -> Failure | None:
        await asyncio.Event().wait()
        return None

    good = world.receiver.post
    world.receiver.post = lambda delivery, now: (  # type: ignore[method-assign]
        good(delivery, now) if delivery.session_id == "good" else post(delivery, now)
    )
    async with world.sending(concurrency=4):
        await world.enqueue("slow1", "slow1", "slow2", "slow3", "good", "good")
        await world.until_accepted("good", [5, 6])


async def test_so_many_sessions_are_sent_beside_each_other_and_no_more(world: World) -> None:
    world.receiver.gate.clear()
    async with world.sending(concurrency=4):
        await world.enqueue(*(f"s{number}" for number in range(10)))
        await eventually(lambda: world.receiver.open == 4)
        await asyncio.sleep(QUIET)
        assert world.receiver.open == 4
        world.receiver.gate.set()
        await world.until_empty()
        assert world.receiver.most_open == 4


async def test_a_failing_event_is_tried_again_after_growing_pauses(world: World) -> None:
    world.receiver.answer = lambda delivery: REFUSED
    async with world.sending():
        await world.enqueue("a")
        await world.until_tried(1, 1)
        for times, pause in enumerate((1, 5, 30, 120, 600, 1800, 3600, 3600), start=2):
            await world.pass_time(pause - 0.5)
            await asyncio.sleep(QUIET)
            assert world.receiver.tried(1) == times - 1
            await world.pass_time(0.6)
            await world.until_tried(1, times)


async def test_the_pause_that_the_receiver_asked_for_is_kept(world: World) -> None:
    world.receiver.answer = lambda delivery: Failure("status 429", False, retry_after=60)
    async with world.sending():
        await world.enqueue("a")
        await world.until_tried(1, 1)
        await world.pass_time(59)
        await asyncio.sleep(QUIET)
        assert world.receiver.tried(1) == 1
        await world.pass_time(2)
        await world.until_tried(1, 2)


async def test_after_three_days_of_failures_an_event_is_kept_as_a_dead_letter(
    world: World,
) -> None:
    world.receiver.answer = lambda delivery: REFUSED if delivery.sequence == 1 else None
    with capture_logs() as lines:
        async with world.sending():
            await world.enqueue("a", "a")
            await world.until_tried(1, 1)
            await world.pass_time(3 * DAY - 60)
            await world.until_tried(1, 2)
            await asyncio.sleep(QUIET)
            assert world.receiver.accepted["a"] == []
            await world.pass_time(120)
            await world.until_accepted("a", [2])
            await world.until_empty()
    assert await world.outbox.totals() == (0, 1)
    given_up = [line for line in lines if line["log_level"] == "error"]
    assert [(line["webhook"], line["session"], line["attempts"]) for line in given_up] == [
        ("signalSent", "a", 3)
    ]


async def test_events_that_waited_behind_a_dead_one_get_their_own_three_days(world: World) -> None:
    world.receiver.answer = lambda delivery: REFUSED
    async with world.sending():
        await world.enqueue("a", "a")
        await world.until_tried(1, 1)
        await world.pass_time(4 * DAY)
        await world.until_tried(2, 1)
        await asyncio.sleep(QUIET)
    assert await world.outbox.totals() == (1, 1)


async def test_a_restart_keeps_the_count_and_the_pause(world: World) -> None:
    world.receiver.answer = lambda delivery: REFUSED
    async with world.sending():
        await world.enqueue("a", "a")
        await world.until_tried(1, 1)
        await world.pass_time(1)
        await world.until_tried(1, 2)
    async with world.sending():
        await world.pass_time(4.5)
        await asyncio.sleep(QUIET)
        assert world.receiver.tried(1) == 2
        await world.pass_time(1)
        await world.until_tried(1, 3)
    assert world.receiver.calls[-1].attempts == 2


async def test_the_outbox_survives_that_the_process_ends(tmp_path: Path) -> None:
    async with World.open(tmp_path / "webhooks.db") as world:
        world.receiver.gate.clear()
        async with world.sending():
            await world.enqueue("a", "b", "a")
            await eventually(lambda: len(world.receiver.calls) == 2)
    async with World.open(tmp_path / "webhooks.db") as world, world.sending():
        await world.until_accepted("a", [1, 3])
        await world.until_accepted("b", [2])


async def test_what_was_accepted_before_a_stop_is_not_sent_again(world: World) -> None:
    async with world.sending():
        await world.enqueue(*"abcabcabc")
        await eventually(lambda: len(world.receiver.calls) == 9)
    async with world.sending():
        await world.enqueue("a")
        await world.until_accepted("a", [1, 4, 7, 10])
    assert len(world.receiver.calls) == 10


async def test_an_endpoint_that_is_away_is_asked_by_one_event_and_then_gets_all(
    world: World,
) -> None:
    sessions = [f"s{number}" for number in range(50)]
    world.receiver.answer = lambda delivery: AWAY
    async with world.sending():
        await world.enqueue(*sessions)
        await eventually(lambda: len(world.receiver.calls) == 50)
        for times, pause in enumerate((1, 5, 30, 120, 600), start=2):
            await asyncio.sleep(QUIET)
            await world.pass_time(pause + 0.1)
            await eventually(lambda times=times: len(world.receiver.calls) == 50 * times)
        await asyncio.sleep(QUIET)
        await world.pass_time(15.1)  # the next turn of each is half an hour away
        await eventually(lambda: len(world.receiver.calls) == 301)
        await asyncio.sleep(QUIET)
        assert len(world.receiver.calls) == 301
        world.receiver.answer = lambda delivery: None
        await world.pass_time(15.1)
        await world.until_empty()
        assert all(len(world.receiver.accepted[session]) == 1 for session in sessions)


async def test_a_restart_asks_an_endpoint_that_was_away_at_once(world: World) -> None:
    world.receiver.answer = lambda delivery: AWAY
    world.schedule = Schedule(delays=(3600,))
    async with world.sending():
        await world.enqueue("a", "b")
        await eventually(lambda: len(world.receiver.calls) == 2)
    world.receiver.answer = lambda delivery: None
    async with world.sending():
        await world.until_empty()
    assert world.receiver.accepted == {"a": [1], "b": [2]}


async def test_one_event_that_gets_no_answer_does_not_count_as_an_outage(world: World) -> None:
    world.receiver.answer = lambda delivery: AWAY if delivery.session_id == "bad" else None
    world.schedule = Schedule(delays=(3600,))
    async with world.sending():
        await world.enqueue("bad")
        await world.until_tried(1, 1)
        for number in range(10):  # others are accepted every few seconds
            await world.pass_time(3)
            await world.enqueue("good")
            await world.until_accepted("good", list(range(2, number + 3)))
        await asyncio.sleep(QUIET)
        assert world.receiver.tried(1) == 1


async def test_a_new_address_is_tried_at_once(world: World) -> None:
    world.receiver.answer = lambda delivery: REFUSED
    world.schedule = Schedule(delays=(3600,))
    async with world.sending():
        await world.enqueue("a")
        await world.until_tried(1, 1)
    assert not await world.outbox.open("", world.clock())
    assert await world.outbox.open("another", world.clock())
    assert not await world.outbox.open("another", world.clock())
    world.receiver.answer = lambda delivery: None
    async with world.sending():
        await world.until_accepted("a", [1])


async def test_a_long_queue_comes_into_memory_in_parts(world: World) -> None:
    world.receiver.gate.clear()
    large = bytes(ROOM // 8)
    for _ in range(20):
        await world.enqueue("large", body=large)
    await world.enqueue("small")
    async with world.sending():
        assert isinstance(world.sender, Sender)
        await eventually(lambda: world.receiver.open == 1)
        await asyncio.sleep(QUIET)
        assert world.sender.held <= ROOM + len(large)
        world.receiver.gate.set()
        await world.until_accepted("large", list(range(1, 21)))
        await world.until_accepted("small", [21])
        await world.until_empty()
        await eventually(lambda: world.sender is not None and world.sender.held == 0)


async def test_five_thousand_events_of_two_sessions_all_arrive_in_order(world: World) -> None:
    await world.enqueue(*["a", "b"] * 2500)
    async with world.sending():
        await world.until_empty()
    assert world.receiver.accepted["a"] == list(range(1, 5001, 2))
    assert world.receiver.accepted["b"] == list(range(2, 5002, 2))
    assert len(world.receiver.calls) == 5000


async def test_every_event_names_the_one_before_it(world: World) -> None:
    await world.enqueue("a", "b")
    await world.enqueue("a")
    async with world.sending():
        await world.until_empty()
    previous = {delivery.sequence: delivery.previous for delivery in world.receiver.calls}
    assert previous == {1: "", 2: "1.0", 3: "2.0"}
