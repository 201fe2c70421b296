"""Properties of OpenVidu Pro (`config.md` section 5). Here all editions are one."""

from __future__ import annotations

from .kinds import (
    BOOL,
    BOOL_OPTIONAL,
    COUNT,
    IP_OPTIONAL,
    MAPPING,
    PATH,
    PERCENT,
    PORT,
    STRINGS,
    TEXT,
    URL_OPTIONAL,
    enum,
    integer,
    optional,
)
from .property import Property, in_data_dir

CLUSTER = (
    Property(
        "OPENVIDU_PRO_LICENSE", TEXT, "",
        "License key of the original; none is needed here.",
        secret=True, inert=True,
    ),
    Property(
        "OPENVIDU_PRO_LICENSE_HTTP_PROXY", TEXT, "",
        "Proxy for license calls of the original.",
        inert=True,
    ),
    Property(
        "OPENVIDU_EDITION", enum("ce", "pro", "enterprise"), "pro",
        "Edition that is announced; all features are on whatever it says.",
        inert=True,
    ),
    Property("OPENVIDU_PRO_CLUSTER", BOOL, "false", "Cluster mode.", inert=True),
    Property(
        "OPENVIDU_PRO_CLUSTER_ID", TEXT, lambda values: str(values["DOMAIN_OR_PUBLIC_IP"]),
        "Name of the cluster in events. Default: DOMAIN_OR_PUBLIC_IP; `tertulia serve` makes and "
        "keeps a random one.",
        changeable=True,
    ),
    Property(
        "OPENVIDU_PRO_CLUSTER_ENVIRONMENT", enum("docker", "aws", "on_premise"), "on_premise",
        "Where media nodes live.",
        inert=True,
    ),
    Property(
        "OPENVIDU_PRO_CLUSTER_MODE", enum("auto", "manual"), "manual",
        "Whether the server or the user starts media nodes.",
        inert=True,
    ),
    Property(
        "OPENVIDU_PRO_CLUSTER_AUTODISCOVERY", BOOL, "true",
        "Adopt reachable media nodes at the start.",
        inert=True,
    ),
    Property(
        "OPENVIDU_PRO_CLUSTER_MEDIA_NODES", COUNT, "1",
        "Media nodes wanted at the start.",
        inert=True, changeable=True,
    ),
    Property(
        "OPENVIDU_PRO_CLUSTER_PATH", PATH, in_data_dir("cluster"),
        "Folder of scripts that start and stop media nodes. Default: cluster in TERTULIA_DATA_DIR.",
        inert=True, changeable=True,
    ),
    Property(
        "OPENVIDU_PRO_CLUSTER_TEST", BOOL, "false",
        "Try to launch a media node at the start, then end.",
        inert=True,
    ),
    Property(
        "OPENVIDU_PRO_CLUSTER_LOAD_STRATEGY",
        enum("streams", "sessions", "mediaObjects", "cpu"), "streams",
        "Measure by which new sessions are placed on media nodes.",
        inert=True,
    ),
    Property(
        "OPENVIDU_PRO_CLUSTER_LOAD_INTERVAL", COUNT, "5",
        "Seconds between two reports of the load of a media node.",
        inert=True,
    ),
    Property(
        "OPENVIDU_PRO_CLUSTER_RECONNECTION_TIMEOUT", integer(3, 2**31 - 1, -1), "3",
        "Seconds after which a media node that is away is given up; -1: never.",
        inert=True,
    ),
    Property(
        "OPENVIDU_PRO_CLUSTER_AUTOSCALING", BOOL, "false",
        "Autoscaling.",
        inert=True, changeable=True,
    ),
    Property(
        "OPENVIDU_PRO_CLUSTER_AUTOSCALING_MAX_NODES", COUNT, "2",
        "Most media nodes; not below the least.",
        inert=True, changeable=True,
    ),
    Property(
        "OPENVIDU_PRO_CLUSTER_AUTOSCALING_MIN_NODES", COUNT, "1",
        "Least media nodes.",
        inert=True, changeable=True,
    ),
    Property(
        "OPENVIDU_PRO_CLUSTER_AUTOSCALING_MAX_LOAD", PERCENT, "70",
        "Average load in percent above which a media node is added.",
        inert=True, changeable=True,
    ),
    Property(
        "OPENVIDU_PRO_CLUSTER_AUTOSCALING_MIN_LOAD", PERCENT, "20",
        "Average load in percent below which a media node is removed.",
        inert=True, changeable=True,
    ),
    Property(
        "OPENVIDU_PRO_CLUSTER_AUTOSCALING_INTERVAL", COUNT, "10",
        "Seconds between two decisions of the autoscaling.",
        inert=True,
    ),
    Property(
        "OPENVIDU_PRO_PRIVATE_IP", IP_OPTIONAL, "",
        "Private address of the server for its media nodes.",
        inert=True,
    ),
    Property(
        "OPENVIDU_PRO_DOCKER_REGISTRIES", STRINGS, "[]",
        "Docker registries with credentials, each serveraddress=…,username=…,password=….",
        secret=True, inert=True,
    ),
)  # fmt: skip

MONITORING = (
    Property(
        "OPENVIDU_PRO_STATS_SESSION_INTERVAL", COUNT, "5",
        "Seconds between two counts of sessions and connections; 0: none.",
        inert=True,
    ),
    Property(
        "OPENVIDU_PRO_STATS_SERVER_INTERVAL", COUNT, "10",
        "Seconds between two measurements of HTTP and logs; 0: none.",
        inert=True,
    ),
    Property(
        "OPENVIDU_PRO_STATS_MONITORING_INTERVAL", COUNT, "10",
        "Seconds between two measurements of CPU, memory and network; 0: none.",
        inert=True, changeable=True,
    ),
    Property(
        "OPENVIDU_PRO_STATS_WEBRTC_INTERVAL", COUNT, "30",
        "Seconds between two WebRTC statistics of a client; 0: none.",
        inert=True, changeable=True,
    ),
    Property(
        "OPENVIDU_PRO_NETWORK_QUALITY", BOOL, "false",
        "Tell clients of changes of their network quality.",
        "sessions.network_quality", changeable=True,
    ),
    Property(
        "OPENVIDU_PRO_NETWORK_QUALITY_INTERVAL", integer(1), "5",
        "Seconds between two measurements of it.",
        "sessions.network_quality_interval", changeable=True,
    ),
    Property("OPENVIDU_PRO_ELASTICSEARCH", BOOL, "false", "Use Elasticsearch.", inert=True),
    Property(
        "OPENVIDU_PRO_ELASTICSEARCH_HOST", URL_OPTIONAL, "http://localhost:9200",
        "URL of Elasticsearch.",
        inert=True,
    ),
    Property(
        "OPENVIDU_PRO_KIBANA_HOST", URL_OPTIONAL, "http://localhost:5601",
        "URL of Kibana.",
        inert=True,
    ),
    Property(
        "OPENVIDU_PRO_ELASTICSEARCH_MAX_DAYS_DELETE", COUNT, "7",
        "Days that indices of Elasticsearch are kept.",
        inert=True,
    ),
    Property(
        "ELASTICSEARCH_USERNAME", TEXT, "elasticadmin",
        "User of Elasticsearch.",
        secret=True, inert=True,
    ),
    Property(
        "ELASTICSEARCH_PASSWORD", TEXT, "",
        "Password of Elasticsearch.",
        secret=True, inert=True,
    ),
    Property(
        "OPENVIDU_BROWSER_LOGS", enum("disabled", "debug", "debug_app"), "disabled",
        "Logs that clients send.",
        inert=True,
    ),
)  # fmt: skip

STORAGE = (
    Property(
        "OPENVIDU_PRO_RECORDING_STORAGE", enum("local", "s3"), "local",
        "Where finished recordings go.",
        inert=True,
    ),
    Property(
        "OPENVIDU_PRO_AWS_S3_BUCKET", TEXT, "",
        "Bucket for recordings, perhaps with /folders.",
        inert=True,
    ),
    Property("OPENVIDU_PRO_AWS_S3_HEADERS", MAPPING, "{}", "Headers of uploads.", inert=True),
    Property(
        "OPENVIDU_PRO_AWS_S3_SERVICE_ENDPOINT", URL_OPTIONAL, "",
        "URL of another S3 provider than AWS.",
        inert=True,
    ),
    Property(
        "OPENVIDU_PRO_AWS_S3_WITH_PATH_STYLE_ACCESS", BOOL_OPTIONAL, "",
        "The bucket is in the path of S3 requests.",
        inert=True,
    ),
    Property(
        "OPENVIDU_PRO_AWS_ACCESS_KEY", TEXT, "", "Credentials of AWS.", secret=True, inert=True
    ),
    Property(
        "OPENVIDU_PRO_AWS_SECRET_KEY", TEXT, "", "Credentials of AWS.", secret=True, inert=True
    ),
    Property("OPENVIDU_PRO_AWS_REGION", TEXT, "", "Region of AWS.", inert=True),
    Property("AWS_INSTANCE_TYPE", TEXT, "", "Type of launched media nodes.", inert=True),
    Property("AWS_VOLUME_SIZE", optional(COUNT), "", "Their disk, GB.", inert=True),
    *(
        Property(f"AWS_{name}", TEXT, "", "For launched media nodes.", inert=True)
        for name in (
            "DEFAULT_REGION", "IMAGE_ID", "INSTANCE_ID", "KEY_NAME", "SUBNET_ID",
            "SECURITY_GROUP", "STACK_ID", "STACK_NAME", "CLI_DOCKER_TAG",
        )
    ),
)  # fmt: skip

SPEECH_AND_NODES = (
    Property(
        "OPENVIDU_PRO_SPEECH_TO_TEXT", enum("", "disabled", "azure", "aws", "vosk"), "",
        "Speech-to-text engine.",
        inert=True,
    ),
    Property(
        "OPENVIDU_PRO_SPEECH_TO_TEXT_AZURE_KEY", TEXT, "",
        "Key of Azure.",
        secret=True, inert=True,
    ),
    Property("OPENVIDU_PRO_SPEECH_TO_TEXT_AZURE_REGION", TEXT, "", "Its region.", inert=True),
    Property(
        "OPENVIDU_PRO_SPEECH_TO_TEXT_VOSK_MODEL_LOAD_STRATEGY",
        enum("on_demand", "manual"), "on_demand",
        "When models are loaded.",
        inert=True,
    ),
    Property("OPENVIDU_PRO_SPEECH_TO_TEXT_IMAGE", TEXT, "", "Docker image.", inert=True),
    Property(
        "OPENVIDU_PRO_COTURN_IN_MEDIA_NODES", BOOL, "false",
        "A TURN server on each media node.",
        inert=True,
    ),
    Property(
        "OPENVIDU_PRO_MEDIA_NODE_PUBLIC_IP_AUTODISCOVER",
        enum("auto-ipv4", "auto-ipv6"), "auto-ipv4",
        "How a media node finds its public address.",
        inert=True,
    ),
    Property(
        "OPENVIDU_PRO_COTURN_PORT_MEDIA_NODES", PORT, "443",
        "Port of the TURN server on media nodes.",
        inert=True,
    ),
    Property("KMS_IMAGE", TEXT, "", "Docker image of Kurento.", inert=True),
    Property("MEDIASOUP_IMAGE", TEXT, "", "Docker image of mediasoup.", inert=True),
)  # fmt: skip

PRO = CLUSTER + MONITORING + STORAGE + SPEECH_AND_NODES
