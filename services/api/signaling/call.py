"""One request of a client while it is worked on, and what its method may do."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

import structlog
from msgspec import Struct

from services.api.nodes import Nodes, NodeUnavailable
from services.api.rest.limits import Logins
from services.conference.calls import Call as NodeCall
from services.conference.calls import Discard, Failure, ReplyValue
from services.conference.commands import Command
from services.conference.errors import ConferenceError
from services.conference.model import ConnectionType, Role
from services.conference.state import Connection, Session, State
from services.eventlog.bus import CommandBus
from services.eventlog.commit import Actor, ActorKind
from services.settings import Settings

from . import rpc
from .errors import Code, RpcError, from_failure
from .peers import Key, Peer
from .socket import Socket
from .watchers import Watchers

REQUEST_SECONDS = 9.0  # the client gives up after 10
MEDIA_SECONDS = 5.0
UNCERTAIN = 10_000  # commands without an answer that are remembered

Result = dict[str, Any]
R = TypeVar("R", bound=ReplyValue)
log = structlog.get_logger(__name__)


class Waiting(NamedTuple):
    """A response that goes out with the commit of its command, in the log's order."""

    call: Call
    result: Callable[[State], Result]
    joins: Key | None
    done: asyncio.Future[None]


class Undo(NamedTuple):
    session_id: str
    command: Command


class Ledger:
    """The commands of this gateway that are under way, by command id.

    `uncertain`: the client was told that the command failed, but it may still turn up in the log;
    then it is undone.
    """

    def __init__(self) -> None:
        self.waiting: dict[str, Waiting] = {}
        self.uncertain: OrderedDict[str, Undo] = OrderedDict()

    def doubt(self, command_id: str, undo: Undo) -> None:
        self.uncertain[command_id] = undo
        while len(self.uncertain) > UNCERTAIN:
            self.uncertain.popitem(last=False)

    def believe(self, undo: Undo) -> None:
        """What this would undo is wanted after all: the client asked again."""
        for command_id in [id_ for id_, one in self.uncertain.items() if one == undo]:
            del self.uncertain[command_id]


class Services(Struct, frozen=True):
    """What all calls share. `logins` counts wrong secrets; `clock` gives UTC ms; `spawn` runs
    something in the background, in the gateway's task group."""

    settings: Settings
    bus: CommandBus
    nodes: Nodes
    ledger: Ledger
    watchers: Watchers
    logins: Logins
    clock: Callable[[], int]
    spawn: Callable[[Coroutine[Any, Any, None]], None]


class Caller(NamedTuple):
    """Who calls, in the latest state of its session."""

    session: Session
    connection: Connection

    def require(self, role: Role) -> None:
        if self.connection.role is not role:
            raise RpcError(Code.USER_UNAUTHORIZED, f"Only a {role} may do this")


class Call:
    def __init__(self, services: Services, peer: Peer, socket: Socket, request: rpc.Request):
        self.services = services
        self.settings = services.settings
        self.peer = peer
        self.socket = socket
        self.request = request

    # Answers

    def answer(self, result: Result) -> None:
        body = {**result, "sessionId": self.peer.rpc_id}
        self._send(rpc.response(self.request.id, body))

    def refuse(self, error: RpcError) -> None:
        self._send(rpc.error(self.request.id, error.code, error.message))

    def _send(self, text: str) -> None:
        """Only by the socket that asked: the client forgets its requests with the socket."""
        if self.peer.socket is self.socket:
            self.socket.send(text)

    # State

    async def caller(self) -> Caller:
        return await find_caller(self.services.bus, self.peer)

    # Effects

    async def commit(
        self,
        command: Command,
        result: Callable[[State], Result] = lambda _: {},
        *,
        undo: Command | None = None,
        joins: Key | None = None,
    ) -> Result | None:
        """Put the command into the log. The response, `result` of the state right after the
        commit, goes out when the gateway comes to that commit, so that it stands in the right
        place between the notifications; then `None` is returned, for nothing is left to answer.

        `undo` is what takes the command back if its fate is unknown when time is up. `joins`:
        the peer becomes this participant by the commit.
        """
        if self.peer.watching is not None:
            raise RpcError(Code.USER_UNAUTHORIZED, "Who only watches may not do this")
        key = joins or self.peer.key
        if key is None:
            raise RpcError(Code.TRANSPORT, "No session has been joined")
        ledger = self.services.ledger
        command_id = uuid4().hex
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ledger.waiting[command_id] = Waiting(self, result, joins, done)
        try:
            outcome = await self.services.bus.execute(
                key.session_id,
                command,
                actor=Actor(ActorKind.CONNECTION, key.connection_id),
                command_id=command_id,
                new_id=True,
            )
            if outcome.recorded is None:
                return result(outcome.after)
            await asyncio.shield(done)  # cancelled it would look as if the commit had been told
        except ConferenceError:
            raise
        except BaseException:
            if undo is not None and not done.done():
                ledger.doubt(command_id, Undo(key.session_id, undo))
            raise
        finally:
            ledger.waiting.pop(command_id, None)
        return None

    async def ask(self, session: Session, call: NodeCall, expected: type[R]) -> R:
        """Ask the session's media node."""
        return await ask(self.services.nodes, session, call, expected)

    def discard(self, session: Session, connection_id: str, stream_id: str) -> None:
        """Let go of a negotiation that came to nothing, without waiting."""
        if session.media_node is not None:
            self.services.spawn(self._discard(session.media_node.id, connection_id, stream_id))

    async def _discard(self, node_id: str, connection_id: str, stream_id: str) -> None:
        with suppress(NodeUnavailable):  # the node drops what nobody confirms
            await self.services.nodes.call(node_id, Discard(connection_id, stream_id))


async def find_caller(bus: CommandBus, peer: Peer) -> Caller:
    """Raises `RpcError` if the peer is in no session."""
    key = peer.key
    if key is None:
        raise RpcError(Code.TRANSPORT, "No session has been joined")
    state = await bus.load(key.session_id)
    if state.session is None:
        raise RpcError(Code.ROOM_NOT_FOUND, f"Session {key.session_id} has ended")
    if peer.watching is not None:
        return Caller(state.session, peer.watching.connection)
    connection = state.session.connections.get(key.connection_id)
    if connection is None or not connection.active:
        raise RpcError(Code.USER_NOT_FOUND, "The participant is no longer in the session")
    return Caller(state.session, connection)


async def ask(nodes: Nodes, session: Session, call: NodeCall, expected: type[R]) -> R:
    """Ask the session's media node. Raises `RpcError` and `NodeUnavailable`."""
    if session.media_node is None:
        raise RpcError(Code.MEDIA_ENDPOINT, "The session has no media node")
    reply = await nodes.call(session.media_node.id, call, timeout=MEDIA_SECONDS)
    if isinstance(reply, Failure):
        raise from_failure(reply)
    if not isinstance(reply, expected):
        raise NodeUnavailable(f"Media node {session.media_node.id} answers nonsense")
    return reply


def find_publisher(session: Session, stream_id: str) -> Connection:
    """Whose stream it is. Raises the errors of `signaling.md` 3.5."""
    owner_here = False
    for connection in session.connections.values():
        if connection.stream is not None and connection.stream.id == stream_id:
            return connection
        if connection.active and stream_id.endswith(f"_{connection.id}"):
            owner_here = True
    if owner_here:
        raise RpcError(Code.USER_NOT_STREAMING, f"Stream {stream_id} is not being published")
    raise RpcError(Code.USER_NOT_FOUND, f"The owner of stream {stream_id} is not in the session")


def is_camera(connection: Connection) -> bool:
    return connection.type is ConnectionType.IPCAM
