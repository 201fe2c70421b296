"""What can be wrong with a command, in the domain's words.

HTTP statuses and RPC codes are attached at the edge, in one table each; nothing here knows them.

ConferenceError
├── SessionNotFound · SessionExists · SessionInUse
├── ConnectionExists · ConnectionNotFound · InvalidToken · NotAllowed
├── StreamNotFound · AlreadyPublishing · NotPublishing · OwnStream
├── InvalidProperty · UnknownReceiver · NoParticipants
├── RecordingNotFound · RecordingInProgress · RecordingStarting · NotRouted · NothingToRecord
└── NodeNotFound · NodeExists · NodeRemoved · NodeBusy · TransitionNotAllowed
"""

from __future__ import annotations


class ConferenceError(Exception):
    """A command was refused; the state is unchanged. `str(error)` is a sentence for people."""


class SessionNotFound(ConferenceError):
    """No such session, or it has ended."""


class SessionExists(ConferenceError):
    """A session with this id is open."""


class SessionInUse(ConferenceError):
    """Somebody joined the session, so it is not garbage."""


class ConnectionExists(ConferenceError):
    """A connection with this id or token is in the session."""


class ConnectionNotFound(ConferenceError):
    """No such connection in the session, or it is not active where it must be."""


class InvalidToken(ConferenceError):
    """The token is unknown, used, or not of this session."""


class NotAllowed(ConferenceError):
    """The role of the connection does not allow this."""


class StreamNotFound(ConferenceError):
    """No such stream in the session."""


class AlreadyPublishing(ConferenceError):
    """One connection publishes one stream."""


class MediaRestarted(ConferenceError):
    """The media process that took the client's offer is no more."""


class NotPublishing(ConferenceError):
    """The connection publishes nothing."""


class OwnStream(ConferenceError):
    """A connection does not subscribe to its own stream."""


class InvalidProperty(ConferenceError):
    """The stream property is unknown or its value has the wrong form."""


class UnknownReceiver(ConferenceError):
    """A receiver of the signal is not in the session; nobody got it."""


class NoParticipants(ConferenceError):
    """The session has no connected participants."""


class RecordingNotFound(ConferenceError):
    """No such recording, or it is not in a state this could apply to."""


class RecordingInProgress(ConferenceError):
    """The session is being recorded, or the recording has not been stopped."""


class RecordingStarting(ConferenceError):
    """The recording is still starting."""


class NotRouted(ConferenceError):
    """Only sessions with media mode ROUTED can be recorded."""


class NothingToRecord(ConferenceError):
    """Both `hasAudio` and `hasVideo` are false."""


class NodeNotFound(ConferenceError):
    """No such media node in the cluster."""


class NodeExists(ConferenceError):
    """The media node is part of the cluster already."""


class NodeRemoved(ConferenceError):
    """Somebody removed the media node, so it does not come back by itself."""


class NodeBusy(ConferenceError):
    """The media node hosts sessions or recordings."""


class TransitionNotAllowed(ConferenceError):
    """The media node cannot come from its status to that one on request."""
