"""`python -m shared.sas scan`: what is found where, in files, folders and patches; nothing secret is printed."""

import argparse
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from shared.sas import extract
from shared.sas import scan as scanner
from shared.sas.__main__ import main
from tests.support.strings_to_sign import ACCOUNT, HOST, KEYS, container_url, only, signature

URL = container_url()
SIGNATURE = URL.partition("sig=")[2]
TWO_LINES = f"first\nurl = {URL}\nlast\n"


class Ran(argparse.Namespace):
    code: int
    rows: list[dict[str, Any]]
    out: str
    err: str


def run(*arguments: str, stdin: bytes = b"") -> Ran:
    out, err = io.StringIO(), io.StringIO()
    code = main(("scan", *arguments), stdin=io.BytesIO(stdin), stdout=out, stderr=err)
    rows = [json.loads(line) for line in out.getvalue().splitlines()] if "table" not in arguments else []
    return Ran(code=code, rows=rows, out=out.getvalue(), err=err.getvalue())


def write(path: Path, data: str | bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return str(path)


def test_row_has_the_place_and_the_fields_of_the_other_command(tmp_path: Path) -> None:
    name = write(tmp_path / "a.txt", TWO_LINES)

    assert run(name).rows == [
        {
            "file": name,
            "line": 2,
            "credential": "service_sas",
            "service": "blob",
            "account": ACCOUNT,
            "resource_kind": "container",
            "container": "models",
            "path": None,
            "policy": None,
            "permissions": "r",
            "expires": "2030-01-01T00:00:00Z",
            "signed_by": "unknown",
            "fingerprint": only(URL).fingerprint,
        }
    ]


def test_nothing_secret_is_printed(tmp_path: Path) -> None:
    text = f"{URL}\nAccountName={ACCOUNT};AccountKey={KEYS['key1']}\n"
    write(tmp_path / f"blob?sv=2022-11-02&sig={SIGNATURE.replace('/', '_')}", text)
    name = write(tmp_path / "a.txt", text)
    for arguments in ((str(tmp_path),), (str(tmp_path), "--format", "table"), (name,)):
        shown = run(*arguments)
        for secret in (SIGNATURE, signature("x"), KEYS["key1"], KEYS["key1"][:40], SIGNATURE.replace("/", "_")):
            assert secret not in shown.out + shown.err


@pytest.mark.parametrize(("data", "code"), [(b"nothing", 0), (TWO_LINES.encode(), 1)])
def test_exit_status_says_whether_something_was_found(tmp_path: Path, data: bytes, code: int) -> None:
    assert run(write(tmp_path / "a", data)).code == code


@pytest.mark.parametrize("text", ["x" * 200, f"{'x' * 200} documents.azure.com", f"sig={'x/Y+' * 10}abc="])
def test_text_that_only_looks_like_a_credential_has_no_row(text: str) -> None:
    assert scanner.scan_part(scanner.Part("a", text.encode(), 1)) == []


def test_path_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    ran = run(str(tmp_path / "missing"))

    assert (ran.code, "missing: there is no such file" in ran.err) == (2, True)


def test_file_that_cannot_be_read_is_named_and_the_rest_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a", TWO_LINES)
    write(tmp_path / "b\x1b[2J", "x")

    def refused(name: str, *arguments: Any, **options: Any) -> Any:
        if Path(name).name.startswith("b"):
            raise PermissionError(13, "Permission denied")
        return Path(name).open(*arguments, **options)

    monkeypatch.setattr(scanner, "open_file", refused)
    ran = run(str(tmp_path))

    assert (ran.code, len(ran.rows)) == (2, 1)
    assert "Permission denied" in ran.err
    assert "\x1b" not in ran.err
    assert "1 could not be read" in ran.err


def test_folder_that_cannot_be_listed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(top: str) -> Any:
        raise PermissionError(13, "Permission denied", top)

    monkeypatch.setattr(scanner, "list_folder", refuse)
    ran = run(str(tmp_path))

    assert (ran.code, "Permission denied" in ran.err) == (2, True)


def test_folder_is_read_in_order_without_links_and_repositories_own_files(tmp_path: Path) -> None:
    for name in ("b/x", "a/y", ".git/config"):
        write(tmp_path / name, TWO_LINES)
    (tmp_path / "link").symlink_to(tmp_path / "b" / "x")

    assert [Path(row["file"]).name for row in run(str(tmp_path)).rows] == ["y", "x"]


def git(folder: Path, *arguments: str) -> bytes:
    command = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@contoso.com", *arguments]
    return subprocess.run(command, capture_output=True, check=True).stdout


def test_what_git_ignores_is_left_out_on_request(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    for name in ("kept", "ignored.log"):
        write(tmp_path / name, TWO_LINES)
    write(tmp_path / ".gitignore", "*.log\n")
    (tmp_path / "link").symlink_to("kept")

    assert [Path(row["file"]).name for row in run(str(tmp_path), "--gitignore").rows] == ["kept"]
    assert len(run(str(tmp_path)).rows) == 2


def test_gitignore_needs_a_repository_and_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "is in no git repository" in run(str(tmp_path), "--gitignore").err
    monkeypatch.setenv("PATH", "")
    assert "needs git" in run(str(tmp_path), "--gitignore").err


def test_history_is_read_from_standard_input(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    write(tmp_path / "a b.txt", f"one\ntwo\n{TWO_LINES}")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "add")
    write(tmp_path / "a b.txt", "one\n")
    git(tmp_path, "commit", "-q", "-a", "-m", f"AccountName={ACCOUNT};AccountKey={KEYS['key1']}")
    first = git(tmp_path, "rev-parse", "HEAD~1").decode().strip()

    rows = run(stdin=git(tmp_path, "log", "-p")).rows

    assert {(row["credential"], row["file"], row.get("commit") == first) for row in rows} == {
        ("account_key", "-", False),
        ("service_sas", "a b.txt", True),
    }
    assert [row["line"] for row in rows if row["credential"] == "service_sas"] == [4]


def test_nothing_on_standard_input_holds_nothing() -> None:
    assert (run().rows, run().code) == ([], 0)


def test_other_text_on_standard_input_is_read_as_it_is() -> None:
    assert [(row["file"], row["line"]) for row in run(stdin=TWO_LINES.encode()).rows] == [("-", 2)]


@pytest.mark.parametrize(
    "data",
    [
        TWO_LINES.encode("utf-16"),
        TWO_LINES.encode("utf-16-le"),
        TWO_LINES.encode("utf-16-be"),
        b"\xef\xbb\xbf" + TWO_LINES.encode(),
        b"\xe9\n" + URL.encode(),
        b"\n\xff\xff\x00" + URL.encode(),
    ],
)
def test_file_in_any_encoding_is_read(tmp_path: Path, data: bytes) -> None:
    assert [row["line"] for row in run(write(tmp_path / "a", data)).rows] == [2]


def test_credential_between_two_parts_of_a_large_file_is_found_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanner, "_PART", 1000)
    monkeypatch.setattr(scanner, "_OVERLAP", 400)
    name = write(tmp_path / "a", "x\n" * 450 + TWO_LINES + "y\n" * 450)

    assert [row["line"] for row in run(name).rows] == [452]


def test_many_files_are_read_by_several_processes(tmp_path: Path) -> None:
    for number in range(40):
        write(tmp_path / f"{number:02}", TWO_LINES if number == 33 else "nothing")

    assert [row["file"] for row in run(str(tmp_path), "--jobs", "2").rows] == [str(tmp_path / "33")]
    assert [len(result.rows) for result in scanner.scan_batch([str(tmp_path / "33"), str(tmp_path / "34")])] == [1, 0]


def test_credential_of_another_service_is_named(tmp_path: Path) -> None:
    key = KEYS["key1"]
    rows = run(write(tmp_path / "a", f"\nAccountEndpoint=https://x.documents.azure.com/;AccountKey={key};")).rows

    assert [(row["line"], row["credential"], row["service"], "sha256" in row) for row in rows] == [
        (2, "other_service", "cosmos_db", True)
    ]


def test_table_has_a_row_for_each_and_no_control_characters(tmp_path: Path) -> None:
    write(tmp_path / "a\x1b[2J", TWO_LINES)
    write(tmp_path / "b", f"AccountEndpoint=https://x.documents.azure.com/;AccountKey={KEYS['key1']};")
    lines = run(str(tmp_path), "--format", "table").out.splitlines()

    assert lines[0].startswith("PLACE")
    assert [line.split()[1] for line in lines[1:]] == ["service_sas", "other_service"]
    assert all(line.isprintable() for line in lines)
    assert run(write(tmp_path / "b", "nothing"), "--format", "table").out == ""


def test_progress_and_summary_can_be_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = write(tmp_path / "a", TWO_LINES)
    monkeypatch.setattr("shared.sas.scanning._EVERY", 0)

    assert "1 files, 0.0 MB: 1 credentials so far" in run(name).err
    assert "1 files, 0.0 MB: 1 credentials in" in run(name).err
    assert run(name, "--quiet").err == ""


def test_path_of_a_blob_that_holds_a_secret_is_redacted(tmp_path: Path) -> None:
    url = f"https://{HOST}/models/{KEYS['key1'].replace('/', 'x').replace('+', 'y')}?{URL.partition('?')[2]}"
    url = url.replace("sr=c", "sr=b")
    [row] = run(write(tmp_path / "a", url)).rows

    assert extract(url)
    assert row["path"] == "REDACTED"
