"""The rules of the `.env` file (`config.md` section 1)."""

from __future__ import annotations

from pathlib import Path

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
