"""`python -m tests.fuzz.living_node`: a media node for `child`, calls on standard input."""

from __future__ import annotations

import asyncio
import traceback
from typing import Any

import msgspec
import uvloop

from services.conference.calls import Call
from services.media.node import Node
from tests.fuzz.child import Problems, answer, reporter
from tests.fuzz.measure import Heartbeat


async def main() -> None:
    problems, heartbeat = Problems(), Heartbeat()
    problems.listen(asyncio.get_running_loop())
    node = Node("127.0.0.1", range(1))

    def call(value: Any) -> Any:
        try:
            return msgspec.to_builtins(node.handle(msgspec.convert(value, Call)))
        except Exception:
            problems.add(traceback.format_exc())
            return {"reply": "failure"}

    def confirm(stream: str) -> Any:
        """As the log does; what is not confirmed ends."""
        node.publications[stream].confirmed = True

    def state(_: Any) -> Any:
        publications = node.publications.values()
        return {
            "legs": len(node.legs),
            "publications": len(publications),
            "subscriptions": sum(len(p.subscriptions) for p in publications),
            "forwarded": node.port.forwarded,
            "drops": dict(node.port.counters),
        }

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(node.run()), tasks.create_task(heartbeat.run())]
        while not node.serving:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        asked = {
            "call": call,
            "confirm": confirm,
            "state": state,
            "report": reporter(heartbeat, problems),
        }
        await answer({"port": node.port.address[1]}, asked)
        for task in running:
            task.cancel()


if __name__ == "__main__":
    uvloop.run(main())
