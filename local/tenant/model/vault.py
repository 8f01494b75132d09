"""Key vaults: their secrets, with every version of each."""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass
class SecretVersion:
    """One version of a secret. Times are in whole seconds, as Key Vault's are."""

    value: str = field(repr=False)
    content_type: str | None = None
    tags: dict[str, str] | None = None
    enabled: bool = True
    not_before: datetime | None = None
    expires: datetime | None = None
    managed: bool = False  # belongs to a certificate: only Key Vault itself writes it
    version: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    updated: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))


@dataclass
class Secret:
    """A secret. `versions` are ordered by creation; the last one is current."""

    name: str
    versions: list[SecretVersion] = field(default_factory=list)
    deleted: bool = False  # soft-deleted: the name stays reserved

    def find(self, version: str) -> SecretVersion | None:
        """Return a version by its id, the current one for an empty id; None if there is none."""
        if not version:
            return self.versions[-1]
        return next((each for each in self.versions if each.version == version.lower()), None)


@dataclass
class Vault:
    """A key vault. With `closed`, its firewall refuses every request."""

    name: str
    secrets: dict[str, Secret] = field(default_factory=dict)  # by name in lower case
    closed: bool = False

    def add(self, name: str, version: SecretVersion) -> Secret:
        """Add `version` to secret `name` as its current one."""
        secret = self.secrets.setdefault(name.lower(), Secret(name))
        secret.versions.append(version)
        return secret
