"""Given events, when a command, then events or a refusal: the specification's sentences.

Connections are called by one letter; `stream("A")` is what A publishes. What is given happened at
`THEN`, the command comes at `NOW`.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from services.conference import events as e
from services.conference.commands import Command
from services.conference.decide import decide
from services.conference.errors import ConferenceError
from services.conference.events import Event
from services.conference.evolve import evolve_all
from services.conference.model import (
    ConnectionType,
    Direction,
    MediaMode,
    MediaOptions,
    Reason,
    RecordingMode,
    RecordingProperties,
    Role,
    SessionProperties,
    VideoSource,
)
from services.conference.state import EMPTY, State

THEN = 1_712_050_000_000
NOW = THEN + 61_999

SESSION = "ses_Qp7LmZx3Kd"
UNIQUE = f"{SESSION}_{THEN}"

ROUTED = SessionProperties()
COMPOSED = RecordingProperties()
CAMERA = MediaOptions(
    has_audio=True,
    has_video=True,
    audio_active=True,
    video_active=True,
    type_of_video=VideoSource.CAMERA,
    frame_rate=30,
    video_dimensions='{"width":640,"height":480}',
)
MICROPHONE = MediaOptions(has_audio=True, has_video=False, audio_active=True)


class Outcome:
    """What one command leads to."""

    def __init__(self, before: State, command: Command) -> None:
        self.before = before
        self.command = command

    def then(self, *expected: Event) -> State:
        """These events follow, and no others; answers with the state after them."""
        found = decide(self.before, self.command, NOW)
        assert found == expected
        return evolve_all(self.before, found)

    def nothing_happens(self) -> None:
        assert decide(self.before, self.command, NOW) == ()

    def is_refused(self, error: type[ConferenceError]) -> None:
        with pytest.raises(ConferenceError) as refusal:
            decide(self.before, self.command, NOW)
        assert refusal.type is error
        assert str(refusal.value), "a refusal is a sentence for people"


class Given:
    def __init__(self, events: tuple[Event, ...]) -> None:
        self.events = events
        self.state = evolve_all(EMPTY, events)

    def when(self, command: Command) -> Outcome:
        return Outcome(self.state, command)


def given(*events: Event | list[Event]) -> Given:
    """Lists are flattened, so that steps of several events can be given by one word."""
    flat: list[Event] = []
    for event in events:
        flat.extend(event if isinstance(event, list) else [event])
    return Given(tuple(flat))


def token(name: str) -> str:
    return f"tok_{name}"


def stream(name: str) -> str:
    return f"str_CAM_Tz6f_{name}"


def created(properties: SessionProperties = ROUTED, at: int = THEN) -> Event:
    return e.SessionCreated(SESSION, properties, at)


def always(defaults: RecordingProperties = COMPOSED) -> Event:
    """A session that is recorded from the first publication on."""
    return created(
        SessionProperties(
            recording_mode=RecordingMode.ALWAYS, default_recording_properties=defaults
        )
    )


def relayed() -> Event:
    return created(SessionProperties(media_mode=MediaMode.RELAYED))


def allocated(instance: str = "first", at: int = THEN) -> Event:
    return e.SessionAllocated("media_1", instance, at)


def pending(
    name: str, role: Role = Role.PUBLISHER, kind: ConnectionType = ConnectionType.WEBRTC
) -> Event:
    return e.ConnectionCreated(
        connection_id=name,
        token=token(name),
        type=kind,
        role=role,
        record=True,
        server_data=f"server data of {name}",
        at=THEN,
    )


def entered(name: str, at: int = THEN) -> Event:
    return e.ParticipantJoined(
        connection_id=name,
        at=at,
        platform="Chrome 156 on Linux",
        client_data=f"client data of {name}",
        location="unknown",
        rpc_digest=f"digest of {name}",
        ip="203.0.113.77",
    )


def joined(name: str, role: Role = Role.PUBLISHER) -> list[Event]:
    return [pending(name, role), entered(name)]


def camera(name: str) -> list[Event]:
    """An IP camera that publishes."""
    media = replace(CAMERA, type_of_video=VideoSource.IPCAM)
    return [
        pending(name, kind=ConnectionType.IPCAM),
        entered(name),
        published(name, media),
    ]


def published(name: str, media: MediaOptions = CAMERA, at: int = THEN) -> Event:
    return e.WebrtcConnectionCreated(name, stream(name), Direction.OUTBOUND, at, media=media)


def subscribed(name: str, to: str, at: int = THEN) -> Event:
    return e.WebrtcConnectionCreated(name, stream(to), Direction.INBOUND, at, receiving_from=to)


def unpublished(name: str, reason: Reason, at: int = NOW) -> Event:
    return e.WebrtcConnectionDestroyed(name, stream(name), Direction.OUTBOUND, reason, at)


def unsubscribed(name: str, to: str, reason: Reason, at: int = NOW) -> Event:
    return e.WebrtcConnectionDestroyed(name, stream(to), Direction.INBOUND, reason, at)


def left(name: str, reason: Reason, at: int = NOW) -> Event:
    return e.ParticipantLeft(name, reason, at)


def destroyed(reason: Reason, at: int = NOW) -> Event:
    return e.SessionDestroyed(reason, at)


def requested(
    recording: str = SESSION,
    properties: RecordingProperties = COMPOSED,
    automatic: bool = False,
    at: int = THEN,
) -> Event:
    return e.RecordingRequested(recording, properties, at, automatic=automatic)


def recording(name: str = SESSION, properties: RecordingProperties = COMPOSED) -> list[Event]:
    """A recording that runs."""
    return [requested(name, properties), e.RecordingStarted(name, THEN)]


def stopped(
    reason: Reason = Reason.RECORDING_STOPPED_BY_SERVER, name: str = SESSION, at: int = NOW
) -> Event:
    return e.RecordingStopped(name, reason, at)
