"""The settings of a separate intake app. It gets these and no others: what it does not have, nobody takes from it.

`infra/settings.json` has the same names, and the deployment gives each app its own (a test compares them).
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

from shared.domain.azure_clouds import CLOUDS, AzureCloud, CloudName
from shared.setting_parsers import SecretSetting
from shared.settings import declared, read_one


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeSettings:
    """The fields of `Settings` that the intake reads, under the same names: `declared` says what each means."""

    client_id: str | None
    cloud_name: CloudName
    queue_endpoint: str
    topic_endpoint: str
    tenant_id: str
    api_audiences: tuple[str, ...]
    intake_senders: dict[str, SecretSetting]
    intake_quota: int
    github_webhook_secret: SecretSetting | None
    github_app: str | None
    github_private_key: SecretSetting | None
    github_api: str
    github_secret_types: tuple[str, ...]
    azure_devops_organization: str | None
    azure_devops_password: SecretSetting | None

    @property
    def cloud(self) -> AzureCloud:
        return CLOUDS[self.cloud_name]

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """Read and validate these settings. Raises SettingsError, one line that names the first invalid setting."""
        return cls(**{field.name: read_one(environment, field.name) for field in fields(cls)})


INTAKE_ONLY = (
    "intake_senders",
    "intake_quota",
    "github_webhook_secret",
    "github_app",
    "github_private_key",
    "github_secret_types",
    "azure_devops_password",
)
"""The fields that a responder beside a separate intake does not read: it gets no reports of other tools."""


def names_of_intake() -> frozenset[str]:
    """Return the names of the settings that the intake reads."""
    known = declared()
    return frozenset(known[field.name].name for field in fields(IntakeSettings))


def names_of_responder() -> frozenset[str]:
    """Return the names of the settings that the responder reads beside a separate intake."""
    return frozenset(setting.name for attribute, setting in declared().items() if attribute not in INTAKE_ONLY)
