"""What a media node says of itself in its heartbeats, as a member of the cluster."""

from __future__ import annotations

from urllib.parse import urlsplit

from services.conference.calls import Heartbeat
from services.conference.commands import AdmitNode
from services.settings import Settings

PORT = 8888  # of the original's media nodes, for one that does not tell its own
PORTS = {"ws": 80, "wss": 443}
MAX_URI = 2048  # characters


def own_environment_id(node_id: str) -> str:
    """Ids of nodes are `media_<environmentId>` (`cluster.md` section 1)."""
    return node_id.removeprefix("media_")


def own_uri(heartbeat: Heartbeat) -> str:
    """For people and clients that print it; nobody connects there."""
    return f"ws://{heartbeat.ip}:{heartbeat.port or PORT}/kurento"


def admission(heartbeat: Heartbeat, cluster_id: str, *, automatic: bool = False) -> AdmitNode:
    """It calls itself so, and as it is heard, it runs."""
    return AdmitNode(
        node_id=heartbeat.node_id,
        environment_id=own_environment_id(heartbeat.node_id),
        ip=heartbeat.ip,
        uri=own_uri(heartbeat),
        cluster_id=cluster_id,
        automatic=automatic,
        connected=True,
    )


def address(uri: str) -> tuple[str, int]:
    """Host and port of a WebSocket URI. Raises `ValueError` for what is none."""
    if len(uri) > MAX_URI or not uri.isascii() or not uri.isprintable() or " " in uri:
        raise ValueError("it holds what no URI may hold, or too much")
    parts = urlsplit(uri)
    if parts.scheme not in PORTS:
        raise ValueError("its scheme is neither ws nor wss")
    if not parts.hostname:
        raise ValueError("it has no host")
    if parts.fragment or parts.username is not None:
        raise ValueError("it has more than host, port, path and query")
    port = parts.port  # raises if it is out of range
    if port == 0:
        raise ValueError("its port is 0")
    return parts.hostname, port or PORTS[parts.scheme]


def is_at(uri: str, wanted: tuple[str, int]) -> bool:
    """Has the URI, which may be none, this address?"""
    try:
        return address(uri) == wanted
    except ValueError:
        return False


def cluster_id(settings: Settings) -> str:
    """How events call the cluster that a node is admitted to."""
    return str(settings.properties.get("OPENVIDU_PRO_CLUSTER_ID", ""))
