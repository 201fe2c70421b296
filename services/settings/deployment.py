"""Properties that the original's proxy, TURN and start scripts read (`config.md` section 7)."""

from __future__ import annotations

from .kinds import BOOL, COUNT, NETWORKS, TEXT
from .property import Property

DEPLOYMENT = (
    Property(
        "DOTENV_PATH", TEXT, ".",
        "Where the .env file lies: itself if it ends in .env, else its folder. Empty: read none. "
        "Only from the environment.",
    ),
    Property(
        "LETSENCRYPT_EMAIL", TEXT, "user@example.com",
        "Contact for certificates of Let's Encrypt.",
        inert=True,
    ),
    Property(
        "ALLOWED_ACCESS_TO_DASHBOARD", NETWORKS, "",
        "Addresses that may open the dashboard; empty: all.",
        inert=True,
    ),
    Property(
        "ALLOWED_ACCESS_TO_RESTAPI", NETWORKS, "",
        "Addresses that may use the REST API; empty: all.",
        inert=True,
    ),
    Property("REDIRECT_WWW", BOOL, "false", "Redirect www to the bare domain.", inert=True),
    Property("WORKER_CONNECTIONS", COUNT, "10240", "Connections of a proxy worker.", inert=True),
    Property(
        "HTTPS_PROTOCOLS", TEXT, "TLSv1.2 TLSv1.3", "TLS versions of the proxy.", inert=True
    ),
    Property("HTTPS_CIPHERS", TEXT, "", "TLS ciphers of the proxy.", inert=True),
    Property("HTTPS_HSTS", TEXT, "max-age=63072000", "HSTS header of the proxy.", inert=True),
    Property(
        "PROXY_PUBLIC_IP", TEXT, "auto-ipv4", "Public address for certificates.", inert=True
    ),
    Property("OV_CE_DEBUG_LEVEL", TEXT, "INFO", "DEBUG: log more."),
    Property("JAVA_OPTIONS", TEXT, "", "Of the original's process.", inert=True),
    Property("ES_JAVA_OPTS", TEXT, "", "Of Elasticsearch.", inert=True),
    Property("DOCKER_LOGS_MAX_SIZE", TEXT, "100M", "Size of container logs.", inert=True),
    Property("TURN_DOMAIN_NAME", TEXT, "", "Name of a TURN appliance.", inert=True),
    Property(
        "TURN_STATIC_AUTH_SECRET", TEXT, "",
        "Secret of a TURN appliance.",
        secret=True, inert=True,
    ),
)  # fmt: skip
