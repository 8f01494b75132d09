"""Files that a report names: read below the root alone."""

import os
import subprocess
from pathlib import Path

import pytest

from shared.intake.files import Files, NoSuchFolder
from shared.sources.scanner_place import Around, Place


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "a.py").write_text("one\ntwo\nthree\n", encoding="utf-8")
    (tmp_path / "secret.txt").write_text("outside\n", encoding="utf-8")
    return folder


def text(root: Path, file: str, line: int = 1, *, commit: str | None = None) -> str | None:
    found = Files(str(root)).around(Place(file, line, line, commit))
    return found.text if found is not None else None


@pytest.mark.parametrize(
    "file", ["src/a.py", "/src/a.py", "/src/repo/src/a.py", "repo/src/a.py", "file:///x/src/a.py", "C:\\x\\src\\a.py"]
)
def test_file_is_found_whatever_folder_the_report_was_made_in(root: Path, file: str) -> None:
    assert text(root, file) == "one\ntwo\nthree\n"


def test_place_beyond_the_end_of_its_file_has_no_text(root: Path) -> None:
    assert text(root, "src/a.py", line=4) == "one\ntwo\nthree\n"
    assert text(root, "src/a.py", line=5) is None


@pytest.mark.parametrize(
    "file", ["../secret.txt", "src/../../secret.txt", "src/%2e%2e/%2e%2e/secret.txt", "no.txt", "src"]
)
def test_nothing_else_is_read(root: Path, file: str) -> None:
    assert text(root, file) is None


def test_link_out_of_the_folder_is_not_followed(root: Path, tmp_path: Path) -> None:
    (root / "link").symlink_to(tmp_path / "secret.txt")
    (root / "folder").symlink_to(tmp_path)

    assert (text(root, "link"), text(root, "folder/secret.txt")) == (None, None)


def test_pipe_and_device_are_not_read(root: Path) -> None:
    os.mkfifo(root / "pipe")

    assert (text(root, "pipe"), text(root, "/dev/zero")) == (None, None)


def test_huge_file_is_not_read(root: Path) -> None:
    with (root / "huge").open("wb") as file:
        file.truncate(9 * 1024 * 1024)

    assert text(root, "huge") is None


def test_line_that_a_file_does_not_have_has_no_text(root: Path) -> None:
    assert text(root, "src/a.py", 9) is None


@pytest.mark.parametrize(
    "data", ["é x".encode("utf-16"), "é x".encode("utf-8-sig"), "é x".encode("latin-1"), "é x".encode()]
)
def test_text_is_read_in_its_encoding(root: Path, data: bytes) -> None:
    (root / "text").write_bytes(data)

    assert text(root, "text") == "é x"


def test_file_of_a_commit_is_read_from_git(root: Path) -> None:
    def git(*arguments: str) -> str:
        name = ("-c", "user.name=dev", "-c", "user.email=dev@example.com")
        return subprocess.run(
            ["git", "-C", str(root), *name, *arguments], check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "Add it")
    commit = git("rev-parse", "HEAD")
    (root / "src" / "a.py").write_text("changed\n", encoding="utf-8")

    assert text(root, "src/a.py", commit=commit) == "one\ntwo\nthree\n"
    assert text(root, "src/a.py", commit="0" * 40) == "changed\n"


def test_folder_that_is_none_is_refused(root: Path) -> None:
    with pytest.raises(NoSuchFolder, match="--root"):
        Files(str(root / "src" / "a.py"))


@pytest.mark.parametrize(
    ("file", "first", "last", "commit"),
    [
        (None, 1, 1, None),
        ("", 1, 1, None),
        ("a\0b", 1, 1, None),
        ("a", 0, 1, None),
        ("a", "1", 1, None),
        ("a", True, 1, None),
    ],
)
def test_place_that_a_report_does_not_name_is_none(file: object, first: object, last: object, commit: object) -> None:
    assert Place.of(file, first, last, commit=commit) is None


@pytest.mark.parametrize("commit", ["HEAD", "--upload-pack=x", "abc", 7, "ABCDEF0"])
def test_commit_that_is_no_object_s_name_is_left_out(commit: object) -> None:
    assert Place.of("a", 3, 1, commit=commit) == Place("a", 3, 3)


def test_text_around_is_in_no_repr() -> None:
    assert "secret" not in repr(Around("secret", 1, 1))
