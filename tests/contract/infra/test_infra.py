"""infra/ and the code agree: settings, functions, tables and queues, rights, and the path of an event."""

import json
import re
import subprocess
from typing import Any

import pytest
import yaml

from local.cloud import environment
from local.cloud.provisioning import CONTAINERS, QUEUES, TABLES
from local.entra.platform_sign_in import PlatformSignIn
from local.entra.tokens import Entra
from local.tenant import identities
from local.tenant.model import Cloud
from shared.domain.decision.policy import Mode
from shared.domain.finding import REPORTED
from shared.domain.readiness import of_logs
from shared.factories import background, fast_path
from shared.followup.briefing.build import brief
from shared.followup.incidents.sharepoint import _columns
from shared.persistence.queues import CONTAIN_QUEUE, FOLLOW_UP_QUEUE, INTAKE_QUEUE, POISON
from shared.sas import Service
from shared.settings import Settings, declared
from tests.support import samples
from tests.support.bicep import INFRA, ROOT, files, modules, parsed, resource, roles, variable
from tests.support.samples import NOW
from tests.unit.test_function_app import HTTP, OTHERS

MAIN, APP, STORAGE = "main.bicep", "modules/app.bicep", "modules/storage.bicep"
INTAKE_STORAGE = "modules/intake-storage.bicep"
BLOB_DATA_OWNER = "b7e6dc6d-f1e8-4753-8033-0f276bb0955b"  # learn.microsoft.com, "Azure built-in roles"
TABLE_DATA_CONTRIBUTOR = "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3"
QUEUE_DATA_CONTRIBUTOR = "974c5e8b-45b9-4653-ba55-5f855dd0fb88"
HOST = {  # what the Functions host reads
    *(
        f"AzureWebJobsStorage__{name}"
        for name in ("accountName", "blobServiceUri", "queueServiceUri", "tableServiceUri")
    ),
    *(
        f"{connection}__{name}"
        for connection in ("AzureWebJobsStorage", "SASQUASH_STORAGE")
        for name in ("credential", "clientId")
    ),
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "AzureWebJobsDisableHomepage",
    *environment.QUIET,
}
# Never set on Flex Consumption (learn.microsoft.com, "App settings reference for Azure Functions").
NOT_ON_FLEX = re.compile(r"FUNCTIONS_(WORKER_RUNTIME|EXTENSION_VERSION)|SCM_DO_BUILD.*|ENABLE_ORYX.*|WEBSITE_.*")


def app_settings() -> dict[str, Any]:
    """Every setting that an app gets, without those that disable functions."""
    common: dict[str, Any] = variable(MAIN, "appSettings")["function"]["parameters"]["arg_1"]
    return common | variable(APP, "ownSettings")


# Settings


def test_every_setting_that_the_code_reads_is_set_and_no_other() -> None:
    assert set(app_settings()) == {setting.name for setting in declared().values()} | HOST


def test_home_page_of_the_host_is_off() -> None:
    """azure-functions-host, HomepageMiddleware.IsHomepageDisabled."""
    assert variable(APP, "ownSettings")["AzureWebJobsDisableHomepage"] == "true"


def test_no_setting_is_refused_by_flex_consumption() -> None:
    assert [name for name in app_settings() if NOT_ON_FLEX.fullmatch(name)] == []


def test_settings_without_a_parameter_equal_the_defaults_of_the_code() -> None:
    texts = {name: value for name, value in app_settings().items() if name.startswith("SASQUASH_")}
    by_name = {setting.name: setting.default for setting in declared().values()}
    plain = {
        n: v for n, v in texts.items() if isinstance(v, str) and n in by_name and re.fullmatch(r"[a-z0-9,:/._-]*", v)
    }

    assert {name: by_name[name] for name in plain if by_name[name] is not None} == {
        name: value for name, value in plain.items() if by_name[name] is not None
    }


def test_code_accepts_the_settings_of_infra() -> None:
    given = {
        "mode": "observe",
        "securityMailbox": "security@contoso.com",
        "mailSender": "sasquash@contoso.com",
        "mailDomains": "contoso.com",
        "incidentSite": "contoso.sharepoint.com,5f0c7a1e,1c9b2b7d",
        "incidentList": "b7d0a9c4-3f6e-4d2b-9a51-6e8c0f1d2b35",
        "clientId": "2a7f4bcd-f2a2-490b-8319-f17620580873",
    }
    computed = {
        "SASQUASH_SUBSCRIPTIONS": "3d8f6a52-91c4-4b7e-8f0d-5b2a7c9e1f33",
        "SASQUASH_TOPIC_ENDPOINT": "https://egt.westeurope-1.eventgrid.azure.net/api/events",
        "SASQUASH_TENANT_ID": "7e1d5f0a-6c1b-4f0e-9d51-0a6d1c3e9b11",
        "SASQUASH_API_AUDIENCES": "",
        "SASQUASH_HOST_ACCOUNTS": "stsqinx7k2m4p6q8r0",
        **{
            f"SASQUASH_STORAGE__{service}ServiceUri": f"https://stsqx.{service}.core.windows.net/"
            for service in ("blob", "queue", "table")
        },
        "SASQUASH_DESK": "https://func-sasquash.azurewebsites.net/api/desk",
        "SASQUASH_DRILL_ACCOUNT": "stsqdrillx7k2m4p6q8r0",
    }
    environment = {
        name: computed.get(name) or (given.get(value, value) if isinstance(value, str) else computed[name])
        for name, value in app_settings().items()
        if name.startswith("SASQUASH_")
    }

    assert Settings.read(environment).mode is Mode.OBSERVE


def test_mode_has_no_default() -> None:
    mode = parsed(MAIN)["parameters"]["mode"]
    allowed = [d["argument"] for d in mode["decorators"] if d["type"] == "allowed"]

    assert (mode["default"], allowed) == (None, [list(Mode)])


@pytest.mark.parametrize("file", files())
def test_every_parameter_has_a_description(file: str) -> None:
    described = {
        name: any(d["type"] == "description" for d in parameter["decorators"])
        for name, parameter in parsed(file).get("parameters", {}).items()
    }

    assert [name for name, is_described in described.items() if not is_described] == []


def test_azd_asks_for_every_parameter_without_a_default() -> None:
    given = set(json.loads((INFRA / "main.parameters.json").read_text())["parameters"])
    required = {name for name, p in parsed(MAIN)["parameters"].items() if p["default"] is None}

    assert required <= given <= set(parsed(MAIN)["parameters"])


# Functions


def switched_off(name: str) -> set[str]:
    names = (setting.strip("'") for setting in variable(MAIN, name))
    return {setting.removeprefix("AzureWebJobs.").removesuffix(".Disabled") for setting in names}


def test_each_function_is_enabled_in_one_app_and_health_in_both() -> None:
    functions = {name for name, _ in OTHERS} | HTTP
    not_in_responder, not_in_intake = switched_off("withoutIntake"), switched_off("intakeAlone")

    assert not_in_responder | not_in_intake == functions - {"health_check"}
    assert not_in_responder & not_in_intake == set()
    assert not_in_responder == {"take_report", "read_alert"}


def test_event_subscription_uses_the_schema_of_the_function() -> None:
    properties = resource("event-subscription.bicep", "findings")["properties"]

    assert properties["filter"]["includedEventTypes"] == [REPORTED]
    assert properties["destination"]["properties"]["resourceId"].endswith("/functions/on_finding")
    assert "on_finding" in dict(OTHERS)
    assert properties["eventDeliverySchema"] == resource("modules/topic.bicep", "topic")["properties"]["inputSchema"]
    assert properties["destination"]["properties"]["maxEventsPerBatch"] == 1  # one failure fails a whole batch


def test_dead_letters_are_written_to_the_container_that_the_code_reads() -> None:
    properties = resource("event-subscription.bicep", "findings")["properties"]
    destination = properties["deadLetterWithResourceIdentity"]["deadLetterDestination"]

    assert destination["properties"]["blobContainerName"] == background.DEAD_LETTERS


def test_hook_of_azd_deploys_the_event_subscription_with_every_parameter() -> None:
    hooks = yaml.safe_load((ROOT / "azure.yaml").read_text())["hooks"]["postdeploy"]
    outputs = set(parsed(MAIN)["outputs"])
    for hook in hooks.values():
        assert set(re.findall(r"(\w+)=\"", hook["run"])) == set(parsed("event-subscription.bicep")["parameters"])
        used = set(re.findall(r"\$(?:env:)?([A-Z_]+)", hook["run"]))
        assert used <= outputs | {"AZURE_SUBSCRIPTION_ID"}  # which azd itself sets
        assert "key" not in hook["run"]


def test_azd_deploys_the_package_to_both_apps() -> None:
    services = set(yaml.safe_load((ROOT / "azure.yaml").read_text())["services"])

    assert services == {params["service"] for _, params in modules() if "service" in params}


def test_event_grid_and_reporters_are_excluded_from_platform_authentication() -> None:
    validation = resource(APP, "authentication")["properties"]["globalValidation"]

    assert validation["excludedPaths"] == [
        "/runtime/webhooks/eventgrid",
        "/api/intake/*",
        "/api/health",
        "/api/desk",  # the page; what it shows comes from the API
        "/api/desk/*",
    ]
    assert validation["requireAuthentication"] is True


# Storage


def test_every_table_queue_and_container_of_the_code_is_created() -> None:
    used = {CONTAIN_QUEUE, FOLLOW_UP_QUEUE, INTAKE_QUEUE}
    tables = {value for name, value in (vars(background) | vars(fast_path)).items() if name.endswith("_TABLE")}

    assert set(variable(STORAGE, "tables")) == tables == set(TABLES)
    assert set(variable(STORAGE, "queues")) == used | {name + POISON for name in used} == set(QUEUES)
    assert background.DEAD_LETTERS in variable(STORAGE, "containers")
    assert background.DEAD_LETTERS in CONTAINERS


def test_each_app_has_its_package_in_the_account_of_its_host() -> None:
    packages = {name: params["container"] for name, params in modules() if "container" in params}

    assert packages["responder"] in variable(STORAGE, "containers")
    assert resource(INTAKE_STORAGE, "package")["name"] == packages["intake"]
    value = resource(APP, "app")["properties"]["functionAppConfig"]["deployment"]["storage"]["value"]
    assert "hostBlobUri" in value


def test_host_storage_is_set_by_name_and_by_uris() -> None:
    """Azure/azure-functions-host#11787: the URIs alone fail; the name "in addition to" them avoids it."""
    settings = variable(APP, "ownSettings")

    assert settings["AzureWebJobsStorage__accountName"] == "hostStorageName"
    assert all("hostStorageName" in settings[f"AzureWebJobsStorage__{each}ServiceUri"] for each in ("queue", "table"))
    assert settings["AzureWebJobsStorage__blobServiceUri"] == "hostBlobUri"


def test_own_storage_topic_vault_and_logs_refuse_keys() -> None:
    for file in (STORAGE, INTAKE_STORAGE):
        account = resource(file, "account")["properties"]
        assert (account["allowSharedKeyAccess"], account["allowBlobPublicAccess"]) == (False, False)
    assert resource("modules/topic.bicep", "topic")["properties"]["disableLocalAuth"] is True
    assert resource("modules/vault.bicep", "vault")["properties"]["enableRbacAuthorization"] is True
    assert resource("modules/monitoring.bicep", "insights")["properties"]["DisableLocalAuth"] is True


def test_account_logs_contain_what_the_daily_check_requires() -> None:
    logs = variable("modules/account-logs.bicep", "logs")
    services = {
        found["config"]["scope"]
        for found in parsed("modules/account-logs.bicep")["resources"].values()
        if found["type"] == "Microsoft.Insights/diagnosticSettings"
    }

    assert not of_logs({Service.BLOB: {log["category"] for log in logs if log["enabled"]}})
    assert services == {"blobs", "queues", "tables", "files"}


# Rights


def arm_actions(text: str) -> set[str]:
    return set(
        re.findall(
            r"Microsoft\.(?:Storage|Network|ResourceGraph|Resources|Authorization|Insights|Security)/[A-Za-z/]+", text
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


def test_lockdown_is_a_separate_role_and_the_last() -> None:
    assert "Lockdown" in roles()[-1]["name"]
    assert parsed(MAIN)["parameters"]["lockdown"]["default"] is False
    assert not [role["name"] for role in roles()[:-1] if "Microsoft.Storage/storageAccounts/write" in role["actions"]]


def test_no_role_has_a_wildcard() -> None:
    assert [action for role in roles() for action in role["actions"] if "*" in action] == []


@pytest.mark.parametrize("file", ["modules/rights.bicep", "management-group.bicep"])
def test_only_the_responder_has_rights_on_monitored_storage_accounts(file: str) -> None:
    assert set(parsed(file)["parameters"]) == {"environmentName", "principalId", "lockdown"}
    [params] = [params for name, params in modules() if name == "rights"]
    assert "responderPrincipalId" in json.dumps(params["principalId"])


def assignments(file: str, principal: str) -> dict[str, dict[str, Any]]:
    """The role assignments of a principal in a file."""
    return {
        name: resource(file, name)
        for name, found in parsed(file)["resources"].items()
        if found["type"] == "Microsoft.Authorization/roleAssignments" and principal in json.dumps(found)
    }


def test_intake_has_rights_on_its_two_queues_of_the_shared_account_only() -> None:
    """None on its blobs: azure-webjobs-secrets holds the responder's master and system keys."""
    rights = assignments(STORAGE, "intakePrincipalId")
    queues = variable(STORAGE, "queues")

    assert set(rights) == {"intakeRights"}
    assert rights["intakeRights"]["properties"]["roleDefinitionId"] == "queueDataContributor"
    assert variable(STORAGE, "intakeQueues") == queues[4:] == [INTAKE_QUEUE, INTAKE_QUEUE + POISON]


def test_intake_host_has_an_account_of_its_own_with_the_rights_that_a_host_needs() -> None:
    """Its containers have fixed names, and the host creates them itself.

    Azure/azure-functions-host (4.1037): ScriptConstants.AzureWebJobsHostsContainerName, BlobStorageSecretsRepository,
    DiagnosticEventTableStorageRepository (tables). Microsoft's sample grants queues too, which serve blob triggers.
    """
    [params] = [params for name, params in modules() if name == "intake"]
    roles = json.dumps(variable(INTAKE_STORAGE, "roles"))

    assert "intakeStorage" in json.dumps(params["hostStorageName"])
    assert set(assignments(INTAKE_STORAGE, "principalId")) == {"rights"}
    assert (BLOB_DATA_OWNER in roles, TABLE_DATA_CONTRIBUTOR in roles) == (True, True)
    assert QUEUE_DATA_CONTRIBUTOR not in roles


def test_intake_host_account_is_never_a_target() -> None:
    assert "intakeStorage" in json.dumps(app_settings()["SASQUASH_HOST_ACCOUNTS"])


def test_always_ready_instances_serve_the_event_grid_trigger() -> None:
    """The host groups Event Grid triggers with HTTP; other instances get a listener that does nothing.

    Azure/azure-functions-host (4.1037): FunctionMetadataExtensions.GetFunctionGroup, FunctionGroupListenerDecorator.
    """
    [params] = [params for name, params in modules() if name == "responder"]
    groups = re.findall(r'"name": "([\w:]+)"', json.dumps(params["alwaysReady"]))

    assert groups == ["http"]


def test_sign_in_of_the_local_cloud_is_configured_as_that_of_the_platform() -> None:
    ours = PlatformSignIn(Entra(Cloud()))
    properties = resource(APP, "authentication")["properties"]
    provider = properties["identityProviders"]["azureActiveDirectory"]

    assert list(ours.excluded_paths) == properties["globalValidation"]["excludedPaths"]
    assert provider["validation"]["allowedAudiences"] == ["apiClientId"]
    assert ours.audiences == (ours.client_id,)
    assert ours.issuer.endswith("/v2.0")
    assert "/v2.0" in json.dumps(provider["registration"]["openIdIssuer"])


def test_sign_in_of_the_platform_expects_the_tokens_of_the_registration() -> None:
    """Version 2: issuer ".../v2.0", audience "always the client ID" (entra-docs, access-token-claims-reference)."""
    provider = resource(APP, "authentication")["properties"]["identityProviders"]["azureActiveDirectory"]

    assert "/v2.0" in json.dumps(provider["registration"]["openIdIssuer"])
    assert provider["validation"]["allowedAudiences"] == ["apiClientId"]


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
def test_script_is_valid_bash_and_takes_no_secret(script: str) -> None:
    path = ROOT / "scripts" / script
    subprocess.run(["bash", "-n", path], check=True)

    assert "set -euo pipefail" in path.read_text()
    assert not re.search(r"password|--account-key|client-secret", path.read_text())


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


def test_deployment_page_sets_every_azd_parameter_and_names_existing_scripts() -> None:
    page = (ROOT / "docs/deploy.md").read_text()
    asked = set(re.findall(r"\$\{(SASQUASH_\w+)", (INFRA / "main.parameters.json").read_text()))
    scripts = set(re.findall(r"scripts/[\w.-]+\.\w+", page))

    assert set(re.findall(r"azd env set (SASQUASH_\w+)", page)) == asked
    assert scripts == {
        f"scripts/{path.name}" for path in (ROOT / "scripts").iterdir() if path.suffix in {".sh", ".ps1"}
    }


def test_every_option_of_the_deployment_page_is_a_parameter() -> None:
    table = (ROOT / "docs/deploy.md").read_text().partition("| You want | Set |")[2].partition("\n\n")[0]
    named = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row)} - {"zoneRedundant"}

    assert named <= set(parsed(MAIN)["parameters"])
    assert {"subscriptionIds", "lockdown", "alwaysReady", "settings"} <= named
