"""Every setting, read once at the start and passed in: one frozen struct a concern.

The contract's properties keep their names (`config.md`); ours begin with `TERTULIA_`. `load.py`
makes these structs from the tables of properties (`community.py`, `pro.py`, `enterprise.py`,
`deployment.py`, `own.py`); a wrong value stops the start with all errors listed together.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from msgspec import Struct

from services.conference.model import IceServer, Role, VideoCodec

Network = IPv4Network | IPv6Network

VERSION = "2.32.1"  # the OpenVidu version we announce (`signaling.md` section 9)


class Access(Struct, frozen=True):
    """Where clients reach the API and what they must know."""

    domain: str = "localhost"  # DOMAIN_OR_PUBLIC_IP
    https_port: int = 4443  # HTTPS_PORT, the public port
    listen_host: str = "127.0.0.1"  # TERTULIA_HOST
    listen_port: int = 4443  # SERVER_PORT, default HTTPS_PORT
    plain_http: bool = True  # FORCE_PLAIN_HTTP, default here true on loopback
    tls: bool = False  # TERTULIA_TLS: the API itself speaks TLS; default as the public URL
    tls_certificate: Path | None = None  # TERTULIA_TLS_CERTIFICATE (PEM); None = self-signed
    tls_key: Path | None = None  # TERTULIA_TLS_KEY (PEM)
    secret: str = "MY_SECRET"  # OPENVIDU_SECRET  # noqa: S105
    demo: bool = True  # TERTULIA_DEMO: the page at / may make tokens; default only on loopback
    trusted_proxies: tuple[Network, ...] = ()  # TERTULIA_TRUSTED_PROXIES
    login_failures: int = 0  # TERTULIA_LOGIN_FAILURES of one address in a window, 0 = no limit
    login_window: int = 60  # TERTULIA_LOGIN_WINDOW, seconds

    @property
    def public_url(self) -> str:
        """`OPENVIDU_PUBLICURL`, no trailing slash."""
        scheme, usual = ("http", 80) if self.plain_http else ("https", 443)
        port = "" if self.https_port == usual else f":{self.https_port}"
        return f"{scheme}://{self.domain}{port}"

    @property
    def websocket_url(self) -> str:
        """The part of a token before `?` (`signaling.md` 1.2)."""
        return "ws" + self.public_url.removeprefix("http")


class Streams(Struct, frozen=True):
    """Bandwidths in kbit/s from the client's view, 0 = no limit; see `config.md` section 9."""

    video_max_recv_bandwidth: int = 1000
    video_min_recv_bandwidth: int = 300
    video_max_send_bandwidth: int = 1000
    video_min_send_bandwidth: int = 300
    forced_video_codec: VideoCodec = VideoCodec.VP8
    allow_transcoding: bool = False
    media_server: str = "mediasoup"  # what `joinRoom` announces (`signaling.md` 5.5)


class Sessions(Struct, frozen=True):
    """Times in seconds."""

    garbage_interval: int = 900
    garbage_threshold: int = 3600
    reconnection_grace: float = 10.0  # TERTULIA_RECONNECTION_GRACE (`signaling.md` 1.9)
    ping_interval: float = 20.0  # assumed until the first ping tells its own
    network_quality: bool = False  # OPENVIDU_PRO_NETWORK_QUALITY: tell clients of it
    network_quality_interval: float = 5.0  # OPENVIDU_PRO_NETWORK_QUALITY_INTERVAL


class Recording(Struct, frozen=True):
    enabled: bool = True
    path: Path = Path("data/recordings")
    public_access: bool = False
    notification: str = "publisher_moderator"
    autostop_timeout: int = 120  # seconds
    custom_layout: Path = Path("data/custom-layout")

    @property
    def notified_roles(self) -> frozenset[Role]:
        """Who hears of recordings (`signaling.md` 4.10)."""
        return {
            "none": frozenset[Role](),
            "moderator": frozenset({Role.MODERATOR}),
            "publisher_moderator": frozenset({Role.PUBLISHER, Role.MODERATOR}),
            "all": frozenset(Role),
        }[self.notification]


class Webhook(Struct, frozen=True):
    enabled: bool = False
    endpoint: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    events: frozenset[str] = frozenset()  # the loader fills in all 17


class Cdr(Struct, frozen=True):
    enabled: bool = False
    path: Path = Path("data/cdr")


class Ice(Struct, frozen=True):
    """TURN as told to the clients; `turn_secret` makes 24 h credentials (`signaling.md` 2.4)."""

    turn_host: str = ""  # COTURN_IP, empty = domain
    turn_port: int = 3478
    turn_secret: str = ""  # COTURN_SHARED_SECRET_KEY, empty = OPENVIDU_SECRET
    servers: tuple[IceServer, ...] = ()  # OPENVIDU_WEBRTC_ICE_SERVERS
    static_auth_secrets: tuple[tuple[str, str], ...] = ()  # their URLs that need fresh credentials
    turn_enabled: bool = False  # TERTULIA_TURN: is there a TURN server at all


class Media(Struct, frozen=True):
    """The media process. One UDP port for all its clients."""

    node_id: str = "media_local"  # TERTULIA_NODE_ID
    host: str = "127.0.0.1"  # TERTULIA_MEDIA_HOST, the address to bind
    public_ip: str = ""  # TERTULIA_MEDIA_PUBLIC_IP, IPs announced instead; empty = host
    port: int = 40000  # TERTULIA_MEDIA_PORT, first of the range; 0 = any free one
    port_max: int = 40099  # TERTULIA_MEDIA_PORT_MAX: the next free one up to here is taken
    pump: str = "auto"  # TERTULIA_MEDIA_PUMP: c, python, or c where it is there
    recorder_host: str = "127.0.0.1"  # TERTULIA_RECORDER_HOST, where the recorder takes RTP


class Storage(Struct, frozen=True):
    data_dir: Path = Path("data")  # TERTULIA_DATA_DIR
    nats_url: str = ""  # TERTULIA_NATS_URL; empty = the launcher starts a nats-server
    nats_token: str = ""  # TERTULIA_NATS_TOKEN
    database_url: str = ""  # TERTULIA_DATABASE_URL; empty = SQLite in data_dir


class Metrics(Struct, frozen=True):
    """`/metrics` of the API process."""

    enabled: bool = False  # TERTULIA_METRICS
    token: str = ""  # TERTULIA_METRICS_TOKEN, empty = none is wanted
    tracks: int = 1000  # TERTULIA_METRICS_TRACKS, the most that are told one by one


class Settings(Struct, frozen=True):
    access: Access = Access()
    streams: Streams = Streams()
    sessions: Sessions = Sessions()
    recording: Recording = Recording()
    webhook: Webhook = Webhook()
    cdr: Cdr = Cdr()
    ice: Ice = Ice()
    media: Media = Media()
    storage: Storage = Storage()
    metrics: Metrics = Metrics()
    log_level: str = "INFO"  # TERTULIA_LOG_LEVEL
    log_format: str = "console"  # TERTULIA_LOG_FORMAT: console or json
    access_log: bool = False  # TERTULIA_ACCESS_LOG
    properties: Mapping[str, object] = {}  # by name, JSON-able, as `GET /config` shows them
    secrets: frozenset[str] = frozenset()  # values that no log may show
    notes: tuple[str, ...] = ()  # to be logged once at the start, like these
    warnings: tuple[str, ...] = ()
