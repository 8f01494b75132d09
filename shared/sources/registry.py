"""The tools that keep alerts, each created from the settings at first use; None where it is not configured."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Protocol

from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy

from shared.cloud.clients import IntakeClients, Transport
from shared.cloud.http import Rest
from shared.cloud.secret_settings import SecretSettings
from shared.domain.alert import AlertReference, AlertSource
from shared.domain.alert_match import Closing, Revoked
from shared.domain.finding import Finding
from shared.intake_settings import IntakeSettings
from shared.setting_parsers import SecretSetting
from shared.settings import Settings
from shared.sources import azure_devops, azure_devops_code
from shared.sources.azure_devops import AzureDevOps
from shared.sources.defender import Defender
from shared.sources.findings import Found
from shared.sources.github import GitHub
from shared.sources.github_app import GitHubApp
from shared.sources.github_discussions import graphql_base


class Tool(Protocol):
    """Reads and closes alerts. Both methods raise Blocked or TransientFailure."""

    async def read(self, alert: AlertReference, found: Found) -> tuple[Finding, ...]:
        """Return the findings of `alert`."""

    async def close(self, alert: AlertReference, comment: str, *, revoked: Revoked) -> Closing:
        """Close `alert` if its service shows that it is about what was `revoked`; else leave it open."""


@dataclass(frozen=True, slots=True)
class GitHubKey:
    """A GitHub App and its private key. `setting` is the name of the setting with the key."""

    app: str
    key: SecretSetting
    setting: str


def closing_key(settings: Settings) -> GitHubKey | None:
    """Return the GitHub App that closes alerts, None where it is not configured."""
    app, key = settings.github_closing_app, settings.github_closing_private_key
    return GitHubKey(app, key, "SASQUASH_GITHUB_CLOSING_PRIVATE_KEY") if app is not None and key is not None else None


@dataclass(frozen=True)
class Tools:
    """Creates the tools. `closing`: the GitHub App that closes alerts, which a separate intake does not have."""

    settings: Settings | IntakeSettings
    clients: IntakeClients
    new_transport: Callable[[], Transport]
    secrets: SecretSettings
    clock: Callable[[], datetime]
    closing: GitHubKey | None = None

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
        reading = GitHubKey(app, key, "SASQUASH_GITHUB_PRIVATE_KEY") if app is not None and key is not None else None
        if reading is None and self.closing is None:
            return None
        base_url = self.settings.github_api
        rest = Rest(base_url, self.new_transport())
        return GitHub(
            rest,
            graphql=Rest(graphql_base(base_url), self.new_transport()),
            reading=self._github_app(rest, reading),
            closing=self._github_app(rest, self.closing),
            base_url=base_url,
        )

    def _github_app(self, rest: Rest, known: GitHubKey | None) -> GitHubApp | None:
        if known is None:
            return None
        return GitHubApp(
            rest,
            app=known.app,
            private_key=lambda: self.secrets.read(known.key),
            setting=known.setting,
            clock=self.clock,
        )

    @cached_property
    def _azure_devops(self) -> AzureDevOps | None:
        organization = self.settings.azure_devops_organization
        if organization is None:
            return None
        rest = self._as_the_app(azure_devops.BASE_URL, azure_devops.SCOPE)
        code = self._as_the_app(azure_devops_code.BASE_URL, azure_devops.SCOPE)
        return AzureDevOps(rest, code, organization=organization)

    @cached_property
    def _defender(self) -> Defender | None:
        graph = self.settings.cloud.graph
        return Defender(self._as_the_app(graph, f"{graph}/.default"), self.clock)

    def _as_the_app(self, base_url: str, scope: str) -> Rest:
        """Return a client that signs in as the app's identity."""
        authentication = AsyncBearerTokenCredentialPolicy(self.clients.credential, scope)
        return Rest(base_url, self.new_transport(), authentication=authentication)
