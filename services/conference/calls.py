"""What the services ask each other directly: NATS requests to a media node, and its heartbeat.

Nothing here is a fact for the log. Subjects are `node.<nodeId>.<call>`; a request is one struct
in JSON, a reply is the call's reply struct or a `Failure` (the union is tagged).
"""

from __future__ import annotations

from enum import StrEnum

from .model import Direction, Value, VideoCodec


class FailureCode(StrEnum):
    STREAM_NOT_FOUND = "streamNotFound"
    SUBSCRIPTION_NOT_FOUND = "subscriptionNotFound"
    SDP_INVALID = "sdpInvalid"
    CODEC_MISSING = "codecMissing"
    ENDPOINT_CLOSED = "endpointClosed"
    OVERLOADED = "overloaded"
    REQUEST_INVALID = "requestInvalid"  # the payload is no such call


class CallValue(Value, tag_field="call", frozen=True):
    pass


class ReplyValue(Value, tag_field="reply", frozen=True):
    pass


class Failure(ReplyValue, tag="failure", frozen=True):
    code: FailureCode
    message: str


class Publish(CallValue, tag="publish", frozen=True):
    """Make the publisher's leg; reply `Answer`. The log confirms it with
    `webrtcConnectionCreated`, else the node drops it after 30 s or at `discard`."""

    session_id: str
    connection_id: str
    stream_id: str
    sdp_offer: str
    has_audio: bool
    has_video: bool
    codec: VideoCodec = VideoCodec.NONE
    allow_transcoding: bool = False
    max_send_kbps: int = 0  # 0 = no limit
    min_send_kbps: int = 0
    loopback: bool = False
    audio_active: bool = True  # as the log tells it later: no packets of a muted track go out
    video_active: bool = True


class Republish(CallValue, tag="republish", frozen=True):
    """The publisher reconnects (`signaling.md` 3.17): new transport, same stream, same
    subscribers; reply `Answer`."""

    session_id: str
    connection_id: str
    stream_id: str
    sdp_offer: str
    codec: VideoCodec = VideoCodec.NONE
    allow_transcoding: bool = False


class PrepareOffer(CallValue, tag="prepareOffer", frozen=True):
    """Offer a stream to a subscriber, replacing what the pair had; reply `Offer`.

    An offer nobody answers is dropped after 30 s."""

    session_id: str
    connection_id: str
    stream_id: str
    max_recv_kbps: int = 0  # 0 = no limit
    min_recv_kbps: int = 0


class AcceptAnswer(CallValue, tag="acceptAnswer", frozen=True):
    """The subscriber's answer to the prepared offer; reply `Done`."""

    connection_id: str
    stream_id: str
    sdp_answer: str


class Subscribe(CallValue, tag="subscribe", frozen=True):
    """The other negotiation shape: the subscriber offers; reply `Answer`."""

    session_id: str
    connection_id: str
    stream_id: str
    sdp_offer: str
    max_recv_kbps: int = 0  # 0 = no limit
    min_recv_kbps: int = 0


class Discard(CallValue, tag="discard", frozen=True):
    """The command behind a negotiation was refused: drop the leg; reply `Done`.

    With `stream_id` of the connection itself its publication, else its subscription."""

    connection_id: str
    stream_id: str


class Tap(CallValue, tag="tap", frozen=True):
    """Send plain RTP (and the publisher's RTCP sender reports, on the same port) of a stream to
    `host:port`; reply `Tapped`. A lease: repeat it at least every 10 s or it ends.

    A first tap asks the publisher for a key frame, and so does `key_frame`."""

    tap_id: str
    stream_id: str
    host: str
    port: int
    key_frame: bool = False


class Untap(CallValue, tag="untap", frozen=True):
    tap_id: str
    stream_id: str


class Offer(ReplyValue, tag="offer", frozen=True):
    sdp_offer: str


class Answer(ReplyValue, tag="answer", frozen=True):
    sdp_answer: str


class Done(ReplyValue, tag="done", frozen=True):
    pass


class Track(Value, frozen=True):
    """One track of a tapped stream. `ssrc` changes if the publisher reconnects: `Tapped` of the
    next lease tells, and packets are told apart by payload type."""

    codec: str  # "opus", "VP8", "VP9", "H264"
    payload_type: int
    clock_rate: int
    ssrc: int
    channels: int = 1


class Tapped(ReplyValue, tag="tapped", frozen=True):
    """`None` where the stream has no such track, or has not sent it yet."""

    audio: Track | None = None
    video: Track | None = None


Call = Publish | Republish | PrepareOffer | AcceptAnswer | Subscribe | Discard | Tap | Untap
Reply = Failure | Offer | Answer | Done | Tapped


class Heartbeat(Value, frozen=True):
    """Published each second on `node.<nodeId>.heartbeat`. `load` is CPU per cent of one core,
    `port` the UDP port of all its clients, `memory` resident bytes; `capabilities` are codecs."""

    node_id: str
    instance: str
    ip: str
    started_at: int
    load: float
    publishers: int
    subscribers: int
    port: int = 0  # unknown
    memory: int = 0  # unknown
    version: str = ""
    capabilities: tuple[str, ...] = ()


class TransportLost(Value, frozen=True):
    """Published once on `node.<nodeId>.lost` when a client's transport ended by itself, so that
    its side can be told (`signaling.md` 4.15). `direction` as in the log: OUTBOUND is the
    publisher's."""

    node_id: str
    session_id: str
    connection_id: str
    stream_id: str
    direction: Direction
    reason: str


class TrackStatistics(Value, frozen=True):
    """One track of a stream on its way from its publisher (OUTBOUND) or to one subscriber
    (INBOUND). Counters run from the track's start; `lost` is before repair. The rest is of the
    last period: `bitrate` in bit/s, `jitter` and `round_trip` in ms, `fraction_lost` 0 to 1."""

    session_id: str
    connection_id: str
    stream_id: str
    direction: Direction
    kind: str  # "audio", "video"
    packets: int = 0
    bytes: int = 0
    lost: int = 0
    repaired: int = 0  # lost packets that came by retransmission, or were sent again
    nacks: int = 0
    key_frame_requests: int = 0
    bitrate: int = 0
    jitter: float = 0.0
    fraction_lost: float = 0.0
    round_trip: float | None = None  # unknown
    estimate: int = 0  # bit/s a subscriber's way is thought to carry; 0 = unknown
    layer: str = ""  # rid of the simulcast layer a subscriber gets
    level: int | None = None  # of audio in -dBov: 0 is loudest, 127 silence


class Statistics(Value, frozen=True):
    """Published on `node.<nodeId>.statistics` every `STATISTICS_SECONDS`, in parts of at most
    500 tracks."""

    node_id: str
    at: int  # UTC ms
    tracks: tuple[TrackStatistics, ...]


STATISTICS_SECONDS = 2.0


def call_subject(node_id: str, call: type[Call]) -> str:
    return f"node.{node_id}.{call.__struct_config__.tag}"


def heartbeat_subject(node_id: str = "*") -> str:
    return f"node.{node_id}.heartbeat"


def lost_subject(node_id: str = "*") -> str:
    return f"node.{node_id}.lost"


def statistics_subject(node_id: str = "*") -> str:
    return f"node.{node_id}.statistics"
