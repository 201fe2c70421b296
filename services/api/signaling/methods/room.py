"""Coming, leaving, and sending others away (`signaling.md` 3.1, 3.2, 3.12)."""

from __future__ import annotations

import hmac
import secrets
from typing import Annotated, Any
from urllib.parse import parse_qs

from msgspec import Meta, Struct

from services.api.nodes import Nodes
from services.api.signaling.call import Call, Result
from services.api.signaling.errors import Code, RpcError
from services.api.signaling.ice import ice_fields
from services.api.signaling.peers import Key
from services.api.signaling.watchers import RECORDER, SPEECH_TO_TEXT, watcher
from services.conference import ids
from services.conference.commands import (
    CreateConnection,
    JoinSession,
    LeaveSession,
    RemoveConnection,
)
from services.conference.errors import SessionNotFound
from services.conference.model import Reason, RecordingStatus, Role
from services.conference.notices import existing_participants, metadata, recording_hint
from services.conference.state import Connection, MediaNode, Recording, Session, State
from services.eventlog.commit import Actor, ActorKind
from services.settings import VERSION

UNKNOWN = "unknown"
MAX_METADATA = 64 * 1024  # characters; whoever joins later is told all of everybody

_random = secrets.SystemRandom()


class JoinRoom(Struct, rename="camel"):
    token: Annotated[str, Meta(max_length=4096)]
    session: Annotated[str, Meta(max_length=512)]
    platform: Annotated[str, Meta(max_length=1024)] = UNKNOWN
    metadata: Annotated[str, Meta(max_length=MAX_METADATA)] = ""
    secret: Annotated[str, Meta(max_length=4096)] = ""
    recorder: bool = False
    stt: bool = False


class NoParams(Struct):
    pass


class ForceDisconnect(Struct, rename="camel"):
    connection_id: str


async def join_room(call: Call, params: JoinRoom) -> Result | None:
    if call.peer.key is not None:
        raise RpcError(Code.EXISTING_USER_IN_ROOM, "This client has already joined a session")
    state = await call.services.bus.load(params.session)
    since = call.services.bus.position(params.session)
    session = state.session
    if session is None:
        raise RpcError(Code.ROOM_NOT_FOUND, f"Session {params.session} not found")
    by_secret = bool(params.secret) and knows_secret(call, params.secret)
    if by_secret and (params.recorder or params.stt):
        return watch(call, params, session, since)
    pending = None
    if not by_secret:
        pending = pending_connection(session, bare_token(params.token, session.id))
    node = media_node(session, call.services.nodes)
    if pending is None:
        pending = await open_door(call, session)
    command = JoinSession(
        token=pending.token,
        platform=params.platform or UNKNOWN,
        client_data=params.metadata,
        rpc_digest=call.peer.digest,
        media_node_id=node.id,
        media_instance=node.instance,
        ip=call.socket.address,
    )
    connection_id = pending.id
    try:
        return await call.commit(
            command,
            lambda after: join_result(call, after, connection_id, by_secret=by_secret),
            undo=LeaveSession(connection_id, Reason.NETWORK_DISCONNECT),
            joins=Key(session.id, connection_id),
        )
    except SessionNotFound:
        raise RpcError(Code.ROOM_CLOSED, f"Session {session.id} has just been closed") from None


def knows_secret(call: Call, given: str) -> bool:
    """A wrong secret counts as one sent to REST."""
    logins, remote = call.services.logins, call.socket.remote
    if logins.wait(remote):
        logins.refused += 1
        raise RpcError(Code.USER_UNAUTHORIZED, "Too many wrong secrets came from your address")
    if hmac.compare_digest(given.encode(), call.settings.access.secret.encode()):
        return True
    logins.failure(remote)
    return False


def watch(call: Call, params: JoinRoom, session: Session, since: int) -> Result:
    """A recorder or speech to text; nothing may wait between its answer and what follows."""
    name = RECORDER if params.recorder else SPEECH_TO_TEXT
    connection = watcher(name, params.metadata, call.services.clock())
    call.services.watchers.admit(call.peer, session, connection, since)
    return introduction(call, session, connection)


async def open_door(call: Call, session: Session) -> Connection:
    """A connection for who brings the secret instead of a token. A MODERATOR in the log: that is
    whom no role check stops."""
    command = CreateConnection(ids.connection_id(_random), ids.token(_random), role=Role.MODERATOR)
    actor = Actor(ActorKind.SERVICE, "gateway")
    outcome = await call.services.bus.execute(session.id, command, actor=actor)
    made = outcome.after.session
    assert made is not None, "a session with a new connection is open"  # noqa: S101
    return made.connections[command.connection_id]


def bare_token(text: str, session_id: str) -> str:
    """The `tok_…` of a token as REST gave it out, or of one whose host or port was rewritten."""
    if "?" not in text:
        return text
    query = parse_qs(text.split("?")[1])
    if query.get("sessionId", [session_id]) != [session_id]:
        raise RpcError(Code.USER_UNAUTHORIZED, "The token is of another session")
    return query.get("token", [""])[0]


def pending_connection(session: Session, token: str) -> Connection:
    for connection in session.connections.values():
        if not connection.active and connection.token and connection.token == token:
            return connection
    raise RpcError(Code.USER_UNAUTHORIZED, "The token is not valid, or it has been used")


def media_node(session: Session, nodes: Nodes) -> MediaNode:
    """The session's node, which must be alive, or the one to take for its first participant."""
    if session.media_node is not None:
        if nodes.get(session.media_node.id) is None:
            raise RpcError(Code.ROOM_CANNOT_BE_CREATED, "The session's media node is down")
        return session.media_node
    node = nodes.choose(session.properties.media_node)
    if node is None:
        raise RpcError(Code.ROOM_CANNOT_BE_CREATED, "No media node is available")
    return MediaNode(node.node_id, node.instance)


def join_result(call: Call, after: State, connection_id: str, *, by_secret: bool) -> Result:
    session = after.session
    assert session is not None, "a commit that joins a session leaves it open"  # noqa: S101
    connection = session.connections[connection_id]
    result = introduction(call, session, connection)
    result["finalUserId"] = call.peer.digest[:16].upper()
    if by_secret:
        result["role"] = Role.SUBSCRIBER.value  # what the sheet has such a client told
    return result | recording_hint(
        running_recording(after), connection.role, call.settings.recording.notified_roles
    )


def introduction(call: Call, session: Session, connection: Connection) -> Result:
    """What every joiner is told."""
    settings = call.settings
    result: dict[str, Any] = {
        "id": connection.id,
        "createdAt": connection.active_at,
        "metadata": metadata(connection),
        "value": existing_participants(session, connection.id),
        "session": session.id,
        "version": VERSION,
        "mediaServer": settings.streams.media_server,
        "videoSimulcast": False,
        "record": connection.record,
        "role": connection.role.value,
    }
    return result | ice_fields(settings, connection.custom_ice_servers, call.services.clock())


def running_recording(state: State) -> Recording | None:
    """One that is still starting is told by `recordingStarted` later."""
    recording = state.active_recording
    started = recording is not None and recording.status is RecordingStatus.STARTED
    return recording if started else None


async def leave_room(call: Call, _: NoParams) -> Result | None:
    caller = await call.caller()
    if call.peer.watching is not None:
        call.services.watchers.leave(call.peer)
        return {}
    return await call.commit(LeaveSession(caller.connection.id))


async def force_disconnect(call: Call, params: ForceDisconnect) -> Result | None:
    caller = await call.caller()
    caller.require(Role.MODERATOR)
    target = caller.session.connections.get(params.connection_id)
    if target is None or not target.active:
        raise RpcError(Code.USER_NOT_FOUND, f"Connection {params.connection_id} not found")
    return await call.commit(RemoveConnection(target.id, requested_by=caller.connection.id))
