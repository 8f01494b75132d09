"""Azure DevOps' service hooks (pure), and its alerts, read and closed over the stand-in of its API."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy

from local.entra.service import Entra
from local.reporters import azure_devops as local_azure_devops
from local.tenant import identities
from local.tenant.model import Cloud
from local.tenant.senders import AZURE_DEVOPS_PROJECT, AZURE_DEVOPS_REPOSITORY, AzureDevOpsAlert
from shared.cloud.http import Rest
from shared.domain.alert import AlertReference, AlertSource
from shared.errors import Blocked, NotFound
from shared.sources import azure_devops
from shared.sources.azure_devops import AzureDevOps
from shared.sources.entries import Alert, Invalid, Skip, Skipped
from shared.sources.findings import Found
from tests.support import samples
from tests.support.asgi import Credential, Transport

PLACE = f"contoso/{AZURE_DEVOPS_PROJECT}/{AZURE_DEVOPS_REPOSITORY}"
ALERT = AlertReference(AlertSource.AZURE_DEVOPS, PLACE, "1")
FOUND = Found(lambda: datetime.now(UTC))
LEAK = samples.account_sas()


def hook(event: str = "ms.vss-alerts.alert-created-event", **resource: object) -> dict[str, Any]:
    alert = {"alertId": 1, "alertType": "secret", "repositoryId": AZURE_DEVOPS_REPOSITORY, "state": "active"}
    return {
        "eventType": event,
        "resource": alert | resource,
        "resourceContainers": {"project": {"id": AZURE_DEVOPS_PROJECT.upper()}},
    }


def read(payload: object) -> object:
    return azure_devops.read(payload, organization="contoso")


def test_hook_names_an_alert() -> None:
    assert read(hook()) == Alert(ALERT)
    assert read(hook("ms.vss-alerts.alert-state-changed-event")) == Alert(ALERT)
    assert read(hook(repositoryId=None, repository={"id": AZURE_DEVOPS_REPOSITORY})) == Alert(ALERT)


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (hook("git.push"), Skip.OTHER_EVENT),
        (hook() | {"eventType": []}, Skip.OTHER_EVENT),
        (hook("ms.vss-alerts.alert-updated-event"), Skip.OTHER_EVENT),
        (hook(state="dismissed"), Skip.OTHER_EVENT),
        (hook(state="fixed"), Skip.OTHER_EVENT),
        (hook(alertType="code"), Skip.OTHER_SECRET),
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
        hook(repositoryId="../../x"),
        hook(repositoryId=None),
        hook() | {"resourceContainers": 7},
        hook() | {"resourceContainers": {"project": {"id": "shop"}}},
    ],
)
def test_hook_without_an_alert_is_invalid(payload: object) -> None:
    assert isinstance(read(payload), Invalid)


@dataclass
class Place:
    cloud: Cloud
    wire: Transport
    identity: str = "responder"

    def tool(self) -> AzureDevOps:
        credential = Credential(Entra(self.cloud), self.cloud.identities[self.identity])
        policy = AsyncBearerTokenCredentialPolicy(credential, azure_devops.SCOPE)
        return AzureDevOps(Rest(azure_devops.BASE_URL, self.wire, authentication=policy))

    def alert(self, secret: str) -> AzureDevOpsAlert:
        alert = AzureDevOpsAlert(1, secret)
        self.cloud.alerts.azure_devops.append(alert)
        return alert


@pytest.fixture
async def place(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    cloud = Cloud(identities=identities.directory(), users=identities.users())
    entra = Entra(cloud)
    monkeypatch.setattr("tests.unit.sources.test_azure_devops.Entra", lambda _: entra)
    wire = Transport(local_azure_devops.app(cloud, entra))
    yield Place(cloud, wire)
    await wire.close()


@pytest.mark.parametrize("leak", [LEAK, samples.connection_string()])
async def test_alert_is_read_with_its_secret(place: Place, leak: str) -> None:
    place.alert(leak)
    [finding] = await place.tool().read(ALERT, FOUND)

    assert finding.credential == samples.leak(leak)
    assert (finding.source, finding.alert) == ("azure-devops", ALERT)
    assert finding.url == (
        f"https://dev.azure.com/contoso/{AZURE_DEVOPS_PROJECT}/_git/{AZURE_DEVOPS_REPOSITORY}/alerts/1"
    )


async def test_missing_alert_is_not_found(place: Place) -> None:
    with pytest.raises(NotFound, match="Reading Azure DevOps alert 1"):
        await place.tool().read(ALERT, FOUND)


async def test_missing_permission_is_blocked(place: Place) -> None:
    place.alert(LEAK)
    place.identity = "reader"

    with pytest.raises(Blocked, match="permission to read alerts"):
        await place.tool().read(ALERT, FOUND)


async def test_alert_is_dismissed_as_fixed_idempotently(place: Place) -> None:
    alert = place.alert(LEAK)
    for _ in range(2):
        said = await place.tool().close(ALERT, "Revoked.")

    assert (alert.state, alert.reason, alert.comment) == ("dismissed", "fixed", "Revoked.")
    assert said == f"Azure DevOps alert 1 of {PLACE} was dismissed as fixed."


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
    tool = AzureDevOps(Answers(fingerprint(value)))  # type: ignore[arg-type]
    [finding] = await tool.read(ALERT, FOUND)

    assert finding.credential is not None
    assert finding.credential.account == samples.ACCOUNT


@pytest.mark.parametrize("alert", [None, 7, [], {}, {"validationFingerprints": []}, {"truncatedSecret": "abc"}])
async def test_alert_without_its_secret_is_blocked(alert: object) -> None:
    with pytest.raises(Blocked, match="Report the leak yourself"):
        await AzureDevOps(Answers(alert)).read(ALERT, FOUND)  # type: ignore[arg-type]
