"""Azure DevOps' service hooks (pure), and its alerts, read and closed over the stand-in of its API."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from local.reporters import azure_devops as local_azure_devops
from local.tenant.senders import (
    AZURE_DEVOPS_PROJECT,
    AZURE_DEVOPS_PROJECT_NAME,
    AZURE_DEVOPS_REPOSITORY,
    AZURE_DEVOPS_REPOSITORY_NAME,
)
from shared.domain.alert import AlertReference, AlertSource
from shared.domain.alert_match import Closing, Doubt
from shared.errors import Blocked, NotFound
from shared.sources import azure_devops
from shared.sources.azure_devops import AzureDevOps
from shared.sources.entries import Alert, Invalid, Skip, Skipped
from tests.support import samples
from tests.support.alerts import revoked_leak
from tests.support.azure_devops_api import ALERT, FOUND, PLACE, Place, opened

NAMED = f"contoso/{AZURE_DEVOPS_PROJECT_NAME}/{AZURE_DEVOPS_REPOSITORY_NAME}"
LEAK = samples.account_sas()
URL = local_azure_devops.repository_url()


def hook(event: str = "ms.vss-alerts.alert-created-event", **resource: object) -> dict[str, Any]:
    """A hook as MicrosoftDocs/vsts-rest-api-specs has it: hooks 7.2 (Event), advancedSecurity 7.2 (Alert)."""
    alert = {"alertId": 1, "alertType": "secret", "repositoryUrl": URL, "state": "active"}
    return {
        "eventType": event,
        "resource": alert | resource,
        "resourceContainers": {"project": {"id": AZURE_DEVOPS_PROJECT.upper()}},
    }


def read(payload: object) -> object:
    return azure_devops.read(payload, organization="contoso")


def place_of(entry: object) -> str:
    assert isinstance(entry, Alert), entry
    return entry.reference.place


@pytest.mark.parametrize("event", ["alert-created-event", "alert-state-changed-event"])
def test_hook_names_an_alert(event: str) -> None:
    expected = f"contoso/{AZURE_DEVOPS_PROJECT}/{AZURE_DEVOPS_REPOSITORY_NAME}"

    assert read(hook(f"ms.vss-alerts.{event}")) == Alert(AlertReference(AlertSource.AZURE_DEVOPS, expected, "1"))


def test_hook_with_ids_names_the_alert_by_ids() -> None:
    """advancedSecurity 7.2, Alert: `projectId` and `repositoryId`, since August 2025."""
    ids = {"projectId": AZURE_DEVOPS_PROJECT, "repositoryId": AZURE_DEVOPS_REPOSITORY.upper()}

    assert read(hook(**ids)) == Alert(ALERT)
    assert read(hook(**ids) | {"resourceContainers": {}}) == Alert(ALERT)
    assert read(hook(**ids, repositoryUrl=None)) == Alert(ALERT)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        (URL, NAMED),
        ("https://dev.azure.com/contoso/shop/_git/web", "contoso/shop/web"),
        ("https://dev.azure.com/Contoso/shop/_git/web/", "contoso/shop/web"),
        ("https://contoso@dev.azure.com/contoso/shop/_git/web", "contoso/shop/web"),
        ("https://dev.azure.com/contoso/_git/shop", "contoso/shop/shop"),
        ("https://contoso.visualstudio.com/shop/_git/web", "contoso/shop/web"),
        ("https://contoso.visualstudio.com/DefaultCollection/shop/_git/web", "contoso/shop/web"),
        ("https://contoso.visualstudio.com/_git/shop", "contoso/shop/shop"),
        ("https://dev.azure.com/contoso/caf%C3%A9/_git/R%26D%20(new)", "contoso/café/R&D (new)"),
        (f"https://dev.azure.com/contoso/{AZURE_DEVOPS_PROJECT}/_git/{AZURE_DEVOPS_REPOSITORY}", PLACE),
    ],
)
def test_repository_is_read_from_its_url(url: str, place: str) -> None:
    assert place_of(read(hook(repositoryUrl=url) | {"resourceContainers": {}})) == place


@pytest.mark.parametrize(
    "url",
    [
        7,
        "",
        "http://dev.azure.com/contoso/shop/_git/web",
        "https://dev.azure.com/contoso/shop",
        "https://dev.azure.com/contoso/shop/_git/",
        "https://dev.azure.com/contoso/shop/_git/web?x=1",
        "https://dev.azure.com/contoso/shop/_git/web#x",
        "https://dev.azure.com/contoso/shop/more/_git/web",
        "https://dev.azure.com/contoso/shop/_git/web\n",
        "https://dev.azure.com/contoso/../_git/web",
        "https://dev.azure.com/contoso/shop/_git/..",
        "https://dev.azure.com/contoso/shop/_git/%2e%2e",
        "https://dev.azure.com/contoso/shop/_git/a%2Fb",
        "https://dev.azure.com/contoso/shop/_git/a%252Fb",
        "https://dev.azure.com/contoso/shop/_git/a%00b",
        "https://dev.azure.com/contoso/shop/_git/a%E2%80%AEb",
        "https://dev.azure.com/contoso/shop/_git/%FF",
        "https://dev.azure.com/contoso/shop/_git/" + "x" * 65,
    ],
)
def test_malformed_url_of_a_repository_is_invalid(url: object) -> None:
    assert isinstance(read(hook(repositoryUrl=url) | {"resourceContainers": {}}), Invalid)


@pytest.mark.parametrize(
    "url",
    [
        "https://dev.azure.com/fabrikam/shop/_git/web",
        "https://fabrikam.visualstudio.com/contoso/_git/web",
        "https://dev.azure.com.evil.example/contoso/shop/_git/web",
        "https://dev.azure.com@evil.example/contoso/shop/_git/web",
        "https://evil.example/?x=https://dev.azure.com/contoso/shop/_git/web",
        "https://evil.example\\@dev.azure.com/contoso/shop/_git/web",
        "https://dev.azure.com:8443/contoso/shop/_git/web",
        "https://contoso.visualstudio.com.evil.example/shop/_git/web",
    ],
)
def test_repository_of_another_organization_or_host_is_invalid(url: str) -> None:
    ids = {"projectId": AZURE_DEVOPS_PROJECT, "repositoryId": AZURE_DEVOPS_REPOSITORY}

    assert isinstance(read(hook(repositoryUrl=url, **ids)), Invalid)


@pytest.mark.parametrize(
    "resource",
    [
        {"state": "Active"},
        {"alertType": "Secret"},
        {"state": "ACTIVE", "alertType": "SECRET"},
        {"repositoryId": "web"},
    ],
)
def test_case_of_an_enum_and_an_id_of_another_form_do_not_matter(resource: dict[str, object]) -> None:
    assert isinstance(read(hook(**resource)), Alert)


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (hook("git.push"), Skip.OTHER_EVENT),
        (hook() | {"eventType": []}, Skip.OTHER_EVENT),
        (hook("ms.vss-alerts.alert-updated-event"), Skip.OTHER_EVENT),
        (hook(state="dismissed"), Skip.OTHER_EVENT),
        (hook(state="Fixed"), Skip.OTHER_EVENT),
        (hook(state="autoDismissed"), Skip.OTHER_EVENT),
        (hook(alertType="code"), Skip.OTHER_SECRET),
        (hook(alertType="Dependency"), Skip.OTHER_SECRET),
    ],
)
def test_other_hooks_are_ignored(payload: object, why: Skip) -> None:
    assert read(payload) == Skipped(why)


@pytest.mark.parametrize(
    "payload",
    [
        7,
        hook(alertId="1"),
        hook(alertId=True),
        hook(alertId=-1),
        hook(alertType=None),
        hook(alertType=2),
        hook(state=1),
        hook(repositoryUrl=None),
        hook(repositoryUrl=None, repositoryId="../../x"),
        hook(repositoryUrl=None, repositoryId=AZURE_DEVOPS_REPOSITORY) | {"resourceContainers": 7},
        hook(repositoryUrl=None, repositoryId=AZURE_DEVOPS_REPOSITORY)
        | {"resourceContainers": {"project": {"id": "shop"}}},
    ],
)
def test_hook_without_an_alert_is_invalid(payload: object) -> None:
    assert isinstance(read(payload), Invalid)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with opened() as there:
        yield there


def tool_of(api: "Answers") -> AzureDevOps:
    """The tool with an API that gives these answers, and no code."""
    return AzureDevOps(api, Unasked(), organization="contoso")  # type: ignore[arg-type]


class Unasked:
    """An API that nobody calls."""


@pytest.mark.parametrize("leak", [LEAK, samples.connection_string()])
async def test_alert_is_read_with_its_secret(place: Place, leak: str) -> None:
    place.alert(leak)
    [finding] = await place.tool().read(ALERT, FOUND)

    assert finding.credential == samples.leak(leak)
    assert (finding.source, finding.alert) == ("azure-devops", ALERT)
    assert finding.url == (
        f"https://dev.azure.com/contoso/{AZURE_DEVOPS_PROJECT}/_git/{AZURE_DEVOPS_REPOSITORY}/alerts/1"
    )


async def test_alert_named_by_names_is_read_and_closed(place: Place) -> None:
    """advancedSecurity 7.2, Alerts_Get: "Project ID or project name", "Name or id of a repository"."""
    alert, reference = place.alert(LEAK), AlertReference(AlertSource.AZURE_DEVOPS, NAMED, "1")
    [finding] = await place.tool().read(reference, FOUND)
    await place.tool().close(reference, "Revoked.", revoked=revoked_leak())

    assert (finding.url, alert.state) == (f"{URL}/alerts/1", "dismissed")


async def test_alert_of_another_organization_is_not_asked_for(place: Place) -> None:
    reference = AlertReference(AlertSource.AZURE_DEVOPS, PLACE.replace("contoso", "fabrikam"), "1")
    tool = tool_of(Answers(fingerprint(LEAK)))

    with pytest.raises(Blocked, match="SASQUASH_AZURE_DEVOPS_ORGANIZATION"):
        await tool.read(reference, FOUND)
    closing = await tool.close(reference, "Revoked.", revoked=revoked_leak())

    assert "not in the organization of SASQUASH_AZURE_DEVOPS_ORGANIZATION" in closing.said
    assert not closing.closed


async def test_missing_alert_is_not_found(place: Place) -> None:
    with pytest.raises(NotFound, match="Reading Azure DevOps alert 1"):
        await place.tool().read(ALERT, FOUND)


async def test_missing_permission_is_blocked(place: Place) -> None:
    place.alert(LEAK)
    place.identity = "reader"

    with pytest.raises(Blocked, match="permission to read alerts"):
        await place.tool().read(ALERT, FOUND)


async def test_alert_is_dismissed_as_fixed_once(place: Place) -> None:
    alert = place.alert(LEAK)
    comments = ("Revoked.", "Revoked again.")
    closings = [await place.tool().close(ALERT, comment, revoked=revoked_leak()) for comment in comments]

    assert (alert.state, alert.reason, alert.comment) == ("dismissed", "fixed", "Revoked.")
    assert closings == [
        Closing(f"Azure DevOps alert 1 of {PLACE} was dismissed as fixed.", closed=True),
        Closing(f"Azure DevOps alert 1 of {PLACE} was already closed.", closed=True),
    ]


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        (samples.account_sas(permissions="r"), Doubt.ANOTHER_LEAK),
        (f"{LEAK} {samples.blob_sas()}", Doubt.MORE_LEAKS),
        ("hello", Doubt.UNREADABLE),
    ],
)
async def test_alert_with_another_secret_is_left_open(place: Place, secret: str, why: Doubt) -> None:
    alert = place.alert(secret)
    closing = await place.tool().close(ALERT, "Revoked.", revoked=revoked_leak())

    assert closing == Closing(f"Azure DevOps alert 1 of {PLACE} was left open: {why}.", closed=False)
    assert (alert.state, alert.comment) == ("active", None)


@pytest.mark.parametrize("state", ["fixed", "autoDismissed"])
async def test_alert_that_the_service_closed_is_not_changed(place: Place, state: str) -> None:
    """advancedSecurity 7.2, Alert.state: "This value is computed and returned by the service"."""
    alert = place.alert(LEAK)
    alert.state = state
    closing = await place.tool().close(ALERT, "Revoked.", revoked=revoked_leak())

    assert (alert.state, alert.comment) == (state, None)
    assert closing.said.endswith("was already closed.")


async def test_alert_dismissed_for_another_reason_is_dismissed_as_fixed(place: Place) -> None:
    alert = place.alert(LEAK)
    alert.state, alert.reason = "dismissed", "falsePositive"
    await place.tool().close(ALERT, "Revoked.", revoked=revoked_leak())

    assert alert.reason == "fixed"


# What a fingerprint may say


def fingerprint(value: object) -> dict[str, Any]:
    text = value if isinstance(value, str) else json.dumps(value)
    return {"validationFingerprints": [7, {}, {"validationFingerprintJson": text}]}


class Answers:
    """An API that answers with `alert`."""

    def __init__(self, alert: object) -> None:
        self.alert = alert

    async def call(self, *args: object, **kwargs: object) -> object:
        return self.alert


@pytest.mark.parametrize(
    "value",
    [
        {"secret": LEAK, "platform": "azure"},
        {"kind": {"uri": [LEAK]}},
        [LEAK],
        LEAK,
        {"accountName": samples.ACCOUNT, "accountKey": samples.KEYS["key1"]},
    ],
)
async def test_secret_is_found_in_any_field_of_the_fingerprint(value: object) -> None:
    tool = tool_of(Answers(fingerprint(value)))
    [finding] = await tool.read(ALERT, FOUND)

    assert finding.credential is not None
    assert finding.credential.account == samples.ACCOUNT


@pytest.mark.parametrize(
    ("says", "is_found"),
    [
        ({"title": "Azure Storage account key"}, True),
        ({"tools": [{"rules": [{"friendlyName": "AzureStorageAccountKey"}]}]}, True),
        ({"title": "Azure Cosmos DB key"}, False),
        ({"title": 7, "tools": [7, {"rules": [7]}]}, False),
    ],
)
async def test_bare_key_is_one_of_storage_where_the_alert_says_so(says: dict[str, object], *, is_found: bool) -> None:
    """advancedSecurity 7.2, Alert.title, Tool.rules, Rule.friendlyName. Keys of other services have the same form."""
    alert = fingerprint({"secret": samples.KEYS["key1"], "platform": "azure"}) | says
    found = await tool_of(Answers(alert)).read(ALERT, FOUND)

    assert [finding.credential for finding in found] == ([samples.leak(samples.KEYS["key1"])] if is_found else [])


@pytest.mark.parametrize("alert", [None, 7, [], {}, {"validationFingerprints": []}, {"truncatedSecret": "abc"}])
async def test_alert_without_its_secret_is_blocked(alert: object) -> None:
    with pytest.raises(Blocked, match="Report the leak yourself"):
        await tool_of(Answers(alert)).read(ALERT, FOUND)


def answer(*secrets: dict[str, object], **changed: object) -> dict[str, object]:
    """An alert with these fingerprints. `changed` are other fields of it."""
    fingerprints = [
        {name: json.dumps(value) if name == "validationFingerprintJson" else value for name, value in secret.items()}
        for secret in secrets
    ]
    return {"alertId": 1, "state": "active", "validationFingerprints": fingerprints} | changed


def shown(text: str) -> dict[str, object]:
    return {"validationFingerprintJson": {"secret": text, "platform": "azure"}}


@pytest.mark.parametrize(
    ("alert", "why"),
    [
        (answer(), Doubt.HIDDEN),
        (answer({}), Doubt.HIDDEN),
        (answer({"validationFingerprintHash": "0" * 64}), Doubt.HIDDEN),
        (answer(shown(LEAK), shown(samples.blob_sas())), Doubt.MORE_LEAKS),
        (answer(shown(LEAK), {"c3Id": samples.leak(samples.blob_sas()).c3id}), Doubt.MORE_LEAKS),
        (answer({"c3Id": samples.leak(samples.blob_sas()).c3id}), Doubt.ANOTHER_LEAK),
        (answer(shown(LEAK), alertId=2), Doubt.ANOTHER_ALERT),
        (answer(shown(LEAK), alertId="1"), Doubt.ANOTHER_ALERT),
        (answer(shown(LEAK), repositoryUrl="https://dev.azure.com/fabrikam/x/_git/y"), Doubt.ANOTHER_ALERT),
        (answer(shown(LEAK), repositoryUrl=7), Doubt.ANOTHER_ALERT),
        ([], Doubt.ANOTHER_ALERT),
        (None, Doubt.ANOTHER_ALERT),
    ],
)
async def test_answer_that_does_not_prove_the_leak_closes_nothing(alert: object, why: Doubt) -> None:
    """advancedSecurity 7.2, Alert: an alert has one id in its organization, and several validationFingerprints."""
    closing = await tool_of(Answers(alert)).close(ALERT, "Revoked.", revoked=revoked_leak())

    assert closing == Closing(f"{ALERT} was left open: {why}.", closed=False)


@pytest.mark.parametrize(
    "secrets",
    [
        (shown(LEAK), shown(LEAK.partition("?")[2])),
        ({"c3Id": samples.leak(LEAK).c3id},),
        (shown(LEAK), {"c3Id": samples.leak(LEAK).c3id}),
    ],
    ids=["two spellings", "correlating id alone", "both"],
)
async def test_alert_with_the_leak_alone_is_closed(secrets: tuple[dict[str, object], ...]) -> None:
    """advancedSecurity 7.2, ValidationFingerprint.c3Id: of "the secret in the ValidationFingerprintJson"."""
    tool = tool_of(Answers(answer(*secrets)))

    assert (await tool.close(ALERT, "Revoked.", revoked=revoked_leak())).closed
