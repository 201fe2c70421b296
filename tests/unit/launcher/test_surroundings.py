"""What the launcher gives its services, and when it becomes new."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from services.launcher.data_folder import DataFolder
from services.launcher.surroundings import Surroundings
from services.settings.load import from_environment, merged_at


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Surroundings:
    (tmp_path / ".env").write_text("OPENVIDU_CDR=false\nTERTULIA_NATS_TOKEN=other\n")
    monkeypatch.setenv("DOTENV_PATH", str(tmp_path))
    monkeypatch.chdir("/")
    settings = from_environment({"DOTENV_PATH": str(tmp_path)})
    return Surroundings(settings, DataFolder(tmp_path), "nats://127.0.0.1:4222", "the_token")


def test_a_change_of_the_file_is_for_the_next_restart(
    surroundings: Surroundings, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("OPENVIDU_CDR=true\n")
    assert not from_environment(surroundings.environ()).cdr.enabled
    surroundings.renew()
    assert from_environment(surroundings.environ()).cdr.enabled


def test_what_the_launcher_decides_wins_over_the_file(surroundings: Surroundings) -> None:
    for _ in range(2):
        environ = surroundings.environ()
        assert environ["TERTULIA_NATS_TOKEN"] == "the_token"
        assert environ["TERTULIA_NATS_URL"] == "nats://127.0.0.1:4222"
        assert environ["OPENVIDU_PRO_CLUSTER_ID"].startswith("clu_")
        surroundings.renew()


def test_a_file_that_is_wrong_by_now_changes_nothing_and_ends_no_service_again(
    surroundings: Surroundings, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("OPENVIDU_CDR=maybe\n")
    now = time.monotonic()
    surroundings.renew()
    environ = surroundings.environ()
    assert not from_environment(environ).cdr.enabled
    since = merged_at(environ)
    assert since is not None
    assert since >= now  # else the restart that asked for this would be a new one to the service


def test_new_credentials_are_masked(surroundings: Surroundings, tmp_path: Path) -> None:
    line = "Authorization is hush_hush_hush, token the_token"
    assert surroundings.mask(line) == "Authorization is hush_hush_hush, token ***"
    (tmp_path / ".env").write_text('OPENVIDU_WEBHOOK_HEADERS=["Authorization: hush_hush_hush"]\n')
    surroundings.renew()
    assert surroundings.mask(line) == "Authorization is ***, token ***"
