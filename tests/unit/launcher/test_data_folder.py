"""What the launcher keeps beside the data."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.launcher.data_folder import DataFolder, InUse


def test_two_cannot_have_the_folder_and_the_second_is_told_who_has_it(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    told = pytest.raises(InUse, match=r"tertulia serve.*process \d+")
    with folder.locked("serve"), told, folder.locked("verify"):
        raise AssertionError("both have it")
    with folder.locked("verify"):
        pass


def test_the_token_is_kept_and_only_ours_to_read(tmp_path: Path) -> None:
    token = DataFolder(tmp_path).nats_token()
    assert DataFolder(tmp_path).nats_token() == token
    assert len(token) >= 40
    assert (tmp_path / "nats-token").stat().st_mode & 0o777 == 0o600


def test_an_emptied_token_file_is_filled_again(tmp_path: Path) -> None:
    (tmp_path / "nats-token").write_text("")
    assert DataFolder(tmp_path).nats_token()


def test_the_cluster_id_is_kept(tmp_path: Path) -> None:
    made = DataFolder(tmp_path).cluster_id()
    assert made.startswith("clu_")
    assert DataFolder(tmp_path).cluster_id() == made


def test_the_broker_is_announced_while_it_runs(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    assert folder.broker_url is None
    with folder.announced("nats://127.0.0.1:4222"):
        assert DataFolder(tmp_path).broker_url == "nats://127.0.0.1:4222"
    assert folder.broker_url is None
