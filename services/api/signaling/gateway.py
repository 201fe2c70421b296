"""The signaling gateway: clients' requests become commands, the log's commits become frames.

Every frame that follows from a commit is sent by `dispatch`, in the log's order: what goes before
the response of the request behind it, the response, what goes after (`signaling.md` section 7).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

import msgspec
import structlog
from msgspec import Struct
from nats.aio.client import Client

from services.api.nodes import Nodes
from services.api.rest.limits import Logins
from services.conference.calls import Statistics, TransportLost
from services.conference.commands import LeaveSession
from services.conference.errors import ConferenceError
from services.conference.events import (
    ParticipantJoined,
    ParticipantLeft,
    RecordingFailed,
    RecordingStopped,
    SessionCollected,
    SessionDestroyed,
)
from services.conference.model import ConnectionType, Reason
from services.conference.notices import Notice, notices
from services.conference.state import State
from services.eventlog.bus import CommandBus, utc_ms
from services.eventlog.commit import Actor, ActorKind
from services.eventlog.follower import Step
from services.eventlog.log import LogError
from services.settings import Settings

from . import rpc
from .call import REQUEST_SECONDS, Call, Ledger, Result, Services, Undo, Waiting
from .cluster import Gateways, Unreachable
from .errors import Code, RpcError, from_exception
from .methods import METHODS
from .peers import Key, Peer, Peers, Pending
from .quality import NetworkQuality
from .renewals import Renewals
from .socket import Socket
from .watchers import RECORDER, Watchers

LINGER_SECONDS = 10.0  # until the socket of a participant who left is closed
RETRY_SECONDS = 2.0  # until an eviction that the log did not take is tried again
EVICTIONS = 16  # at a time
MIN_PING, MAX_PING = 0.1, 60.0  # seconds

P = TypeVar("P", bound=Struct)
log = structlog.get_logger(__name__)


class Ping(Struct):
    """`interval` in ms."""

    interval: float | None = None


class Connect(Struct, rename="camel"):
    session_id: str | None = None


class Gateway:
    """`adopt` once, then `run` in a task group beside whoever calls `dispatch`."""

    def __init__(
        self,
        settings: Settings,
        bus: CommandBus,
        nodes: Nodes,
        nats_client: Client | None,
        *,
        logins: Logins | None = None,
        clock: Callable[[], int] = utc_ms,
        linger: float = LINGER_SECONDS,
    ) -> None:
        """`logins`: where wrong secrets are counted; one of its own if there is no other."""
        self._settings = settings
        self._bus = bus
        self._ledger = Ledger()
        self._peers = Peers(settings.sessions.reconnection_grace, linger, self._expired)
        self._gateways = Gateways(nats_client, self._peers.held, self._taken)
        self._watchers = Watchers(self._peers, nodes, self._gateways.announce, self._spawn)
        access = settings.access
        logins = logins or Logins(access.login_failures, access.login_window)
        self._services = Services(
            settings, bus, nodes, self._ledger, self._watchers, logins, clock, self._spawn
        )
        self._quality = NetworkQuality()
        self._renewals = Renewals(self._services, self._peers)
        self._evictions = asyncio.Semaphore(EVICTIONS)
        self._tasks: asyncio.TaskGroup | None = None
        self.opened = asyncio.Event()  # it serves, or has served

    # Life

    def adopt(self, states: Iterable[State]) -> None:
        """Take over the participants of all open sessions: their clients may come back."""
        for state in states:
            if state.session is None:
                continue
            for connection in state.session.connections.values():
                webrtc = connection.type is ConnectionType.WEBRTC
                if webrtc and connection.active and connection.rpc_digest:
                    key = Key(state.session.id, connection.id)
                    self._peers.adopt(connection.rpc_digest, key)

    async def run(self) -> None:
        """Serve until cancelled. Sockets are refused before and after."""
        await self._gateways.start()
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                if self._settings.sessions.network_quality:
                    tasks.create_task(self._rate())
                self._peers.start()
                self.opened.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    self._tasks = None
                    self._peers.stop()
        finally:
            await self._gateways.stop()

    @property
    def open(self) -> bool:
        return self._tasks is not None

    @property
    def ping_interval(self) -> float:
        """In seconds, until the client tells its own."""
        return self._settings.sessions.ping_interval

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        if self._tasks is None:
            work.close()
        else:
            self._tasks.create_task(self._guarded(work))

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:
            log.exception("background_task_failed")

    def detach(self, socket: Socket) -> None:
        """The socket is closed; its client may come back by another one."""
        self._peers.detach(socket)

    # Requests

    def receive(self, socket: Socket, text: str) -> None:
        try:
            request = rpc.parse(text)
        except rpc.Malformed as error:
            socket.send(rpc.error(error.id, error.code, str(error)))
            return
        try:
            if request.method == "ping":
                self._ping(socket, request)
            elif request.method == "connect":
                self._connect(socket, request)
            elif request.method == "closeSession":
                self._close_session(socket, request)
            elif request.method in METHODS:
                self._take(socket, request)
            else:
                raise RpcError(Code.METHOD_NOT_FOUND, "Unknown method")
        except RpcError as error:
            socket.send(rpc.error(request.id, error.code, error.message))

    def _ping(self, socket: Socket, request: rpc.Request) -> None:
        interval = _decode(request, Ping).interval
        socket.ping(None if interval is None else min(max(interval / 1000, MIN_PING), MAX_PING))
        socket.send(rpc.response(request.id, {"value": "pong"}))

    def _connect(self, socket: Socket, request: rpc.Request) -> None:
        rpc_id = _decode(request, Connect).session_id
        if rpc_id is None:
            peer = socket.peer or self._peers.create(socket)
            socket.send(rpc.response(request.id, {"value": "OK", "sessionId": peer.rpc_id}))
            return
        found = self._peers.find(rpc_id)
        foreign = socket.peer is not None and socket.peer is not found
        if found is None or (foreign and socket.peer is not None and socket.peer.key is not None):
            raise RpcError(Code.RECONNECTION, "reconnection error")
        result = {"value": "reconnection successful", "sessionId": found.rpc_id}
        if socket.peer is found:
            socket.send(rpc.response(request.id, result))
            return
        if socket.peer is not None:
            self._peers.drop(socket.peer)
            socket.peer.socket = None
        self._peers.attach(found, socket, rpc.response(request.id, result))
        if found.key is not None and not found.left:
            self._spawn(self._gateways.announce(found.key))

    def _close_session(self, socket: Socket, request: rpc.Request) -> None:
        peer = socket.peer
        result: Result = {"value": "bye"}
        if peer is None:
            socket.send(rpc.response(request.id, result))
            return
        socket.send(rpc.response(request.id, {**result, "sessionId": peer.rpc_id}))
        if peer.key is None:
            self._peers.drop(peer)
            peer.socket = socket.peer = None
        elif peer.watching is not None:
            self._watchers.leave(peer)
        elif not peer.left:
            peer.lost = True
            actor = Actor(ActorKind.CONNECTION, peer.key.connection_id)
            self._spawn(self._leave(peer, peer.key, Reason.DISCONNECT, actor))

    def _take(self, socket: Socket, request: rpc.Request) -> None:
        peer = socket.peer or self._peers.create(socket)
        method = METHODS[request.method]
        if method.at_once and peer.key is not None and not peer.left:
            _decode(request, method.params)
            Call(self._services, peer, socket, request).answer({})
            return
        deadline = asyncio.get_running_loop().time() + REQUEST_SECONDS
        if not peer.queue(Pending(socket, request, deadline)):
            raise RpcError(Code.GENERIC, "Too many requests are waiting; try again")
        if not peer.working:
            peer.working = True
            self._spawn(self._work(peer))

    async def _work(self, peer: Peer) -> None:
        """The requests of one client, one after the other."""
        try:
            while pending := peer.next_request():
                call = Call(self._services, peer, pending.socket, pending.request)
                await self._handle(call, pending.deadline)
        finally:
            peer.working = False
            if peer.socket is None and peer.key is None:
                self._peers.drop(peer)

    async def _handle(self, call: Call, deadline: float) -> None:
        method = METHODS[call.request.method]
        try:
            if asyncio.get_running_loop().time() >= deadline:  # nobody would know of what is done
                raise TimeoutError
            async with asyncio.timeout_at(deadline):
                if method.joined and (call.peer.key is None or call.peer.left):
                    await call.caller()  # has more to say if the session has ended, too
                    text = "The participant is no longer in the session"
                    raise RpcError(Code.USER_NOT_FOUND, text)
                params = _decode(call.request, method.params)
                result = await method.run(call, params)
        except Exception as error:
            refusal = from_exception(error)
            if refusal is None:
                log.exception("request_failed", method=call.request.method)
                refusal = RpcError(Code.GENERIC, "Unexpected error")
            call.refuse(refusal)
        else:
            if result is not None:
                call.answer(result)

    # Commits

    def dispatch(self, steps: list[Step]) -> None:
        """Tell the clients what follows from these commits. Never waits, never raises."""
        for step in steps:
            waiting = self._ledger.waiting.pop(step.recorded.commit.id, None)
            try:
                self._tell(step, waiting)
            except Exception:
                log.exception("dispatch_failed", sequence=step.recorded.sequence)
                if waiting is not None:
                    waiting.call.refuse(RpcError(Code.GENERIC, "Unexpected error"))
            if waiting is not None and not waiting.done.done():
                waiting.done.set_result(None)

    def _tell(self, step: Step, waiting: Waiting | None) -> None:
        commit = step.recorded.commit
        undo = self._ledger.uncertain.pop(commit.id, None)
        for event in commit.events:
            if isinstance(event, ParticipantJoined):
                key = Key(step.session_id, event.connection_id)
                self._peers.joined(event.rpc_digest, key)
                if self._tasks is None:  # it joined an api that died before its database knew
                    self._peers.adopt(event.rpc_digest, key)
        roles = self._settings.recording.notified_roles
        watchers = self._watchers.of(step.session_id, step.recorded.sequence)
        found = notices(
            step.before, commit.command, commit.events, step.after, roles, watchers=watchers
        )
        self._deliver(step.session_id, found.before_response)
        if waiting is not None:
            if waiting.joins is not None:
                self._peers.bind(waiting.call.peer, waiting.joins)
            waiting.call.answer(waiting.result(step.after))
        self._deliver(step.session_id, found.after_response)
        for event in commit.events:
            if isinstance(event, ParticipantLeft):
                self._left(step, event, [*found.before_response, *found.after_response])
            elif isinstance(event, RecordingStopped | RecordingFailed):
                if RECORDER in watchers:  # else it came for the next recording
                    self._watchers.dismiss(step.session_id, RECORDER)
            elif isinstance(event, SessionDestroyed):
                self._watchers.end(step.session_id, step.recorded.sequence, event.reason)
            elif isinstance(event, SessionCollected):
                self._watchers.end(step.session_id, step.recorded.sequence)
        if undo is not None:
            self._spawn(self._undo(undo))

    def _deliver(self, session_id: str, found: list[Notice]) -> None:
        texts: dict[tuple[str, int], str] = {}  # the same params for many are encoded once
        for notice in found:
            same = (notice.method, id(notice.params))
            text = texts.get(same)
            if text is None:
                text = texts[same] = rpc.notification(notice.method, notice.params)
            self._peers.deliver(Key(session_id, notice.to), text)

    def _left(self, step: Step, event: ParticipantLeft, found: list[Notice]) -> None:
        before = step.before.session
        connection = before.connections.get(event.connection_id) if before else None
        farewell = None
        if event.reason is not Reason.NETWORK_DISCONNECT:  # such a client was given up
            for notice in found:
                own = notice.params.get("connectionId") == notice.to == event.connection_id
                if own and notice.method == "participantEvicted":
                    farewell = rpc.notification(notice.method, notice.params)
        key = Key(step.session_id, event.connection_id)
        self._peers.left(connection.rpc_digest if connection else None, key, farewell)

    async def _undo(self, undo: Undo) -> None:
        actor = Actor(ActorKind.SERVICE, "gateway")
        while True:
            try:
                await self._bus.execute(undo.session_id, undo.command, actor=actor)
            except ConferenceError:
                return  # it is gone already
            except LogError as error:
                log.warning("undo_delayed", session=undo.session_id, error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    # News of the media nodes

    def transport_lost(self, lost: TransportLost) -> None:
        self._renewals.lost(lost)

    def hear(self, statistics: Statistics) -> None:
        self._quality.hear(statistics, asyncio.get_running_loop().time())

    async def _rate(self) -> None:
        """Tell of changed network quality. It is in no log: who comes later hears what changes."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._settings.sessions.network_quality_interval)
            here = self._peers.by_session()
            for key, old, new in self._quality.changes(loop.time()):
                params = {"connectionId": key.connection_id, "newValue": new, "oldValue": old}
                text = rpc.notification("networkQualityLevelChanged", params)
                for receiver in here.get(key.session_id, ()):
                    self._peers.deliver(receiver, text)

    # Clients that stay away, or go elsewhere

    def _taken(self, key: Key) -> None:
        """Another gateway serves the participant now."""
        self._watchers.moved(key)
        self._peers.expel(key)

    def _expired(self, peer: Peer) -> None:
        self._spawn(self._evict(peer))

    async def _evict(self, peer: Peer) -> None:
        key = peer.key
        if key is None:
            return
        async with self._evictions:
            try:
                is_held = await self._gateways.holds(key)
            except Unreachable:
                self._peers.retry(peer, RETRY_SECONDS)
                return
            if peer.socket is not None or not self._peers.holds(peer):
                return  # it came back meanwhile, or is gone
            if is_held:
                self._peers.drop(peer)
                return
            if peer.watching is not None:
                self._watchers.leave(peer)
            else:
                actor = Actor(ActorKind.TIMER, "reconnection_grace")
                await self._leave(peer, key, Reason.NETWORK_DISCONNECT, actor)

    async def _leave(self, peer: Peer, key: Key, reason: Reason, actor: Actor) -> None:
        was_lost, peer.lost = peer.lost, True
        try:
            command = LeaveSession(key.connection_id, reason)
            await self._bus.execute(key.session_id, command, actor=actor)
        except ConferenceError:
            self._peers.drop(peer)
        except Exception as error:
            log.warning("eviction_delayed", session=key.session_id, error=str(error))
            peer.lost = was_lost
            self._peers.retry(peer, RETRY_SECONDS)


def _decode(request: rpc.Request, params: type[P]) -> P:
    try:
        return msgspec.json.decode(request.params, type=params)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise RpcError(Code.INVALID_PARAMS, f"Invalid params: {error}") from None
