"""The storage, rights and alerts that infra/ deploys, as Azure's own compiler predicts them, for each choice."""

import json
import re
from collections import Counter
from typing import Any

import msgspec
import pytest

from local.cloud.provisioning import CONTAINERS, QUEUES, TABLES
from local.deployments.resources import Resources
from local.deployments.templates import Place
from local.deployments.templates import deploy as arm_deploy
from shared.cloud.history_copy import STREAM, TABLE, Row
from shared.domain.readiness import of_logs
from shared.factories import background, fast_path
from shared.persistence.queues import CONTAIN_QUEUE, FINDINGS_QUEUE, FOLLOW_UP_QUEUE, INTAKE_QUEUE, POISON
from shared.sas import Service
from tests.support.bicep import INFRA, roles
from tests.support.paths import ROOT
from tests.support.snapshots import ASSIGNMENT, OTHER_SUBSCRIPTION, REQUIRED, SUBSCRIPTION, Snapshot, resources_of
from tests.tools.conftest import Deploy, Tool

# learn.microsoft.com, "Azure built-in roles"
BLOB_DATA_OWNER = "b7e6dc6d-f1e8-4753-8033-0f276bb0955b"
TABLE_DATA_CONTRIBUTOR = "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3"
QUEUE_DATA_CONTRIBUTOR = "974c5e8b-45b9-4653-ba55-5f855dd0fb88"
SECRETS_USER = "4633458b-17de-408a-b874-0445c86b69e6"
METRICS_PUBLISHER = "3913510d-42f4-4e42-8a64-420c390055eb"
DATA_SENDER = "d5a91429-5739-47e2-a06b-3470a27159e7"
DRILL = "stsqdrill"


def names_of(snapshot: Snapshot, kind: str, *, within: str = "stsq") -> set[str]:
    """The last part of the names of an account's children."""
    return {each["name"].rpartition("/")[2] for each in snapshot.of_type(kind) if each["name"].startswith(within)}


def rights(snapshot: Snapshot) -> set[str]:
    """Which custom roles the responder has, by what their names say: the assignments at subscriptions."""
    return {
        role["name"]
        for role in roles()
        if any(f"'{role['name']}'" in each["name"] for each in snapshot.of_type(ASSIGNMENT))
    }


def granted(*when: str) -> set[str]:
    return {role["name"] for role in roles() if role["granted"] in when}


# Storage


def test_every_table_queue_and_container_of_the_code_is_created(deploy: Deploy) -> None:
    snapshot = deploy()
    used = {CONTAIN_QUEUE, FOLLOW_UP_QUEUE, INTAKE_QUEUE, FINDINGS_QUEUE}
    tables = {value for name, value in (vars(background) | vars(fast_path)).items() if name.endswith("_TABLE")}
    storage = "Microsoft.Storage/storageAccounts"

    assert names_of(snapshot, f"{storage}/tableServices/tables") == tables == set(TABLES)
    assert names_of(snapshot, f"{storage}/queueServices/queues") == used | {name + POISON for name in used}
    assert names_of(snapshot, f"{storage}/queueServices/queues") >= set(QUEUES)
    assert names_of(snapshot, f"{storage}/blobServices/containers") >= {background.DEAD_LETTERS, *CONTAINERS}


@pytest.mark.parametrize(("of_intake", "account"), [(False, "stsq"), (True, "stsqin")])
def test_each_app_has_host_storage_by_name_and_by_uris_with_its_package(
    deploy: Deploy, of_intake: bool, account: str
) -> None:
    """Azure/azure-functions-host#11787: the URIs alone fail; the name "in addition to" them avoids it."""
    snapshot = deploy()
    settings = snapshot.app_settings(of_intake=of_intake)
    name = settings["AzureWebJobsStorage__accountName"]
    [site] = [
        each
        for each in snapshot.of_type("Microsoft.Web/sites")
        if (each["tags"]["azd-service-name"] == "intake") is of_intake
    ]
    package = site["properties"]["functionAppConfig"]["deployment"]["storage"]["value"]

    assert re.fullmatch(account + "[a-z0-9]{13}", name)
    assert all(
        f"'{name}'" in settings[f"AzureWebJobsStorage__{each}ServiceUri"] for each in ("blob", "queue", "table")
    )
    containers = names_of(snapshot, "Microsoft.Storage/storageAccounts/blobServices/containers", within=f"{name}/")
    assert f"'{name}'" in package
    assert any(container in package for container in containers if container.startswith("package-"))


def test_own_storage_topic_vault_and_logs_refuse_keys(deploy: Deploy) -> None:
    snapshot = deploy()
    accounts = [each for each in snapshot.of_type("Microsoft.Storage/storageAccounts") if DRILL not in each["name"]]

    assert len(accounts) == 2
    for account in accounts:
        properties = account["properties"]
        assert (properties["allowSharedKeyAccess"], properties["allowBlobPublicAccess"]) == (False, False)
    assert snapshot.one("Microsoft.EventGrid/topics")["properties"]["disableLocalAuth"] is True
    vaults, telemetry = (
        snapshot.of_type(kind) for kind in ("Microsoft.KeyVault/vaults", "Microsoft.Insights/components")
    )
    assert [each["properties"]["enableRbacAuthorization"] for each in vaults] == [True, True]
    assert [each["properties"]["DisableLocalAuth"] for each in telemetry] == [True, True]


def test_region_without_zones_has_locally_redundant_storage(deploy: Deploy) -> None:
    accounts = deploy(redundancy="Standard_LRS").of_type("Microsoft.Storage/storageAccounts")

    assert {account["sku"]["name"] for account in accounts} == {"Standard_LRS"}


def test_account_logs_contain_what_the_daily_check_requires(deploy: Deploy) -> None:
    account = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/models/providers/Microsoft.Storage/storageAccounts/a1"
    added = deploy(loggedAccounts=account).of_type("Microsoft.Insights/diagnosticSettings", name="sasquash-prod")
    logged = {each["id"].removeprefix(account).split("/")[1]: each["properties"]["logs"] for each in added}

    assert set(logged) == {"blobServices", "queueServices", "tableServices", "fileServices"}
    for logs in logged.values():
        assert not of_logs({Service.BLOB: {log["category"] for log in logs if log["enabled"]}})


# The copy of the histories


@pytest.mark.parametrize(
    ("days", "kept"), [("", 730), ("30", 730), ("700", 730), ("701", 4383), ("4000", 4383), ("0", 4383)]
)
def test_copy_is_kept_at_least_as_long_as_records(deploy: Deploy, days: str, kept: int) -> None:
    """Microsoft.OperationalInsights/workspaces/tables: 730 days are the longest for queries, 4383 in all."""
    snapshot = deploy(settings={"SASQUASH_RETENTION_DAYS": days})
    table = snapshot.one("Microsoft.OperationalInsights/workspaces/tables")["properties"]

    assert (table["retentionInDays"], table["totalRetentionInDays"]) == (730, kept)
    assert kept >= (int(days or 400) or 4383)


def test_copy_has_the_columns_that_the_code_sends(deploy: Deploy) -> None:
    snapshot = deploy()
    kinds = {str: "string", int: "long"}
    sent = {field.name: kinds[field.type] for field in msgspec.structs.fields(Row)} | {"At": "datetime"}
    table = snapshot.one("Microsoft.OperationalInsights/workspaces/tables")
    rule = snapshot.one("Microsoft.Insights/dataCollectionRules")
    declared = rule["properties"]["streamDeclarations"][STREAM]["columns"]

    assert {each["name"]: each["type"] for each in declared} == sent
    assert table["name"].endswith(f"/{TABLE}")
    columns = {each["name"]: each["type"] for each in table["properties"]["schema"]["columns"]}
    assert columns == sent | {"TimeGenerated": "datetime"}
    assert rule["kind"] == "Direct"


def test_only_the_responder_may_add_to_the_copy(deploy: Deploy) -> None:
    snapshot = deploy()
    of_rule = [role for scope, role in snapshot.assignments("responder") if "/dataCollectionRules/" in scope]

    assert [role.rpartition("/")[2] for role in of_rule] == [METRICS_PUBLISHER]
    assert [scope for scope, _ in snapshot.assignments("intake") if "/dataCollectionRules/" in scope] == []
    assert [scope for scope, _ in snapshot.assignments("intake") if "/workspaces/" in scope] == []


def test_writes_to_own_tables_and_queues_are_logged(deploy: Deploy) -> None:
    logged = {each["id"] for each in deploy().of_type("Microsoft.Insights/diagnosticSettings", name="to-workspace")}

    for service in ("blobServices", "tableServices", "queueServices"):
        assert any(f"/{service}/default" in each for each in logged)


# Rights


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ({"mode": "observe"}, granted("always")),
        ({"mode": "observe", "lockdown": True}, granted("always")),
        ({"mode": "observe", "settings": {"SASQUASH_TAG_MODES": "observe"}}, granted("always")),
        ({"mode": "observe", "settings": {"SASQUASH_TAG_MODES": "observe, approve"}}, granted("always", "acting")),
        ({"mode": "approve"}, granted("always", "acting")),
        ({"mode": "auto"}, granted("always", "acting")),
        ({"mode": "auto", "lockdown": True}, granted("always", "acting", "lockdown")),
        ({"mode": "auto", "grantRights": False}, set()),
    ],
    ids=str,
)
def test_identity_has_the_roles_of_what_the_mode_permits(
    deploy: Deploy, choices: dict[str, Any], expected: set[str]
) -> None:
    assert rights(deploy(**choices)) == expected


def test_each_monitored_subscription_gets_the_rights_and_the_app_its_id(deploy: Deploy) -> None:
    snapshot = deploy(subscriptionIds=f"{SUBSCRIPTION}, {OTHER_SUBSCRIPTION}")
    custom = snapshot.of_type("Microsoft.Authorization/roleDefinitions")
    of_subscriptions = [each for each in custom if "/resourceGroups/" not in each["id"]]

    assert len(of_subscriptions) == 2 * len([role for role in roles() if role["granted"] != "managementGroup"])
    assert snapshot.app_settings()["SASQUASH_SUBSCRIPTIONS"] == f"{SUBSCRIPTION},{OTHER_SUBSCRIPTION}"


def test_only_the_responder_has_rights_on_monitored_storage_accounts(deploy: Deploy) -> None:
    scopes = {scope for scope, _ in deploy().assignments("intake")}

    assert all("/resourceGroups/rg-sasquash-prod/" in scope for scope in scopes)


def test_separate_intake_has_the_rights_of_its_own_page_and_no_others(deploy: Deploy) -> None:
    """docs/rights.md. None on the shared account's blobs: azure-webjobs-secrets holds the responder's keys.

    Its host has an account of its own, with the rights that a host needs: Azure/azure-functions-host (4.1037),
    ScriptConstants.AzureWebJobsHostsContainerName, BlobStorageSecretsRepository,
    DiagnosticEventTableStorageRepository (tables). Microsoft's sample grants queues too, which serve blob triggers.
    """
    short = {(re.sub(r"\w{13}(?=/|$)", "*", "/".join(scope.split("/")[8:]), count=1), role)
             for scope, role in deploy().assignments("intake")}  # fmt: skip

    assert short == {
        ("stsqin*", BLOB_DATA_OWNER),
        ("stsqin*", TABLE_DATA_CONTRIBUTOR),
        (f"stsq*/queueServices/default/queues/{INTAKE_QUEUE}", QUEUE_DATA_CONTRIBUTOR),
        (f"stsq*/queueServices/default/queues/{INTAKE_QUEUE}{POISON}", QUEUE_DATA_CONTRIBUTOR),
        ("kvsqin*", SECRETS_USER),
        ("egt-sasquash-prod-*", DATA_SENDER),
        ("appi-sasquash-prod-intake", METRICS_PUBLISHER),
    }


def test_responder_has_no_right_on_the_vault_storage_and_telemetry_of_the_intake(deploy: Deploy) -> None:
    scopes = {scope.rpartition("/")[2] for scope, _ in deploy().assignments("responder")}

    assert [scope for scope in scopes if re.match("kvsqin|stsqin|.*-intake$", scope)] == []
    assert [scope for scope in scopes if scope.startswith("kvsq")] != []


def test_intake_writes_to_no_workspace_that_the_alerts_about_the_responder_read(deploy: Deploy) -> None:
    """Who writes to it can feign the sweep whose absence raises an alert (infra/queries/sweeps.kql)."""
    snapshot = deploy()
    component = snapshot.one("Microsoft.Insights/components", name="-intake")["properties"]["WorkspaceResourceId"]
    rules = snapshot.of_type("Microsoft.Insights/scheduledQueryRules")
    read = {each["name"]: str(each["properties"]["scopes"]) for each in rules}

    assert [name for name, scopes in read.items() if "-intake" in scopes or "intake-monitoring" in scopes] == [
        "alert-sasquash-prod-intake-refusal"
    ]
    assert "log-sasquash-prod-intake" in component


def test_one_app_has_one_vault_and_one_workspace(deploy: Deploy) -> None:
    snapshot = deploy(separateIntake=False)
    kinds = ("Microsoft.KeyVault/vaults", "Microsoft.OperationalInsights/workspaces", "Microsoft.Insights/components")

    assert [len(snapshot.of_type(kind)) for kind in kinds] == [1, 1, 1]
    assert snapshot.outputs["SASQUASH_INTAKE_VAULT_NAME"] == snapshot.outputs["SASQUASH_VAULT_NAME"]
    assert snapshot.of_type("Microsoft.Insights/scheduledQueryRules", name="intake") == []


def test_one_app_has_one_identity(deploy: Deploy) -> None:
    """An identity that no app uses has no rights: it is not created."""
    snapshot = deploy(separateIntake=False)

    assert len(snapshot.of_type("Microsoft.ManagedIdentity/userAssignedIdentities")) == 1
    assert list(snapshot.assignments("intake")) == []
    assert snapshot.outputs["SASQUASH_INTAKE_PRINCIPAL_ID"] == ""


def test_storage_of_the_deployment_is_never_a_target(deploy: Deploy) -> None:
    settings = deploy().app_settings()
    account = deploy().app_settings(of_intake=True)["AzureWebJobsStorage__accountName"]

    assert settings["SASQUASH_HOST_ACCOUNTS"] == account


def test_drill_account_exists_where_the_app_has_its_name(deploy: Deploy) -> None:
    snapshot = deploy()
    [account] = [each["name"] for each in snapshot.of_type("Microsoft.Storage/storageAccounts", name=DRILL)]

    assert snapshot.app_settings()["SASQUASH_DRILL_ACCOUNT"] == account


@pytest.mark.parametrize("choices", [{"drill": False}, {"subscriptionIds": OTHER_SUBSCRIPTION}], ids=str)
def test_without_a_drill_there_is_no_account_for_it(deploy: Deploy, choices: dict[str, Any]) -> None:
    snapshot = deploy(**choices)

    assert snapshot.of_type("Microsoft.Storage/storageAccounts", name=DRILL) == []
    assert snapshot.app_settings()["SASQUASH_DRILL_ACCOUNT"] == ""


def test_tags_are_on_what_is_deployed(deploy: Deploy) -> None:
    tagged = [each["tags"] for each in deploy(tags="team=security, cost=a=b").resources if "tags" in each]

    assert len(tagged) > 15
    assert all(tags["team"] == "security" and tags["cost"] == "a=b" and tags["azd-env-name"] for tags in tagged)


# Alerts


def test_every_rule_notifies_the_security_team(deploy: Deploy) -> None:
    snapshot = deploy()
    kinds = ("Microsoft.Insights/scheduledQueryRules", "Microsoft.Insights/metricAlerts")
    rules = [each for kind in kinds for each in snapshot.of_type(kind)]
    [people] = snapshot.of_type("Microsoft.Insights/actionGroups")

    assert [each["name"] for each in rules if people["id"] not in json.dumps(each["properties"]["actions"])] == []
    assert {each["properties"]["severity"] for each in rules} <= {0, 1, 2, 3}


def test_rules_of_logs_do_not_wait_for_the_first_telemetry(deploy: Deploy) -> None:
    """Their tables are created with the first row; until then Azure refuses a rule that it validates."""
    rules = deploy().of_type("Microsoft.Insights/scheduledQueryRules")

    assert [each["name"] for each in rules if not each["properties"].get("skipQueryValidation")] == []


def test_intake_is_asked_from_outside_and_its_server_errors_are_counted(deploy: Deploy) -> None:
    """A host that does not start answers 503, and logs nothing (Azure/azure-functions-host).

    Metric Http5xx: "For WebApps and FunctionApps" (MicrosoftDocs/azure-monitor-docs, supported metrics for
    Microsoft.Web/sites). Flex Consumption has no health check (microsoft/azure-skills, Azure Functions reliability).
    """
    snapshot = deploy()
    app = snapshot.one("Microsoft.Web/sites", name="func-sasquash-in-prod")
    test = snapshot.one("Microsoft.Insights/webtests")
    unanswered = snapshot.one("Microsoft.Insights/metricAlerts", name="intake-unanswered")["properties"]
    errors = snapshot.one("Microsoft.Insights/metricAlerts", name="intake-errors")["properties"]
    [component] = [
        each["id"]
        for each in snapshot.of_type("Microsoft.Insights/components")
        if not each["name"].endswith("-intake")
    ]
    request = test["properties"]["Request"]

    assert (request["HttpVerb"], app["id"] in request["RequestUrl"]) == ("GET", True)
    assert "/api/health" in request["RequestUrl"]
    assert "/api/health" in sign_in_exceptions(deploy)
    assert test["tags"][f"hidden-link:{component}"] == "Resource"
    assert unanswered["scopes"] == [test["id"], component]
    assert unanswered["criteria"]["failedLocationCount"] < len(test["properties"]["Locations"])
    [criterion] = errors["criteria"]["allOf"]
    assert (errors["scopes"], criterion["metricName"]) == ([app["id"]], "Http5xx")
    # Each location asks twice in a window: a host that does not start makes more errors than the threshold.
    assert criterion["threshold"] < 2 * len(test["properties"]["Locations"])


def sign_in_exceptions(deploy: Deploy) -> list[str]:
    """The paths that anybody may call."""
    [configured, *_] = deploy(apiClientId="client").of_type("Microsoft.Web/sites/config", name="/authsettingsV2")
    paths: list[str] = configured["properties"]["globalValidation"]["excludedPaths"]
    return paths


def test_private_intake_is_not_asked_from_outside(deploy: Deploy) -> None:
    """It would never answer there. Its errors are counted all the same."""
    snapshot = deploy(privateNetwork=True, publicIntake=False)

    assert snapshot.of_type("Microsoft.Insights/webtests") == []
    assert snapshot.of_type("Microsoft.Insights/metricAlerts", name="intake-unanswered") == []
    assert len(snapshot.of_type("Microsoft.Insights/metricAlerts", name="intake-errors")) == 1


def test_one_app_has_no_alert_of_an_intake(deploy: Deploy) -> None:
    snapshot = deploy(separateIntake=False)

    assert snapshot.of_type("Microsoft.Insights/webtests") == []
    assert snapshot.of_type("Microsoft.Insights/metricAlerts", name="intake") == []


def test_every_alert_is_on_the_page_of_operations(deploy: Deploy) -> None:
    snapshot = deploy()
    page = (ROOT / "docs/operations.md").read_text()
    logs = [each["properties"]["displayName"] for each in snapshot.of_type("Microsoft.Insights/scheduledQueryRules")]
    metrics = [each["name"] for each in snapshot.of_type("Microsoft.Insights/metricAlerts")]

    assert [name for name in logs if f"| {name.removesuffix(' (prod)')} |" not in page] == []
    assert [name for name in metrics if f"`{name.removeprefix('alert-sasquash-prod-')}`" not in page] == []


# The management group


def test_management_group_grants_the_same_rights_and_reading_what_is_below_it(bicep: Tool) -> None:
    """`bicep snapshot` does not predict this scope: the two files have the same roles under the same conditions."""
    above, below = (
        json.loads(bicep.run("build", file, "--stdout").stdout)
        for file in (INFRA / "management-group.bicep", INFRA / "modules/rights.bicep")
    )
    conditions = [
        [each["condition"] for each in resources_of(template) if each["type"] == ASSIGNMENT]
        for template in (above, below)
    ]

    assert conditions[0] == conditions[1]
    assert above["variables"]["granted"] == below["variables"]["granted"] | {"managementGroup": True}
    assert above["variables"]["$fxv#0"] == below["variables"]["$fxv#0"] == roles()
    assert "'managementGroup'" in below["variables"]["roles"]  # left out by a filter


# The stand-in of Resource Manager


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"mode": "observe", "separateIntake": False},
        {"privateNetwork": True, "publicIntake": False, "publisherAddresses": "203.0.113.7"},
    ],
    ids=str,
)
def test_local_cloud_deploys_what_the_compiler_predicts(bicep: Tool, deploy: Deploy, choices: dict[str, Any]) -> None:
    """`azd up` is tested against it: the same types, as often, with the same tags and app settings."""
    template = json.loads(bicep.run("build", INFRA / "main.bicep", "--stdout").stdout)
    resources = Resources()
    place = Place(SUBSCRIPTION, "", "westeurope", "main")
    made = arm_deploy(template, REQUIRED | choices, place=place, resources=resources)
    found = [each for each in map(resources.find, made.resources) if each is not None]
    predicted = deploy(**choices)

    assert Counter(each["type"] for each in found) == Counter(each["type"] for each in predicted.resources)
    assert sorted(str(each.get("tags")) for each in found) == sorted(
        str(each.get("tags")) for each in predicted.resources
    )
    [settings] = [each["properties"] for each in found if each["id"].endswith("/appsettings")][-1:]
    assert set(settings) - {"provisioningState"} == set(
        predicted.app_settings(of_intake="separateIntake" not in choices)
    )
