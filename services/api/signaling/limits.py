"""What a client may send and receive, in kbit/s of video; 0 is no limit (`config.md` section 9)."""

from __future__ import annotations

from services.conference.model import KurentoOptions
from services.conference.state import Connection
from services.settings import Settings

NOTHING = KurentoOptions()


class Limits:
    """The connection's own `kurentoOptions`; what they do not say is the server's setting."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        own, common = connection.kurento_options or NOTHING, settings.streams
        self.max_recv = _first(own.video_max_recv_bandwidth, common.video_max_recv_bandwidth)
        self.min_recv = _first(own.video_min_recv_bandwidth, common.video_min_recv_bandwidth)
        self.max_send = _first(own.video_max_send_bandwidth, common.video_max_send_bandwidth)
        self.min_send = _first(own.video_min_send_bandwidth, common.video_min_send_bandwidth)


def _first(own: int | None, common: int) -> int:
    return common if own is None else own
