"""Arguments of Azure CLI commands for one storage account. None of them holds a secret."""

import re
import shlex
from dataclasses import dataclass
from typing import Self

# https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
_ACCOUNT_ID = re.compile(
    r"/subscriptions/(?P<subscription>[0-9a-f-]{36})/resourceGroups/(?P<group>[\w.()-]{1,90})"
    r"/providers/Microsoft\.Storage/storageAccounts/(?P<name>[a-z0-9]{3,24})",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class CliAccount:
    """A storage account as command line arguments, safe to paste into a shell."""

    subscription: str
    group: str
    name: str

    @classmethod
    def of(cls, account_id: str | None) -> Self | None:
        """Read an account's ARM id; None for any other text."""
        match = _ACCOUNT_ID.fullmatch(account_id or "")
        return cls(**match.groupdict()) if match is not None else None

    @property
    def by_name(self) -> str:
        """The arguments of a data plane command."""
        return f"--subscription {self.subscription} --account-name {self.name}"

    def in_group(self, option: str = "--account-name") -> str:
        """Return the arguments of a command of the control plane, which calls the account's name `option`."""
        group = shlex.quote(self.group)  # parentheses are allowed in its name
        return f"--subscription {self.subscription} --resource-group {group} {option} {self.name}"
