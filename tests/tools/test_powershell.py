"""Scripts for PowerShell by its own parser."""

import json
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.tools.conftest import Tool

SCRIPTS = sorted(ROOT.glob("scripts/*.ps1"))
PARSE = """
param([string] $Path)
$errors = $null
[void] [System.Management.Automation.Language.Parser]::ParseFile($Path, [ref] $null, [ref] $errors)
ConvertTo-Json -Compress -InputObject @($errors | ForEach-Object { $_.Message })
"""


def problems(pwsh: Tool, script: Path, folder: Path) -> list[str]:
    """What the parser says of a script."""
    parse = folder / "parse.ps1"
    parse.write_text(PARSE)
    done = pwsh.run("-NoProfile", "-NonInteractive", "-File", parse, "-Path", script)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_the_parser_finds_nothing(pwsh: Tool, script: Path, tmp_path: Path) -> None:
    assert problems(pwsh, script, tmp_path) == []


def test_the_parser_finds_what_is_wrong(pwsh: Tool, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.ps1"
    wrong.write_text("if ($true) {\n")

    [problem] = problems(pwsh, wrong, tmp_path)

    assert "}" in problem
