"""What infra/ deploys, as Azure's own compiler predicts it, against what the code needs, for each choice."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from local.cloud import environment
from local.entra.platform_sign_in import PlatformSignIn
from local.entra.tokens import Entra
from local.tenant.model import Cloud
from shared.domain.report import REPORTED
from shared.factories import background
from shared.intake_settings import IntakeSettings, names_of_intake, names_of_responder
from shared.persistence.queues import FINDINGS_QUEUE
from shared.settings import Settings, declared
from tests.support.bicep import INFRA, deliveries, functions, parameters
from tests.support.functions import OTHERS
from tests.support.snapshots import REQUIRED, SUBSCRIPTION, Snapshot, predict, resources_of
from tests.tools.conftest import Deploy, Tool

MAIN, SUBSCRIBED = INFRA / "main.bicep", INFRA / "event-subscription.bicep"
HOST = re.compile(
    r"AzureWebJobsStorage__(accountName|(blob|queue|table)ServiceUri|credential|clientId)"
    r"|SASQUASH_STORAGE__(credential|clientId)|APPLICATIONINSIGHTS_AUTHENTICATION_STRING"
    r"|AzureWebJobsDisableHomepage|AzureWebJobs\.\w+\.Disabled"
)
# Never set on Flex Consumption (learn.microsoft.com, "App settings reference for Azure Functions").
NOT_ON_FLEX = re.compile(r"FUNCTIONS_(WORKER_RUNTIME|EXTENSION_VERSION)|SCM_DO_BUILD.*|ENABLE_ORYX.*|WEBSITE_.*")


@pytest.fixture(scope="module")
def subscription(bicep: Tool, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """The deployment of event-subscription.bicep."""
    given = {"topicName": "egt", "responderName": "func", "storageName": "stsq"}
    return predict(bicep.path, SUBSCRIBED, tmp_path_factory.mktemp("snapshot"), given, group="rg-sasquash-prod")


@pytest.fixture(scope="module")
def private_subscription(bicep: Tool, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """The same in a private network."""
    given = {"topicName": "egt", "responderName": "func", "storageName": "stsq", "queueName": FINDINGS_QUEUE}
    return predict(bicep.path, SUBSCRIBED, tmp_path_factory.mktemp("snapshot"), given, group="rg-sasquash-prod")


# Settings


@pytest.mark.parametrize("of_intake", [False, True])
def test_every_setting_that_the_code_reads_is_set_and_no_other(deploy: Deploy, of_intake: bool) -> None:
    given = deploy(settings=dict.fromkeys(parameters()["settings"], "")).app_settings(of_intake=of_intake)
    read = names_of_intake() | {"APPLICATIONINSIGHTS_CONNECTION_STRING"} if of_intake else names_of_responder()

    assert ours(given) == read


def test_one_app_has_every_setting(deploy: Deploy) -> None:
    given = deploy(separateIntake=False, settings=dict.fromkeys(parameters()["settings"], "")).app_settings()

    assert ours(given) == {setting.name for setting in declared().values()}


def ours(given: dict[str, str]) -> set[str]:
    """The names of the settings that the code reads; the host reads the others, and sends its own telemetry."""
    return {name for name in given if not HOST.fullmatch(name) and name not in environment.QUIET}


def test_no_setting_is_refused_by_flex_consumption(deploy: Deploy) -> None:
    assert [name for name in deploy().app_settings() if NOT_ON_FLEX.fullmatch(name)] == []


def test_home_page_of_the_host_is_off(deploy: Deploy) -> None:
    """azure-functions-host, HomepageMiddleware.IsHomepageDisabled."""
    assert deploy().app_settings()["AzureWebJobsDisableHomepage"] == "true"


def test_code_accepts_the_settings_of_infra(deploy: Deploy) -> None:
    chosen = {"SASQUASH_AT_DEADLINE": "revoke"}  # and nothing of mail and incidents, which have defaults
    known = {"clientId": "2a7f4bcd-f2a2-490b-8319-f17620580873", "endpoint": "https://egt.azure.net/api/events"}
    known |= {"ServiceUri": "https://stsq.core.windows.net/", "defaultHostName": "https://func.azurewebsites.net"}
    known |= {"ConnectionString": "", "immutableId": f"dcr-{'0' * 32}", "customerId": SUBSCRIPTION}
    known |= {"logsIngestion": "https://dcr-5kyl.westeurope-1.ingest.monitor.azure.com"}

    def resolved(name: str, value: str) -> str:
        """What a deployment would put in place of an expression."""
        found = [end for end in known if end in value or end in name]
        return known[max(found, key=len)] if "[" in value else value

    given = deploy(settings=chosen).app_settings()
    read = Settings.read({name: resolved(name, value) for name, value in given.items()})
    of_intake = deploy(settings=chosen).app_settings(of_intake=True)
    IntakeSettings.read({name: resolved(name, value) for name, value in of_intake.items()})

    assert (read.mode, read.at_deadline) == ("auto", "revoke")
    assert read.subscriptions == (SUBSCRIPTION,)


def test_azd_gives_every_parameter(bicep: Tool) -> None:
    built = json.loads(bicep.run("build", MAIN, "--stdout").stdout)
    required = {name for name, parameter in built["parameters"].items() if "defaultValue" not in parameter}

    assert set(built["parameters"]) == set(parameters())
    assert required == set(REQUIRED)


def test_setting_that_does_not_exist_is_refused(deploy: Deploy) -> None:
    with pytest.raises(ValueError, match="SASQUASH_AT_DEADLNE"):
        deploy(settings={"SASQUASH_AT_DEADLNE": "revoke"})


@pytest.mark.parametrize(
    "choices",
    [{"mode": "autp"}, {"redundancy": "Standard_GRS"}, {"settings": {"SASQUASH_AT_DEADLINE": "later"}}],
    ids=str,
)
def test_value_that_is_not_allowed_is_refused(deploy: Deploy, choices: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"BCP03[36]"):
        deploy(**choices)


@pytest.mark.parametrize(
    "setting",
    [
        {"SASQUASH_INCIDENT_WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
        {"SASQUASH_GITHUB_CLOSING_PRIVATE_KEY": "LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQ=="},
        {"SASQUASH_INTAKE_SENDERS": "ci=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLQ=="},  # with the padding of base64
        {"SASQUASH_INTAKE_SENDERS": "wiz=https://kv.vault.azure.net/secrets/wiz,ci=whsec_MfKQ9r8GKYqrTwjUPD8IL"},
    ],
    ids=str,
)
def test_secret_as_a_parameter_is_refused(deploy: Deploy, setting: dict[str, str]) -> None:
    """Azure keeps the parameters of a deployment, and azd those of an environment, in the clear."""
    with pytest.raises(ValueError, match="Put the secret into the key vault"):
        deploy(settings=setting)


def test_id_of_a_secret_is_accepted(deploy: Deploy) -> None:
    senders = "wiz=https://kvsq.vault.azure.net/secrets/wiz,ci=https://kvsq.vault.azure.net/secrets/ci"

    given = deploy(settings={"SASQUASH_INTAKE_SENDERS": senders}).app_settings(of_intake=True)

    assert given["SASQUASH_INTAKE_SENDERS"] == senders


@pytest.mark.parametrize("file", ["main.bicep", "event-subscription.bicep", "management-group.bicep"])
def test_every_parameter_has_a_description(bicep: Tool, file: str) -> None:
    templates = list(nested(json.loads(bicep.run("build", INFRA / file, "--stdout").stdout)))
    parameters = [each for template in templates for each in template.get("parameters", {}).items()]

    assert [name for name, each in parameters if "description" not in each.get("metadata", {})] == []


def nested(template: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A compiled template, and those of its modules."""
    yield template
    for each in resources_of(template):
        if "template" in each.get("properties", {}):
            yield from nested(each["properties"]["template"])


# Functions


def disabled(settings: dict[str, str]) -> set[str]:
    return {match[1] for name in settings if (match := re.fullmatch(r"AzureWebJobs\.(\w+)\.Disabled", name))}


def test_each_app_has_the_functions_of_the_other_disabled(deploy: Deploy) -> None:
    snapshot = deploy()

    assert disabled(snapshot.app_settings()) == set(functions()["intake"])
    assert disabled(snapshot.app_settings(of_intake=True)) == set(functions()["responder"])


def test_event_grid_calls_no_function_of_a_private_network(deploy: Deploy) -> None:
    assert disabled(deploy(privateNetwork=True).app_settings()) >= set(deliveries()["eventGrid"])


@pytest.mark.parametrize("private", [False, True])
def test_queue_of_findings_is_read_in_every_network(deploy: Deploy, *, private: bool) -> None:
    """A network that is opened again leaves messages there, and the subscription moves only after the code."""
    assert disabled(deploy(privateNetwork=private).app_settings()).isdisjoint(deliveries()["queue"])


def test_one_app_has_every_function_and_no_intake_beside_it(deploy: Deploy) -> None:
    snapshot = deploy(separateIntake=False)

    assert len(snapshot.of_type("Microsoft.Web/sites")) == 1
    assert disabled(snapshot.app_settings()) == set()
    assert snapshot.outputs["SASQUASH_INTAKE"].replace("/intake", "") == snapshot.outputs["SASQUASH_API"]


def test_each_app_has_the_tag_that_azd_finds_it_by(deploy: Deploy) -> None:
    tags = [each["tags"]["azd-service-name"] for each in deploy().of_type("Microsoft.Web/sites")]

    assert sorted(tags) == sorted(functions())


def test_always_ready_instances_serve_the_event_grid_trigger(deploy: Deploy) -> None:
    """The host groups Event Grid triggers with HTTP; other instances get a listener that does nothing.

    Azure/azure-functions-host (4.1037): FunctionMetadataExtensions.GetFunctionGroup, FunctionGroupListenerDecorator.
    """
    assert ready(deploy()) == [{"name": "http", "instanceCount": 1}]
    assert ready(deploy(alwaysReady=0)) == []


def test_always_ready_instances_of_a_private_network_serve_the_queue(deploy: Deploy) -> None:
    """The host has a group for each queue trigger: FunctionMetadataExtensions.GetFunctionGroup."""
    [trigger, _] = deliveries()["queue"]

    assert ready(deploy(privateNetwork=True)) == [{"name": f"function:{trigger}", "instanceCount": 1}]
    assert dict(OTHERS)[trigger]["queueName"] == FINDINGS_QUEUE


def test_zone_redundant_responder_has_two_instances_ready(deploy: Deploy) -> None:
    """Flex Consumption requires two always-ready instances of a group for it ("Reliability in Azure Functions")."""
    snapshot = deploy(zoneRedundant=True)
    plan = snapshot.one("Microsoft.Web/serverfarms", name="plan-func-sasquash-prod")

    assert plan["properties"]["zoneRedundant"] is True
    assert ready(snapshot) == [{"name": "http", "instanceCount": 2}]


def ready(snapshot: Snapshot) -> Any:
    site = snapshot.one("Microsoft.Web/sites", name="func-sasquash-prod")
    return site["properties"]["functionAppConfig"]["scaleAndConcurrency"]["alwaysReady"]


def test_event_subscription_uses_the_schema_of_the_function(deploy: Deploy, subscription: Snapshot) -> None:
    properties = subscription.one("Microsoft.EventGrid/topics/eventSubscriptions")["properties"]
    topic = deploy().one("Microsoft.EventGrid/topics")["properties"]

    assert properties["filter"]["includedEventTypes"] == [REPORTED]
    assert properties["destination"]["properties"]["resourceId"].endswith("/functions/on_finding")
    assert "on_finding" in dict(OTHERS)
    assert properties["eventDeliverySchema"] == topic["inputSchema"]
    assert properties["destination"]["properties"]["maxEventsPerBatch"] == 1  # one failure fails a whole batch


def test_event_subscription_of_a_private_network_delivers_to_the_queue_that_the_code_reads(
    deploy: Deploy, subscription: Snapshot, private_subscription: Snapshot
) -> None:
    """azure-rest-api-specs, eventgrid 2025-02-15: -1 for "the Time To Live of the message is Infinite"."""
    [to_function, to_queue] = (
        each.one("Microsoft.EventGrid/topics/eventSubscriptions") for each in (subscription, private_subscription)
    )
    delivery = to_queue["properties"].pop("deliveryWithResourceIdentity")
    queue = delivery["destination"]["properties"]

    assert (delivery["identity"], delivery["destination"]["endpointType"]) == (
        {"type": "SystemAssigned"},
        "StorageQueue",
    )
    assert queue["resourceId"].endswith("/storageAccounts/stsq")
    assert (queue["queueName"], queue["queueMessageTimeToLiveInSeconds"]) == (FINDINGS_QUEUE, -1)
    # Otherwise they are the same, and have the same name: the one replaces the other.
    without = {name: value for name, value in to_function["properties"].items() if name != "destination"}
    assert to_queue == to_function | {"properties": without}
    assert deploy(privateNetwork=True).outputs["SASQUASH_FINDINGS_QUEUE"] == FINDINGS_QUEUE
    assert deploy().outputs["SASQUASH_FINDINGS_QUEUE"] == ""


def test_dead_letters_are_written_to_the_container_that_the_code_reads(subscription: Snapshot) -> None:
    properties = subscription.one("Microsoft.EventGrid/topics/eventSubscriptions")["properties"]
    destination = properties["deadLetterWithResourceIdentity"]["deadLetterDestination"]

    assert destination["properties"]["blobContainerName"] == background.DEAD_LETTERS


# Sign-in


def test_event_grid_and_reporters_are_excluded_from_platform_authentication(deploy: Deploy) -> None:
    validation = sign_in(deploy)["globalValidation"]

    assert validation["excludedPaths"] == [
        "/runtime/webhooks/eventgrid",
        "/api/intake/*",
        "/api/health",
        "/api/desk",  # the page; what it shows comes from the API
        "/api/desk/*",
    ]
    assert validation["requireAuthentication"] is True


def test_sign_in_of_the_platform_expects_the_tokens_of_the_registration(deploy: Deploy) -> None:
    """Version 2: issuer ".../v2.0", audience "always the client ID" (entra-docs, access-token-claims-reference)."""
    provider = sign_in(deploy)["identityProviders"]["azureActiveDirectory"]

    assert "/v2.0" in provider["registration"]["openIdIssuer"]
    assert provider["validation"]["allowedAudiences"] == [CLIENT]


def test_sign_in_of_the_local_cloud_is_configured_as_that_of_the_platform(deploy: Deploy) -> None:
    ours = PlatformSignIn(Entra(Cloud()))
    configured = sign_in(deploy)
    provider = configured["identityProviders"]["azureActiveDirectory"]

    assert list(ours.excluded_paths) == configured["globalValidation"]["excludedPaths"]
    assert provider["validation"]["allowedAudiences"] == [CLIENT]
    assert ours.audiences == (ours.client_id,)
    assert ours.issuer.endswith("/v2.0")


def test_token_command_names_the_registration(deploy: Deploy) -> None:
    command = deploy(apiClientId=CLIENT).outputs["SASQUASH_TOKEN_COMMAND"]

    assert command.startswith(f"az account get-access-token --resource api://{CLIENT} ")


CLIENT = "9c0d1e2f-3a4b-4c5d-8e6f-7a8b9c0d1e2f"


def sign_in(deploy: Deploy) -> Any:
    configured = deploy(apiClientId=CLIENT).of_type("Microsoft.Web/sites/config", name="/authsettingsV2")
    assert len(configured) == 2
    return configured[0]["properties"]
