"""The sources that report to the function app: their secrets, new for each cloud, and the alerts that they keep."""

import base64
import os
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

GITHUB_APP, GITHUB_CLOSING_APP = "Iv23liSasquashLocal", "Iv23liSasquashCloses"  # client ids
GITHUB_INSTALLATION, GITHUB_CLOSING_INSTALLATION = 4711, 4712
GITHUB_OWNER = "contoso"
AZURE_DEVOPS_ORGANIZATION = "contoso"
AZURE_DEVOPS_PROJECT_NAME, AZURE_DEVOPS_REPOSITORY_NAME = "Web Shop", "storefront"
AZURE_DEVOPS_PROJECT = "0d8e2a50-4a59-4f0e-8a4b-2f4d3f6f7a10"
AZURE_DEVOPS_REPOSITORY = "a3f1c9d4-57b2-4f7e-9f31-6f3d2f0b8c55"
SIGNING = (
    "cloudevents",
    "gitleaks",
    "noseyparker",
    "sarif",
    "trufflehog",
    "wiz",
)  # by Standard Webhooks, all with one secret


@cache
def _github_key(app: str) -> rsa.RSAPrivateKey:  # noqa: ARG001 -- each app has a key of its own
    """Return the private key of a GitHub App. One each per process, since generating a key is slow."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _github_pem(app: str) -> str:
    """Return the key in PEM, in base64, as the settings take it."""
    pem = _github_key(app).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return base64.b64encode(pem).decode()


class Senders:
    """The secrets that authenticate reports to the function app."""

    def __init__(self) -> None:
        self.github_secret = secrets.token_urlsafe(32)
        self.azure_devops_password = secrets.token_urlsafe(32)
        self.webhook_secret = "whsec_" + base64.b64encode(os.urandom(32)).decode()

    def github_key(self, app: str = GITHUB_APP) -> rsa.RSAPrivateKey:
        """Return the key that signs the JWT of a GitHub App."""
        return _github_key(app)

    def settings(self) -> dict[str, str]:
        """Return the function app's settings for these sources."""
        return {
            "SASQUASH_INTAKE_SENDERS": ",".join(f"{name}={self.webhook_secret}" for name in SIGNING),
            "SASQUASH_GITHUB_WEBHOOK_SECRET": self.github_secret,
            "SASQUASH_GITHUB_APP": GITHUB_APP,
            "SASQUASH_GITHUB_PRIVATE_KEY": _github_pem(GITHUB_APP),
            "SASQUASH_GITHUB_CLOSING_APP": GITHUB_CLOSING_APP,
            "SASQUASH_GITHUB_CLOSING_PRIVATE_KEY": _github_pem(GITHUB_CLOSING_APP),
            "SASQUASH_AZURE_DEVOPS_ORGANIZATION": AZURE_DEVOPS_ORGANIZATION,
            "SASQUASH_AZURE_DEVOPS_PASSWORD": self.azure_devops_password,
        }

    def exports(self) -> dict[str, str]:
        """Return the variables of `.local/env` for reports by hand."""
        return {
            "SASQUASH_INTAKE_SECRET": self.webhook_secret,
            "SASQUASH_GITHUB_WEBHOOK_SECRET": self.github_secret,
            "SASQUASH_AZURE_DEVOPS_PASSWORD": self.azure_devops_password,
        }


@dataclass(frozen=True)
class GitHubPost:
    """A text in which GitHub has found a secret. `kind` is a type of location, `path` the API's."""

    kind: str
    path: str
    title: str = field(default="", repr=False)
    body: str = field(default="", repr=False)


@dataclass(frozen=True)
class GitHubComment:
    """A comment of a discussion, or a reply to one. `id` is its databaseId."""

    id: int
    body: str = field(repr=False)
    replies: tuple["GitHubComment", ...] = ()


@dataclass(frozen=True)
class GitHubDiscussion:
    """A discussion of a repository."""

    number: int
    title: str = field(default="", repr=False)
    body: str = field(default="", repr=False)
    comments: tuple[GitHubComment, ...] = ()


@dataclass
class GitHubAlert:
    """A secret scanning alert. `file` contains the secret at `line` (from 1).

    `places` are types of locations with their details, beside those of the file and the posts.
    """

    repository: str  # owner/name
    number: int
    secret_type: str
    secret: str = field(repr=False)
    path: str = "README.md"
    file: str = field(default="", repr=False)
    line: int = 1
    state: str = "open"
    resolution: str | None = None
    comment: str | None = None
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    posts: list[GitHubPost] = field(default_factory=list)
    discussions: list[GitHubDiscussion] = field(default_factory=list)
    places: list[tuple[str, dict[str, object]]] = field(default_factory=list)


@dataclass
class AzureDevOpsAlert:
    """A secret alert of GitHub Advanced Security for Azure DevOps.

    `state`: "active" | "dismissed" | "fixed" | "autoDismissed". `file` contains the secret at `line` (from 1) in the
    commit `commit`; `locations` are its physicalLocations, by default that one. `seen_in` is the commit of its
    instance.
    """

    number: int
    secret: str = field(repr=False)
    state: str = "active"
    reason: str | None = None
    comment: str | None = None
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    path: str = "/README.md"
    file: str = field(default="", repr=False)
    line: int = 1
    commit: str = "23d0bc5b128a10056dc68afece360d8a0fabb014"
    locations: list[object] | None = None
    seen_in: str | None = None


@dataclass
class DefenderAlert:
    """An alert in Microsoft Graph about an account SAS. `status`: "new" | "inProgress" | "resolved"."""

    id: str
    provider_id: str
    account_id: str
    signed_with: str
    signature_sha256: str
    status: str = "new"
    classification: str | None = None
    determination: str | None = None
    comments: list[str] = field(default_factory=list)
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass
class Alerts:
    """All alerts that the sources keep."""

    github: list[GitHubAlert] = field(default_factory=list)
    azure_devops: list[AzureDevOpsAlert] = field(default_factory=list)
    defender: list[DefenderAlert] = field(default_factory=list)

    def clear(self) -> None:
        for alerts in (self.github, self.azure_devops, self.defender):
            alerts.clear()
