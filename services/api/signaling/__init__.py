"""The browsers' WebSocket: JSON-RPC at `/openvidu` (`signaling.md`).

`socket.py` moves frames, `peers.py` knows the clients, `methods/` are what they may ask,
`gateway.py` ties them to the log.
"""

from .gateway import Gateway
from .socket import websocket_handler

__all__ = ["Gateway", "websocket_handler"]
