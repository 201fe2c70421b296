"""Are the ports free that the settings name? Asked before anything is started."""

from __future__ import annotations

import errno
import socket

from services.settings import Settings


class PortTaken(Exception):
    """`str()` names the setting, the port and what to do."""


def check(settings: Settings) -> None:
    """Raises `PortTaken`. A port may still be taken afterwards; then its service says so."""
    access, media = settings.access, settings.media
    name = "HTTPS_PORT" if access.listen_port == access.https_port else "SERVER_PORT"
    try:
        _bind(access.listen_host, access.listen_port, socket.SOCK_STREAM)
    except OSError as error:
        raise PortTaken(
            _message(error, name, access.listen_port, "TERTULIA_HOST", access.listen_host)
        ) from error
    problem = None
    for port in range(media.port, media.port_max + 1):
        try:
            _bind(media.host, port, socket.SOCK_DGRAM)
        except OSError as error:
            problem = error
        else:
            return
    if problem is not None:
        name = "TERTULIA_MEDIA_PORT"
        raise PortTaken(
            _message(problem, name, media.port, "TERTULIA_MEDIA_HOST", media.host)
            + f" (All UDP ports up to TERTULIA_MEDIA_PORT_MAX={media.port_max} were tried.)"
        )


def _bind(host: str, port: int, kind: socket.SocketKind) -> None:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=kind)[0]
    with socket.socket(family, kind) as sock:
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        if kind == socket.SOCK_STREAM:
            sock.listen(1)


def _message(error: OSError, name: str, port: int, host_name: str, host: str) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"{name}={port}: the port is in use on {host} by another program. Stop that, or "
                f"set {name} to another port."
            )
        case errno.EACCES:
            return f"{name}={port}: this user may not listen on it. Set {name} to 1024 or more."
        case errno.EADDRNOTAVAIL:
            return f"{host_name}={host}: this machine has no such address."
    return f"{host_name}={host}, {name}={port}: one cannot listen there: {error}"
