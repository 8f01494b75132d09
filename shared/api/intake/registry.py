"""The sources of the intake: how each is authenticated, and which parser reads its payloads.

A source without a secret in the settings does not exist. Scripts may use an access token of the tenant instead, whose
app has the role `Sasquash.Reporter`.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from shared.api.auth.access_tokens import AccessTokens, MissingToken, Role
from shared.api.intake.authentication import Headers, check_github, check_password, check_webhook
from shared.api.problems import NotSigned
from shared.cloud.secret_settings import SecretSettings
from shared.errors import NoSuchSource, NotPermitted, Unauthenticated
from shared.intake_settings import IntakeSettings
from shared.setting_parsers import SecretSetting, webhook_key
from shared.settings import Settings
from shared.sources import (
    azure_devops,
    betterleaks,
    cloudevents,
    defender,
    detect_secrets,
    generic,
    ggshield,
    github,
    gitlab,
    gitleaks,
    json_body,
    kingfisher,
    noseyparker,
    sarif,
    secretlint,
    trivy,
    trufflehog,
)
from shared.sources.entries import Entry

TEXT_READERS: Mapping[str, Callable[[bytes], Iterable[Entry]]] = {
    "betterleaks": betterleaks.read,
    "cloudevents": cloudevents.read,
    "detect-secrets": detect_secrets.read,
    "ggshield": ggshield.read,
    "gitlab": gitlab.read,
    "gitleaks": gitleaks.read,
    "kingfisher": kingfisher.read,
    "noseyparker": noseyparker.read,
    "sarif": sarif.read,
    "secretlint": secretlint.read,
    "trivy": trivy.read,
    "trufflehog": trufflehog.read,
}
"""The parsers of files and events, by source. Other sources use `generic`."""


@dataclass(frozen=True, slots=True)
class Posted:
    """A report as it was received. `body` may contain the secret."""

    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class Sender:
    """Who posted a report: the id of the delivery, and the object id of a caller with an access token."""

    delivery: str | None = None
    object_id: str | None = None


@dataclass(frozen=True, slots=True)
class Reporter:
    """A source. `authenticate` returns who posted the report; it raises Unauthenticated or NotPermitted.

    `read` raises InvalidPayload or InvalidRequest for a payload in another format.
    """

    name: str
    authenticate: Callable[[Posted], Awaitable[Sender]]
    read: Callable[[Posted], Iterable[Entry]]


@dataclass(frozen=True, slots=True)
class Reporters:
    """Finds a source by its name."""

    settings: Settings | IntakeSettings
    secrets: SecretSettings
    tokens: AccessTokens
    clock: Callable[[], datetime]

    def find(self, name: str) -> Reporter:
        """Return the source `name`. Raises NoSuchSource."""
        match name:
            case "github" if self.settings.github_webhook_secret is not None:
                return Reporter(name, self._signed_by_github, self._read_github)
            case "azure-devops" if self.settings.azure_devops_password is not None:
                return Reporter(name, self._with_password, self._read_azure_devops)
            case "defender":
                return Reporter(name, self._with_token, lambda posted: defender.read(json_body.parse(posted.body)))
            case "github" | "azure-devops":
                pass
            case _ if name in TEXT_READERS or name in self.settings.intake_senders:
                read = TEXT_READERS.get(name, generic.read)
                return Reporter(name, self._by_sender(name), lambda posted: read(posted.body))
        raise NoSuchSource("The intake has no source of this name. See docs/sources.md for how to configure it.")

    def challenge(self, error: Unauthenticated) -> str:
        """Return the WWW-Authenticate header for `error`. It has no error code for signatures."""
        return self.tokens.challenge(MissingToken(str(error)) if isinstance(error, NotSigned) else error)

    async def _signed_by_github(self, posted: Posted) -> Sender:
        secret = await self._read_secret(self.settings.github_webhook_secret)
        check_github(posted.headers, posted.body, secret=secret)
        return Sender(posted.headers.get("x-github-delivery"))

    async def _with_password(self, posted: Posted) -> Sender:
        check_password(posted.headers, password=await self._read_secret(self.settings.azure_devops_password))
        return Sender()

    async def _with_token(self, posted: Posted) -> Sender:
        who = await self.tokens.check(posted.headers.get("authorization"))
        if Role.REPORTER not in who.roles:
            raise NotPermitted(f"{who.caller} does not have the app role that reporting requires: {Role.REPORTER}.")
        return Sender(object_id=who.caller.object_id)

    def _by_sender(self, name: str) -> Callable[[Posted], Awaitable[Sender]]:
        setting = self.settings.intake_senders.get(name)

        async def signed(posted: Posted) -> Sender:
            if setting is None or posted.headers.get("authorization"):
                return await self._with_token(posted)
            key = webhook_key(await self._read_secret(setting))
            check_webhook(posted.headers, posted.body, key=key, now=self.clock())
            return Sender(posted.headers.get("webhook-id"))

        return signed

    async def _read_secret(self, setting: SecretSetting | None) -> str:
        if setting is None:
            raise NoSuchSource("The settings have no secret for this source.")
        return await self.secrets.read(setting)

    def _read_github(self, posted: Posted) -> Iterable[Entry]:
        event = posted.headers.get("x-github-event") or ""
        return [github.read(event, json_body.parse(posted.body), types=self.settings.github_secret_types)]

    def _read_azure_devops(self, posted: Posted) -> Iterable[Entry]:
        organization = self.settings.azure_devops_organization or ""
        return [azure_devops.read(json_body.parse(posted.body), organization=organization)]
