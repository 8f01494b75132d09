"""What infra/ says without the compiler, and the code agree: functions, rights, azd's parameters, scripts, texts.

What the Bicep files make of it is in tests/tools/test_deployment.py, which needs the compiler.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.cloud import environment
from local.tenant import identities
from shared.followup.briefing.build import brief
from shared.followup.incidents.sharepoint import _columns
from shared.intake_settings import names_of_intake, names_of_responder
from shared.persistence.queues import FINDINGS_QUEUE, POISON
from shared.settings import declared
from tests.support import samples
from tests.support.bicep import ROOT, deliveries, functions, parameters, roles
from tests.support.functions import HTTP, OTHERS
from tests.support.samples import NOW

ASKED = {"AZURE_ENV_NAME", "AZURE_LOCATION", "SASQUASH_MODE", "SASQUASH_SECURITY_MAILBOX"}


# Settings


def variables(value: Any) -> dict[str, str | None]:
    """The variables of azd's environment that a value is made of, with their defaults; None: azd asks."""
    found = re.findall(r"\$\{(\w+)(?:(=)([^}]*))?\}", json.dumps(value))
    return {name: default if has_default else None for name, has_default, default in found}


def test_azd_asks_for_name_region_mode_and_mailbox_only() -> None:
    assert {name for name, default in variables(parameters()).items() if default is None} == ASKED


def test_every_parameter_is_one_variable_of_azd_named_as_its_setting() -> None:
    assert all(len(variables(value)) == 1 for name, value in parameters().items() if name != "settings")
    assert all(list(variables(value)) == [name] for name, value in parameters()["settings"].items())


def test_defaults_of_azd_equal_those_of_the_code() -> None:
    by_name = {setting.name: setting.default or "" for setting in declared().values()}
    given = {name: default for name, default in variables(parameters()["settings"]).items() if default}

    assert given == {name: by_name[name] for name in given}


def test_deployment_gives_each_app_the_settings_that_it_reads() -> None:
    """infra/main.bicep filters by the lists of this file."""
    names = json.loads((ROOT / "infra/settings.json").read_text())

    assert names["intake"] == sorted(names_of_intake())
    assert set(names["onlyIntake"]) == {setting.name for setting in declared().values()} - names_of_responder()


def test_every_setting_of_the_code_is_one_of_azd_or_known_to_the_deployment() -> None:
    """What the compiler makes of it is seen by tests/tools; this needs none."""
    bicep = {path.name: path.read_text() for path in (ROOT / "infra").rglob("*.bicep")}
    chosen = set(parameters()["settings"])
    typed = set(re.findall(r"^  (SASQUASH_\w+):", bicep.pop("types.bicep"), re.MULTILINE))
    known = set(re.findall(r"^ +(SASQUASH_\w+):", "".join(bicep.values()), re.MULTILINE))
    read = {name for setting in declared().values() if (name := setting.name).startswith("SASQUASH_")}
    of_the_host = {"SASQUASH_STORAGE__credential", "SASQUASH_STORAGE__clientId"}

    assert typed == chosen
    assert read == (chosen | known) - of_the_host


def test_settings_page_lists_those_of_a_separate_intake() -> None:
    page = (ROOT / "docs/settings.md").read_text()
    only, shared = page.partition("## Settings of a separate intake")[2].partition("\n## ")[0].split("\n- ")[1:]

    named = [set(re.findall(r"`(SASQUASH_\w+)`", text)) for text in (only, shared)]
    assert named[0] | named[1] == names_of_intake()
    assert named[0].isdisjoint(names_of_responder())
    assert named[1] <= names_of_responder()


# Functions


def test_each_function_is_in_one_app_and_health_in_both() -> None:
    of_responder, of_intake = functions()["responder"], functions()["intake"]

    assert sorted(of_responder + of_intake) == sorted(({name for name, _ in OTHERS} | HTTP) - {"health_check"})
    assert set(of_intake) == {"take_report", "read_alert"}


def test_functions_of_both_deliveries_are_of_the_responder() -> None:
    known = dict(OTHERS)
    by_event_grid, by_queue = deliveries()["eventGrid"], deliveries()["queue"]

    assert {*by_event_grid, *by_queue} <= set(functions()["responder"])
    assert {known[name]["type"] for name in by_event_grid} == {"eventGridTrigger"}
    assert [known[name].get("queueName") for name in by_queue] == [FINDINGS_QUEUE, FINDINGS_QUEUE + POISON]


def test_local_cloud_disables_what_infra_disables() -> None:
    disabled = {f"AzureWebJobs.{name}.Disabled": "true" for name in deliveries()["eventGrid"]}

    assert environment.deliveries(private=True) == disabled
    assert environment.deliveries(private=False) == {}


def test_azd_deploys_the_package_to_both_apps() -> None:
    services = yaml.safe_load((ROOT / "azure.yaml").read_text())["services"]

    assert set(services) == set(functions())
    assert services["intake"]["condition"] == "${SASQUASH_SEPARATE_INTAKE=true}" == parameters()["separateIntake"]


# Rights


def arm_actions(text: str) -> set[str]:
    return set(
        re.findall(
            r"Microsoft\.(?:Storage|Network|ResourceGraph|Resources|Authorization|Insights|Management|Security)/[A-Za-z/]+",
            text,
        )
    )


def test_custom_roles_have_exactly_the_permissions_that_the_local_cloud_requires() -> None:
    """Its stand-in for ARM refuses every call without a right, and every test of an action runs there."""
    granted = {action for role in roles() for action in role["actions"]}
    ours = {right for right in identities._RESPONDER_RIGHTS if right.startswith("Microsoft.")}
    local = {
        right for right in ours if "SecurityInsights" not in right
    }  # Sentinel's: a role of Azure's, on a workspace
    delegator = {"Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action"}
    subnets = {"Microsoft.Network/virtualNetworks/subnets/joinViaServiceEndpoint/action"}

    assert granted == local | delegator | subnets


def test_rights_page_lists_exactly_the_granted_permissions() -> None:
    page = (
        (ROOT / "docs/rights.md")
        .read_text()
        .replace("`…/tables/write`", "`Microsoft.Storage/storageAccounts/tableServices/tables/write`")
    )
    page = page.replace("`…/shares/write`", "`Microsoft.Storage/storageAccounts/fileServices/shares/write`")

    assert arm_actions(page) == {action for role in roles() for action in role["actions"]}


def test_only_roles_that_are_granted_for_it_change_anything() -> None:
    """Listing keys changes nothing, though its permission is an action (docs/rights.md says what it means)."""
    list_keys = "Microsoft.Storage/storageAccounts/listkeys/action"
    without_choice = {"always", "managementGroup"}
    always = {action for role in roles() if role["granted"] in without_choice for action in role["actions"]}

    assert {action for action in always if not action.endswith("/read")} == {list_keys}
    assert {role["granted"] for role in roles()} == {"always", "acting", "lockdown", "managementGroup"}


def test_lockdown_is_a_role_of_its_own() -> None:
    write = "Microsoft.Storage/storageAccounts/write"

    assert [role["granted"] for role in roles() if write in role["actions"]] == ["lockdown"]


def test_no_role_has_a_wildcard() -> None:
    assert [action for role in roles() for action in role["actions"] if "*" in action] == []


# What an administrator runs


def test_incident_list_of_the_script_has_the_columns_of_incidents() -> None:
    columns = json.loads((ROOT / "scripts/incident-list.json").read_text())["columns"]
    written = {"FindingId", *_columns(brief(samples.revocation(), now=NOW))}
    [unique] = [column["name"] for column in columns if column.get("enforceUniqueValues")]

    assert {column["name"] for column in columns} == written - {"Title"}
    assert unique == "FindingId"


def test_columns_of_incidents_are_plain_text() -> None:
    """SharePoint renders the HTML of a column of type richText (Graph v1.0, resource textColumn, textType)."""
    columns = json.loads((ROOT / "scripts/incident-list.json").read_text())["columns"]

    assert {column["text"].get("textType") for column in columns if "text" in column} == {"plain"}


@pytest.mark.parametrize("script", sorted(path.name for path in (ROOT / "scripts").glob("*.sh")))
def test_script_ends_at_an_error_and_takes_no_secret(script: str) -> None:
    text = (ROOT / "scripts" / script).read_text()

    assert "set -euo pipefail" in text
    assert not re.search(r"password|--account-key|client-secret", text)


def test_shellcheck_finds_nothing() -> None:
    scripts = [*ROOT.glob("scripts/**/*.sh"), ROOT / ".ci/run", ROOT / ".ci/check-bicep"]
    program = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run(
        [program, "--external-sources", *scripts], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (0, "")
    assert len(scripts) > 6


def test_every_hook_is_there_for_both_shells() -> None:
    hooks = yaml.safe_load((ROOT / "azure.yaml").read_text())["hooks"]

    assert set(hooks) == {"preprovision", "postprovision", "postdeploy"}
    for name, hook in hooks.items():
        assert (hook["posix"]["shell"], hook["posix"]["run"]) == ("sh", f"scripts/hooks/{name}.sh")
        assert (hook["windows"]["shell"], hook["windows"]["run"]) == ("pwsh", f"scripts/hooks/{name}.ps1")
        assert os.access(ROOT / hook["posix"]["run"], os.X_OK)


def test_workflow_signs_the_azure_cli_in_before_azd_runs_its_hooks() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/deploy.yml").read_text())["jobs"]

    for job in jobs.values():
        steps = [step.get("uses", step.get("run", "")) for step in job["steps"]]
        [azd] = [i for i, step in enumerate(steps) if re.match("azd (up|provision)", step)]
        assert "azure/login@v2" in steps[:azd]


def test_graph_rights_of_the_script_are_those_of_the_rights_page() -> None:
    script = (ROOT / "scripts/grant-graph.sh").read_text()
    page = (ROOT / "docs/rights.md").read_text()
    granted = set(re.findall(r"_PRINCIPAL_ID(?::\?)?}?\" (\w+\.[\w.]+)", script))

    assert granted == {
        "User.ReadBasic.All",
        "GroupMember.Read.All",
        "Sites.Selected",
        "SecurityAlert.Read.All",
        "SecurityAlert.ReadWrite.All",
        "SecurityAlert.Create.All",
        "SecurityIncident.ReadWrite.All",
    }
    assert [right for right in granted if f"`{right}`" not in page] == []


# Texts for operators


def test_deployment_page_names_every_script() -> None:
    page = (ROOT / "docs/deploy.md").read_text()

    assert set(re.findall(r"scripts/[\w.-]+\.\w+", page)) == {
        f"scripts/{path.name}" for path in (ROOT / "scripts").iterdir() if path.suffix in {".sh", ".ps1"}
    }


def test_every_variable_of_azd_is_on_the_page_of_deployment_or_of_settings() -> None:
    texts = (ROOT / "docs/deploy.md").read_text() + (ROOT / "docs/settings.md").read_text()

    named = variables(parameters()).keys() - {"AZURE_ENV_NAME", "AZURE_LOCATION"}  # azd's own

    assert [name for name in named if name not in texts] == []


def test_every_choice_of_the_deployment_page_is_a_variable_of_azd() -> None:
    table = (ROOT / "docs/deploy.md").read_text().partition("| You want | Set |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`(SASQUASH_\w+)`", table))

    assert named <= set(variables(parameters()))
    assert set(variables({k: v for k, v in parameters().items() if k != "settings"})) - ASKED - named == {
        "SASQUASH_API_CLIENT_ID"  # of the steps above the table
    }


def test_workflow_gives_azd_every_variable() -> None:
    workflow = (ROOT / ".github/workflows/deploy.yml").read_text()

    assert workflow.count("toJSON(vars)") == workflow.count('startswith("SASQUASH_")') == 2
