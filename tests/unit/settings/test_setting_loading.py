"""From environment and `.env` to the settings that services get."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.conference.model import IceServer, Role, VideoCodec
from services.settings import Settings, folders
from services.settings.community import EVENTS
from services.settings.load import MASK, SettingsError, from_environment, load, merged
from services.settings.table import PROPERTIES


def problems(*args: Any, **kwargs: Any) -> dict[str, str]:
    """Messages by property, as shown to the user."""
    with pytest.raises(SettingsError) as caught:
        load(*args, **kwargs)
    return {problem.name: str(problem) for problem in caught.value.problems}


def test_without_any_setting_everything_listens_on_loopback_and_works() -> None:
    settings = load({})
    assert settings.access.public_url == "http://localhost:4443"
    assert settings.access.listen_host == settings.media.host == "127.0.0.1"
    assert settings.access.secret == "MY_SECRET"
    assert settings.access.demo
    assert settings.recording.enabled
    assert settings.recording.path == Path("data/recordings")
    assert settings.cdr.path == Path("data/cdr")
    assert settings.webhook.events == frozenset(EVENTS)
    assert len(EVENTS) == 17
    assert not settings.warnings


def test_the_structs_have_the_same_defaults_as_the_tables() -> None:
    loaded, plain = load({}), Settings()
    for concern in ("access", "streams", "sessions", "recording", "cdr", "ice", "media", "storage"):
        assert getattr(loaded, concern) == getattr(plain, concern), concern


def test_the_file_wins_over_the_environment_and_that_over_the_default() -> None:
    environ = {"HTTPS_PORT": "5000", "OPENVIDU_SECRET": "from_environment"}
    settings = load(environ, {"HTTPS_PORT": "6000"})
    assert settings.access.https_port == 6000
    assert settings.access.secret == "from_environment"
    assert settings.ice.turn_port == 3478


def test_an_empty_value_in_the_file_hides_environment_and_default() -> None:
    settings = load({"OPENVIDU_WEBHOOK_ENDPOINT": "http://hook"}, {"OPENVIDU_WEBHOOK_ENDPOINT": ""})
    assert settings.webhook.endpoint == ""
    assert "HTTPS_PORT" in problems({"HTTPS_PORT": "5000"}, {"HTTPS_PORT": ""})


def test_all_errors_come_together_each_with_its_property_and_value() -> None:
    found = problems({"HTTPS_PORT": "x", "OPENVIDU_CDR": "yes"}, {"COTURN_PORT": "0"})
    assert found.keys() == {"HTTPS_PORT", "OPENVIDU_CDR", "COTURN_PORT"}
    assert found["HTTPS_PORT"].startswith("HTTPS_PORT=x: ")
    assert "true or false" in found["OPENVIDU_CDR"]


@pytest.mark.parametrize("name", [name for name, item in PROPERTIES.items() if item.secret])
def test_no_error_repeats_a_secret(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({name: "[hush", "HTTPS_PORT": "x", "OPENVIDU_SECRET": "hush hush"})
    assert "hush" not in str(caught.value)


def test_no_error_repeats_the_credentials_in_headers_and_ice_servers() -> None:
    found = problems(
        {
            "OPENVIDU_WEBHOOK_HEADERS": '["Authorization:hush"]',
            "OPENVIDU_WEBRTC_ICE_SERVERS": '["url=turn:h,credential=hush"]',
        }
    )
    assert len(found) == 2
    assert all(MASK in text and "hush" not in text for text in found.values())


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("TERTULIA_HOST", "0.0.0.0"),
        ("TERTULIA_HOST", "::"),
        ("TERTULIA_HOST", "192.0.2.1"),
        ("TERTULIA_HOST", "example.org"),
        ("TERTULIA_MEDIA_HOST", "0.0.0.0"),
        ("TERTULIA_MEDIA_HOST", "::"),
        ("TERTULIA_MEDIA_HOST", "192.0.2.1"),
    ],
)
def test_the_default_secret_is_refused_where_others_can_reach_us(name: str, host: str) -> None:
    given = {name: host, "DOMAIN_OR_PUBLIC_IP": "192.0.2.1"}
    found = problems(given)
    assert f"{name}={host}" in found["OPENVIDU_SECRET"]
    load({**given, "OPENVIDU_SECRET": "one_of_my_own"})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.4.5", "::1", "localhost"])
def test_the_default_secret_does_on_loopback(host: str) -> None:
    load({"TERTULIA_HOST": host, "TERTULIA_MEDIA_HOST": "127.3.4.5"})


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_media_node_on_all_addresses_needs_one_to_tell_clients(host: str) -> None:
    everywhere = {"TERTULIA_MEDIA_HOST": host, "OPENVIDU_SECRET": "one_of_my_own"}
    assert "TERTULIA_MEDIA_PUBLIC_IP" in problems(everywhere)
    assert "TERTULIA_MEDIA_PUBLIC_IP" in problems({**everywhere, "DOMAIN_OR_PUBLIC_IP": "a.org"})
    settings = load({**everywhere, "DOMAIN_OR_PUBLIC_IP": "192.0.2.1"})
    assert settings.media.public_ip == "192.0.2.1"
    settings = load({**everywhere, "TERTULIA_MEDIA_PUBLIC_IP": "192.0.2.2"})
    assert settings.media.public_ip == "192.0.2.2"


def test_a_domain_of_ipv6_is_told_where_the_media_node_takes_ipv6() -> None:
    given = {"DOMAIN_OR_PUBLIC_IP": "2001:db8::7", "OPENVIDU_SECRET": "one_of_my_own"}
    assert load({**given, "TERTULIA_MEDIA_HOST": "::"}).media.public_ip == "2001:db8::7"
    assert "TERTULIA_MEDIA_PUBLIC_IP" in problems({**given, "TERTULIA_MEDIA_HOST": "0.0.0.0"})


def test_the_packet_path_may_be_chosen() -> None:
    assert load({}).media.pump == "auto"
    assert load({"TERTULIA_MEDIA_PUMP": "c"}).media.pump == "c"
    assert "TERTULIA_MEDIA_PUMP" in problems({"TERTULIA_MEDIA_PUMP": "rust"})


def test_a_media_node_may_have_several_public_addresses() -> None:
    name = "TERTULIA_MEDIA_PUBLIC_IP"
    assert load({name: "192.0.2.2,2001:db8::7"}).media.public_ip == "192.0.2.2,2001:db8::7"
    for wrong in ("192.0.2.2,0.0.0.0", "::", "192.0.2.2,", "example.org"):
        assert name in problems({name: wrong})


def test_off_loopback_demo_and_plain_http_are_off_unless_asked_for() -> None:
    public = {"TERTULIA_HOST": "0.0.0.0", "OPENVIDU_SECRET": "one_of_my_own"}
    settings = load(public)
    assert not settings.access.demo
    assert settings.access.public_url == "https://localhost:4443"
    settings = load({**public, "TERTULIA_DEMO": "true", "FORCE_PLAIN_HTTP": "true"})
    assert settings.access.demo
    assert settings.access.plain_http


def test_the_api_speaks_tls_where_the_public_url_says_so_unless_a_proxy_does() -> None:
    assert not load({}).access.tls
    assert load({"FORCE_PLAIN_HTTP": "false"}).access.tls
    behind_proxy = load(
        {"FORCE_PLAIN_HTTP": "false", "TERTULIA_TLS": "false", "SERVER_PORT": "5443"}
    )
    assert not behind_proxy.access.tls
    assert behind_proxy.access.public_url == "https://localhost:4443"


def test_what_is_not_given_follows_from_other_settings() -> None:
    settings = load(
        {
            "TERTULIA_DATA_DIR": "/srv/tertulia",
            "HTTPS_PORT": "443",
            "OV_CE_DEBUG_LEVEL": "DEBUG",
            "COTURN_IP": "192.0.2.5",
            "MEDIA_NODES_PUBLIC_IPS": '["127.0.0.1:192.0.2.9"]',
            "KMS_DOCKER_ENV_KMS_MIN_PORT": "50000",
            "KMS_DOCKER_ENV_KMS_MAX_PORT": "50010",
        }
    )
    assert settings.recording.path == Path("/srv/tertulia/recordings")
    assert settings.properties["OPENVIDU_RECORDING_PATH"] == "/srv/tertulia/recordings/"
    assert settings.access.listen_port == 443
    assert settings.log_level == "DEBUG"
    assert settings.ice.turn_enabled
    assert settings.media.public_ip == "192.0.2.9"
    assert (settings.media.port, settings.media.port_max) == (50000, 50010)


def test_a_wrong_setting_does_not_bring_errors_about_those_that_follow_from_it() -> None:
    assert problems({"HTTPS_PORT": "x", "TERTULIA_HOST": ""}).keys() == {
        "HTTPS_PORT",
        "TERTULIA_HOST",
    }


def test_a_wrong_derived_value_is_reported_under_its_own_name() -> None:
    assert "TERTULIA_MEDIA_PORT" in problems({"KMS_DOCKER_ENV_KMS_MIN_PORT": "many"})


def test_server_port_may_be_written_the_old_way() -> None:
    assert load({"server.port": "5443"}).access.listen_port == 5443


def test_lists_become_what_the_services_use() -> None:
    settings = load(
        {
            "OPENVIDU_WEBHOOK": "true",
            "OPENVIDU_WEBHOOK_ENDPOINT": "http://hook",
            "OPENVIDU_WEBHOOK_HEADERS": '["X-Key: a: b"]',
            "OPENVIDU_WEBHOOK_EVENTS": "[]",
            "OPENVIDU_STREAMS_FORCED_VIDEO_CODEC": "NONE",
            "OPENVIDU_RECORDING_NOTIFICATION": "moderator",
            "OPENVIDU_WEBRTC_ICE_SERVERS": (
                '["url=stun:a","url=turn:b,username=u,credential=c","url=turn:d,staticAuthSecret=e"]'
            ),
        }
    )
    assert settings.webhook.headers == (("X-Key", "a: b"),)
    assert settings.webhook.events == frozenset()
    assert settings.streams.forced_video_codec is VideoCodec.NONE
    assert settings.recording.notified_roles == {Role.MODERATOR}
    assert settings.ice.servers == (
        IceServer("stun:a"), IceServer("turn:b", "u", "c"), IceServer("turn:d"),
    )  # fmt: skip
    assert settings.ice.static_auth_secrets == (("turn:d", "e"),)


@pytest.mark.parametrize(
    ("given", "complained"),
    [
        ({"OPENVIDU_WEBHOOK": "true"}, "OPENVIDU_WEBHOOK_ENDPOINT"),
        ({"TERTULIA_TLS_KEY": "key.pem"}, "TERTULIA_TLS_CERTIFICATE"),
        ({"TERTULIA_TLS_CERTIFICATE": "cert.pem"}, "TERTULIA_TLS_KEY"),
        ({"CERTIFICATE_TYPE": "letsencrypt", "LETSENCRYPT_EMAIL": ""}, "LETSENCRYPT_EMAIL"),
        (
            {"TERTULIA_MEDIA_PORT": "5000", "TERTULIA_MEDIA_PORT_MAX": "4999"},
            "TERTULIA_MEDIA_PORT_MAX",
        ),
        (
            {
                "OPENVIDU_PRO_CLUSTER_AUTOSCALING": "true",
                "OPENVIDU_PRO_CLUSTER_AUTOSCALING_MAX_NODES": "0",
            },
            "OPENVIDU_PRO_CLUSTER_AUTOSCALING_MAX_NODES",
        ),
        (
            {
                "OPENVIDU_PRO_CLUSTER_AUTOSCALING": "true",
                "OPENVIDU_PRO_CLUSTER_AUTOSCALING_MAX_LOAD": "20",
            },
            "OPENVIDU_PRO_CLUSTER_AUTOSCALING_MAX_LOAD",
        ),
        ({"OPENVIDU_PRO_RECORDING_STORAGE": "s3"}, "OPENVIDU_PRO_AWS_S3_BUCKET"),
        ({"OPENVIDU_PRO_SPEECH_TO_TEXT": "aws"}, "OPENVIDU_PRO_AWS_REGION"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    given: dict[str, str], complained: str
) -> None:
    assert complained in problems(given)


def test_an_unknown_setting_in_the_file_is_one_warning() -> None:
    file = {"OPENVIDU_SECRT": "x", "TERTULIA_HOTS": "y", "PATH_OF_SOMEBODY_ELSE": "z"}
    (warning,) = load({"OPENVIDU_ELSEWHERE": "x"}, file).warnings
    assert "OPENVIDU_SECRT, TERTULIA_HOTS" in warning
    assert "SOMEBODY" not in warning
    assert "ELSEWHERE" not in warning


def test_a_setting_without_effect_is_one_warning_if_it_differs_from_its_default() -> None:
    (warning,) = load({"ALLOWED_ACCESS_TO_RESTAPI": "10.0.0.0/8", "HTTP_PORT": "80"}).warnings
    assert "ALLOWED_ACCESS_TO_RESTAPI" in warning
    assert "HTTP_PORT" not in warning


def test_secrets_are_known_so_that_logs_can_mask_them() -> None:
    settings = load(
        {
            "OPENVIDU_SECRET": "the_rest_secret",
            "TERTULIA_NATS_TOKEN": "the_nats_token",
            "OPENVIDU_WEBHOOK_HEADERS": '["X-Api-Key: the_api_key","Accept: text/plain"]',
            "OPENVIDU_WEBRTC_ICE_SERVERS": '["url=turn:h,staticAuthSecret=the_turn_secret"]',
            "OPENVIDU_PRO_DOCKER_REGISTRIES": '["serveraddress=a,password=b"]',
        }
    )
    assert settings.secrets == {
        "the_rest_secret", "the_nats_token", "the_api_key", "the_turn_secret",
        "serveraddress=a,password=b",
    }  # fmt: skip


def test_the_folders_that_services_write_to_are_made(tmp_path: Path) -> None:
    settings = load({"TERTULIA_DATA_DIR": str(tmp_path / "a/b"), "OPENVIDU_CDR": "true"})
    folders.prepare(settings, ["launcher", "api", "recorder", "webhooks"])
    assert (tmp_path / "a/b/recordings").is_dir()
    assert (tmp_path / "a/b/cdr").is_dir()


def test_a_folder_that_cannot_be_made_is_an_error_of_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = load(
        {"OPENVIDU_RECORDING_PATH": str(tmp_path / "file"), "OPENVIDU_CDR_PATH": "/dev/null/x"}
        | {"OPENVIDU_CDR": "true", "TERTULIA_DATA_DIR": str(tmp_path)}
    )
    with pytest.raises(SettingsError) as caught:
        folders.prepare(settings, ["recorder", "webhooks"])
    assert {problem.name for problem in caught.value.problems} == {
        "OPENVIDU_RECORDING_PATH",
        "OPENVIDU_CDR_PATH",
    }


def test_a_folder_that_is_not_needed_is_not_made(tmp_path: Path) -> None:
    settings = load({"TERTULIA_DATA_DIR": str(tmp_path / "data"), "OPENVIDU_RECORDING": "false"})
    folders.prepare(settings, ["media", "recorder"])
    assert not (tmp_path / "data").exists()


def test_the_file_is_found_by_folder_or_by_name(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HTTPS_PORT=1111\n")
    (tmp_path / "other.env").write_text("HTTPS_PORT=2222\n")
    settings = from_environment({"DOTENV_PATH": str(tmp_path)})
    assert settings.access.https_port == 1111
    assert str(tmp_path / ".env") in settings.notes[0]
    named = {"DOTENV_PATH": str(tmp_path / "other.env")}
    assert from_environment(named).access.https_port == 2222


def test_no_file_is_read_if_its_path_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("HTTPS_PORT=1111\n")
    monkeypatch.chdir(tmp_path)
    assert from_environment({}).access.https_port == 1111
    settings = from_environment({"DOTENV_PATH": ""})
    assert settings.access.https_port == 4443
    assert not settings.notes


def test_bad_lines_and_bad_values_of_the_file_come_together(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# fine\nHTTPS_PORT=x\nnonsense\n=5\n")
    with pytest.raises(SettingsError) as caught:
        from_environment({"DOTENV_PATH": str(tmp_path)})
    text = str(caught.value)
    assert "line 3" in text
    assert "line 4" in text
    assert "HTTPS_PORT=x" in text


def test_a_process_with_the_merged_environment_has_the_same_settings(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HTTPS_PORT=1111\nOPENVIDU_CDR=true\nUNKNOWN=x\n")
    environ = {"DOTENV_PATH": str(tmp_path), "HTTPS_PORT": "2222", "PATH": "/bin"}
    again = merged(environ)
    assert again["PATH"] == "/bin"
    assert "UNKNOWN" not in again
    (tmp_path / ".env").write_text("HTTPS_PORT=3333\n")  # is not read again
    environ |= {"HTTPS_PORT": "1111", "OPENVIDU_CDR": "true", "DOTENV_PATH": ""}
    first, second = from_environment(environ), from_environment(again)
    assert second.access == first.access
    assert second.cdr == first.cdr
