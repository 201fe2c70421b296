"""Media nodes as REST shows them: what the log knows of them, and what is heard."""

from __future__ import annotations

from msgspec import Raw

from services.conference.state import Node
from services.conference.views import Link, Object, kurento_info, media_node_object

from .announcements import is_at, own_environment_id, own_uri
from .nodes import Nodes
from .registry import Registry
from .views import Views


class MediaNodes:
    def __init__(self, nodes: Nodes, registry: Registry, views: Views) -> None:
        self._nodes = nodes
        self._registry = registry
        self._views = views

    def show(self, node: Node) -> Object:
        return media_node_object(node, self._link(node))

    async def show_more(
        self, node: Node, *, sessions: bool, recordings: bool, extra: bool
    ) -> Object:
        shown = self.show(node)
        if sessions:
            hosted = [await self._views.session(one) for one in self._registry.sessions(node.id)]
            shown["sessions"] = [Raw(session) for session in hosted if session is not None]
        if recordings:
            shown["recordingIds"] = self._registry.recordings(node.id)
        heartbeat = self._nodes.get(node.id)
        if extra and shown["connected"] and heartbeat is not None:
            shown["kurentoInfo"] = kurento_info(heartbeat)
        return shown

    def meant(self, wanted: tuple[str, int], environment_id: str | None) -> tuple[str, str] | None:
        """Id and IP address of the node with that address (host and port): a registered one, or
        one that is heard. Else of the heard one with that environment id."""
        for node in self._registry.registered():
            if is_at(node.uri, wanted):
                return node.id, node.ip
        alive = self._nodes.alive()
        for heartbeat in alive:
            former = self._registry.known(heartbeat.node_id)
            if is_at(own_uri(heartbeat), wanted) or (former and is_at(former.uri, wanted)):
                return heartbeat.node_id, heartbeat.ip
        for heartbeat in alive:
            if environment_id and own_environment_id(heartbeat.node_id) == environment_id:
                return heartbeat.node_id, heartbeat.ip
        return None

    def _link(self, node: Node) -> Link:
        """How this server is connected to the node: as far as heartbeats tell."""
        if node.connected_at is None:
            return Link()
        seen = self._nodes.seen(node.id)
        started = seen.heartbeat.started_at if seen else 0  # its process may be a later one
        since = max(node.connected_at, started)
        heartbeat = self._nodes.get(node.id)
        if heartbeat is None:
            return Link(since=since, lost=max(seen.time, since) if seen else since)
        return Link(connected=True, since=since, load=heartbeat.load)
