"""What `POST /openvidu/api/restart` may change (`rest-api.md`, "Restart OpenVidu")."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from services.settings import Settings, dotenv
from services.settings.changes import MAX_VALUE, NotKept, checked, json_types, keep
from services.settings.load import SettingsError, from_environment, merged
from services.settings.table import PROPERTIES

NOW = "the_present_secret"


class Case(NamedTuple):
    native: Any
    text: str
    wrong: Any
    with_it: dict[str, Any] = {}


FLAG = Case(True, "FALSE", 1)
COUNT = Case(20, "30", "many")
FOLDER = Case("FOLDER/one", "FOLDER/two/", 5)

CASES = {
    "OPENVIDU_CDR": FLAG,
    "OPENVIDU_RECORDING": FLAG,
    "OPENVIDU_RECORDING_PATH": FOLDER,
    "OPENVIDU_RECORDING_PUBLIC_ACCESS": FLAG,
    "OPENVIDU_RECORDING_NOTIFICATION": Case("all", "none", "ALL"),
    "OPENVIDU_RECORDING_CUSTOM_LAYOUT": FOLDER,
    "OPENVIDU_RECORDING_AUTOSTOP_TIMEOUT": COUNT,
    "OPENVIDU_WEBHOOK": FLAG._replace(with_it={"OPENVIDU_WEBHOOK_ENDPOINT": "http://a/b"}),
    "OPENVIDU_WEBHOOK_ENDPOINT": Case("http://host:7777/webhook/", "", "host"),
    "OPENVIDU_WEBHOOK_HEADERS": Case(
        ["Authorization: Basic T1BFTlZJ", "X: it's, [so]"], "['A: b']", [1]
    ),
    "OPENVIDU_WEBHOOK_EVENTS": Case(["recordingStatusChanged"], "[]", ["unknown"]),
    "OPENVIDU_STREAMS_VIDEO_MAX_RECV_BANDWIDTH": COUNT,
    "OPENVIDU_STREAMS_VIDEO_MIN_RECV_BANDWIDTH": COUNT,
    "OPENVIDU_STREAMS_VIDEO_MAX_SEND_BANDWIDTH": COUNT,
    "OPENVIDU_STREAMS_VIDEO_MIN_SEND_BANDWIDTH": COUNT,
    "OPENVIDU_SESSIONS_GARBAGE_INTERVAL": COUNT,
    "OPENVIDU_SESSIONS_GARBAGE_THRESHOLD": COUNT,
    "OPENVIDU_PRO_CLUSTER_ID": Case("MY_CLUSTER", "other", 7),
    "OPENVIDU_PRO_CLUSTER_MEDIA_NODES": COUNT,
    "OPENVIDU_PRO_CLUSTER_PATH": FOLDER,
    "OPENVIDU_PRO_CLUSTER_AUTOSCALING": FLAG,
    "OPENVIDU_PRO_CLUSTER_AUTOSCALING_MAX_NODES": COUNT,
    "OPENVIDU_PRO_CLUSTER_AUTOSCALING_MIN_NODES": Case(2, "1", -1),
    "OPENVIDU_PRO_CLUSTER_AUTOSCALING_MAX_LOAD": Case(80, "90", 101),
    "OPENVIDU_PRO_CLUSTER_AUTOSCALING_MIN_LOAD": Case(10, "15", 10.5),
    "OPENVIDU_PRO_NETWORK_QUALITY": FLAG,
    "OPENVIDU_PRO_NETWORK_QUALITY_INTERVAL": Case(10, "20", 0),
    "OPENVIDU_PRO_STATS_MONITORING_INTERVAL": COUNT,
    "OPENVIDU_PRO_STATS_WEBRTC_INTERVAL": COUNT._replace(wrong=True),
}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"DOTENV_PATH": str(tmp_path), "TERTULIA_DATA_DIR": str(tmp_path / "data")}


def refused(given: dict[str, Any], environ: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        checked(given, environ, NOW)
    return str(caught.value)


def changed(given: dict[str, Any], environ: dict[str, str]) -> Settings:
    """The settings after the restart."""
    keep(checked(given, environ, NOW), environ)
    return from_environment(environ)


def test_the_list_of_the_document_can_be_changed_and_nothing_else() -> None:
    assert {item.name for item in PROPERTIES.values() if item.changeable} == CASES.keys()
    assert len(CASES) == 29


@pytest.mark.parametrize("name", CASES)
def test_values_in_the_types_of_json_and_as_texts_are_taken(
    name: str, environ: dict[str, str], tmp_path: Path
) -> None:
    case = CASES[name]
    kind = {item.name: of_json for item, of_json in json_types()}[name]
    native = case.native
    if isinstance(native, str):
        native = native.replace("FOLDER", str(tmp_path))
    assert type(native) is kind
    found = changed({name: native, **case.with_it}, environ).properties[name]
    assert found == (f"{native}/" if case is FOLDER else native)
    assert type(found) is kind

    text = case.text.replace("FOLDER", str(tmp_path))
    found = changed({name: text}, environ).properties[name]
    assert found == PROPERTIES[name].kind.parse(text)
    assert type(found) is kind


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("odd", [False, True], ids=["a wrong one", "an object"])
def test_a_wrong_type_or_value_is_named(name: str, odd: bool, environ: dict[str, str]) -> None:
    message = refused({name: {"a": 1} if odd else CASES[name].wrong}, environ)
    assert f"  {name}=" in message
    assert PROPERTIES[name].kind.accepts in message


@pytest.mark.parametrize(
    "value", [1.5, [], ["a"], [["a"]], {}, 2**63, "", " true", "yes", "true\nX=1"]
)
def test_what_is_no_flag_is_refused(value: object, environ: dict[str, str]) -> None:
    assert "OPENVIDU_CDR=" in refused({"OPENVIDU_CDR": value}, environ)


def test_a_number_that_is_too_long_for_python_is_refused(environ: dict[str, str]) -> None:
    assert "OPENVIDU_CDR=" in refused({"OPENVIDU_CDR": 10**5000}, environ)


@pytest.mark.parametrize("value", ["a\nOPENVIDU_SECRET=x", "a\rb", "a\0b", "a\x85b", "a" * 20_000])
def test_no_value_can_bring_other_lines_or_burst_an_environment(
    value: str, environ: dict[str, str]
) -> None:
    assert "OPENVIDU_PRO_CLUSTER_ID=" in refused({"OPENVIDU_PRO_CLUSTER_ID": value}, environ)
    assert "OPENVIDU_WEBHOOK_HEADERS=" in refused(
        {"OPENVIDU_WEBHOOK_HEADERS": [f"X: {value}"]}, environ
    )


def test_the_longest_value_is_read_back(environ: dict[str, str]) -> None:
    value = "ü" * (MAX_VALUE // 2)
    settings = changed({"OPENVIDU_PRO_CLUSTER_ID": value}, environ)
    assert settings.properties["OPENVIDU_PRO_CLUSTER_ID"] == value


@pytest.mark.parametrize("entry", ["X: a\\b", """X: both " and '"""])
def test_what_a_list_cannot_hold_is_refused(entry: str, environ: dict[str, str]) -> None:
    message = refused({"OPENVIDU_WEBHOOK_HEADERS": [entry]}, environ)
    assert "backslash" in message
    assert entry not in message


def test_a_list_with_nothing_in_it_is_empty(environ: dict[str, str]) -> None:
    for value in ([], [""], ""):
        settings = changed({"OPENVIDU_WEBHOOK_EVENTS": value}, environ)
        assert settings.properties["OPENVIDU_WEBHOOK_EVENTS"] == []


def test_null_is_a_value_that_was_not_given(environ: dict[str, str]) -> None:
    assert checked({"OPENVIDU_CDR": None, "HTTPS_PORT": None}, environ, NOW) == {}


@pytest.mark.parametrize(
    "name", ["HTTPS_PORT", "OPENVIDU_CDR_PATH", "TERTULIA_DATA_DIR", "DOTENV_PATH", "NONSENSE", ""]
)
def test_what_cannot_be_changed_or_is_unknown_is_named(name: str, environ: dict[str, str]) -> None:
    message = refused({name: "hush_hush"}, environ)
    assert name in message
    assert "restart cannot change it" in message or "no such setting" in message


def test_a_mistyped_name_shows_neither_its_value_nor_control_characters(
    environ: dict[str, str],
) -> None:
    message = refused({"OPENVIDU_SECRETT\n\x1b[1m" + "x" * 500: "hush_hush"}, environ)
    assert "OPENVIDU_SECRETT" in message
    assert "hush" not in message
    assert "\x1b" not in message
    assert len(message) < 400


def test_the_present_secret_is_taken_and_not_written(environ: dict[str, str]) -> None:
    assert checked({"OPENVIDU_SECRET": NOW}, environ, NOW) == {}


@pytest.mark.parametrize("other", ["another_secret", NOW + "x", "", 5, ["another_secret"]])
def test_another_secret_is_refused_and_not_shown(other: object, environ: dict[str, str]) -> None:
    message = refused({"OPENVIDU_SECRET": other}, environ)
    assert "OPENVIDU_SECRET=" in message
    assert "another_secret" not in message
    assert NOW not in message


def test_credentials_are_not_repeated(environ: dict[str, str]) -> None:
    for value in (["Authorization"], "[Authorization: hush]", {"Authorization": "hush"}):
        assert "hush" not in refused({"OPENVIDU_WEBHOOK_HEADERS": value}, environ)


def test_all_that_is_wrong_comes_together(environ: dict[str, str]) -> None:
    message = refused(
        {
            "OPENVIDU_CDR": 5,
            "OPENVIDU_WEBHOOK": True,
            "OPENVIDU_PRO_CLUSTER_AUTOSCALING": True,
            "OPENVIDU_PRO_CLUSTER_AUTOSCALING_MIN_NODES": 3,
            "HTTPS_PORT": 1,
        },
        environ,
    )
    for name in ("CDR", "WEBHOOK_ENDPOINT", "PRO_CLUSTER_AUTOSCALING_MAX_NODES"):
        assert f"  OPENVIDU_{name}=" in message
    assert "  HTTPS_PORT=" in message


def test_new_values_are_checked_with_those_that_stay(environ: dict[str, str]) -> None:
    changed({"OPENVIDU_WEBHOOK_ENDPOINT": "http://host/"}, environ)
    assert changed({"OPENVIDU_WEBHOOK": True}, environ).webhook.enabled
    assert "OPENVIDU_WEBHOOK_ENDPOINT" in refused({"OPENVIDU_WEBHOOK_ENDPOINT": ""}, environ)


def test_what_somebody_else_broke_in_the_file_is_told(
    environ: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("HTTPS_PORT=none\nnonsense\n")
    message = refused({"OPENVIDU_CDR": True}, environ)
    assert "HTTPS_PORT=none" in message
    assert "line 2" in message


def test_folders_must_be_writable(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    message = refused({"OPENVIDU_RECORDING_PATH": str(tmp_path / "file/recordings")}, environ)
    assert "OPENVIDU_RECORDING_PATH=" in message


def test_a_process_that_was_told_the_settings_writes_the_file_they_came_from(
    environ: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("OPENVIDU_CDR=false\n")
    keep(checked({"OPENVIDU_CDR": True}, merged(environ), NOW), merged(environ))
    assert dotenv.read(tmp_path / ".env").values == {"OPENVIDU_CDR": "true"}
    assert from_environment(environ).cdr.enabled


def test_without_a_file_new_values_are_not_kept(environ: dict[str, str]) -> None:
    environ["DOTENV_PATH"] = ""
    for process in (environ, merged(environ)):
        keep({}, process)
        with pytest.raises(NotKept, match="DOTENV_PATH"):
            keep({"OPENVIDU_CDR": "true"}, process)


def test_a_folder_that_is_missing_is_named(environ: dict[str, str], tmp_path: Path) -> None:
    environ["DOTENV_PATH"] = str(tmp_path / "missing")
    with pytest.raises(NotKept, match=r"missing/\.env.*No such file"):
        keep({"OPENVIDU_CDR": "true"}, environ)
    assert not (tmp_path / "missing").exists()
