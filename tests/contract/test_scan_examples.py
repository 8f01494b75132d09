"""What repositories use to scan themselves: the hook of pre-commit, and the workflow that users copy."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from shared.intake.rules import RENDERERS
from tests.support import samples
from tests.support.paths import ROOT

[HOOK] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
WORKFLOW = (ROOT / "docs" / "examples" / "scan.yml").read_text(encoding="utf-8")


def hooked(folder: Path, *files: str) -> subprocess.CompletedProcess[str]:
    """Run the hook in another repository's folder, as pre-commit does: with names of files."""
    command = [sys.executable, ROOT / HOOK["entry"], *files]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False, env={})


def test_hook_is_an_executable_of_this_repository() -> None:
    assert HOOK["language"] == "script"
    assert os.access(ROOT / HOOK["entry"], os.X_OK)


@pytest.mark.parametrize("leak", [samples.blob_sas(), samples.connection_string()], ids=["SAS", "key"])
def test_hook_fails_on_a_leak_and_does_not_print_it(tmp_path: Path, leak: str) -> None:
    (tmp_path / "a b.env").write_text(f"STORAGE={leak}\n", encoding="utf-8")
    (tmp_path / "ok.txt").write_text("nothing\n", encoding="utf-8")

    done = hooked(tmp_path, "ok.txt", "a b.env")

    assert done.returncode == 1
    assert "a b.env:1" in done.stdout
    assert samples.ACCOUNT in done.stdout
    assert leak.rpartition("sig=")[2][:20] not in done.stdout + done.stderr
    assert samples.KEYS["key1"] not in done.stdout + done.stderr


def test_hook_passes_files_without_a_leak(tmp_path: Path) -> None:
    (tmp_path / "-ok.txt").write_text("nothing\n", encoding="utf-8")

    done = hooked(tmp_path, "-ok.txt")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_hook_fails_where_it_cannot_read_a_file(tmp_path: Path) -> None:
    assert hooked(tmp_path, "missing.txt").returncode == 2


def test_workflow_prints_the_rules_of_the_scanner_whose_report_it_pipes() -> None:
    [rules] = re.findall(r"-m shared\.intake rules (\w+)", WORKFLOW)
    [source] = re.findall(r"-m shared\.intake (?!rules)(\w+)", WORKFLOW)

    assert rules == source
    assert rules in RENDERERS


def test_workflow_runs_on_no_event_of_a_fork_and_has_no_right_to_write() -> None:
    workflow = yaml.safe_load(WORKFLOW)

    assert set(workflow[True]) == {"push", "schedule", "workflow_dispatch"}  # YAML 1.1 reads `on` as true
    assert workflow["permissions"] == {"contents": "read", "id-token": "write"}


def test_workflow_puts_no_expression_into_a_shell() -> None:
    [job] = yaml.safe_load(WORKFLOW)["jobs"].values()

    assert [step["run"] for step in job["steps"] if "${{" in step.get("run", "")] == []
