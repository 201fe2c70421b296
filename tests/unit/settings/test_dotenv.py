"""The rules of the `.env` file (`config.md` section 1)."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from services.settings import dotenv


def read(path: Path, text: str) -> dotenv.Dotenv:
    file = path / ".env"
    file.write_bytes(text.encode())
    return dotenv.read(file)


def test_values_are_taken_raw(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        'A=1\n  B  = two \nC="quoted"\nD=x # no comment\nE=a=b\nF=\nG=back\\slash\r\n',
    )
    assert found.values == {
        "A": "1",
        "B": " two ",
        "C": '"quoted"',
        "D": "x # no comment",
        "E": "a=b",
        "F": "",
        "G": "back\\slash",
    }
    assert not found.bad_lines


def test_blank_lines_and_comments_in_the_first_column_are_skipped(tmp_path: Path) -> None:
    found = read(tmp_path, "\n   \n# A=1\n// B=2\n#C=3\n")
    assert found.values == {}
    assert not found.bad_lines


def test_a_comment_sign_elsewhere_begins_no_comment(tmp_path: Path) -> None:
    assert read(tmp_path, " #A=1\n").values == {"#A": "1"}


def test_the_last_of_two_equal_keys_counts(tmp_path: Path) -> None:
    assert read(tmp_path, "A=1\nA=2").values == {"A": "2"}


def test_bad_lines_name_file_and_line_and_not_their_content(tmp_path: Path) -> None:
    found = read(tmp_path, "A=1\nhush\n=hush\n")
    assert found.values == {"A": "1"}
    assert len(found.bad_lines) == 2
    assert str(tmp_path / ".env") in found.bad_lines[0]
    assert "line 2" in found.bad_lines[0]
    assert "line 3" in found.bad_lines[1]
    assert "hush" not in "".join(found.bad_lines)


def test_a_file_that_is_missing_or_unreadable_counts_as_empty_with_a_note(tmp_path: Path) -> None:
    missing, folder, binary = (tmp_path / name for name in ("missing.env", "a.env", "b.env"))
    folder.mkdir()
    binary.write_bytes(b"A=\xff\xfe")
    for file in (missing, folder, binary):
        found = dotenv.read(file)
        assert found.values == {}
        assert str(file) in found.note


FILE = "# mine\n\nA=1\n  B =two \n//A=5\nA=2\nlast=x"


def test_known_keys_are_replaced_in_place_and_new_ones_appended() -> None:
    assert dotenv.rewritten(FILE, {"A": "7", "B": " raw # = ", "NEW": ""}) == (
        "# mine\n\nA=7\nB= raw # = \n//A=5\nA=7\nlast=x\nNEW=\n"
    )


def test_a_key_is_only_what_stands_before_the_first_sign() -> None:
    assert dotenv.rewritten("X=A=1\nAB=1\n", {"A": "2"}) == "X=A=1\nAB=1\nA=2\n"


def test_line_ends_stay_as_they_are() -> None:
    assert dotenv.rewritten("A=1\r\nB=2", {"A": "3", "C": "4"}) == "A=3\r\nB=2\r\nC=4\r\n"


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(FILE.encode())
    before = dotenv.read(file).values
    new = {"A": '["a b","c\'d"]', "NEW": " x = ü # "}
    dotenv.write(file, new)
    assert dotenv.read(file).values == {**before, **new}


def test_a_new_file_is_for_its_owner_alone_and_an_old_one_keeps_its_mode(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    dotenv.write(file, {"A": "1"})
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o644)
    dotenv.write(file, {"A": "2"})
    assert file.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in tmp_path.iterdir()] == [".env"]  # no draft is left


def test_a_link_to_the_file_stays_one(tmp_path: Path) -> None:
    real, link = tmp_path / "real.env", tmp_path / ".env"
    real.write_text("A=1\n")
    link.symlink_to(real)
    dotenv.write(link, {"A": "2"})
    assert link.is_symlink()
    assert real.read_text() == "A=2\n"


def test_a_link_to_itself_is_an_error_of_the_system(tmp_path: Path) -> None:
    link = tmp_path / ".env"
    link.symlink_to(link)
    with pytest.raises(OSError, match="symbolic links"):
        dotenv.write(link, {"A": "2"})


def test_what_cannot_be_written_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".env"
    file.write_text("A=1\n")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            dotenv.write(file, {"A": "2"})
    assert file.read_text() == "A=1\n"
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_bytes_that_are_no_text_are_left_alone(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"A=\xff\n")
    with pytest.raises(UnicodeDecodeError):
        dotenv.write(file, {"A": "2"})
    assert file.read_bytes() == b"A=\xff\n"
