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
from shared.persistence.queues import CONTAIN_QUEUE, FOLLOW_UP_QUEUE, INTAKE_QUEUE, POISON
from shared.sas import Service
from tests.support.bicep import INFRA, roles
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
    used = {CONTAIN_QUEUE, FOLLOW_UP_QUEUE, INTAKE_QUEUE}
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
    assert snapshot.one("Microsoft.KeyVault/vaults")["properties"]["enableRbacAuthorization"] is True
    assert snapshot.one("Microsoft.Insights/components")["properties"]["DisableLocalAuth"] is True


def test_private_network_closes_storage_and_vault(deploy: Deploy) -> None:
    snapshot = deploy(privateNetwork=True)
    closed = [each for each in snapshot.of_type("Microsoft.Storage/storageAccounts") if DRILL not in each["name"]]
    closed += snapshot.of_type("Microsoft.KeyVault/vaults")

    assert {
        (each["properties"]["publicNetworkAccess"], each["properties"]["networkAcls"]["defaultAction"])
        for each in closed
    } == {("Disabled", "Deny")}
    assert len(snapshot.of_type("Microsoft.Network/privateEndpoints")) == 6
    assert all("virtualNetworkSubnetId" in each["properties"] for each in snapshot.of_type("Microsoft.Web/sites"))


def test_names_of_private_endpoints_are_in_the_given_zones(deploy: Deploy) -> None:
    zones = ["/z/blob", "/z/queue", "/z/table", "/z/vault"]
    snapshot = deploy(privateNetwork=True, dnsZoneIds=",".join(zones))
    groups = snapshot.of_type("Microsoft.Network/privateEndpoints/privateDnsZoneGroups")
    configured = [each["properties"]["privateDnsZoneConfigs"][0] for each in groups]

    assert {each["properties"]["privateDnsZoneId"].rpartition("/")[2] for each in configured} == {
        each["name"] for each in configured
    }
    assert len(configured) == 6


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

    assert len(of_subscriptions) == 2 * len(roles())
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
        ("kvsq*", SECRETS_USER),
        ("egt-sasquash-prod-*", DATA_SENDER),
        ("appi-sasquash-prod", METRICS_PUBLISHER),
    }


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


# The management group


def test_management_group_grants_the_same_rights(bicep: Tool) -> None:
    """`bicep snapshot` does not predict this scope: the two files have the same roles under the same conditions."""
    built = [
        json.loads(bicep.run("build", file, "--stdout").stdout)
        for file in (INFRA / "management-group.bicep", INFRA / "modules/rights.bicep")
    ]
    conditions = [
        (template["variables"], [each["condition"] for each in resources_of(template) if each["type"] == ASSIGNMENT])
        for template in built
    ]

    assert conditions[0] == conditions[1]


# The stand-in of Resource Manager


@pytest.mark.parametrize(
    "choices",
    [{}, {"mode": "observe", "separateIntake": False}, {"privateNetwork": True, "dnsZoneIds": "/b,/q,/t,/v"}],
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
