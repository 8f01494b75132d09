"""`python -m shared.watch in-use`: what it prints, and its exit code."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from shared.errors import Blocked, TransientFailure
from shared.watch import __main__ as command
from shared.watch.service import Found, SasInUseList
from tests.support.http_functions import sas_in_use
from tests.support.logged_tokens import KEYS, MemoryLogs, account_token, container_token, logged

WORKSPACE = "c0a5d7e2-1b8f-4e36-9d47-3a6f2b9c8e10"
ASKED = ["in-use", "--workspace", WORKSPACE]


def with_logs(monkeypatch: pytest.MonkeyPatch, logs: MemoryLogs) -> list[str]:
    """Have the command read these logs; return the workspaces that it opens."""
    opened: list[str] = []

    @asynccontextmanager
    async def stand_in(workspace: str) -> AsyncIterator[SasInUseList]:
        opened.append(workspace)
        yield sas_in_use(logs)

    monkeypatch.setattr(command, "_opened", stand_in)
    monkeypatch.setattr(command.redaction, "install", lambda: None)
    return opened


def test_json_lines_are_those_of_the_api(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    opened = with_logs(monkeypatch, MemoryLogs([logged(account_token()), logged(container_token())]))

    assert command.main([*ASKED, "--format", "json"]) == 0

    output = capsys.readouterr()
    tokens: list[dict[str, Any]] = [json.loads(line) for line in output.out.splitlines()]
    assert [(token["severity"], token["signed_by"]) for token in tokens] == [("critical", "key1"), ("medium", "key2")]
    assert opened == [WORKSPACE]
    assert "not used in the last 30 days is not listed" in output.err
    assert "do not log to this workspace" in output.err
    assert "2 SAS in use in the last 30 days." in output.err
    assert not any(value in output.out + output.err for value in (*KEYS.values(), "sig="))


def test_table_is_the_default(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with_logs(monkeypatch, MemoryLogs([logged(account_token())]))

    assert command.main([*ASKED, "--days", "90"]) == 0

    output = capsys.readouterr()
    assert output.out.startswith("ACCOUNT ")
    assert "2051-10-06" in output.out
    assert "last 90 days" in output.err


def test_all_pages_are_read_with_the_progress(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"account{number:02}" for number in range(45)]
    with_logs(monkeypatch, MemoryLogs([logged(account_token(name), account=name) for name in names]))

    assert command.main([*ASKED, "--format", "json"]) == 0

    output = capsys.readouterr()
    assert [json.loads(line)["account"] for line in output.out.splitlines()] == names
    assert "20 SAS so far" in output.err


def test_account_whose_keys_cannot_be_read_is_named_and_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = MemoryLogs([logged(account_token())], fails={"robustmodels": Blocked("A right is missing.")})
    with_logs(monkeypatch, logs)

    assert command.main([*ASKED, "--format", "json"]) == 0

    output = capsys.readouterr()
    assert json.loads(output.out)["signed_by"] == "unchecked"
    assert "Not read: robustmodels: A right is missing." in output.err


def test_logs_that_cannot_be_read_are_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Failing(MemoryLogs):
        async def tokens(self, *, account: str | None, days: int) -> Found:
            raise TransientFailure("Querying the storage logs failed: 403.")

    with_logs(monkeypatch, Failing([]))

    assert command.main(ASKED) == 2
    output = capsys.readouterr()
    assert (output.out, "Querying the storage logs failed" in output.err) == ("", True)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["in-use"],
        ["in-use", "--workspace", "my-workspace"],
        ["in-use", "--workspace", f"{WORKSPACE}/../x"],
        [*ASKED, "--days", "91"],
        [*ASKED, "--days", "0"],
        [*ASKED, "--days", "٣"],
        [*ASKED, "--format", "html"],
    ],
)
def test_other_arguments_are_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)

    assert ended.value.code == 2
