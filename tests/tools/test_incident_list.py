"""scripts/create-incident-list.ps1 by real PowerShell, against the local cloud's Graph.

The module Microsoft.Graph is not here: the test's own `Connect-MgGraph` and `Invoke-MgGraphRequest` send there. As
the module does, they ask for the scopes that the script names, return hash tables unless `-OutputType PSObject` is
given, and throw an error with the answer as its details (microsoftgraph/msgraph-sdk-powershell,
InvokeMgGraphRequest.cs).
"""

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from local.child_processes import plain_environment
from local.cloud.cloud import LocalCloud, running
from local.network.faults import Effect, Fault
from local.network.listener import Listener
from local.tenant import identities
from local.tenant.model import GRAPH_POWERSHELL
from local.tenant.model.directory import SPARE_SITE, Site
from tests.support.paths import ROOT
from tests.tools.conftest import Tool

CLIENT = identities.directory()["responder"].client_id
SITE = "contoso.sharepoint.com:/sites/operations"
GRAPH = """
param([string] $Script, [string] $SignIn, [string] $Site, [string] $Client)
function global:Connect-MgGraph([string[]] $Scopes, [switch] $NoWelcome) {
    $global:Token = Invoke-RestMethod -Uri "$SignIn`?scopes=$($Scopes -join '+')"
}
function global:Invoke-MgGraphRequest {
    param([string] $Method, [uri] $Uri, $Body, [string] $ContentType, [string] $OutputType)
    $request = @{ Uri = $Uri; Method = $Method; Headers = @{ Authorization = "Bearer $global:Token" } }
    if ($Body) { $request.Body = $Body; $request.ContentType = $ContentType }
    $answer = Invoke-WebRequest @request -SkipHttpErrorCheck
    if ($answer.StatusCode -ge 400) {
        $failure = [Exception]::new("Response status code does not indicate success: $($answer.StatusCode).")
        $record = [System.Management.Automation.ErrorRecord]::new($failure, 'Graph', 'InvalidOperation', $Uri)
        $record.ErrorDetails = [System.Management.Automation.ErrorDetails]::new("$($answer.Content)")
        throw $record
    }
    "$($answer.Content)" | ConvertFrom-Json -AsHashtable:($OutputType -ne 'PSObject')
}
$global:LASTEXITCODE = 0
& $Script -Environment prod -ClientId $Client -Site $Site
exit $LASTEXITCODE
"""


@dataclass
class Tenant:
    """The local cloud, and who signs in."""

    cloud: LocalCloud
    pwsh: Tool
    folder: Path
    sign_in: str = ""
    person: str = "administrator"
    checkout: Path = ROOT

    @property
    def site(self) -> Site:
        return self.cloud.model.directory.sites[SPARE_SITE]

    def run(self, site: str = SITE) -> tuple[int, str]:
        """Run the script as the person; return its exit code and what it printed. azd is not on its PATH."""
        wrapper = self.folder / "graph.ps1"
        wrapper.write_text(GRAPH)
        reach = {name: value for name, value in self.cloud.environment.items() if re.search("(?i)proxy|cert", name)}
        done = subprocess.run(
            [
                *(self.pwsh.path, "-NoProfile", "-NonInteractive", "-File", wrapper),
                *("-Script", self.checkout / "scripts/create-incident-list.ps1", "-SignIn", self.sign_in),
                *("-Site", site, "-Client", CLIENT),
            ],
            env=plain_environment()
            | reach
            | {"PATH": f"{self.folder}{os.pathsep}/usr/bin:/bin", "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def names(self) -> list[str]:
        [made] = self.site.lists.values()
        return [column["name"] for column in made.columns]


@pytest.fixture(scope="module")
async def azure(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalCloud]:
    async with running(folder=tmp_path_factory.mktemp("cloud"), hosts=0) as cloud:
        yield cloud


@pytest.fixture
async def tenant(azure: LocalCloud, pwsh: Tool, tmp_path: Path) -> AsyncIterator[Tenant]:
    azure.faults.clear()
    azure.model.directory.forget()
    made = Tenant(azure, pwsh, tmp_path)

    async def token(request: Request) -> Response:
        identity = azure.model.identities[made.person]
        scopes = request.query_params["scopes"].split()
        value = azure.entra.mint(
            identity, audience="https://graph.microsoft.com", client=GRAPH_POWERSHELL, scopes=scopes
        )
        return PlainTextResponse(value)

    listener = Listener(Starlette(routes=[Route("/", token)]))
    await listener.start()
    made.sign_in = f"http://127.0.0.1:{listener.port}/"
    yield made
    await listener.stop()


async def run(tenant: Tenant, site: str = SITE) -> tuple[int, str]:
    """Off the event loop, on which the local cloud answers."""
    return await asyncio.to_thread(tenant.run, site)


def wanted() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((ROOT / "scripts/incident-list.json").read_text())
    return read


async def test_list_and_permission_are_made_once_also_by_two_runs(tenant: Tenant) -> None:
    first, second = await run(tenant), await run(tenant)

    assert (first[0], second[0]) == (0, 0), first[1] + second[1]
    [(list_id, made)] = tenant.site.lists.items()
    assert made.shown["displayName"] == wanted()["displayName"]
    assert tenant.names() == [column["name"] for column in wanted()["columns"]]
    [permission] = tenant.site.permissions
    assert (permission["roles"], permission["grantedToIdentitiesV2"][0]["application"]["id"]) == (["write"], CLIENT)
    for name, value in (("SITE", SPARE_SITE), ("LIST", list_id)):
        assert f"azd env set SASQUASH_INCIDENT_{name} '{value}'" in first[1]
    assert "exists." in second[1]


async def test_values_are_set_where_azd_has_the_environment(tenant: Tenant) -> None:
    log = tenant.folder / "log"
    azd = tenant.folder / "azd"
    azd.write_text(f'#!/bin/sh\necho "$*" >> {log}\n')
    azd.chmod(0o755)
    tenant.checkout = tenant.folder / "checkout"
    shutil.copytree(ROOT / "scripts", tenant.checkout / "scripts")
    (tenant.checkout / ".azure/prod").mkdir(parents=True)
    code, said = await run(tenant)

    assert code == 0, said
    assert [line.split()[:4] for line in log.read_text().splitlines()] == [
        ["env", "set", "SASQUASH_INCIDENT_SITE", SPARE_SITE],
        ["env", "set", "SASQUASH_INCIDENT_LIST", next(iter(tenant.site.lists))],
    ]


async def test_missing_columns_of_a_list_are_added(tenant: Tenant) -> None:
    await run(tenant)
    [made] = tenant.site.lists.values()
    made.columns = [column for column in made.columns if column["name"] not in ("Owners", "DetectedAt")]
    code, said = await run(tenant)

    assert code == 0, said
    assert sorted(tenant.names()) == sorted(column["name"] for column in wanted()["columns"])
    assert "Added the column Owners." in said


async def test_list_whose_answer_was_lost_is_found_by_the_next_run(tenant: Tenant) -> None:
    tenant.cloud.faults.add(Fault("POST https://graph.microsoft.com/v1.0/sites/", Effect.STATUS, after=True))
    first, second = await run(tenant), await run(tenant)

    assert (first[0], second[0]) == (1, 0), first[1] + second[1]
    assert "Not done: create the list." in first[1]
    assert (len(tenant.site.lists), len(tenant.site.permissions)) == (1, 1)


async def test_person_who_may_not_grant_the_permission_still_creates_the_list(tenant: Tenant) -> None:
    """learn.microsoft.com/graph/api/site-post-permissions: it takes an administrator role of SharePoint."""
    tenant.person = "developer"
    code, said = await run(tenant)

    assert (code, len(tenant.site.lists), tenant.site.permissions) == (1, 1, [])
    assert "Not done: let the responder write to the site." in said
    assert "accessDenied" in said


async def test_permission_to_read_becomes_one_to_write(tenant: Tenant) -> None:
    application = {"application": {"id": CLIENT, "displayName": "Sasquash prod"}}
    tenant.site.permissions.append({"id": "1", "roles": ["read"], "grantedToIdentitiesV2": [application]})
    code, said = await run(tenant)

    assert code == 0, said
    assert [each["roles"] for each in tenant.site.permissions] == [["write"]]


async def test_site_that_does_not_exist_is_named_and_nothing_is_made(tenant: Tenant) -> None:
    code, said = await run(tenant, "contoso.sharepoint.com:/sites/nowhere")

    assert (code, tenant.site.lists) == (1, {})
    assert "find the site contoso.sharepoint.com:/sites/nowhere" in said
    assert "Requested site could not be found" in said
