"""`python -m shared.sas`: lines in, lines out, exit codes; nothing secret in what it says."""

import io
import json
import runpy
import subprocess
import sys

import pytest

from shared.sas.__main__ import main
from tests.support.paths import ROOT
from tests.support.strings_to_sign import ACCOUNT, KEYS, container_url

GOOD = json.dumps({"id": "a", "text": container_url(), "keys": {ACCOUNT: KEYS}}).encode()


def run(data: bytes, *arguments: str) -> tuple[int, str]:
    output = io.StringIO()
    return main(arguments, stdin=io.BytesIO(data), stdout=output), output.getvalue()


def test_every_line_is_answered() -> None:
    code, output = run(GOOD + b"\n\n" + GOOD)
    assert code == 0
    assert [json.loads(line)["credentials"][0]["signed_by"] for line in output.splitlines()] == ["key2", "key2"]


@pytest.mark.parametrize(
    ("line", "identity"),
    [
        (b"{secret", None),
        (b"\xff\xfe", None),
        (b"[" * 100_000, None),
        (b"7", None),
        (b'{"id": "b", "text": 7}', "b"),
        (b'{"id": "b", "text": "x", "keys": "secret"}', "b"),
    ],
)
def test_bad_line_is_answered_with_an_error_and_the_rest_goes_on(line: bytes, identity: str | None) -> None:
    code, output = run(line + b"\n" + GOOD)
    bad, good = map(json.loads, output.splitlines())
    assert code == 1
    assert bad["id"] == identity
    assert "secret" not in bad["error"]
    assert good["id"] == "a"


def test_leak_is_explained_to_a_person() -> None:
    code, output = run(container_url().encode(), "explain")
    assert code == 0
    assert "Read every blob in the container 'models'" in output


def test_leak_is_explained_to_a_program() -> None:
    code, output = run(container_url().encode(), "explain", "--json")
    assert code == 0
    assert json.loads(output)["credentials"][0]["account"] == ACCOUNT


@pytest.mark.parametrize("data", [b"nothing", b"\xff\xff", b""])
def test_nothing_to_explain_is_an_exit_code(data: bytes) -> None:
    assert run(data, "explain")[0] == 1


def test_it_runs_as_a_module_whatever_the_terminal_can_show() -> None:
    url = container_url().replace("/models?", "/日本語?")
    done = subprocess.run(
        [sys.executable, "-m", "shared.sas", "explain"],
        input=url.encode(),
        capture_output=True,
        cwd=ROOT,
        env={"PYTHONIOENCODING": "ascii", "PATH": ""},
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_module_answers_what_it_is_given_on_standard_input(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    monkeypatch.setattr(sys, "argv", ["shared.sas"])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(GOOD)))
    monkeypatch.setattr(sys, "stdout", output)
    monkeypatch.delitem(sys.modules, "shared.sas.__main__")
    with pytest.raises(SystemExit) as left:
        runpy.run_module("shared.sas", run_name="__main__")
    assert left.value.code == 0
    assert json.loads(output.buffer.getvalue())["id"] == "a"
