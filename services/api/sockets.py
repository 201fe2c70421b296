"""uvicorn's WebSocket protocol, with a line instead of a traceback where a client sends what is no
text, and freed when it ends."""

from __future__ import annotations

import structlog
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

INVALID_TEXT = 1007  # RFC 6455 7.4.1

log = structlog.get_logger(__name__)


class Sockets(WebSocketsSansIOProtocol):
    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text":
            whole = b"".join(self.frames)
            try:
                whole.decode()
            except UnicodeDecodeError:
                self._refuse_text()
                return
            self.frames = [whole]
        super().send_receive_event_to_app()

    def _refuse_text(self) -> None:
        self.frames = []
        if self.close_sent or self.conn.state is not State.OPEN:  # its own close came with it
            return
        log.info("websocket closed: text that is not UTF-8", client=self.client and self.client[0])
        self.conn.send_close(INVALID_TEXT)
        self.handle_parser_exception()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        # Both hold what holds them: a generator that waits for more, and where it gave up.
        self.conn.parser.close()
        self.conn.parser_exc = None
