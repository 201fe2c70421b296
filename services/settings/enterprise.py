"""Properties of OpenVidu Enterprise (`config.md` section 6)."""

from __future__ import annotations

from .kinds import BOOL, COUNT, IP_LIST, IP_OPTIONAL, MAPPING, PORT, TEXT, URL_OPTIONAL, enum
from .property import Property

_HA = "OPENVIDU_ENTERPRISE_HA_"

ENTERPRISE = (
    Property(
        "OPENVIDU_ENTERPRISE_MEDIA_SERVER", enum("kurento", "mediasoup"), "mediasoup",
        "Media server that clients are told of. Recordings, filters and IP cameras are always as "
        "with kurento.",
        "streams.media_server",
    ),
    Property(
        "OPENVIDU_ENTERPRISE_S3_CONFIG_AUTORESTART", BOOL, "true",
        "Restart when the shared configuration changes.",
        inert=True,
    ),
    Property(f"{_HA}NODE_PRIVATE_IP", IP_OPTIONAL, "", "Address of this node.", inert=True),
    Property(f"{_HA}NODE_IPS", IP_LIST, "", "All nodes behind the balancer.", inert=True),
    Property(f"{_HA}REDIS_HOST", TEXT, "", "Redis; here NATS does its work.", inert=True),
    Property(f"{_HA}REDIS_PORT", PORT, "6379", "Port of Redis.", inert=True),
    Property(f"{_HA}REDIS_PASSWORD", TEXT, "", "Its password.", secret=True, inert=True),
    Property(f"{_HA}REDIS_DATABASE", TEXT, "replicationmanager", "Its database.", inert=True),
    Property(f"{_HA}REDIS_TIMEOUT", COUNT, "5", "Seconds to wait for it.", inert=True),
    Property(
        f"{_HA}S3_CONFIG_SERVICE_ENDPOINT", URL_OPTIONAL, "",
        "Where the shared .env file is kept.",
        inert=True,
    ),
    Property(f"{_HA}S3_CONFIG_BUCKET", TEXT, "", "Its bucket.", inert=True),
    Property(f"{_HA}S3_CONFIG_REGION", TEXT, "", "Its region.", inert=True),
    Property(f"{_HA}S3_CONFIG_ACCESS_KEY", TEXT, "", "Credentials.", secret=True, inert=True),
    Property(f"{_HA}S3_CONFIG_SECRET_KEY", TEXT, "", "Credentials.", secret=True, inert=True),
    Property(
        f"{_HA}S3_CONFIG_PATH_STYLE_ACCESS", BOOL, "true",
        "The bucket is in the path of its requests.",
        inert=True,
    ),
    Property(f"{_HA}S3_CONFIG_HEADERS", MAPPING, "{}", "Headers of its uploads.", inert=True),
    *(
        Property(f"RM_{name}", TEXT, "", "Of the replication manager on AWS.", inert=True)
        for name in (
            "REDIS_IP", "REDIS_PORT", "SQS_QUEUE", "CLOUDFORMATION_ARN",
            "S3_CONFIGURATION_BUCKET", "S3_CONFIGURATION_BUCKET_REGION",
            "MEDIA_NODES_AUTOSCALING_GROUP_NAME", "MASTER_NODES_AUTOSCALING_GROUP_NAME",
        )
    ),
)  # fmt: skip
