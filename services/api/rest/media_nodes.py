"""Media nodes: `rest-api.md`, "The Media Node object"; choices of `cluster.md` section 3."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated

from litestar import Response, delete, get, patch, post, put
from litestar.handlers import HTTPRouteHandler
from msgspec import Meta

from services.api.announcements import (
    MAX_URI,
    address,
    admission,
    cluster_id,
    own_environment_id,
)
from services.api.feed import Watch
from services.api.media_nodes import MediaNodes
from services.conference.commands import AdmitNode, ChangeNodeStatus, RemoveNode
from services.conference.errors import NodeExists, NodeNotFound
from services.conference.ids import NODE_ID, aggregate_of_node
from services.conference.model import DeletionStrategy, NodeStatus
from services.conference.state import Node, State
from services.conference.views import Object

from . import replies, schemas
from .api import Api, HttpRequest
from .bodies import MAX_INT, Body
from .errors import ApiError
from .openapi import boolean, choice, operation
from .parsing import flag, parse
from .replies import Reply

TAGS = ["Media nodes"]
LAUNCH_SECONDS = 20.0  # with `wait`; a node that is not heard has failed before
REMOVAL_SECONDS = 30.0  # with `wait`
MOMENT = 2.0  # seconds without: a removal takes less, so what is read next shows it

_NO_NODE = "No media node exists for the passed id"
_NOT_ANNOUNCED = "No media node that announces itself to this server has that uri"
_THIS = {"media_node_id": "$response.body#/id"}
_FIRST = {"media_node_id": "$response.body#/content/0/id"}
_FIRST_OF_LIST = {"getMediaNode": _FIRST, "modifyMediaNode": _FIRST, "removeMediaNode": _FIRST}
_QUERY = (
    boolean("sessions", "Add the sessions that it hosts?", default=False),
    boolean("recordings", "Add the ids of recordings started on it?", default=False),
    boolean("extra-info", "Add what its media server says of itself?", default=False),
)
_STRATEGY = choice(
    "deletion-strategy",
    "`now`: its sessions are closed. `if-no-sessions`: 409 if it hosts any. `when-no-sessions`: "
    "it takes no new ones and goes with its last one.",
    of=[strategy.value for strategy in DeletionStrategy],
    default=DeletionStrategy.IF_NO_SESSIONS.value,
)


class MediaNodeBody(Body):
    """The last two are for environments that launch machines; here they only must be right."""

    uri: Annotated[str, Meta(max_length=MAX_URI)] | None = None
    environment_id: Annotated[str, Meta(max_length=255)] | None = None
    instance_type: Annotated[str, Meta(max_length=255)] | None = None
    volume_size: Annotated[int, Meta(ge=1, le=MAX_INT)] | None = None


class MediaNodeStatusBody(Body):
    status: NodeStatus


def routes(api: Api) -> list[HTTPRouteHandler]:
    registry, nodes = api.registry, api.nodes
    shown = MediaNodes(nodes, registry, api.views)
    cluster = cluster_id(api.settings)

    async def page(request: HttpRequest, found: list[Node]) -> list[Object]:
        sessions, recordings, extra = (
            flag(request, name, default=False) for name in ("sessions", "recordings", "extra-info")
        )
        return [
            await shown.show_more(node, sessions=sessions, recordings=recordings, extra=extra)
            for node in found
        ]

    @get(
        "/media-nodes/{media_node_id:str}",
        operation_id="getMediaNode",
        summary="Retrieve a media node",
        tags=TAGS,
        operation_class=operation(
            "The media node", schemas.MediaNode, query=_QUERY, fails={404: _NO_NODE}
        ),
    )
    async def retrieve(request: HttpRequest, media_node_id: str) -> Reply:
        node = registry.find(media_node_id)
        if node is None:
            raise NodeNotFound(_NO_NODE)
        (found,) = await page(request, [node])
        return replies.ok(found)

    @get(
        "/media-nodes",
        operation_id="listMediaNodes",
        summary="Retrieve all media nodes",
        tags=TAGS,
        operation_class=operation(
            "All media nodes", schemas.MediaNodes, query=_QUERY, links=_FIRST_OF_LIST
        ),
    )
    async def retrieve_all(request: HttpRequest) -> Reply:
        return replies.page(await page(request, registry.registered()))

    @post(
        "/media-nodes",
        operation_id="addMediaNode",
        summary="Add a media node",
        description="One that was removed, or that runs elsewhere: a media node announces itself "
        "to the server, `uri` says which one is meant. The nodes of an installation come in by "
        "themselves.",
        tags=TAGS,
        status_code=200,
        operation_class=operation(
            "The media node; it runs as soon as it is heard again, in about a second",
            schemas.MediaNode,
            takes=MediaNodeBody,
            examples={
                "on premises": {
                    "uri": "ws://172.17.0.5:8888/kurento",
                    "environmentId": "myCustomInstance",
                }
            },
            query=(boolean("wait", "Answer when the node is `running`?", default=False),),
            fails={
                400: "Problem with some body parameter",
                404: _NOT_ANNOUNCED,
                409: "The media node is registered",
                501: "There is no `uri`: machines are not launched on premises",
            },
            links={"getMediaNode": _THIS, "modifyMediaNode": _THIS, "removeMediaNode": _THIS},
        ),
    )
    async def add(request: HttpRequest) -> Reply:
        body = await parse(request, MediaNodeBody)
        wait = flag(request, "wait", default=False)
        if body.uri is None:
            raise ApiError(501, "uri is mandatory: machines are not launched on premises")
        meant = shown.meant(_address(body.uri), body.environment_id)
        if meant is None:
            raise ApiError(404, _NOT_ANNOUNCED)
        node_id, ip = meant
        aggregate = aggregate_of_node(node_id)
        command = AdmitNode(
            node_id=node_id,
            environment_id=body.environment_id or own_environment_id(node_id),
            ip=ip,
            uri=body.uri,
            cluster_id=cluster,
        )
        with api.feed.watch(aggregate) as watch:
            state = (await api.execute(request, aggregate, command)).after
            if wait:
                now = await api.bus.load(aggregate)
                state = await _until(watch, now, _launched, LAUNCH_SECONDS)
        node = _node(state)
        if wait and node.status is NodeStatus.FAILED:
            raise ApiError(404, "The media node went silent before it ran")
        return replies.ok(shown.show(node))

    @delete(
        "/media-nodes/{media_node_id:str}",
        operation_id="removeMediaNode",
        summary="Remove a media node",
        description="It stays out until it is added or autodiscovered. A node that is still "
        "launching is canceled.",
        tags=TAGS,
        status_code=204,
        operation_class=operation(
            "The media node is removed",
            query=(
                boolean("wait", "Answer when the node is `terminated`?", default=False),
                _STRATEGY,
            ),
            fails={
                202: "The media node is `waiting-idle-to-terminate`, or `canceled`",
                400: "A query parameter has no such value",
                404: _NO_NODE,
                409: "It hosts sessions or recordings; nothing was changed",
            },
        ),
    )
    async def remove(request: HttpRequest, media_node_id: str) -> Response[None]:
        strategy = _strategy(request)
        wait = flag(request, "wait", default=False)
        aggregate = aggregate_of_node(media_node_id)
        command = RemoveNode(strategy, registry.busy(media_node_id))
        with api.feed.watch(aggregate) as watch:
            state = (await api.execute(request, aggregate, command)).after
            if _node(state).status is not NodeStatus.TERMINATING:
                return replies.empty(202)
            try:
                await _until(watch, state, _gone, REMOVAL_SECONDS if wait else MOMENT)
            except ApiError:
                if wait:
                    raise
        return replies.empty(204)

    @patch(
        "/media-nodes/{media_node_id:str}",
        operation_id="modifyMediaNode",
        summary="Modify a media node",
        description="Its status, in one of six ways: from `launching` to `canceled` and back, from "
        "`running` to `waiting-idle-to-terminate` and back, from these two to `terminating`, which "
        "closes its sessions.",
        tags=TAGS,
        operation_class=operation(
            "The media node in its new status",
            schemas.MediaNode,
            takes=MediaNodeStatusBody,
            examples={"remove it now": {"status": "terminating"}},
            fails={
                204: "It is in that status",
                400: "There is no such status, or no way to it",
                404: _NO_NODE,
            },
        ),
    )
    async def modify(request: HttpRequest, media_node_id: str) -> Reply:
        body = await parse(request, MediaNodeStatusBody)
        aggregate = aggregate_of_node(media_node_id)
        outcome = await api.execute(request, aggregate, ChangeNodeStatus(body.status))
        if not outcome.events:
            return replies.empty(204)
        return replies.ok(shown.show(_node(outcome.after)))

    @put(
        "/media-nodes",
        operation_id="autodiscoverMediaNodes",
        summary="Autodiscover media nodes",
        description="All that announce themselves and are not part of the cluster become so, "
        "removed ones too.",
        tags=TAGS,
        operation_class=operation("The new media nodes", schemas.MediaNodes, links=_FIRST_OF_LIST),
    )
    async def autodiscover(request: HttpRequest) -> Reply:
        found = []
        for heartbeat in nodes.alive():
            if registry.find(heartbeat.node_id) or not NODE_ID.fullmatch(heartbeat.node_id):
                continue
            aggregate = aggregate_of_node(heartbeat.node_id)
            command = admission(heartbeat, cluster)
            try:
                outcome = await api.execute(request, aggregate, command)
            except NodeExists:
                continue  # somebody else was first
            found.append(shown.show(_node(outcome.after)))
        return replies.page(found)

    return [retrieve, retrieve_all, add, remove, modify, autodiscover]


def _node(state: State) -> Node:
    if state.node is None:
        raise NodeNotFound(_NO_NODE)
    return state.node


def _launched(node: Node) -> bool:
    return node.status is not NodeStatus.LAUNCHING


def _gone(node: Node) -> bool:
    return not node.registered


def _address(uri: str) -> tuple[str, int]:
    try:
        return address(uri)
    except ValueError as error:
        raise ApiError(400, f"uri must be one such as ws://host:8888/kurento: {error}") from None


async def _until(watch: Watch, state: State, good: Callable[[Node], bool], seconds: float) -> State:
    try:
        async with asyncio.timeout(seconds):
            while not good(_node(state)):
                state = (await watch.next()).after
    except TimeoutError:
        raise ApiError(503, f"The media node is {_node(state).status} still") from None
    return state


def _strategy(request: HttpRequest) -> DeletionStrategy:
    given = request.query_params.get("deletion-strategy", DeletionStrategy.IF_NO_SESSIONS.value)
    try:
        return DeletionStrategy(given)
    except ValueError:
        strategies = ", ".join(DeletionStrategy)
        raise ApiError(400, f"deletion-strategy must be one of {strategies}") from None
