"""The stand-ins for alerts of Azure DevOps and Graph: errors of invalid requests, and required rights."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from local.entra.service import Entra
from local.entra.tokens import AZURE_DEVOPS
from local.graph import service as graph
from local.reporters import azure_devops
from local.tenant import identities
from local.tenant.model import Cloud
from local.tenant.senders import (
    AZURE_DEVOPS_PROJECT,
    AZURE_DEVOPS_REPOSITORY,
    AzureDevOpsAlert,
    DefenderAlert,
)
from tests.support import samples
from tests.support.asgi import client

VERSION = "api-version=7.2-preview.1"
DEVOPS = f"/contoso/{AZURE_DEVOPS_PROJECT}/_apis/alert/repositories/{AZURE_DEVOPS_REPOSITORY}/alerts"
GRAPH = "/v1.0/security/alerts_v2"
SINCE = "serviceSource eq 'microsoftDefenderForCloud' and createdDateTime ge 2026-01-01T00:00:00Z"
DISMISSED = {"state": "dismissed", "dismissedReason": "fixed", "dismissedComment": "Revoked."}


@pytest.fixture
def cloud() -> Cloud:
    made = Cloud(identities=identities.directory(), users=identities.users())
    made.alerts.azure_devops.append(AzureDevOpsAlert(1, samples.account_sas()))
    made.alerts.defender.append(DefenderAlert("dc1", "2518_1", samples.ACCOUNT_ID, "Key 1", "ab" * 32))
    return made


@pytest.fixture
def entra(cloud: Cloud) -> Entra:
    return Entra(cloud)


def as_identity(cloud: Cloud, entra: Entra, name: str, *, service: str) -> httpx.AsyncClient:
    if service == "devops":
        token = entra.mint(cloud.identities[name], audience=AZURE_DEVOPS)
        return client(azure_devops.app(cloud, entra), "advsec.dev.azure.com", token=token)
    token = entra.mint(cloud.identities[name], audience="https://graph.microsoft.com")
    return client(graph.app(cloud, entra), "graph.microsoft.com", token=token)


@pytest.fixture
async def devops(cloud: Cloud, entra: Entra) -> AsyncIterator[httpx.AsyncClient]:
    async with as_identity(cloud, entra, "responder", service="devops") as opened:
        yield opened


@pytest.fixture
async def security(cloud: Cloud, entra: Entra) -> AsyncIterator[httpx.AsyncClient]:
    async with as_identity(cloud, entra, "responder", service="graph") as opened:
        yield opened


async def test_secret_is_returned_only_if_requested(devops: httpx.AsyncClient) -> None:
    plain = await devops.get(f"{DEVOPS}/1?{VERSION}")
    whole = await devops.get(f"{DEVOPS}/1?{VERSION}&expand=validationFingerprint")

    assert "sig=" not in plain.text
    assert "sig=" in whole.text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{DEVOPS}/1", 400),
        (f"{DEVOPS}/1?api-version=7.1", 400),
        (f"{DEVOPS}/1?{VERSION}&more=1", 400),
        (f"{DEVOPS}/1?{VERSION}&expand=secret", 400),
        (f"{DEVOPS}/2?{VERSION}", 404),
        (f"{DEVOPS.replace('contoso', 'fabrikam')}/1?{VERSION}", 404),
    ],
)
async def test_invalid_request_to_azure_devops_fails(devops: httpx.AsyncClient, path: str, status: int) -> None:
    assert (await devops.get(path)).status_code == status


@pytest.mark.parametrize("project", [AZURE_DEVOPS_PROJECT.upper(), "Web%20Shop", "web%20shop"])
@pytest.mark.parametrize("repository", [AZURE_DEVOPS_REPOSITORY.upper(), "Storefront"])
async def test_alert_is_found_by_ids_and_by_names(devops: httpx.AsyncClient, project: str, repository: str) -> None:
    """MicrosoftDocs/vsts-rest-api-specs, advancedSecurity 7.2, Alerts_Get: "Project ID or project name"."""
    answer = await devops.get(f"/contoso/{project}/_apis/alert/repositories/{repository}/alerts/1?{VERSION}")

    assert answer.json()["repositoryUrl"] == "https://dev.azure.com/contoso/Web%20Shop/_git/storefront"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"state": "fixed"},
        {"state": "dismissed"},
        DISMISSED | {"dismissedReason": "unknown"},
        DISMISSED | {"x": 1},
    ],
)
async def test_invalid_update_in_azure_devops_changes_nothing(
    devops: httpx.AsyncClient, cloud: Cloud, body: dict[str, Any]
) -> None:
    assert (await devops.patch(f"{DEVOPS}/1?{VERSION}", json=body)).status_code == 400
    assert cloud.alerts.azure_devops[0].state == "active"


async def test_alert_that_the_service_closed_cannot_be_dismissed(devops: httpx.AsyncClient, cloud: Cloud) -> None:
    cloud.alerts.azure_devops[0].state = "fixed"

    assert (await devops.patch(f"{DEVOPS}/1?{VERSION}", json=DISMISSED)).status_code == 400


async def test_alert_of_azure_devops_is_dismissed(devops: httpx.AsyncClient) -> None:
    answer = await devops.patch(f"{DEVOPS}/1?{VERSION}", json=DISMISSED)

    assert answer.json()["dismissal"] == {"dismissalType": "fixed", "message": "Revoked."}


COMMIT = "23d0bc5b128a10056dc68afece360d8a0fabb014"
ITEMS = f"/contoso/{AZURE_DEVOPS_PROJECT}/_apis/git/repositories/{AZURE_DEVOPS_REPOSITORY}/items"
ITEM = {
    "path": "/README.md",
    "versionDescriptor.version": COMMIT,
    "versionDescriptor.versionType": "commit",
    "includeContent": "true",
    "$format": "json",
    "api-version": "7.1",
}


@pytest.fixture
async def repos(cloud: Cloud, entra: Entra) -> AsyncIterator[httpx.AsyncClient]:
    cloud.alerts.azure_devops[0].file = "# A file"
    token = entra.mint(cloud.identities["responder"], audience=AZURE_DEVOPS)
    async with client(azure_devops.code_app(cloud, entra), "dev.azure.com", token=token) as opened:
        yield opened


async def test_file_is_read_at_a_commit(repos: httpx.AsyncClient) -> None:
    """git 7.1, Items_Get and GitItem."""
    item = (await repos.get(ITEMS, params=ITEM)).json()

    assert (item["content"], item["commitId"], item["gitObjectType"]) == ("# A file", COMMIT, "blob")


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"path": ""}, 400),
        ({"api-version": "7.2-preview.1"}, 400),
        ({"versionDescriptor.versionType": "branch"}, 400),
        ({"versionDescriptor.version": "main"}, 400),
        ({"includeContent": "false"}, 400),
        ({"$format": "zip"}, 400),
        ({"more": "1"}, 400),
        ({"path": "/other.md"}, 404),
        ({"path": "README.md"}, 404),
        ({"versionDescriptor.version": "a" * 40}, 404),
    ],
)
async def test_invalid_request_for_a_file_fails(
    repos: httpx.AsyncClient, changed: dict[str, str], status: int
) -> None:
    assert (await repos.get(ITEMS, params=ITEM | changed)).status_code == status


async def test_file_of_another_repository_is_not_found(repos: httpx.AsyncClient) -> None:
    for path in (ITEMS.replace("contoso", "fabrikam"), ITEMS.replace(AZURE_DEVOPS_REPOSITORY, "other")):
        assert (await repos.get(path, params=ITEM)).status_code == 404


async def test_file_requires_the_right_to_read_code(cloud: Cloud, entra: Entra) -> None:
    cloud.alerts.azure_devops[0].file = "# A file"
    token = entra.mint(cloud.identities["reader"], audience=AZURE_DEVOPS)
    async with client(azure_devops.code_app(cloud, entra), "dev.azure.com", token=token) as stranger:
        assert (await stranger.get(ITEMS, params=ITEM)).status_code == 403
        stranger.headers.pop("authorization")
        assert (await stranger.get(ITEMS, params=ITEM)).status_code == 401


async def test_alert_has_its_location_and_instances(devops: httpx.AsyncClient, cloud: Cloud) -> None:
    """advancedSecurity 7.2: PhysicalLocation, VersionControlDetails; Instances_List, AlertAnalysisInstance."""
    cloud.alerts.azure_devops[0].seen_in = COMMIT
    [place] = (await devops.get(f"{DEVOPS}/1?{VERSION}")).json()["physicalLocations"]
    [instance] = (await devops.get(f"{DEVOPS}/1/instances?{VERSION}")).json()["value"]

    assert (place["filePath"], place["versionControl"]["commitHash"]) == ("/README.md", COMMIT)
    assert instance["firstSeen"]["commitId"] == COMMIT


async def test_alert_of_graph_is_found_by_its_id_and_among_the_latest(security: httpx.AsyncClient) -> None:
    [listed] = (await security.get(GRAPH, params={"$filter": SINCE})).json()["value"]
    read = (await security.get(f"{GRAPH}/dc1")).json()

    assert (listed["providerAlertId"], read["id"]) == ("2518_1", "dc1")
    assert [e["@odata.type"] for e in read["evidence"]][-1] == "#microsoft.graph.security.sasTokenEvidence"


@pytest.mark.parametrize(
    "query", [{}, {"$filter": "providerAlertId eq '2518_1'"}, {"$filter": SINCE, "$search": "x"}]
)
async def test_graph_supports_only_documented_filters(security: httpx.AsyncClient, query: dict[str, str]) -> None:
    assert (await security.get(GRAPH, params=query)).status_code == 400


@pytest.mark.parametrize(
    "body", [{"status": "closed"}, {"classification": "bad"}, {"determination": "leak"}, {"title": "x"}]
)
async def test_invalid_update_in_graph_changes_nothing(
    security: httpx.AsyncClient, cloud: Cloud, body: dict[str, Any]
) -> None:
    assert (await security.patch(f"{GRAPH}/dc1", json=body)).status_code == 400
    assert cloud.alerts.defender[0].status == "new"


@pytest.mark.parametrize("body", [{}, {"comment": "x"}, {"@odata.type": "microsoft.graph.security.alertComment"}])
async def test_invalid_comment_is_refused(security: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert (await security.post(f"{GRAPH}/dc1/comments", json=body)).status_code == 400


@pytest.mark.parametrize(("service", "path"), [("devops", f"{DEVOPS}/1?{VERSION}"), ("graph", f"{GRAPH}/dc1")])
async def test_each_alert_service_requires_its_rights(cloud: Cloud, entra: Entra, service: str, path: str) -> None:
    async with as_identity(cloud, entra, "reader", service=service) as stranger:
        assert (await stranger.get(path)).status_code == 403
        stranger.headers.pop("authorization")
        assert (await stranger.get(path)).status_code == 401
