"""Settings that Tertulia adds."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

from . import Network
from .kinds import (
    BOOL,
    COUNT,
    FILE_OPTIONAL,
    HOST,
    IP,
    IP_LIST,
    NETWORKS,
    SECONDS,
    SECRET,
    TEXT,
    TEXT_REQUIRED,
    UDP_PORT,
    enum,
    integer,
    is_ip,
    is_ipv4,
    is_loopback,
    is_unspecified,
    optional,
)
from .property import Property, Values, when_on_loopback

MAX_WINDOW = 86_400  # seconds


def _file(value: str) -> Path | None:
    return Path(value) if value else None


def _public_ip(values: Values) -> str:
    pairs: list[str] = values["MEDIA_NODES_PUBLIC_IPS"]
    public = {private: ip for private, _, ip in (pair.partition(":") for pair in pairs)}
    host: str = values["TERTULIA_MEDIA_HOST"]
    domain: str = values["DOMAIN_OR_PUBLIC_IP"]
    reachable = is_ip(domain) if ":" in host else is_ipv4(domain)
    return public.get(host, domain if is_unspecified(host) and reachable else "")


def _networks(value: str) -> tuple[Network, ...]:
    return tuple(ip_network(part.strip(), strict=False) for part in value.split(",") if value)


def _last_port(values: Values) -> str:
    first: int = values["TERTULIA_MEDIA_PORT"]
    given: str | None = values.get("KMS_DOCKER_ENV_KMS_MAX_PORT")
    return given or str(min(first + 99, 65535) if first else 0)


OWN = (
    Property(
        "TERTULIA_DATA_DIR", TEXT_REQUIRED, "data",
        "Folder of everything that is kept: the event log, the database, recordings, CDR.",
        "storage.data_dir", Path,
    ),
    Property(
        "TERTULIA_HOST", HOST, "127.0.0.1",
        "Address on which the API listens. Anything but loopback needs an OPENVIDU_SECRET of "
        "your own.",
        "access.listen_host",
    ),
    Property(
        "TERTULIA_TLS",
        BOOL,
        lambda values: str(not values["FORCE_PLAIN_HTTP"]),
        "The API itself speaks TLS. False with FORCE_PLAIN_HTTP=false: a proxy in front does. "
        "Default: as FORCE_PLAIN_HTTP has it.",
        "access.tls",
    ),
    Property(
        "TERTULIA_TLS_CERTIFICATE", FILE_OPTIONAL, "",
        "PEM file with the certificate chain, when TERTULIA_TLS is true. Empty: a "
        "self-signed one is made.",
        "access.tls_certificate", _file,
    ),
    Property(
        "TERTULIA_TLS_KEY", FILE_OPTIONAL, "",
        "PEM file with the private key of that certificate.",
        "access.tls_key", _file,
    ),
    Property(
        "TERTULIA_DEMO", BOOL, when_on_loopback,
        "The page at / may make sessions and tokens for whoever opens it. Default: true while "
        "TERTULIA_HOST is loopback.",
        "access.demo",
    ),
    Property(
        "TERTULIA_TRUSTED_PROXIES", NETWORKS, "",
        "Proxies in front of the API. A request from one of them is taken as coming from the "
        "address that its X-Forwarded-For names; from anybody else that header means nothing.",
        "access.trusted_proxies", _networks,
    ),
    Property(
        "TERTULIA_LOGIN_FAILURES", COUNT,
        lambda values: "0" if is_loopback(values["TERTULIA_HOST"]) else "100",
        "Wrong secrets that one address (IPv6: one /64 network) may send to the REST API within "
        "TERTULIA_LOGIN_WINDOW; then it is answered with 429 for as long again. 0: any number. "
        "Default: 0 while TERTULIA_HOST is loopback, else 100.",
        "access.login_failures",
    ),
    Property(
        "TERTULIA_LOGIN_WINDOW", integer(1, MAX_WINDOW), "60",
        "Seconds in which wrong secrets are counted, and for which an address is then locked out.",
        "access.login_window",
    ),
    Property(
        "TERTULIA_METRICS", BOOL, "false",
        "Metrics of the API process at /metrics, for Prometheus.",
        "metrics.enabled",
    ),
    Property(
        "TERTULIA_METRICS_TOKEN", optional(SECRET), "",
        "Token that /metrics wants, as Bearer token or as password of Basic authentication. "
        "Empty: whoever reaches the API may read it.",
        "metrics.token", secret=True,
    ),
    Property(
        "TERTULIA_METRICS_TRACKS", COUNT, "1000",
        "Most tracks (each of a stream, to each subscriber) that /metrics tells one by one, about "
        "ten numbers each. While there are more, it has only their sums. 0: always so.",
        "metrics.tracks",
    ),
    Property(
        "TERTULIA_MEDIA_HOST", IP, "127.0.0.1",
        "Address on which the media node takes the clients' UDP packets; :: is all of the machine, "
        "IPv4 and IPv6, 0.0.0.0 all of IPv4. One IPv6 address alone cannot send to a recorder. "
        "Anything but loopback needs an OPENVIDU_SECRET of your own.",
        "media.host",
    ),
    Property(
        "TERTULIA_MEDIA_PUBLIC_IP", IP_LIST, _public_ip,
        "Addresses told to clients instead, behind NAT or when that is :: or 0.0.0.0; the best "
        "first. Default: the public address that MEDIA_NODES_PUBLIC_IPS gives for "
        "TERTULIA_MEDIA_HOST, if any; for :: and 0.0.0.0 else DOMAIN_OR_PUBLIC_IP if that is an "
        "IP address (IPv4 for 0.0.0.0).",
        "media.public_ip",
    ),
    Property(
        "TERTULIA_MEDIA_PORT", UDP_PORT,
        lambda values: str(values.get("KMS_DOCKER_ENV_KMS_MIN_PORT", 40000)),
        "UDP port of the media node for all its clients; 0: any free one. Default: "
        "KMS_DOCKER_ENV_KMS_MIN_PORT, else 40000.",
        "media.port",
    ),
    Property(
        "TERTULIA_MEDIA_PORT_MAX", UDP_PORT, _last_port,
        "The next free port up to this one is taken if that one is in use. Default: "
        "KMS_DOCKER_ENV_KMS_MAX_PORT, else 99 more than TERTULIA_MEDIA_PORT.",
        "media.port_max",
    ),
    Property(
        "TERTULIA_MEDIA_PUMP", enum("auto", "c", "python"), "auto",
        "What forwards media: the pump in C, which is compiled when Tertulia is installed, or its "
        "twin in Python, which costs about three times the processor time. auto: C if it is there.",
        "media.pump",
    ),
    Property(
        "TERTULIA_NODE_ID", SECRET, "media_local",
        "Id of the media node; each node of an installation has its own.",
        "media.node_id",
    ),
    Property(
        "TERTULIA_RECORDER_HOST", HOST, "127.0.0.1",
        "IPv4 address, or a name for one, on which the recorder takes media from the media nodes.",
        "media.recorder_host",
    ),
    Property(
        "TERTULIA_TURN", BOOL, lambda values: str(bool(values["COTURN_IP"])),
        "A TURN server (coturn) answers at COTURN_IP and COTURN_PORT, so tell clients of it. "
        "Default: true if COTURN_IP is an address.",
        "ice.turn_enabled",
    ),
    Property(
        "TERTULIA_RECONNECTION_GRACE", SECONDS, "10",
        "Seconds in which a client whose connection broke may come back before it has left.",
        "sessions.reconnection_grace",
    ),
    Property(
        "TERTULIA_NATS_URL", TEXT, "",
        "NATS server(s) with JetStream, commas between. Empty: one is started in the data folder.",
        "storage.nats_url",
    ),
    Property(
        "TERTULIA_NATS_TOKEN", optional(SECRET), "",
        "Token that the NATS server(s) at TERTULIA_NATS_URL want.",
        "storage.nats_token", secret=True,
    ),
    Property(
        "TERTULIA_DATABASE_URL", TEXT, "",
        "SQLAlchemy URL of the database for the REST answers. It can be rebuilt from the event "
        "log at any time. Empty: SQLite in the data folder.",
        "storage.database_url", sensitive=True,
    ),
    Property(
        "TERTULIA_LOG_LEVEL", enum("DEBUG", "INFO", "WARNING", "ERROR"),
        lambda values: "DEBUG" if values["OV_CE_DEBUG_LEVEL"] == "DEBUG" else "INFO",
        "Least level of log lines. Default: INFO, or DEBUG if OV_CE_DEBUG_LEVEL is DEBUG.",
        "log_level",
    ),
    Property(
        "TERTULIA_LOG_FORMAT", enum("console", "json"), "console",
        "Log lines for people, or one JSON object a line.",
        "log_format",
    ),
    Property(
        "TERTULIA_ACCESS_LOG", BOOL, "false",
        "A log line for every request to the API.",
        "access_log",
    ),
)  # fmt: skip
