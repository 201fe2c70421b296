"""Who is measured beside whom: all servers of one round, and what they are asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp

from benchmarks.janus import installed
from services.eventlog.commit import encode
from services.eventlog.jetstream import JetStreamLog, connect

from . import janus, rest, servers
from .appends import Appends
from .load import Requests, Step
from .servers import Server

SPREAD = 256  # sessions that take the connections of one window

NOTHING, NORMAL, FULL = "litestar, no-op", "insert, NORMAL", "insert, FULL"
APPENDS = "bare appends"
JANUS, JANUS_KEPT = "janus, in memory", "janus, permanent"

NEW_SESSION, NEW_CONNECTION = "POST session", "POST connection"
CYCLE = "POST and DELETE session"
GET_SESSION, GET_ALL, GET_ALL_PENDING = "GET session", "GET all", "GET all, with pending"
WRITES = (NEW_SESSION, NEW_CONNECTION)
READS = (GET_SESSION, GET_ALL, GET_ALL_PENDING)

_READ = "read-%010d"

Job = Callable[[str], Requests | Appends]


class Entry(NamedTuple):
    """A contender of a workload. `job` and `before` get what makes the names of a window unique."""

    workload: str
    server: Server
    job: Job
    before: Callable[[str], list[Requests]] = lambda window: []


class Sizes(NamedTuple):
    """Bytes of our answers, and of the commits behind writes."""

    answers: dict[str, int]
    commits: dict[str, int]


def asked(server: Server, *steps: Step, modulo: int = 1 << 62) -> Job:
    return lambda window: Requests(server.port, 1, steps, modulo=modulo)


def writing(server: Server) -> list[Entry]:
    """The workloads of our own that write."""

    def connection(window: str) -> Requests:
        step = rest.new_connection(f"{window}%010d")
        return Requests(server.port, 1, (step,), modulo=SPREAD)

    def spread(window: str) -> list[Requests]:
        return rest.seed(server.port, f"{window}%010d", SPREAD)

    def cycle(window: str) -> Requests:
        name = f"{window}%010d"
        return Requests(server.port, 1, (rest.new_session(name), rest.close_session(name)))

    return [
        Entry(NEW_SESSION, server, asked(server, rest.new_session())),
        Entry(NEW_CONNECTION, server, connection, spread),
        Entry(CYCLE, server, cycle),
    ]


def reading(server: Server) -> list[Entry]:
    """Those that read, once `populate` was done."""
    one = rest.get_session(_READ)
    everything, pending = rest.get_all(), rest.get_all("?pendingConnections=true")
    return [
        Entry(GET_SESSION, server, asked(server, one, modulo=rest.SESSIONS)),
        Entry(GET_ALL, server, asked(server, everything)),
        Entry(GET_ALL_PENDING, server, asked(server, pending)),
    ]


def populate(server: Server) -> list[Requests]:
    jobs = rest.seed(server.port, _READ, rest.SESSIONS, rest.CONNECTIONS)
    each, steps = rest.SESSIONS, (rest.get_session(_READ),)
    return [*jobs, Requests(server.port, 16, steps, turns=each, modulo=each)]  # now they are cached


@asynccontextmanager
async def contenders(
    folder: Path, prepare: Callable[[list[Requests]], Awaitable[None]]
) -> AsyncIterator[list[Entry]]:
    async with AsyncExitStack() as stack:
        start = stack.enter_async_context
        writes = await start(servers.tertulia(folder / "writes"))
        reads = await start(servers.tertulia(folder / "reads"))
        await prepare(populate(reads))
        size = await sizes(writes, reads)
        wanted = list(size.answers.values())
        nothing = await start(servers.litestar(NOTHING, "nothing", folder, wanted))
        normal = await start(servers.litestar(NORMAL, "NORMAL", folder, wanted))
        full = await start(servers.litestar(FULL, "FULL", folder, wanted))
        log = await start(servers.nats(APPENDS, folder / "nats"))
        peers: dict[str, list[Entry]] = {}
        for workload, body in zip(WRITES, (rest.SESSION, rest.CONNECTION), strict=True):
            peers[workload] = [
                *(
                    _bare(workload, server, "POST", size.answers[workload], body)
                    for server in (nothing, normal, full)
                ),
                Entry(workload, log, _appends(log, size.commits[workload])),
            ]
        for workload in READS:
            peers[workload] = [_bare(workload, nothing, "GET", size.answers[workload])]
        if installed():
            peers[CYCLE] = _rooms(await start(janus.janus(folder / "janus")))
        yield [
            entry
            for ours in (*writing(writes), *reading(reads))
            for entry in (ours, *peers.get(ours.workload, ()))
        ]


def _bare(workload: str, server: Server, method: str, size: int, body: object = None) -> Entry:
    step = Step(rest.http(method, f"/{size}", body), b"200", b'{"id":"xxx')
    return Entry(workload, server, asked(server, step))


def _appends(log: Server, size: int) -> Job:
    return lambda window: Appends(log.url, servers.TOKEN, 1, size, 1)


def _rooms(peer: janus.Janus) -> list[Entry]:
    return [
        Entry(CYCLE, peer.server._replace(name=name), asked(peer.server, *peer.rooms(permanent)))
        for name, permanent in ((JANUS, False), (JANUS_KEPT, True))
    ]


async def sizes(writes: Server, reads: Server) -> Sizes:
    answers = {}
    async with aiohttp.ClientSession(headers={"Authorization": servers.AUTH.decode()}) as http:

        async def size(server: Server, method: str, path: str, body: object = None) -> int:
            url = f"http://127.0.0.1:{server.port}{rest.API}{path}"
            async with http.request(method, url, json=body) as answer:
                assert answer.status == 200, await answer.text()
                return len(await answer.read())

        named = rest.SESSION | {"customSessionId": "sizes"}
        answers[NEW_SESSION] = await size(writes, "POST", "", named)
        answers[NEW_CONNECTION] = await size(writes, "POST", "/sizes/connection", rest.CONNECTION)
        answers[GET_SESSION] = await size(reads, "GET", f"/{_READ % 1}")
        answers[GET_ALL] = await size(reads, "GET", "")
        answers[GET_ALL_PENDING] = await size(reads, "GET", "?pendingConnections=true")
    client = await connect(writes.url, token=servers.TOKEN, name="bench")
    try:
        log = await JetStreamLog.open(client)
        commits = [len(encode(found.commit)) async for found in log.read("sizes")]
    finally:
        await client.close()
    return Sizes(answers, dict(zip(WRITES, commits, strict=True)))
