"""Every property of the contract: set in the environment, shown by `GET /config` in its type."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest

from services.settings.config_object import config_object
from services.settings.load import load
from services.settings.table import CONTRACT


class Case(NamedTuple):
    given: str
    shown: object


ON, OFF = Case("TRUE", True), Case("False", False)
NUMBER, PORT = Case("17", 17), Case("1234", 1234)
TEXT = Case("Some text", "Some text")
PATH = Case("/a/b", "/a/b/")
URL = Case("http://host:8/a", "http://host:8/a")
ADDRESS = Case("10.0.0.7", "10.0.0.7")

SHOWN = {
    # config.md 4.1
    "DOMAIN_OR_PUBLIC_IP": Case("my.openvidu.ip", "my.openvidu.ip"),
    "HTTPS_PORT": PORT,
    "HTTP_PORT": PORT,
    "SERVER_PORT": Case("5443", 5443),
    "FORCE_PLAIN_HTTP": OFF,
    "CERTIFICATE_TYPE": Case("owncert", "owncert"),
    "SUPPORT_DEPRECATED_API": ON,
    "OPENVIDU_DEV": ON,
    # 4.2
    "OPENVIDU_CDR": ON,
    "OPENVIDU_CDR_PATH": PATH,
    "OPENVIDU_WEBHOOK": ON,
    "OPENVIDU_WEBHOOK_ENDPOINT": URL,
    "OPENVIDU_WEBHOOK_HEADERS": Case("['A: b', \"C: d\"]", ["A: b", "C: d"]),
    "OPENVIDU_WEBHOOK_EVENTS": Case("[sessionCreated]", ["sessionCreated"]),
    # 4.3
    "OPENVIDU_RECORDING": ON,
    "OPENVIDU_RECORDING_PATH": PATH,
    "OPENVIDU_RECORDING_PUBLIC_ACCESS": ON,
    "OPENVIDU_RECORDING_NOTIFICATION": Case("all", "all"),
    "OPENVIDU_RECORDING_CUSTOM_LAYOUT": PATH,
    "OPENVIDU_RECORDING_AUTOSTOP_TIMEOUT": NUMBER,
    "OPENVIDU_RECORDING_VERSION": Case("2.9.0", "2.9.0"),
    "OPENVIDU_RECORDING_COMPOSED_URL": URL,
    "OPENVIDU_RECORDING_COMPOSED_BASICAUTH": OFF,
    "OPENVIDU_RECORDING_DEBUG": ON,
    "OPENVIDU_RECORDING_IMAGE": Case("image:tag", "image:tag"),
    "OPENVIDU_RECORDING_ENABLE_GPU": ON,
    # 4.4
    "OPENVIDU_STREAMS_VIDEO_MAX_RECV_BANDWIDTH": NUMBER,
    "OPENVIDU_STREAMS_VIDEO_MIN_RECV_BANDWIDTH": NUMBER,
    "OPENVIDU_STREAMS_VIDEO_MAX_SEND_BANDWIDTH": NUMBER,
    "OPENVIDU_STREAMS_VIDEO_MIN_SEND_BANDWIDTH": NUMBER,
    "OPENVIDU_STREAMS_FORCED_VIDEO_CODEC": Case("H264", "H264"),
    "OPENVIDU_STREAMS_ALLOW_TRANSCODING": ON,
    "OPENVIDU_WEBRTC_SIMULCAST": ON,
    "OPENVIDU_SESSIONS_GARBAGE_INTERVAL": NUMBER,
    "OPENVIDU_SESSIONS_GARBAGE_THRESHOLD": NUMBER,
    # 4.5
    "COTURN_IP": ADDRESS,
    "COTURN_PORT": PORT,
    "COTURN_INTERNAL_RELAY": ON,
    "COTURN_MIN_PORT": PORT,
    "COTURN_MAX_PORT": PORT,
    "OPENVIDU_WEBRTC_ICE_SERVERS": Case('["url=stun:host:3478"]', ["url=stun:host:3478"]),
    "MEDIA_NODES_PUBLIC_IPS": Case('["10.0.0.1:1.2.3.4"]', ["10.0.0.1:1.2.3.4"]),
    "KMS_URIS": Case('["wss://host:8888/kurento"]', ["wss://host:8888/kurento"]),
    # 5.1
    "OPENVIDU_PRO_LICENSE_HTTP_PROXY": TEXT,
    "OPENVIDU_EDITION": Case("enterprise", "enterprise"),
    "OPENVIDU_PRO_CLUSTER": ON,
    "OPENVIDU_PRO_CLUSTER_ID": TEXT,
    "OPENVIDU_PRO_CLUSTER_ENVIRONMENT": Case("docker", "docker"),
    "OPENVIDU_PRO_CLUSTER_MODE": Case("auto", "auto"),
    "OPENVIDU_PRO_CLUSTER_AUTODISCOVERY": OFF,
    "OPENVIDU_PRO_CLUSTER_MEDIA_NODES": NUMBER,
    "OPENVIDU_PRO_CLUSTER_PATH": PATH,
    "OPENVIDU_PRO_CLUSTER_TEST": ON,
    "OPENVIDU_PRO_CLUSTER_LOAD_STRATEGY": Case("cpu", "cpu"),
    "OPENVIDU_PRO_CLUSTER_LOAD_INTERVAL": NUMBER,
    "OPENVIDU_PRO_CLUSTER_RECONNECTION_TIMEOUT": NUMBER,
    "OPENVIDU_PRO_CLUSTER_AUTOSCALING": ON,
    "OPENVIDU_PRO_CLUSTER_AUTOSCALING_MAX_NODES": NUMBER,
    "OPENVIDU_PRO_CLUSTER_AUTOSCALING_MIN_NODES": Case("2", 2),
    "OPENVIDU_PRO_CLUSTER_AUTOSCALING_MAX_LOAD": Case("90", 90),
    "OPENVIDU_PRO_CLUSTER_AUTOSCALING_MIN_LOAD": NUMBER,
    "OPENVIDU_PRO_CLUSTER_AUTOSCALING_INTERVAL": NUMBER,
    "OPENVIDU_PRO_PRIVATE_IP": ADDRESS,
    # 5.2
    "OPENVIDU_PRO_STATS_SESSION_INTERVAL": NUMBER,
    "OPENVIDU_PRO_STATS_SERVER_INTERVAL": NUMBER,
    "OPENVIDU_PRO_STATS_MONITORING_INTERVAL": NUMBER,
    "OPENVIDU_PRO_STATS_WEBRTC_INTERVAL": NUMBER,
    "OPENVIDU_PRO_NETWORK_QUALITY": ON,
    "OPENVIDU_PRO_NETWORK_QUALITY_INTERVAL": NUMBER,
    "OPENVIDU_PRO_ELASTICSEARCH": ON,
    "OPENVIDU_PRO_ELASTICSEARCH_HOST": URL,
    "OPENVIDU_PRO_ELASTICSEARCH_MAX_DAYS_DELETE": NUMBER,
    "OPENVIDU_BROWSER_LOGS": Case("debug", "debug"),
    # 5.3
    "OPENVIDU_PRO_RECORDING_STORAGE": Case("s3", "s3"),
    "OPENVIDU_PRO_AWS_S3_BUCKET": TEXT,
    "OPENVIDU_PRO_AWS_S3_HEADERS": Case('{"a":"b"}', {"a": "b"}),
    "OPENVIDU_PRO_AWS_S3_SERVICE_ENDPOINT": URL,
    "OPENVIDU_PRO_AWS_S3_WITH_PATH_STYLE_ACCESS": ON,
    "OPENVIDU_PRO_AWS_REGION": TEXT,
    "AWS_INSTANCE_TYPE": TEXT,
    "AWS_VOLUME_SIZE": NUMBER,
    "AWS_DEFAULT_REGION": TEXT,
    "AWS_IMAGE_ID": TEXT,
    "AWS_INSTANCE_ID": TEXT,
    "AWS_KEY_NAME": TEXT,
    "AWS_SUBNET_ID": TEXT,
    "AWS_SECURITY_GROUP": TEXT,
    "AWS_STACK_ID": TEXT,
    "AWS_STACK_NAME": TEXT,
    "AWS_CLI_DOCKER_TAG": TEXT,
    # 5.4
    "OPENVIDU_PRO_SPEECH_TO_TEXT": Case("vosk", "vosk"),
    "OPENVIDU_PRO_SPEECH_TO_TEXT_AZURE_REGION": TEXT,
    "OPENVIDU_PRO_SPEECH_TO_TEXT_VOSK_MODEL_LOAD_STRATEGY": Case("manual", "manual"),
    "OPENVIDU_PRO_SPEECH_TO_TEXT_IMAGE": TEXT,
    "OPENVIDU_PRO_COTURN_IN_MEDIA_NODES": ON,
    "OPENVIDU_PRO_MEDIA_NODE_PUBLIC_IP_AUTODISCOVER": Case("auto-ipv6", "auto-ipv6"),
    "OPENVIDU_PRO_COTURN_PORT_MEDIA_NODES": PORT,
    "KMS_IMAGE": TEXT,
    "MEDIASOUP_IMAGE": TEXT,
    "KMS_DOCKER_ENV_GST_DEBUG": Case("3", "3"),
    # 6
    "OPENVIDU_ENTERPRISE_MEDIA_SERVER": Case("kurento", "kurento"),
    "OPENVIDU_ENTERPRISE_S3_CONFIG_AUTORESTART": OFF,
    "OPENVIDU_ENTERPRISE_HA_NODE_PRIVATE_IP": ADDRESS,
    "OPENVIDU_ENTERPRISE_HA_NODE_IPS": Case("10.0.0.1,10.0.0.2", "10.0.0.1,10.0.0.2"),
    "OPENVIDU_ENTERPRISE_HA_REDIS_HOST": TEXT,
    "OPENVIDU_ENTERPRISE_HA_REDIS_PORT": PORT,
    "OPENVIDU_ENTERPRISE_HA_REDIS_DATABASE": TEXT,
    "OPENVIDU_ENTERPRISE_HA_REDIS_TIMEOUT": NUMBER,
    "OPENVIDU_ENTERPRISE_HA_S3_CONFIG_SERVICE_ENDPOINT": URL,
    "OPENVIDU_ENTERPRISE_HA_S3_CONFIG_BUCKET": TEXT,
    "OPENVIDU_ENTERPRISE_HA_S3_CONFIG_REGION": TEXT,
    "OPENVIDU_ENTERPRISE_HA_S3_CONFIG_PATH_STYLE_ACCESS": OFF,
    "OPENVIDU_ENTERPRISE_HA_S3_CONFIG_HEADERS": Case('{"a":"b"}', {"a": "b"}),
    "RM_REDIS_IP": TEXT,
    "RM_REDIS_PORT": TEXT,
    "RM_SQS_QUEUE": TEXT,
    "RM_CLOUDFORMATION_ARN": TEXT,
    "RM_S3_CONFIGURATION_BUCKET": TEXT,
    "RM_S3_CONFIGURATION_BUCKET_REGION": TEXT,
    "RM_MEDIA_NODES_AUTOSCALING_GROUP_NAME": TEXT,
    "RM_MASTER_NODES_AUTOSCALING_GROUP_NAME": TEXT,
    # 7
    "LETSENCRYPT_EMAIL": TEXT,
    "ALLOWED_ACCESS_TO_DASHBOARD": Case("10.0.0.0/8", "10.0.0.0/8"),
    "ALLOWED_ACCESS_TO_RESTAPI": Case("10.0.0.1", "10.0.0.1"),
    "REDIRECT_WWW": ON,
    "WORKER_CONNECTIONS": NUMBER,
    "HTTPS_PROTOCOLS": TEXT,
    "HTTPS_CIPHERS": TEXT,
    "HTTPS_HSTS": TEXT,
    "PROXY_PUBLIC_IP": TEXT,
    "OV_CE_DEBUG_LEVEL": Case("DEBUG", "DEBUG"),
    "JAVA_OPTIONS": TEXT,
    "ES_JAVA_OPTS": TEXT,
    "DOCKER_LOGS_MAX_SIZE": TEXT,
    "DOTENV_PATH": Case("/etc/tertulia", "/etc/tertulia"),
    "TURN_DOMAIN_NAME": TEXT,
}

NEVER_SHOWN = {  # config.md: X, or only in company of a Kibana, which there is none of here
    "OPENVIDU_SECRET",
    "COTURN_SHARED_SECRET_KEY",
    "OPENVIDU_PRO_LICENSE",
    "OPENVIDU_PRO_DOCKER_REGISTRIES",
    "OPENVIDU_PRO_KIBANA_HOST",
    "ELASTICSEARCH_USERNAME",
    "ELASTICSEARCH_PASSWORD",
    "OPENVIDU_PRO_AWS_ACCESS_KEY",
    "OPENVIDU_PRO_AWS_SECRET_KEY",
    "OPENVIDU_PRO_SPEECH_TO_TEXT_AZURE_KEY",
    "OPENVIDU_ENTERPRISE_HA_REDIS_PASSWORD",
    "OPENVIDU_ENTERPRISE_HA_S3_CONFIG_ACCESS_KEY",
    "OPENVIDU_ENTERPRISE_HA_S3_CONFIG_SECRET_KEY",
    "TURN_STATIC_AUTH_SECRET",
}

ALL = {name: case.given for name, case in SHOWN.items()}  # all at once: no condition fails


def shown(environ: dict[str, str]) -> dict[str, Any]:
    return config_object(load(environ))


def test_the_table_has_every_property_of_the_contract() -> None:
    names = {item.name for item in CONTRACT}
    assert SHOWN.keys() - {"KMS_DOCKER_ENV_GST_DEBUG"} | NEVER_SHOWN == names
    assert not SHOWN.keys() & NEVER_SHOWN


@pytest.fixture(scope="module")
def everything() -> dict[str, Any]:
    return shown(ALL)


@pytest.mark.parametrize("name", SHOWN)
def test_it_is_shown_as_it_was_set(name: str, everything: dict[str, Any]) -> None:
    assert everything[name] == SHOWN[name].shown
    assert type(everything[name]) is type(SHOWN[name].shown)


@pytest.mark.parametrize("name", SHOWN)
def test_what_was_set_is_not_the_default(name: str) -> None:
    without = {key: text for key, text in ALL.items() if key != name}
    needed = {"OPENVIDU_PRO_AWS_S3_BUCKET", "OPENVIDU_WEBHOOK_ENDPOINT", "OPENVIDU_RECORDING"}
    if name not in needed:  # without these, settings are wrong, or it is the default
        assert shown(without).get(name) != SHOWN[name].shown


def test_no_secret_is_shown() -> None:
    hidden = dict.fromkeys(NEVER_SHOWN, "hush_hush")
    hidden |= {"OPENVIDU_PRO_DOCKER_REGISTRIES": "[hush_hush]"}
    hidden |= {"OPENVIDU_PRO_KIBANA_HOST": "http://hush_hush/"}
    config = shown(ALL | hidden)
    assert not NEVER_SHOWN & config.keys()
    assert "hush" not in json.dumps(config)


def test_the_edition_of_our_own_is_taken_too() -> None:
    assert shown({"OPENVIDU_EDITION": "ce"})["OPENVIDU_EDITION"] == "ce"
