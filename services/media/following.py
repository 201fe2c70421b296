"""What the log says happened, done to the media: transports close, whoever asked for it."""

from __future__ import annotations

from time import monotonic

from services.conference.events import (
    Event,
    ParticipantLeft,
    SessionDestroyed,
    StreamPropertyChanged,
    WebrtcConnectionCreated,
    WebrtcConnectionDestroyed,
)
from services.conference.model import Direction

from .node import Node

MUTES = {"audioActive": "audio", "videoActive": "video"}


def apply(node: Node, session_id: str, event: Event) -> None:
    match event:
        case WebrtcConnectionCreated(direction=Direction.OUTBOUND):
            publication = node.publications.get(event.stream_id)
            if publication is not None and publication.connection_id == event.connection_id:
                publication.confirmed = True
        case WebrtcConnectionDestroyed():
            node.end(event.connection_id, event.stream_id, event.reason)
        case StreamPropertyChanged() if event.property in MUTES:
            publication = node.publications.get(event.stream_id)
            if publication is not None and publication.connection_id == event.connection_id:
                is_active = event.value == "true"
                publication.activate(MUTES[event.property], is_active, monotonic())
        case ParticipantLeft():
            node.end_connection(event.connection_id, event.reason)
        case SessionDestroyed():
            # Only what the log knows: a session of the same name may be coming up already.
            for publication in tuple(node.publications.values()):
                if publication.session_id == session_id and publication.confirmed:
                    node.end_publication(publication, event.reason)
        case _:
            pass
