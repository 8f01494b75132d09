"""The registration as the script makes it is what the code, the platform's sign-in and the documents expect."""

import json
import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from local.tenant.model import API_ID_URI, CONSOLE_CLIENT_ID
from local.tenant.model.registration import sasquash
from shared.api.auth.access_tokens import Role
from tests.support.bicep import INFRA, ROOT
from tests.support.paths import ROOT as CHECKOUT

SCRIPT = ROOT / "scripts/create-registration.sh"
PATCHED: dict[str, Any] = json.loads((ROOT / "scripts/registration-api.json").read_text())
API: dict[str, Any] = PATCHED["api"]
TOKEN_COMMAND = "az account get-access-token --resource api://"
# Notes each call, and answers as the Azure CLI: with the ids of what "made" says is there.
AZ = """#!/usr/bin/env bash
printf '%s\\n' "$*" >> "$CALLS"
case "$1 $2 $3" in
    "ad app list") [ ! -e "$MADE" ] || echo "$APP" ;;
    "ad app create") touch "$MADE"; echo "$APP" ;;
    "ad sp list") [ ! -e "$MADE.sp" ] || echo sp ;;
    "ad sp create") touch "$MADE.sp" ;;
esac
"""


@pytest.fixture
def az(tmp_path: Path) -> Path:
    """A folder with an `az` that notes its calls in the file `calls`."""
    program = tmp_path / "az"
    program.write_text(AZ)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return tmp_path


def run(az: Path) -> list[str]:
    """Run the script; return its calls of az."""
    (az / "calls").write_text("")
    environment = {
        "PATH": f"{az}:{os.environ['PATH']}",
        "CALLS": str(az / "calls"),
        "MADE": str(az / "made"),
        "APP": CONSOLE_CLIENT_ID,
        "AZURE_ENV_NAME": "prod",
        "SASQUASH_API": "https://func.azurewebsites.net/api",
    }
    subprocess.run([SCRIPT], env=environment, cwd=CHECKOUT, check=True, capture_output=True)
    return (az / "calls").read_text().splitlines()


def test_script_makes_the_registration_that_the_local_cloud_has(az: Path) -> None:
    calls = "\n".join(run(az))
    ours = sasquash()

    assert f"--identifier-uris {API_ID_URI}" in calls
    assert ours.identifier_uris == (API_ID_URI,)
    assert ours.token_version == API["requestedAccessTokenVersion"] == 2
    assert list(ours.scopes) == [scope["value"] for scope in API["oauth2PermissionScopes"]]
    assert set(re.findall(r'"appId": "([^"]+)"', calls)) == ours.pre_authorized
    assert {claim["name"] for claim in PATCHED["optionalClaims"]["accessToken"]} == ours.optional_claims == {"idtyp"}
    assert '"redirectUris": ["https://func.azurewebsites.net/api/desk"]' in calls


def test_client_is_pre_authorized_for_the_scope_in_a_later_request(az: Path) -> None:
    """microsoftgraph/microsoft-graph-docs#20177: not in the request that defines the scope."""
    patches = [call for call in run(az) if call.startswith("rest --method patch")]
    [scope] = [scope["id"] for scope in API["oauth2PermissionScopes"]]
    defines = next(n for n, call in enumerate(patches) if "registration-api.json" in call)
    uses = next(n for n, call in enumerate(patches) if "preAuthorizedApplications" in call)

    assert defines < uses
    assert f'"delegatedPermissionIds": ["{scope}"]' in patches[uses]
    assert "preAuthorizedApplications" not in API


def test_script_can_be_run_again(az: Path) -> None:
    """A run that ended early is completed, and nothing is made twice."""
    first = [call for call in run(az) if " create " in call]
    (az / "made.sp").unlink()
    second = [call for call in run(az) if " create " in call]

    assert [call.split()[1] for call in first] == ["app", "sp"]
    assert [call.split()[1] for call in second] == ["sp"]


def test_several_registrations_of_one_environment_are_named_and_none_is_changed(az: Path) -> None:
    """Two runs at once may each create one."""
    (az / "az").write_text(AZ.replace('|| echo "$APP" ;;', '|| printf "first-id\\nsecond-id\\n" ;;'))
    (az / "made").touch()
    with pytest.raises(subprocess.CalledProcessError) as failed:
        run(az)

    assert b"first-id\nsecond-id" in failed.value.stderr
    assert len((az / "calls").read_text().splitlines()) == 1


def test_app_roles_are_those_of_the_code(az: Path) -> None:
    made = json.loads((ROOT / "scripts/app-roles.json").read_text())

    assert [role["value"] for role in made] == list(Role)
    assert any("--app-roles @" in call for call in run(az))


def test_app_roles_allow_the_same_members_as_before() -> None:
    """Graph refuses to change an enabled role (CannotDeleteOrUpdateEnabledEntitlement: "cannot be deleted or updated
    unless disabled first", microsoftgraph/msgraph-sdk-powershell#1211), and the script has to be safe to run again.
    """
    made = json.loads((ROOT / "scripts/app-roles.json").read_text())
    both, apps = ["User", "Application"], ["Application"]

    assert [role["allowedMemberTypes"] for role in made] == [both, both, both, apps]


@pytest.mark.parametrize("page", ["docs/responders.md", "docs/deploy.md"])
def test_documents_show_the_command_that_the_deployment_prints(page: str) -> None:
    """`--resource` takes an identifier of the registration: api://<client id>, and no other name (AADSTS500011)."""
    text = (ROOT / page).read_text()

    assert TOKEN_COMMAND in (INFRA / "main.bicep").read_text()
    assert "SASQUASH_TOKEN_COMMAND" in text


def test_no_text_names_an_identifier_that_no_registration_has() -> None:
    texts = [
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("*.md"),
        *ROOT.glob("shared/**/*.py"),
        ROOT / "local.settings.json.example",
    ]

    assert [path.name for path in texts if "api://sasquash" in path.read_text()] == []
