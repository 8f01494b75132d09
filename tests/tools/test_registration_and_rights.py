"""scripts/create-registration.sh and grant-graph.sh by the real Azure CLI, against the local cloud's Graph.

Its stand-in gives the Azure CLI's tokens the scopes that they have, and refuses what needs others.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from local.cloud.cloud import LocalCloud, running
from local.network.faults import Effect, Fault
from local.tenant import identities
from local.tenant.model.directory import Directory
from tests.support.azure_cli import AzureCli, CliError
from tests.support.paths import ROOT

RESPONDER = identities.directory()["responder"]
PROD = {
    "AZURE_ENV_NAME": "prod",
    "SASQUASH_RESPONDER_PRINCIPAL_ID": RESPONDER.object_id,
    "SASQUASH_INTAKE_PRINCIPAL_ID": identities.directory()["intake"].object_id,
}
ROLES = {
    "97235f07-e226-4f63-ace3-39588e11d3a1": "User.ReadBasic.All",
    "98830695-27a2-44f7-8c18-0c3ebc9698f6": "GroupMember.Read.All",
    "883ea226-0bf2-4a8f-9f9d-92c9162a727d": "Sites.Selected",
}


@pytest.fixture(scope="module")
async def azure(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalCloud]:
    async with running(folder=tmp_path_factory.mktemp("cloud"), hosts=0) as cloud:
        yield cloud


@pytest.fixture(scope="module")
async def administrator(
    azure_cli_program: Path, azure: LocalCloud, tmp_path_factory: pytest.TempPathFactory
) -> AzureCli:
    """The Azure CLI of an administrator of Entra ID."""
    cli = AzureCli(azure_cli_program, azure, folder=tmp_path_factory.mktemp("administrator"))
    await cli.sign_in("administrator")
    return cli


@pytest.fixture(scope="module")
async def reader(azure_cli_program: Path, azure: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> AzureCli:
    """The Azure CLI of a person without a role in Entra ID."""
    cli = AzureCli(azure_cli_program, azure, folder=tmp_path_factory.mktemp("reader"))
    await cli.sign_in("reader")
    return cli


@pytest.fixture
def directory(azure: LocalCloud) -> Directory:
    """An empty directory."""
    azure.faults.clear()
    azure.model.directory.forget()
    return azure.model.directory


def fail_once(azure: LocalCloud, match: str) -> None:
    """The second such request is answered with 503: a script that is cut off half-way."""
    azure.faults.add(Fault(match, Effect.NONE))
    azure.faults.add(Fault(match, Effect.STATUS))


def granted(directory: Directory) -> list[str]:
    return [ROLES[each["appRoleId"]] for each in directory.assignments]


# The rights in Graph


async def test_rights_are_granted_once_also_by_two_runs(administrator: AzureCli, directory: Directory) -> None:
    first = await administrator.script("scripts/grant-graph.sh", **PROD, SASQUASH_INCIDENT_SITE="contoso,1,2")
    second = await administrator.script("scripts/grant-graph.sh", **PROD, SASQUASH_INCIDENT_SITE="contoso,1,2")

    assert (first[0], second[0]) == (0, 0), first[1] + second[1]
    assert granted(directory) == ["User.ReadBasic.All", "GroupMember.Read.All", "Sites.Selected"]
    assert {each["principalId"] for each in directory.assignments} == {RESPONDER.object_id}
    assert second[1].count("already granted") == 3


async def test_run_that_failed_half_way_is_completed_by_the_next_one(
    administrator: AzureCli, azure: LocalCloud, directory: Directory
) -> None:
    fail_once(azure, f"POST https://graph.microsoft.com/v1.0/servicePrincipals/{RESPONDER.object_id}/appRole")
    code, said = await administrator.script("scripts/grant-graph.sh", **PROD)
    before = granted(directory)
    again, _ = await administrator.script("scripts/grant-graph.sh", **PROD)

    assert (code, before) == (1, ["User.ReadBasic.All"])
    assert "Not granted: GroupMember.Read.All." in said
    assert (again, granted(directory)) == (0, ["User.ReadBasic.All", "GroupMember.Read.All"])


async def test_person_without_the_role_is_shown_what_is_not_granted(reader: AzureCli, directory: Directory) -> None:
    code, said = await reader.script("scripts/grant-graph.sh", **PROD)

    assert (code, granted(directory)) == (1, [])
    assert "Insufficient privileges" in said
    assert "Not granted: User.ReadBasic.All GroupMember.Read.All." in said


async def test_azure_cli_gets_no_access_to_sharepoint(administrator: AzureCli, directory: Directory) -> None:
    """microsoft/terraform-provider-msgraph#130: so the list of incidents is created in PowerShell."""
    [site, *_] = directory.sites
    with pytest.raises(CliError, match="accessDenied"):
        await administrator.run(f"az rest --url 'https://graph.microsoft.com/v1.0/sites/{site}/lists'")


# The registration


def registration(directory: Directory) -> dict[str, Any]:
    [made] = directory.applications.values()
    return made


async def test_registration_is_made_before_the_deployment_and_gets_the_address_of_the_console_after_it(
    administrator: AzureCli, directory: Directory
) -> None:
    before = await administrator.script("scripts/create-registration.sh prod")
    api = {"SASQUASH_API": "https://func.azurewebsites.net/api"}
    after = await administrator.script("scripts/create-registration.sh prod", **api)
    assert before[0] == 0, before[1]
    made = registration(directory)

    assert (before[0], after[0]) == (0, 0), before[1] + after[1]
    assert f"azd env set SASQUASH_API_CLIENT_ID {made['appId']}" in before[1]
    assert (made["displayName"], made["identifierUris"]) == ("Sasquash prod", [f"api://{made['appId']}"])
    assert made["appRoles"] == json.loads((ROOT / "scripts/app-roles.json").read_text())
    assert made["api"]["requestedAccessTokenVersion"] == 2
    assert [each["appId"] for each in directory.principals.values()] == [made["appId"]]
    assert made["spa"] == {"redirectUris": ["https://func.azurewebsites.net/api/desk"]}


async def test_step_that_fails_is_named_and_made_by_the_next_run(
    administrator: AzureCli, azure: LocalCloud, directory: Directory
) -> None:
    fail_once(azure, "PATCH https://graph.microsoft.com/v1.0/applications(")
    code, said = await administrator.script("scripts/create-registration.sh prod")
    before = dict(registration(directory)["api"])
    again, _ = await administrator.script("scripts/create-registration.sh prod")

    assert (code, "preAuthorizedApplications" in before) == (1, False)
    assert "Not done: the Azure CLI as a client;" in said
    assert (again, len(directory.principals)) == (0, 1)
    assert registration(directory)["api"]["preAuthorizedApplications"]


async def test_person_who_may_not_register_applications_is_refused(reader: AzureCli, directory: Directory) -> None:
    code, said = await reader.script("scripts/create-registration.sh prod")

    assert code != 0
    assert "Directory permission is needed" in said
    assert not directory.applications
