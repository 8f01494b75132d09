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


# Exchange's cmdlets: as published, Get-EXOMailbox has no ExchangeGuid unless it is asked for.
EXCHANGE = """
param([string] $Script, [string] $Known)
function Get-EXOMailbox([string] $Identity, [string[]] $Properties) {
    $box = @{ Identity = $Identity }
    if ($Properties -contains 'ExchangeGuid') { $box.ExchangeGuid = '11111111-1111-1111-1111-111111111111' }
    [pscustomobject] $box
}
function Get-ServicePrincipal { 'known' }
function Get-ManagementScope { if ($Known) { 'known' } }
function Get-ManagementRoleAssignment { 'known' }
function Test-ServicePrincipalAuthorization { }
function New-ManagementScope([string] $Name, [string] $RecipientRestrictionFilter) {
    Write-Host "new: $RecipientRestrictionFilter"
}
function Set-ManagementScope([string] $Identity, [string] $RecipientRestrictionFilter) {
    Write-Host "set: $RecipientRestrictionFilter"
}
$id = '22222222-2222-2222-2222-222222222222'
& $Script -Environment prod -ClientId $id -PrincipalId $id -Mailbox sasquash@contoso.com
"""


@pytest.mark.parametrize(("known", "verb"), [("", "new"), ("known", "set")])
def test_scope_of_the_mailbox_names_it_also_where_the_scope_exists(
    pwsh: Tool, tmp_path: Path, known: str, verb: str
) -> None:
    """MicrosoftDocs/office-docs-powershell, cmdlet-property-sets. An empty id is a scope with no mailbox in it."""
    exchange = tmp_path / "exchange.ps1"
    exchange.write_text(EXCHANGE)

    options = ("-Known", known) if known else ()
    script = ROOT / "scripts/grant-exchange.ps1"
    done = pwsh.run("-NoProfile", "-NonInteractive", "-File", exchange, "-Script", script, *options)

    assert done.returncode == 0, done.stderr
    assert f"{verb}: ExchangeGuid -eq '11111111-1111-1111-1111-111111111111'" in done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_the_parser_finds_nothing(pwsh: Tool, script: Path, tmp_path: Path) -> None:
    assert problems(pwsh, script, tmp_path) == []


def test_the_parser_finds_what_is_wrong(pwsh: Tool, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.ps1"
    wrong.write_text("if ($true) {\n")

    [problem] = problems(pwsh, wrong, tmp_path)

    assert "}" in problem
