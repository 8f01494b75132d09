"""Azure DevOps as the app sees it, over the stand-ins of its APIs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy
from starlette.applications import Starlette
from starlette.routing import Host
from starlette.types import ASGIApp

from local.entra.service import Entra
from local.network.hostnames import AZURE_DEVOPS_HOST, AZURE_REPOS_HOST
from local.reporters import azure_devops as local_azure_devops
from local.tenant import identities
from local.tenant.model import Cloud
from local.tenant.senders import AZURE_DEVOPS_PROJECT, AZURE_DEVOPS_REPOSITORY, AzureDevOpsAlert
from shared.cloud.http import Rest
from shared.domain.alert import AlertReference, AlertSource
from shared.sources import azure_devops, azure_devops_code
from shared.sources.azure_devops import AzureDevOps
from shared.sources.findings import Found
from tests.support.asgi import Credential, Transport

PLACE = f"contoso/{AZURE_DEVOPS_PROJECT}/{AZURE_DEVOPS_REPOSITORY}"
ALERT = AlertReference(AlertSource.AZURE_DEVOPS, PLACE, "1")
FOUND = Found(lambda: datetime.now(UTC))


@dataclass
class Place:
    """The stand-ins with their alerts, the requests that they got, and the identity that calls."""

    cloud: Cloud
    entra: Entra
    wire: Transport
    identity: str = "responder"

    def tool(self) -> AzureDevOps:
        credential = Credential(self.entra, self.cloud.identities[self.identity])
        policy = AsyncBearerTokenCredentialPolicy(credential, azure_devops.SCOPE)
        alerts, code = (
            Rest(url, self.wire, authentication=policy) for url in (azure_devops.BASE_URL, azure_devops_code.BASE_URL)
        )
        return AzureDevOps(alerts, code, organization="contoso")

    def alert(self, secret: str) -> AzureDevOpsAlert:
        alert = AzureDevOpsAlert(1, secret)
        self.cloud.alerts.azure_devops.append(alert)
        return alert

    def calls(self, part: str = "") -> list[str]:
        return [f"{method} {url}" for method, url, _ in self.wire.sent if part in url]


def served(cloud: Cloud, entra: Entra, *, repos: ASGIApp | None = None) -> ASGIApp:
    """Both hosts in one app. `repos` takes the place of Azure Repos."""
    code = repos or local_azure_devops.code_app(cloud, entra)
    return Starlette(
        routes=[Host(AZURE_DEVOPS_HOST, local_azure_devops.app(cloud, entra)), Host(AZURE_REPOS_HOST, code)]
    )


@asynccontextmanager
async def opened() -> AsyncIterator[Place]:
    cloud = Cloud(identities=identities.directory(), users=identities.users())
    entra = Entra(cloud)
    wire = Transport(served(cloud, entra))
    yield Place(cloud, entra, wire)
    await wire.close()
