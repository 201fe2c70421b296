"""Rooms that come and go, and what happens in them, one thing after the other.

In a room nothing happens at the same time, so every refusal and every silence is a fault. Rooms
run beside each other.
"""

from __future__ import annotations

import asyncio
import json
import time
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Any

from tests.e2e.server_under_test import Server, eventually
from tests.soak.people import Person

TICK = 0.05
ALIVE = 4.0  # seconds between signs of life
PAUSE = (0.4, 1.6)  # seconds between two things that happen
LIFE = (15, 40)  # things that happen in a room
MOST = 4  # people

Act = Callable[[], Awaitable[None]]


class Churn:
    """What was done, and what went wrong, of all rooms."""

    def __init__(self, server: Server, seed: int) -> None:
        self.server = server
        self.done: Counter[str] = Counter()
        self.faults: list[str] = []
        self.packets = 0  # sent by publishers
        self.seed = seed

    async def rooms(self, number: int, until: float) -> None:
        """One after the other, until the time on the monotonic clock."""
        count = 0
        while time.monotonic() < until:
            count += 1
            name = f"room-{number}-{count}"
            room = Room(self, name, Random(f"{self.seed} {name}"))
            try:
                await room.live()
            except Exception:
                self.faults.append(f"{name}, {room.doing}:\n{traceback.format_exc(limit=-6)}")
            finally:
                await room.abandon()
            self.done["rooms"] += 1


class Room:
    def __init__(self, churn: Churn, name: str, chance: Random) -> None:
        self.name = name
        self.doing = ""
        self._churn = churn
        self._server = churn.server
        self._chance = chance
        self._people: list[Person] = []
        self._url = f"/openvidu/api/sessions/{name}"

    async def live(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            media = tasks.create_task(self._send_media())
            try:
                await self._story()
            finally:
                media.cancel()

    async def _story(self) -> None:
        self.doing = "opening"
        await self._server.new_session(customSessionId=self.name)
        for _ in range(2):
            await self._come()
        await self._publish(self._people[0])
        spoken = time.monotonic()
        for _ in range(self._chance.randint(*LIFE)):
            act = self._choose()
            self.doing = act.__name__.strip("_")
            await act()
            self._churn.done[self.doing] += 1
            await asyncio.sleep(self._chance.uniform(*PAUSE))
            if time.monotonic() - spoken > ALIVE:
                spoken = time.monotonic()
                self.doing = "sign of life"
                for person in self._people:
                    await person.alive()
        self.doing = "ending"
        await self._end()

    def _choose(self) -> Act:
        acts: list[Act] = [
            self._see,
            self._signal,
            self._drop_socket,
            self._rest,
            self._spare_token,
        ]
        publishing = [person for person in self._people if person.media is not None]
        if publishing:
            acts += [self._mute, self._drop_udp, self._watch_again]
        if len(publishing) > 1:
            acts.append(self._unpublish)
        if len(publishing) < min(3, len(self._people)):
            acts += [self._publish_more] * 2
        if len(self._people) < MOST:
            acts += [self._come] * 3
        if len(self._people) > 2:
            acts += [self._leave, self._evict, self._vanish]
        if publishing and self._chance.random() < 0.05:
            acts = [self._record]
        return self._chance.choice(acts)

    async def _send_media(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            for person in self._people:
                media = person.media
                if media is not None and media.peer.connected.is_set():
                    media.tick()
                    self._churn.packets += 1

    # What happens

    async def _come(self) -> None:
        person = Person(self._server.port, self.name)
        await person.join(await self._server.new_token(self.name))
        for other in self._people:
            await other.client.note("participantJoined", id=person.id)
        self._people.append(person)
        for other in self._people:
            if other.media is not None:
                await person.watch(other.stream)

    async def _publish_more(self) -> None:
        await self._publish(next(p for p in self._people if p.media is None))

    async def _publish(self, person: Person) -> None:
        await person.publish()
        for other in self._others(person):
            await other.client.note("participantPublished", id=person.id)
            await other.watch(person.stream)

    async def _unpublish(self) -> None:
        person = self._publisher()
        stream = person.stream
        await person.unpublish()
        for other in self._others(person):
            await other.client.note("participantUnpublished", connectionId=person.id)
            await other.stop_watching(stream)

    async def _see(self) -> None:
        """Somebody who watches gets media."""
        watching = [(p, s) for p in self._people for s in p.watching]
        if not watching:
            return
        person, stream = self._chance.choice(watching)
        peer = person.watching[stream]
        peer.rtp.clear()
        await eventually(lambda: len(peer.rtp) > 10, limit=15, what=f"media of {stream}")

    async def _signal(self) -> None:
        speaker, listener = self._chance.sample(self._people, 2)
        data = str(self._chance.random())
        text = json.dumps({"to": [listener.id], "type": "signal:soak", "data": data})
        await speaker.client.result("sendMessage", {"message": text})
        await listener.client.note("sendMessage", data=data)

    async def _mute(self) -> None:
        person = self._publisher()
        kind = self._chance.choice(("audio", "video"))
        for on in (False, True):
            await person.mute(kind, on)
            for other in self._others(person):
                changed = {"property": f"{kind}Active", "connectionId": person.id}
                await other.client.note("streamPropertyChanged", **changed)
            await asyncio.sleep(0.5)

    async def _drop_socket(self) -> None:
        await self._chance.choice(self._people).lose_socket()

    async def _drop_udp(self) -> None:
        await self._publisher().republish()

    async def _watch_again(self) -> None:
        watching = [(p, s) for p in self._people for s in p.watching]
        if watching:
            person, stream = self._chance.choice(watching)
            await person.watch_again(stream)

    async def _rest(self) -> None:
        session = await self._server.get(self._url)
        present = {c["id"] for c in session["connections"]["content"] if c["status"] == "active"}
        assert present == {person.id for person in self._people}, session

    async def _spare_token(self) -> None:
        made = await self._server.post(f"{self._url}/connection", {})
        await self._server.delete(f"{self._url}/connection/{made['id']}")

    async def _leave(self) -> None:
        person = self._chance.choice(self._people)
        await person.client.result("leaveRoom")
        await self._gone(person)
        await person.close()

    async def _evict(self) -> None:
        person = self._chance.choice(self._people)
        await self._server.delete(f"{self._url}/connection/{person.id}")
        await person.client.note("participantEvicted", connectionId=person.id)
        await self._gone(person)
        await person.close()

    async def _vanish(self) -> None:
        """Without a word; the grace time runs out."""
        person = self._chance.choice(self._people)
        await person.close(silent=True)
        await self._gone(person)

    async def _gone(self, person: Person) -> None:
        self._people.remove(person)
        for other in self._people:
            await other.client.note("participantLeft", connectionId=person.id)
            await other.stop_watching(person.stream)

    async def _record(self) -> None:
        body = {"session": self.name, "outputMode": "INDIVIDUAL"}
        recording = (await self._server.post("/openvidu/api/recordings/start", body))["id"]
        await asyncio.sleep(3)
        await self._server.post(f"/openvidu/api/recordings/stop/{recording}")

        async def ready() -> Any:
            found = await self._server.get(f"/openvidu/api/recordings/{recording}")
            assert found["status"] != "failed", found
            return found["status"] == "ready"

        await eventually(ready, limit=20, every=0.5, what=f"recording {recording}")
        await self._server.delete(f"/openvidu/api/recordings/{recording}")

    async def _end(self) -> None:
        """By everybody's leaving, or by REST."""
        if self._chance.random() < 0.5:
            while self._people:
                await self._leave()
            return
        await self._server.delete(self._url)
        for person in self._people:
            await person.client.note("participantEvicted", connectionId=person.id)

    async def abandon(self) -> None:
        for person in self._people:
            with suppress(Exception):
                await person.close(silent=True)
        with suppress(Exception):
            await self._server.request("DELETE", self._url, status=204)

    # Who

    def _publisher(self) -> Person:
        return self._chance.choice([p for p in self._people if p.media is not None])

    def _others(self, person: Person) -> list[Person]:
        return [other for other in self._people if other is not person]
