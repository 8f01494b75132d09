"""The script of the Graph rights, with an Azure CLI that notes what it is asked for."""

import subprocess
from pathlib import Path

import pytest

from tests.support.bicep import ROOT

ROLES = (
    *("User.ReadBasic.All", "GroupMember.Read.All", "Sites.Selected"),
    *("SecurityAlert.Create.All", "SecurityIncident.ReadWrite.All"),
)
ENVIRONMENT = {"AZURE_ENV_NAME": "prod", "SASQUASH_RESPONDER_PRINCIPAL_ID": "p", "SASQUASH_RESPONDER_CLIENT_ID": "c"}


def asked(folder: Path, **variables: str) -> str:
    """The commands that the script runs."""
    log, az = folder / "log", folder / "az"
    roles = "".join(f"{role}\\t{i}\\n" for i, role in enumerate(ROLES))
    az.write_text(f'#!/bin/sh\necho "$*" >> {log}\ncase "$*" in *appRoles*) printf "{roles}" ;; esac\n')
    az.chmod(0o755)
    environment = {"PATH": f"{folder}:/usr/bin:/bin"} | ENVIRONMENT | variables
    subprocess.run(["bash", ROOT / "scripts/grant-graph.sh"], env=environment, check=True, stdout=subprocess.DEVNULL)
    return log.read_text()


@pytest.mark.parametrize(
    ("variables", "granted"),
    [
        ({}, False),
        ({"SASQUASH_INCIDENT_SITE": "contoso,1,2"}, True),
        ({"SASQUASH_INCIDENT_SITE": "contoso,1,2", "SASQUASH_INCIDENTS": "defender"}, False),
    ],
    ids=["mail", "SharePoint", "Defender"],
)
def test_sharepoint_is_granted_only_where_incidents_go_there(
    tmp_path: Path, variables: dict[str, str], *, granted: bool
) -> None:
    """The default of SASQUASH_INCIDENTS: SharePoint if a site is set, else mail, which must not stop the script."""
    commands = asked(tmp_path, **variables)

    assert (f'"appRoleId": "{ROLES.index("Sites.Selected")}"' in commands) is granted
