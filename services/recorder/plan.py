"""Which streams a recording wants, and what of them (`recording.md` 5.3, 6.3, 9)."""

from __future__ import annotations

from msgspec import Struct

from services.conference.ids import unique_session_id
from services.conference.model import VideoSource
from services.conference.state import Recording, Session


class StreamPlan(Struct, frozen=True):
    """`audio` and `video`: the stream has it and the recording wants it. The `active` ones are
    not muted, so media is to be expected."""

    stream_id: str
    connection_id: str
    client_data: str
    server_data: str
    node_id: str
    audio: bool
    video: bool
    audio_active: bool
    video_active: bool
    type_of_video: VideoSource | None

    @property
    def expects_media(self) -> bool:
        return self.audio_active or self.video_active


def plan_streams(session: Session | None, recording: Recording) -> dict[str, StreamPlan]:
    """By stream id. Nothing if the recording is of an earlier life of the session."""
    if session is None or session.media_node is None:
        return {}
    if unique_session_id(session.id, session.created_at) != recording.unique_session_id:
        return {}
    wanted = recording.properties
    plans = {}
    for connection in session.connections.values():
        stream = connection.stream
        if stream is None or not connection.record:
            continue
        media = stream.current
        audio = media.has_audio and wanted.has_audio
        video = media.has_video and wanted.has_video
        if audio or video:
            plans[stream.id] = StreamPlan(
                stream_id=stream.id,
                connection_id=connection.id,
                client_data=connection.client_data or "",
                server_data=connection.server_data,
                node_id=session.media_node.id,
                audio=audio,
                video=video,
                audio_active=audio and media.audio_active is not False,
                video_active=video and media.video_active is not False,
                type_of_video=media.type_of_video if media.has_video else None,
            )
    return plans
