"""The tools that keep alerts, each created from the settings at first use; None where it is not configured."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Protocol

from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy

from shared.cloud.clients import Clients, Transport
from shared.cloud.http import Rest
from shared.cloud.secret_settings import SecretSettings
from shared.domain.alert import AlertReference, AlertSource
from shared.domain.finding import Finding
from shared.settings import Settings
from shared.sources import azure_devops
from shared.sources.azure_devops import AzureDevOps
from shared.sources.defender import Defender
from shared.sources.findings import Found
from shared.sources.github import GitHub
from shared.sources.github_app import GitHubApp


class Tool(Protocol):
    """Reads and closes alerts. Both methods raise Blocked or TransientFailure."""

    async def read(self, alert: AlertReference, found: Found) -> tuple[Finding, ...]:
        """Return the findings of `alert`."""

    async def close(self, alert: AlertReference, comment: str) -> str:
        """Close `alert`; return what was done, as a sentence."""


@dataclass(frozen=True)
class Tools:
    """Creates the tools."""

    settings: Settings
    clients: Clients
    new_transport: Callable[[], Transport]
    secrets: SecretSettings
    clock: Callable[[], datetime]

    @property
    def all(self) -> Mapping[AlertSource, Callable[[], Tool | None]]:
        """The factory of each tool."""
        return {
            AlertSource.GITHUB: lambda: self._github,
            AlertSource.AZURE_DEVOPS: lambda: self._azure_devops,
            AlertSource.DEFENDER: lambda: self._defender,
        }

    @cached_property
    def _github(self) -> GitHub | None:
        app, key = self.settings.github_app, self.settings.github_private_key
        if app is None or key is None:
            return None
        base_url = self.settings.github_api
        rest = Rest(base_url, self.new_transport())
        signing = GitHubApp(rest, app=app, private_key=lambda: self.secrets.read(key), clock=self.clock)
        return GitHub(rest, signing, base_url=base_url)

    @cached_property
    def _azure_devops(self) -> AzureDevOps | None:
        organization = self.settings.azure_devops_organization
        if organization is None:
            return None
        rest = self._as_the_app(azure_devops.BASE_URL, azure_devops.SCOPE)
        return AzureDevOps(rest, organization=organization)

    @cached_property
    def _defender(self) -> Defender | None:
        graph = self.settings.cloud.graph
        return Defender(self._as_the_app(graph, f"{graph}/.default"))

    def _as_the_app(self, base_url: str, scope: str) -> Rest:
        """Return a client that signs in as the app's identity."""
        authentication = AsyncBearerTokenCredentialPolicy(self.clients.credential, scope)
        return Rest(base_url, self.new_transport(), authentication=authentication)
