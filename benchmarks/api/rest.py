"""What clients ask of the REST API: bodies are those of openvidu-node-client 2.32."""

from __future__ import annotations

import json

from .load import FIRST, Requests, Step
from .servers import AUTH

API = "/openvidu/api/sessions"
SESSIONS = 1000  # there are for reads
CONNECTIONS = 2  # each of them has

SESSION = {
    "mediaMode": "ROUTED",
    "recordingMode": "MANUAL",
    "customSessionId": "",
    "defaultRecordingProperties": {
        "name": "",
        "hasAudio": True,
        "hasVideo": True,
        "outputMode": "COMPOSED",
        "recordingLayout": "BEST_FIT",
        "resolution": "1280x720",
        "frameRate": 25,
        "shmSize": 536870912,
    },
}
CONNECTION = {
    "type": "WEBRTC",
    "data": "A name, and what else the application knows of somebody",
    "record": True,
    "role": "PUBLISHER",
    "kurentoOptions": None,
    "rtspUri": None,
    "adaptativeBitrate": None,
    "onlyPlayWithSubscribers": None,
    "networkCache": None,
}


def http(method: str, path: str, body: object = None, *, authorization: bytes = b"") -> bytes:
    """A request; `%010d` in it will be a number, and `"%d"` in its body a number of JSON."""
    content = b"" if body is None else json.dumps(body).encode().replace(b'"%d"', b"%d")
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n".encode()
    if authorization:
        head += b"Authorization: " + authorization + b"\r\n"
    if content:
        length = len(content % FIRST) if b"%" in content else len(content)
        head += b"Content-Type: application/json\r\nContent-Length: %d\r\n" % length
    return head + b"\r\n" + content


def _ours(method: str, path: str, body: object = None) -> bytes:
    return http(method, API + path, body, authorization=AUTH)


def new_session(name: str = "") -> Step:
    """`name`: with a `%010d` in it."""
    body = SESSION | {"customSessionId": name}
    piece = b'"id":"' + (name.partition("%")[0].encode() or b"ses_")
    return Step(_ours("POST", "", body), b"200", piece)


def new_connection(session: str) -> Step:
    return Step(_ours("POST", f"/{session}/connection", CONNECTION), b"200", b'"status":"pending"')


def close_session(name: str) -> Step:
    return Step(_ours("DELETE", f"/{name}"), b"204")


def get_session(name: str) -> Step:
    piece = b'"id":"' + name.partition("%")[0].encode()
    return Step(_ours("GET", f"/{name}"), b"200", piece)


def get_all(query: str = "") -> Step:
    return Step(_ours("GET", query), b"200", b'"numberOfElements":%d' % SESSIONS)


def seed(port: int, name: str, sessions: int, connections: int = 0) -> list[Requests]:
    jobs = [Requests(port, 32, (new_session(name),), turns=sessions, modulo=sessions)]
    if connections:
        step, turns = new_connection(name), sessions * connections
        jobs.append(Requests(port, 32, (step,), turns=turns, modulo=sessions))
    return jobs
