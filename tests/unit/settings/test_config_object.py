"""`GET /openvidu/api/config` (`config.md` 8.1, examples of `rest-api.md`)."""

from __future__ import annotations

import json

from services.settings.config_object import config_object
from services.settings.load import load
from services.settings.table import CONTRACT, OWN

ALL_ON = {
    "DOMAIN_OR_PUBLIC_IP": "my.openvidu.ip",
    "HTTPS_PORT": "443",
    "FORCE_PLAIN_HTTP": "false",
    "OPENVIDU_CDR": "true",
    "OPENVIDU_CDR_PATH": "/opt/openvidu/cdr",
    "OPENVIDU_RECORDING_PATH": "/opt/openvidu/recordings",
    "OPENVIDU_RECORDING_CUSTOM_LAYOUT": "/opt/openvidu/custom-layout",
    "OPENVIDU_RECORDING_COMPOSED_URL": "https://inside",
    "OPENVIDU_WEBHOOK": "true",
    "OPENVIDU_WEBHOOK_ENDPOINT": "http://my.webhook.endpoint:7777/webhook",
    "OPENVIDU_WEBHOOK_HEADERS": '["Authorization: Basic abc"]',
    "OPENVIDU_WEBHOOK_EVENTS": '["sessionCreated","sessionDestroyed","recordingStatusChanged"]',
    "OPENVIDU_PRO_CLUSTER_ID": "MY_CLUSTER",
    "OPENVIDU_PRO_CLUSTER_PATH": "/opt/openvidu/cluster",
    "OPENVIDU_PRO_CLUSTER_AUTOSCALING": "true",
    "OPENVIDU_PRO_NETWORK_QUALITY": "true",
    "OPENVIDU_PRO_ELASTICSEARCH": "true",
}

ORDER = """
VERSION OPENVIDU_SERVER_DEPENDENCY_VERSION DOMAIN_OR_PUBLIC_IP HTTPS_PORT OPENVIDU_PUBLICURL
OPENVIDU_CDR OPENVIDU_CDR_PATH
OPENVIDU_STREAMS_VIDEO_MAX_RECV_BANDWIDTH OPENVIDU_STREAMS_VIDEO_MIN_RECV_BANDWIDTH
OPENVIDU_STREAMS_VIDEO_MAX_SEND_BANDWIDTH OPENVIDU_STREAMS_VIDEO_MIN_SEND_BANDWIDTH
OPENVIDU_STREAMS_FORCED_VIDEO_CODEC OPENVIDU_STREAMS_ALLOW_TRANSCODING OPENVIDU_WEBRTC_SIMULCAST
OPENVIDU_SESSIONS_GARBAGE_INTERVAL OPENVIDU_SESSIONS_GARBAGE_THRESHOLD
OPENVIDU_RECORDING OPENVIDU_RECORDING_VERSION OPENVIDU_RECORDING_PATH
OPENVIDU_RECORDING_PUBLIC_ACCESS OPENVIDU_RECORDING_NOTIFICATION OPENVIDU_RECORDING_CUSTOM_LAYOUT
OPENVIDU_RECORDING_AUTOSTOP_TIMEOUT OPENVIDU_RECORDING_COMPOSED_URL
OPENVIDU_WEBHOOK OPENVIDU_WEBHOOK_ENDPOINT OPENVIDU_WEBHOOK_HEADERS OPENVIDU_WEBHOOK_EVENTS
KMS_URIS OPENVIDU_PRO_STATS_SESSION_INTERVAL OPENVIDU_PRO_STATS_SERVER_INTERVAL
OPENVIDU_PRO_STATS_MONITORING_INTERVAL OPENVIDU_PRO_STATS_WEBRTC_INTERVAL OPENVIDU_PRO_CLUSTER_ID
OPENVIDU_PRO_CLUSTER_ENVIRONMENT OPENVIDU_PRO_CLUSTER_MEDIA_NODES OPENVIDU_PRO_CLUSTER_PATH
OPENVIDU_PRO_CLUSTER_RECONNECTION_TIMEOUT OPENVIDU_PRO_CLUSTER_AUTOSCALING
OPENVIDU_PRO_CLUSTER_AUTOSCALING_MAX_NODES OPENVIDU_PRO_CLUSTER_AUTOSCALING_MIN_NODES
OPENVIDU_PRO_CLUSTER_AUTOSCALING_MAX_LOAD OPENVIDU_PRO_CLUSTER_AUTOSCALING_MIN_LOAD
OPENVIDU_PRO_NETWORK_QUALITY OPENVIDU_PRO_NETWORK_QUALITY_INTERVAL
OPENVIDU_PRO_ELASTICSEARCH OPENVIDU_PRO_ELASTICSEARCH_HOST OPENVIDU_PRO_KIBANA
OPENVIDU_PRO_RECORDING_STORAGE
OPENVIDU_EDITION OPENVIDU_PRO_SPEECH_TO_TEXT OPENVIDU_ENTERPRISE_MEDIA_SERVER
""".split()  # noqa: SIM905


def test_keys_come_in_the_order_of_the_contract() -> None:
    keys = list(config_object(load(ALL_ON)))
    assert keys[: len(ORDER)] == ORDER


def test_values_have_the_types_and_forms_of_the_contract() -> None:
    config = config_object(load(ALL_ON))
    expected = {
        "VERSION": "2.32.1",
        "HTTPS_PORT": 443,
        "OPENVIDU_PUBLICURL": "https://my.openvidu.ip",
        "OPENVIDU_CDR": True,
        "OPENVIDU_CDR_PATH": "/opt/openvidu/cdr/",
        "OPENVIDU_RECORDING_PATH": "/opt/openvidu/recordings/",
        "OPENVIDU_RECORDING_CUSTOM_LAYOUT": "/opt/openvidu/custom-layout/",
        "OPENVIDU_STREAMS_FORCED_VIDEO_CODEC": "VP8",
        "OPENVIDU_WEBHOOK_HEADERS": ["Authorization: Basic abc"],
        "OPENVIDU_WEBHOOK_EVENTS": ["sessionCreated", "sessionDestroyed", "recordingStatusChanged"],
        "KMS_URIS": ["ws://localhost:8888/kurento"],
        "OPENVIDU_PRO_CLUSTER_PATH": "/opt/openvidu/cluster/",
        "OPENVIDU_PRO_KIBANA": False,
        "OPENVIDU_PRO_AWS_S3_HEADERS": {},
        "OPENVIDU_DEV": False,
    }
    assert {key: config[key] for key in expected} == expected
    assert json.loads(json.dumps(config)) == config


def test_keys_with_a_condition_are_left_out_while_it_does_not_hold() -> None:
    config = config_object(load({"OPENVIDU_RECORDING": "false"}))
    absent = {key for key in ORDER if key not in config}
    assert absent == {
        "OPENVIDU_CDR_PATH",
        *(key for key in ORDER if key.startswith("OPENVIDU_RECORDING_")),
        *(key for key in ORDER if key.startswith("OPENVIDU_WEBHOOK_")),
        *(key for key in ORDER if key.startswith("OPENVIDU_PRO_CLUSTER_AUTOSCALING_")),
        "OPENVIDU_PRO_NETWORK_QUALITY_INTERVAL",
        "OPENVIDU_PRO_ELASTICSEARCH_HOST",
    }
    assert "OPENVIDU_PRO_KIBANA_HOST" not in config


def test_recording_is_shown_without_a_url_of_its_own_for_layouts() -> None:
    config = config_object(load({}))
    assert config["OPENVIDU_RECORDING"] is True
    assert "OPENVIDU_RECORDING_COMPOSED_URL" not in config


def test_all_other_properties_of_the_contract_follow_and_no_secret_does() -> None:
    config = config_object(load(ALL_ON))
    hidden = {item.name for item in CONTRACT if item.secret}
    assert not hidden & config.keys()
    missing = {item.name for item in CONTRACT} - config.keys() - hidden
    assert missing == {"OPENVIDU_PRO_KIBANA_HOST"}
    assert not {item.name for item in OWN} & config.keys()
    assert not any(key.endswith("_VERSION") and "ELASTIC" in key for key in config)


def test_no_secret_value_is_shown() -> None:
    config = config_object(
        load(
            {item.name: "a_secret_value" for item in CONTRACT if item.secret}
            | {"OPENVIDU_PRO_DOCKER_REGISTRIES": '["a_secret_value"]'}
            | {
                "OPENVIDU_WEBRTC_ICE_SERVERS": (
                    '["url=turn:h,username=u,credential=a_secret_value",'
                    '"url=turn:h,staticAuthSecret=a_secret_value"]'
                )
            }
        )
    )
    assert "a_secret_value" not in json.dumps(config)
    assert config["OPENVIDU_WEBRTC_ICE_SERVERS"][0] == "url=turn:h,username=u,credential=***"


def test_the_media_servers_environment_is_shown() -> None:
    assert config_object(load({"KMS_DOCKER_ENV_GST_DEBUG": "3"}))["KMS_DOCKER_ENV_GST_DEBUG"] == "3"
